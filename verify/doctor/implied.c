/* SPDX-License-Identifier: MIT */
#include "verify/doctor/implied.h"

#include "core/mem.h"
#include "formats/codec.h"
#include "formats/model/family.h"
#include "formats/model/member.h"
#include "formats/model/params.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS_MAX = 4096 };

/* A field is a dimension of a tensor: of that name, or with * of the first block that has it. */
static const struct dim_field {
	const char *key, *tensor;
	unsigned dim, of; /* of a tensor of that many dimensions */
} dim_fields[] = {
	{ "vocab_size", "embed.weight", 0, 2 },
	{ "hidden_size", "norm.weight", 0, 1 },
	{ "hc_mult", "hc_head_base", 0, 1 },
	{ "num_attention_heads", "*attn.attn_sink", 0, 1 },
	{ "head_dim", "*attn.kv_norm.weight", 0, 1 },
	{ "q_lora_rank", "*attn.q_norm.weight", 0, 1 },
	{ "n_routed_experts", "*ffn.gate.weight", 0, 2 },
	{ "moe_intermediate_size", "*ffn.experts.0.w1.weight", 0, 2 },
	{ "num_experts_per_tok", "*ffn.gate.tid2eid", 1, 2 },
	{ "index_n_heads", "*attn.indexer.weights_proj.weight", 0, 2 },
	{ "index_head_dim", "*attn.indexer.compressor.norm.weight", 0, 1 },
	{ "index_head_dim", "*attn.indexer.k_norm.weight", 0, 1 },
	{ "dspark_n_routed_experts", "mtp.0.ffn.gate.weight", 0, 2 },
};
enum { DIM_FIELDS = sizeof dim_fields / sizeof *dim_fields };

/* layers.N.tail: N and tail; false for other names. */
static bool block_of(const char *name, const char *kind, uint64_t *n, const char **tail)
{
	size_t k = strlen(kind), digits;

	if (strncmp(name, kind, k) != 0)
		return false;
	digits = strspn(name + k, "0123456789");
	if (!digits || digits > 4 || name[k + digits] != '.')
		return false;
	for (*n = 0; digits--; k++)
		*n = *n * 10 + (uint64_t)(name[k] - '0');
	*tail = name + k + 1;
	return *n < BLOCKS_MAX;
}

static const struct tensor *find(const struct ckpt *c, const char *name)
{
	const char *tail;
	uint64_t n;
	size_t i;

	if (name[0] != '*')
		return ckpt_find(c, name);
	for (i = 0; i < c->n; i++)
		if (block_of(c->tensors[i].name, "layers.", &n, &tail) && !strcmp(tail, name + 1))
			return &c->tensors[i];
	return NULL;
}

/* Whether a model of the family has the field: only then the tensors say something of it. */
static bool has_field(const struct implied *v, const char *key)
{
	unsigned i;

	for (i = 0; i < v->family->n_fields; i++)
		if (!strcmp(v->family->fields[i].key, key))
			return true;
	return false;
}

/* --- editing --- */

static int fix(struct implied *v, const char *key, const char *value, struct err *e)
{
	v->changes++;
	return config_set(&v->fixed, &v->c->doc, key, value, e);
}

static void differs(struct report *r, const char *key, const char *said, const char *is,
	const char *by)
{
	const struct report_place at = { .file = "config.json" };

	report_add(r, RULE_CONFIG_FIELD_TENSORS, &at,
		"config.json: \"%s\" is %s, the tensors say %s (%s)", key, said, is, by);
}

static int fix_number(struct implied *v, const json_t *o, const char *key, uint64_t is,
	const char *by, struct report *r, struct err *e)
{
	const json_t *x = json_object_get(o, key);
	char said[32], value[32];

	if (json_is_integer(x) && json_integer_value(x) >= 0 &&
		(uint64_t)json_integer_value(x) == is)
		return 0;
	snprintf(value, sizeof value, "%llu", (unsigned long long)is);
	if (json_is_integer(x)) {
		snprintf(said, sizeof said, "%lld", (long long)json_integer_value(x));
		differs(r, key, said, value, by);
	}
	return fix(v, key, value, e);
}

/* --- what follows from names --- */

static void count_blocks(struct implied *v)
{
	const char *tail;
	uint64_t n;
	size_t i;

	for (i = 0; i < v->c->n; i++) {
		const char *name = v->c->tensors[i].name;

		if (block_of(name, "layers.", &n, &tail) && n >= v->layers)
			v->layers = n + 1;
		if (block_of(name, "mtp.", &n, &tail) && n >= v->stages)
			v->stages = n + 1;
	}
}

