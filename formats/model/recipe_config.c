/* SPDX-License-Identifier: MIT */
#include "formats/model/recipe_config.h"

#include "formats/json/jmember.h"
#include "formats/model/family.h"
#include "formats/model/mlx.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- config.json, member by member --- */

/* A member of config.json that is given a value (JSON; NULL: it is taken out). */
struct member {
	const char *key, *value;
};

static int put_members(struct text *out, const struct recipe_made *m, const struct member *v,
	size_t n, struct err *e)
{
	struct text t = { 0 };
	size_t i;
	int rc;

	text_put(&t, m->doc->raw.s, m->doc->raw.n);
	rc = t.failed ? err_nomem(e) : 0;
	for (i = 0; !rc && i < n; i++)
		rc = jmember_set(&t, v[i].key, v[i].value, e) ||
				config_set_again(&t, family_of(m->doc), v[i].key, v[i].value, e)
			? -1
			: 0;
	if (!rc)
		text_put(out, t.s, t.n);
	text_free(&t);
	return rc || !out->failed ? rc : err_nomem(e);
}

/* JSON as it stands within an object: each line but the first two blanks further in. The caller frees it; NULL without
 * memory. */
static char *further_in(const char *json)
{
	size_t lines = 0, n;
	const char *p;
	char *out, *at;

	for (p = json; *p; p++)
		lines += *p == '\n';
	n = (size_t)(p - json) + 2 * lines + 1;
	out = at = malloc(n);
	for (p = json; out && *p; p++) {
		*at++ = *p;
		if (*p == '\n') {
			*at++ = ' ';
			*at++ = ' ';
		}
	}
	if (out)
		*at = 0;
	return out;
}