/* The layers behind the first hash ones route by score, which takes a bias: where it is missing too, so is a table. */
static bool all_routed(const struct implied *v, uint64_t hash)
{
	const char *tail;
	uint64_t n, scored = 0, layers = 0;
	size_t i;

	for (i = 0; i < v->c->n; i++)
		if (block_of(v->c->tensors[i].name, "layers.", &n, &tail)) {
			layers += !strcmp(tail, "ffn.gate.weight");
			scored += n >= hash && !strcmp(tail, "ffn.gate.bias");
		}
	return scored + hash >= layers;
}

static int fix_hash(struct implied *v, const json_t *o, struct report *r, struct err *e)
{
	bool has[BLOCKS_MAX] = { false };
	const json_t *said;
	const char *tail;
	uint64_t n, layers = 0, hash = 0;
	size_t i;

	for (i = 0; i < v->c->n; i++) {
		if (!block_of(v->c->tensors[i].name, "layers.", &n, &tail))
			continue;
		layers += !strcmp(tail, "ffn.gate.weight");
		if (!strcmp(tail, "ffn.gate.tid2eid")) {
			has[n] = true;
			hash++;
		}
	}
	for (n = 0; n < hash; n++)
		if (!has[n])
			return 0; /* not the first ones: some are missing */
	said = json_object_get(o, "num_hidden_layers");
	if (!has_field(v, "num_hash_layers") || !layers || !v->whole || !json_is_integer(said) ||
		json_integer_value(said) != (json_int_t)layers || !all_routed(v, hash))
		return 0;
	return fix_number(v, o, "num_hash_layers", hash, "layers with tid2eid", r, e);
}

/* The compress ratio of each layer, from its compressor; false where the layers are not all there. */
static bool ratios_of(const struct implied *v, uint64_t layers, uint64_t *ratio)
{
	bool has[BLOCKS_MAX] = { false };
	const struct tensor *t;
	const char *tail;
	uint64_t n, seen = 0;
	size_t i;

	for (i = 0; i < v->c->n; i++) {
		t = &v->c->tensors[i];
		if (!block_of(t->name, "layers.", &n, &tail) || n >= layers)
			continue;
		seen += !strcmp(tail, "attn.kv_norm.weight");
		has[n] = has[n] || !strncmp(tail, "attn.compressor.", 16);
		if (!strcmp(tail, "attn.compressor.ape") && t->rank == 2)
			ratio[n] = t->dim[0];
	}
	for (n = 0; n < layers; n++)
		if ((has[n] && !ratio[n]) || (ratio[n] && !ratio_known(ratio[n])))
			return false;
	return seen == layers;
}

/* Stages: those of the tensors; where these have none, what config.json has if it agrees with itself. */
static uint64_t stages_of(const struct implied *v, const json_t *o, uint64_t layers)
{
	const json_t *mtp = json_object_get(o, "num_nextn_predict_layers");
	size_t n = json_array_size(json_object_get(o, "compress_ratios"));

	if (!v->stages && n >= layers && json_is_integer(mtp) &&
		json_integer_value(mtp) == (json_int_t)(n - layers))
		return n - layers;
	return v->stages;
}

static int fix_ratios(struct implied *v, const json_t *o, struct report *r, struct err *e)
{
	const json_t *a = json_object_get(o, "compress_ratios"),
		     *l = json_object_get(o, "num_hidden_layers"), *x;
	uint64_t ratio[BLOCKS_MAX] = { 0 }, layers, stages, i;
	struct text said = { 0 }, is = { 0 };
	bool same;
	int rc = 0;

	if (!json_is_integer(l) || json_integer_value(l) < 1 ||
		json_integer_value(l) >= BLOCKS_MAX || !v->whole)
		return 0;
	layers = (uint64_t)json_integer_value(l);
	stages = stages_of(v, o, layers);
	if (!config_says(o, "dspark_block_size") != !find(v->c, "mtp.0.main_norm.weight") &&
		v->stages)
		return 0; /* another kind of draft than config.json says, which the audit says */
	if (layers + stages > BLOCKS_MAX || !ratios_of(v, layers, ratio))
		return 0;
	same = json_array_size(a) == layers + stages;
	for (i = 0; i < layers + stages; i++) {
		x = json_array_get(a, (size_t)i);
		same = same && json_is_integer(x) && json_integer_value(x) == (json_int_t)ratio[i];
		text_fmt(&is, "%s%llu", i ? ", " : "[", (unsigned long long)ratio[i]);
	}
	text_str(&is, "]");
	/* Where config.json could not be read, the number of entries was found before. */
	if (!same && (json_array_size(a) == layers + stages || v->c->config.family)) {
		if (json_array_size(a) == layers + stages)
			text_str(&said, "something else");
		else
			text_fmt(&said, "a list of %zu", json_array_size(a));
		differs(r, "compress_ratios", said.s ? said.s : "", is.s ? is.s : "",
			"rows of the compressors' ape, blocks under mtp.");
	}
	if (said.failed || is.failed)
		rc = err_nomem(e);
	if (!rc && !same)
		rc = fix(v, "compress_ratios", is.s, e);
	if (!rc && !config_says(o, "dspark_block_size") && stages != 0)
		rc = fix_number(v, o, "num_nextn_predict_layers", stages, "blocks under mtp.", r,
			e);
	text_free(&said);
	text_free(&is);
	return rc;
}