/* config.json with q, which is taken over, as its quantization_config; what_experts: expert_dtype, NULL: none. */
static int put_quantization(struct text *out, const struct recipe_made *m, json_t *q,
	const char *experts, struct err *e)
{
	char *flat = q ? json_dumps(q, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL,
	     *s = flat ? further_in(flat) : NULL;
	const struct member v[] = { { "expert_dtype", experts }, { "quantization_config", s } };
	int rc = s ? put_members(out, m, v, 2, e) : err_nomem(e);

	free(s);
	free(flat);
	json_decref(q);
	return rc;
}

/* q, which is taken over, as a file of its own. */
static int put_document(struct text *out, json_t *q, struct err *e)
{
	char *s = q ? json_dumps(q, JSON_INDENT(4)) : NULL;

	text_fmt(out, "%s\n", s ? s : "");
	json_decref(q);
	if (!s)
		return err_nomem(e);
	free(s);
	return out->failed ? err_nomem(e) : 0;
}

int recipe_config_native(struct text *out, const struct recipe_made *m, struct err *e)
{
	return config_put(out, m->doc, m->forms.experts, e);
}

int recipe_config_plain(struct text *out, const struct recipe_made *m, struct err *e)
{
	static const struct member v[] = { { "expert_dtype", NULL },
		{ "quantization_config", NULL }, { "torch_dtype", "\"bfloat16\"" } };

	return put_members(out, m, v, 3, e);
}

/* --- ModelOpt --- */

/* Who reads these files asks for this producer by name, so that it is named though it did not make them. */
static json_t *producer(void)
{
	return json_pack("{s:s,s:s}", "name", "modelopt", "version", "dsv4-quant");
}

/* Adds the experts of a block: vLLM has NVFP4 for all of them, drafts included, whatever the file says. */
static int add_experts(json_t *o, const char *kind, uint64_t n, json_t *form)
{
	char name[64];
	uint64_t i;

	for (i = 0; i < n; i++) {
		snprintf(name, sizeof name, "%s.%llu.ffn.experts", kind, (unsigned long long)i);
		if (json_object_set(o, name, form))
			return -1;
	}
	return 0;
}

/* {"layers.0.ffn.experts": {..}, ..}; NULL without memory. */
static json_t *quantized_layers(const struct recipe_made *m)
{
	json_t *o = json_object(), *form;

	form = json_pack("{s:s,s:i}", "quant_algo", "NVFP4", "group_size",
		(int)codecs[CODEC_NVFP4].cols);
	if (!o || !form || add_experts(o, "layers", m->config->L, form) ||
		(m->drafts == DRAFTS_SAME && add_experts(o, "mtp", m->config->stages, form))) {
		json_decref(o);
		o = NULL;
	}
	json_decref(form);
	return o;
}

/* Adds to list, a list of modules that are not quantized, the pattern that names the drafts where they stay as they are in
 * the source. list is taken over; NULL without memory. */
static json_t *with_drafts(json_t *list, const struct recipe_made *m, const char *pattern)
{
	if (list && m->drafts == DRAFTS_KEEP && m->config->stages &&
		json_array_append_new(list, json_string(pattern))) {
		json_decref(list);
		return NULL;
	}
	return list;
}

/* Adds what sees images, which is never quantized, to list in the same way. */
static json_t *with_vision(json_t *list, const struct recipe_made *m, const char *tower,
	const char *aligner)
{
	if (list && m->config->vision &&
		(json_array_append_new(list, json_string(tower)) ||
			json_array_append_new(list, json_string(aligner)))) {
		json_decref(list);
		return NULL;
	}
	return list;
}

static json_t *left_out(const struct recipe_made *m)
{
	json_t *list = json_pack("[s,s,s]", "*.attn.*", "*.ffn.shared_experts.*", "head");

	if (list && m->config->engram && json_array_append_new(list, json_string("*.engram.*"))) {
		json_decref(list);
		list = NULL;
	}
	return with_vision(with_drafts(list, m, "mtp.*"), m, "vision.*", "aligner.*");
}

int recipe_config_nvfp4(struct text *out, const struct recipe_made *m, struct err *e)
{
	const int group = (int)codecs[CODEC_NVFP4].cols;
	json_t *flat = config_flat(m->doc),
	       *q = json_deep_copy(json_object_get(flat, "quantization_config")), *args, *add;

	json_decref(flat);
	args = json_pack("{s:b,s:i,s:s,s:i}", "dynamic", 0, "num_bits", 4, "type", "float",
		"group_size", group);
	add = json_pack("{s:s,s:s,s:n,s:i,s:o,s:{s:{s:O,s:o,s:[s]}},s:o,s:o}", "moe_quant_algo",
		"NVFP4", "quant_algo", "MIXED_PRECISION", "kv_cache_quant_algo", "group_size",
		group, "producer", producer(), "config_groups", "group_0", "input_activations",
		args, "weights", args, "targets", "Linear", "quantized_layers", quantized_layers(m),
		"ignore", left_out(m));
	if (!q || !add || json_object_update(q, add)) {
		json_decref(q);
		q = NULL;
	} else {
		json_object_del(q, "exclude_modules");
	}
	json_decref(add);
	/* V4.1 has the word for experts in here, V4 at the top */
	return put_quantization(out, m, q, json_object_get(q, "expert_dtype") ? NULL : "\"fp4\"",
		e);
}

int recipe_hf_quant_nvfp4(struct text *out, const struct recipe_made *m, struct err *e)
{
	return put_document(out,
		json_pack("{s:o,s:{s:s,s:n,s:i,s:o,s:o}}", "producer", producer(), "quantization",
			"quant_algo", "MIXED_PRECISION", "kv_cache_quant_algo", "group_size",
			(int)codecs[CODEC_NVFP4].cols, "quantized_layers", quantized_layers(m),
			"exclude_modules", left_out(m)),
		e);
}

/* What is in BF16 or F32 and is called Linear by those who read this. Tables of Engram stay what they are. */
static json_t *plain_modules(const struct recipe_made *m)
{
	json_t *list = json_pack("[s,s,s,s,s,s,s]", "head", "embed", "*.ffn.gate", "*.compressor.*",
		"*.weights_proj", "*.markov_head.*", "*.confidence_head.*");
	bool key = family_role(m->config->family, "layers.0.attn.indexer.wk.weight", false);

	if (list &&
		((key && json_array_append_new(list, json_string("*.indexer.wk"))) ||
			(m->config->engram &&
				json_array_append_new(list, json_string("*.engram.embed"))))) {
		json_decref(list);
		list = NULL;
	}
	return with_vision(with_drafts(list, m, "mtp.*"), m, "vision.*", "aligner.*");
}

int recipe_config_mxfp8(struct text *out, const struct recipe_made *m, struct err *e)
{
	return put_quantization(out, m,
		json_pack("{s:s,s:s,s:i,s:n,s:o,s:o}", "quant_method", "modelopt", "quant_algo",
			"MXFP8", "group_size", (int)codecs[CODEC_MXFP8].cols, "kv_cache_quant_algo",
			"producer", producer(), "ignore", plain_modules(m)),
		NULL, e);
}

int recipe_hf_quant_mxfp8(struct text *out, const struct recipe_made *m, struct err *e)
{
	return put_document(out,
		json_pack("{s:o,s:{s:s,s:n,s:i,s:o}}", "producer", producer(), "quantization",
			"quant_algo", "MXFP8", "kv_cache_quant_algo", "group_size",
			(int)codecs[CODEC_MXFP8].cols, "exclude_modules", plain_modules(m)),
		e);
}

/* --- compressed-tensors --- */

/* How compressed-tensors describes weights of a codec. */
struct ct_form {
	enum codec codec;
	const char *format, *strategy;
	int bits, group; /* group 0: in blocks, or by channel */
	const char *scale_dtype;
	const char *
		activations; /* how they are quantized while the model runs: by "group" or "token"; NULL: they are not */
	const char *type;
};
/* clang-format off */
static const struct ct_form ct_forms[] = {
	{ CODEC_MXFP4_CT,    "mxfp4-pack-quantized", "group",        4, 32,  "torch.uint8",         NULL,    "float" },
	{ CODEC_MXFP8,       "mxfp8-quantized",      "group",        8, 32,  "torch.uint8",         "group", "float" },
	{ CODEC_NVFP4_CT,    "nvfp4-pack-quantized", "tensor_group", 4, 16,  "torch.float8_e4m3fn", NULL,    "float" },
	{ CODEC_FP8_CT,      "float-quantized",      "block",        8, 0,   NULL,                  "group", "float" },
	{ CODEC_INT4_128,    "pack-quantized",       "group",        4, 128, NULL,                  NULL,    "int" },
	{ CODEC_INT4_32,     "pack-quantized",       "group",        4, 32,  NULL,                  NULL,    "int" },
	{ CODEC_INT4_128_ASYM, "pack-quantized",     "group",        4, 128, NULL,                  NULL,    "int" },
	{ CODEC_INT4_32_ASYM, "pack-quantized",      "group",        4, 32,  NULL,                  NULL,    "int" },
	{ CODEC_INT8_ROW,    "int-quantized",        "channel",      8, 0,   NULL,                  "token", "int" },
	{ CODEC_FP8_CHANNEL, "float-quantized",      "channel",      8, 0,   NULL,                  "token", "float" },
};
/* clang-format on */

static const struct ct_form *ct_find(enum codec c)
{
	size_t i;

	for (i = 0; i < sizeof ct_forms / sizeof *ct_forms; i++)
		if (ct_forms[i].codec == c)
			return &ct_forms[i];
	return NULL;
}

/* What of a matrix shares a scale: columns, or a block of both; by channel, or by token, nothing is said. */
static json_t *ct_extent(const struct ct_form *f, const char *strategy)
{
	const struct codec_form *c = &codecs[f->codec];

	if (!strcmp(strategy, "channel") || !strcmp(strategy, "token"))
		return json_object();
	if (!strcmp(strategy, "block"))
		return json_pack("{s:[i,i]}", "block_structure", (int)c->rows, (int)c->cols);
	return json_pack("{s:i}", "group_size", f->group ? f->group : (int)c->cols);
}

/* The arguments of weights, or of activations; NULL without memory. */
static json_t *ct_args(const struct ct_form *f, bool activations)
{
	const char *strategy = activations ? f->activations : f->strategy;
	json_t *o = json_pack("{s:i,s:s,s:b,s:s,s:b}", "num_bits", f->bits, "type", f->type,
		       "symmetric", activations || !codecs[f->codec].zeros, "strategy", strategy,
		       "dynamic", activations),
	       *extent = ct_extent(f, strategy);
	int rc = o && extent ? json_object_update(o, extent) : -1;

	if (!rc && f->scale_dtype)
		rc = json_object_set_new(o, "scale_dtype", json_string(f->scale_dtype));
	json_decref(extent);
	if (rc) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static json_t *ct_group(const struct ct_form *f, const char *modules)
{
	return json_pack("{s:s,s:[s],s:o,s:o,s:n}", "format", f->format, "targets", modules,
		"weights", ct_args(f, false), "input_activations",
		f->activations ? ct_args(f, true) : json_null(), "output_activations");
}

/* Modules that are in BF16 or F32, by expressions. */
static json_t *ct_ignore(const struct recipe_made *m)
{
	json_t *list = json_pack("[s,s,s,s,s,s,s]", "head", "embed", "re:.*\\.ffn\\.gate$",
		"re:.*\\.compressor\\..*", "re:.*\\.weights_proj$", "re:.*\\.markov_head\\..*",
		"re:.*\\.confidence_head\\..*");

	return with_vision(with_drafts(list, m, "re:^mtp\\..*"), m, "re:^vision\\..*",
		"re:^aligner\\..*");
}

int recipe_config_compressed(struct text *out, const struct recipe_made *m, struct err *e)
{
	const struct ct_form *experts = ct_find(m->forms.experts), *dense = ct_find(m->forms.dense);
	json_t *q;

	if (!experts || !dense)
		return err_set(e, ERR_SYSTEM, "%s: a number format that compressed-tensors has not",
			m->recipe->name);
	q = json_pack("{s:s,s:s,s:s,s:s,s:s,s:{s:o,s:o},s:o,s:n,s:n}", "quant_method",
		"compressed-tensors", "quantization_status", "compressed", "format",
		"mixed-precision", "version", "0.20.0", "scale_fmt", "ue8m0", "config_groups",
		"group_0", ct_group(experts, "re:.*\\.ffn\\.experts\\.\\d+\\.(w1|w2|w3)$"),
		"group_1",
		ct_group(dense,
			"re:.*(\\.attn\\.(wq_a|wq_b|wkv|wo_a|wo_b)|\\.indexer\\.wq_b|\\.shared_experts\\.(w1|w2|w3)|mtp\\.\\d+\\.(e_proj|h_proj|main_proj))$"),
		"ignore", ct_ignore(m), "kv_cache_scheme", "global_compression_ratio");
	return put_quantization(out, m, q,
		codecs[m->forms.experts].bits == codecs[CODEC_MXFP4].bits &&
				!strcmp(experts->type, "float")
			? "\"fp4\""
			: NULL,
		e);
}

/* --- MLX --- */

int recipe_config_mlx(struct text *out, const struct recipe_made *m, struct err *e)
{
	json_t *q = mlx_quantization(m->config, m->forms);
	char *flat = q ? json_dumps(q, JSON_INDENT(2)) : NULL, *s = flat ? further_in(flat) : NULL;
	char experts[24];
	const struct member v[] = { { "expert_dtype", experts }, { "quantization", s } };
	int rc;

	snprintf(experts, sizeof experts, "\"%s\"", codec_expert(m->forms.experts));
	if (!mlx_reads(m->forms.dense) || !mlx_reads(m->forms.experts))
		rc = err_rule(e, RULE_PLAN_NO_WAY, ERR_NOPOS,
			"MLX loads the matrices as they lie here, and of scales it takes E8M0: these are F32");
	else
		rc = s ? put_members(out, m, v, 2, e) : err_nomem(e);
	free(s);
	free(flat);
	json_decref(q);
	return rc;
}

int recipe_config_mlx_packed(struct text *out, const struct recipe_made *m, struct err *e)
{
	json_t *q = mlx_packed_quantization(m->config);
	char *flat = q ? json_dumps(q, JSON_INDENT(2)) : NULL, *s = flat ? further_in(flat) : NULL;
	const struct member v[] = { { "expert_dtype", NULL }, { "quantization", s },
		{ "quantization_config", s } };
	int rc = s ? put_members(out, m, v, 3, e) : err_nomem(e);

	free(s);
	free(flat);
	json_decref(q);
	return rc;
}