/* Whether the rows of a tensor tell compress_ratios, as those of V4's ape do. */
static bool has_ape(const struct implied *v)
{
	return family_role(v->family, "layers.0.attn.compressor.ape", false);
}

/* A list of layers, and how the names of a tensor begin that they have and others do not. */
static const struct source_list {
	const char *key, *tensor;
} source_lists[] = {
	{ "kv_source_layer_ids", "attn.compressor.wkv." },
	{ "index_source_layer_ids", "attn.indexer.wq_b." },
};

static bool in_list(const json_t *a, uint64_t layer)
{
	size_t i;

	for (i = 0; i < json_array_size(a); i++)
		if (json_integer_value(json_array_get(a, i)) == (json_int_t)layer)
			return true;
	return false;
}

/* The list says another thing than the tensors where a layer has some and is not in it. (One that is in the list and has
 * none lacks them, which the audit says.) */
static int fix_source(struct implied *v, const json_t *o, const struct source_list *l,
	struct report *r, struct err *e)
{
	const json_t *a = json_object_get(o, l->key);
	bool has[BLOCKS_MAX] = { false }, same = true;
	struct text is = { 0 };
	const char *tail;
	uint64_t n;
	size_t i;
	int rc = 0;

	for (i = 0; i < v->c->n; i++)
		if (block_of(v->c->tensors[i].name, "layers.", &n, &tail) &&
			!strncmp(tail, l->tensor, strlen(l->tensor)))
			has[n] = true;
	for (n = 0; n < v->layers; n++) {
		same = same && (!has[n] || in_list(a, n));
		if (has[n])
			text_fmt(&is, "%s%llu", is.n ? ", " : "[", (unsigned long long)n);
	}
	text_str(&is, "]");
	if (is.failed)
		rc = err_nomem(e);
	else if (!same && json_is_array(a) && v->whole) {
		differs(r, l->key, "another list", is.s, l->tensor);
		rc = fix(v, l->key, is.s, e);
	}
	text_free(&is);
	return rc;
}

static int fix_sources(struct implied *v, const json_t *o, struct report *r, struct err *e)
{
	size_t i;

	for (i = 0; i < sizeof source_lists / sizeof *source_lists; i++)
		if (fix_source(v, o, &source_lists[i], r, e))
			return -1;
	return 0;
}

/* --- number formats --- */

static enum codec form_of(const struct ckpt *c)
{
	const struct tensor *t = find(c, "*ffn.experts.0.w1.weight"),
			    *norm = find(c, "norm.weight");

	if (!t || t->rank != 2 || !norm || norm->rank != 1)
		return CODEC_NONE;
	if (t->dtype == DT_I8 && t->dim[1] * 2 == norm->dim[0])
		return CODEC_MXFP4;
	return t->dtype == DT_F8_E4M3 && t->dim[1] == norm->dim[0] ? CODEC_FP8 : CODEC_NONE;
}

static int fix_experts(struct implied *v, const json_t *o, struct err *e)
{
	const char *said = json_string_value(json_object_get(o, "expert_dtype"));
	char value[16];

	v->experts = form_of(v->c);
	if (v->experts == CODEC_NONE || (said && !strcmp(said, codec_expert(v->experts))))
		return 0; /* the audit says what is wrong */
	snprintf(value, sizeof value, "\"%s\"", codec_expert(v->experts));
	return fix(v, "expert_dtype", value, e);
}

/* Says that dense weights are FP8; the words are what it says of experts, if it does, the numbers the rows and columns that
 * share a scale. */
static const char quant_value[] =
	"{\"activation_scheme\": \"dynamic\", %s%s%s\"fmt\": \"e4m3\", \"quant_method\": \"fp8\", "
	"\"scale_fmt\": \"ue8m0\", \"weight_block_size\": [%u, %u]}";

static bool dense_fp8(const struct implied *v)
{
	const struct tensor *w = find(v->c, "*attn.wq_a.weight"),
			    *s = find(v->c, "*attn.wq_a.scale");
	uint64_t dim[2];

	if (!w || !s || w->dtype != codecs[CODEC_FP8].code || w->rank != 2 || s->rank != 2)
		return false;
	codec_scale_dim(v->family->dense, w->dim[0], w->dim[1], dim);
	return s->dim[0] == dim[0] && s->dim[1] == dim[1];
}

/* Whether the object says so, with nothing left out of the quantization. */
static bool quant_right(const json_t *q, const struct codec_form *dense)
{
	const char *method = json_string_value(json_object_get(q, "quant_method")),
		   *fmt = json_string_value(json_object_get(q, "fmt"));
	const json_t *b = json_object_get(q, "weight_block_size");

	return method && !strcmp(method, "fp8") && (!fmt || !strcmp(fmt, "e4m3")) &&
		json_array_size(b) == 2 &&
		json_integer_value(json_array_get(b, 0)) == dense->rows &&
		json_integer_value(json_array_get(b, 1)) == dense->cols &&
		!json_object_get(q, "ignore") && !json_object_get(q, "ignored_layers") &&
		!json_object_get(q, "modules_to_not_convert") &&
		!json_object_get(q, "exclude_modules");
}

static int fix_quant(struct implied *v, const json_t *o, struct err *e)
{
	const struct codec_form *dense = &codecs[v->family->dense];
	const json_t *q = json_object_get(o, "quantization_config"),
		     *x = json_object_get(q, "expert_dtype");
	const char *experts = json_is_string(x) ? codec_expert(v->experts) : NULL;
	char value[sizeof quant_value + 64];

	if (!dense_fp8(v) || quant_right(q, dense))
		return 0;
	snprintf(value, sizeof value, quant_value, experts ? "\"expert_dtype\": \"" : "",
		experts ? experts : "", experts ? "\", " : "", dense->rows, dense->cols);
	return fix(v, "quantization_config", value, e);
}

/* The rope in the words of transformers, said in the original ones. */
static int fix_rope(struct implied *v, struct err *e)
{
	struct params_member m[PARAMS_MEMBERS];
	unsigned n = params_translate(m, &v->c->doc);

	while (n--)
		if (fix(v, m[n].key, m[n].value[0] ? m[n].value : NULL, e))
			return -1;
	return 0;
}

/* --- */

static int fix_dims(struct implied *v, const json_t *o, struct report *r, struct err *e)
{
	const struct dim_field *f;
	const struct tensor *t;
	int i;

	for (i = 0; i < DIM_FIELDS; i++) {
		f = &dim_fields[i];
		t = find(v->c, f->tensor);
		if (has_field(v, f->key) && t && t->rank == f->of && t->dim[f->dim] &&
			fix_number(v, o, f->key, t->dim[f->dim], text_quote(t->name).s, r, e))
			return -1;
	}
	return 0;
}

/* Everything that the tensors say; o: config.json with every field at the top. */
static int fix_all(struct implied *v, const json_t *o, struct report *r, struct err *e)
{
	struct member_view m;

	if (member_look(&m, v->c))
		return err_nomem(e);
	if (member_mixed(&m))
		return 0; /* config.json is of other weights, and not to be fitted to these */
	if (fix_dims(v, o, r, e) || fix_hash(v, o, r, e))
		return -1;
	if (has_ape(v) ? fix_ratios(v, o, r, e) : fix_sources(v, o, r, e))
		return -1;
	return fix_experts(v, o, e) || fix_quant(v, o, e) || fix_rope(v, e) ? -1 : 0;
}

int implied_make(struct implied *v, const struct ckpt *c, bool lost, struct report *r,
	struct err *e)
{
	json_t *o;
	size_t i;
	int rc;

	memset(v, 0, sizeof *v);
	v->c = c;
	v->family = family_of(&c->doc);
	v->whole = c->n > 0 && !lost;
	for (i = 0; i < c->n_shards; i++)
		v->whole = v->whole && c->shards[i].fd >= 0;
	count_blocks(v);
	text_put(&v->fixed, c->doc.raw.s, c->doc.raw.n);
	o = config_flat(&c->doc);
	rc = v->fixed.failed || !o ? err_nomem(e) : fix_all(v, o, r, e);
	json_decref(o);
	if (rc)
		implied_free(v);
	else if (!v->changes)
		text_free(&v->fixed);
	return rc;
}

void implied_free(struct implied *v)
{
	text_free(&v->fixed);
	v->changes = 0;
}
