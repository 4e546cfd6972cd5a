/* SPDX-License-Identifier: MIT */
#include "formats/model/config.h"

#include "core/file.h"
#include "formats/codec.h"
#include "formats/json/jmember.h"
#include "core/mem.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_CAP = 1 << 20, BLOCKS_MAX = 4096, TENSORS_MAX = 1 << 20 };

/* clang-format off */
static const struct field {
	const char *key, *name;
	size_t at;
	uint64_t min, max;
	bool spark; /* belongs to DSpark only */
} fields[] = {
	{ "num_hidden_layers",     "L",      offsetof(struct config, L),      1, BLOCKS_MAX, false },
	{ "hidden_size",           "D",      offsetof(struct config, D),      1, 1 << 20, false },
	{ "num_attention_heads",   "H",      offsetof(struct config, H),      1, 1 << 16, false },
	{ "head_dim",              "hd",     offsetof(struct config, hd),     1, 1 << 16, false },
	{ "q_lora_rank",           "QL",     offsetof(struct config, QL),     1, 1 << 20, false },
	{ "o_groups",              "G",      offsetof(struct config, G),      1, 1 << 16, false },
	{ "o_lora_rank",           "R",      offsetof(struct config, R),      1, 1 << 20, false },
	{ "moe_intermediate_size", "I",      offsetof(struct config, I),      1, 1 << 20, false },
	{ "n_routed_experts",      "E",      offsetof(struct config, E),      1, 1 << 16, false },
	{ "n_shared_experts",      "S",      offsetof(struct config, S),      1, 64, false },
	{ "num_experts_per_tok",   "K",      offsetof(struct config, K),      1, 1 << 10, false },
	{ "vocab_size",            "V",      offsetof(struct config, V),      1, 1 << 24, false },
	{ "hc_mult",               "hc",     offsetof(struct config, hc),     1, 64, false },
	{ "num_hash_layers",       "n_hash", offsetof(struct config, n_hash), 0, BLOCKS_MAX, false },
	{ "index_n_heads",         "IH",     offsetof(struct config, IH),     1, 1 << 16, false },
	{ "index_head_dim",        "IHD",    offsetof(struct config, IHD),    1, 1 << 16, false },
	{ "num_nextn_predict_layers", "n_mtp", offsetof(struct config, n_mtp), 0, BLOCKS_MAX, false },
	{ "dspark_markov_rank",    "MR",     offsetof(struct config, MR),     1, 1 << 20, true },
};
/* clang-format on */
enum { FIELDS = sizeof fields / sizeof *fields };

static const struct {
	const char *name;
	enum expert_form form;
} forms[] = { { "fp4", EXPERT_FP4 }, { "fp8", EXPERT_FP8 } };

const char *expert_form_name(enum expert_form f)
{
	return f == EXPERT_UNSAID ? "unsaid" : forms[f - EXPERT_FP4].name;
}

static int bad(struct err *e, enum rule_id rule, const char *key, const char *what)
{
	return err_rule(e, rule, ERR_NOPOS, "config.json: \"%s\" %s", key, what);
}

static int get_uint(const json_t *o, const char *key, uint64_t min, uint64_t max, uint64_t *v,
	struct err *e)
{
	const json_t *x = json_object_get(o, key);

	if (!x)
		return bad(e, RULE_CONFIG_FIELD_MISSING, key, "is missing");
	if (!json_is_integer(x))
		return bad(e, RULE_CONFIG_FIELD_TYPE, key, "is not an integer");
	if (json_integer_value(x) < 0 || (uint64_t)json_integer_value(x) < min ||
		(uint64_t)json_integer_value(x) > max)
		return err_rule(e, RULE_CONFIG_FIELD_RANGE, ERR_NOPOS,
			"config.json: \"%s\" is %lld, expected %llu to %llu", key,
			(long long)json_integer_value(x), (unsigned long long)min,
			(unsigned long long)max);
	*v = (uint64_t)json_integer_value(x);
	return 0;
}

static int get_type(const json_t *o, struct err *e)
{
	const json_t *t = json_object_get(o, "model_type");

	if (!json_is_string(t))
		return bad(e, t ? RULE_CONFIG_FIELD_TYPE : RULE_CONFIG_FIELD_MISSING, "model_type",
			t ? "is not a string" : "is missing");
	if (strcmp(json_string_value(t), "deepseek_v4"))
		return err_rule(e, RULE_CONFIG_MODEL_TYPE, ERR_NOPOS,
			"config.json: model_type is \"%s\", this program knows deepseek_v4",
			text_quote(json_string_value(t)).s);
	return 0;
}

static int get_ratios(struct config *c, const json_t *o, struct err *e)
{
	const json_t *a = json_object_get(o, "compress_ratios"), *x;
	size_t n = json_array_size(a), i;

	if (!a)
		return bad(e, RULE_CONFIG_FIELD_MISSING, "compress_ratios",
			json_object_get(o, "layer_types")
				? "is missing (transformers wrote layer_types in its place; take the original file)"
				: "is missing");
	if (!json_is_array(a))
		return bad(e, RULE_CONFIG_FIELD_TYPE, "compress_ratios", "is not an array");
	if (n < c->L || n > BLOCKS_MAX)
		return err_rule(e, RULE_CONFIG_RATIOS, ERR_NOPOS,
			"config.json: \"compress_ratios\" has %zu entries for %llu layers", n,
			(unsigned long long)c->L);
	c->ratio = calloc(n, sizeof *c->ratio);
	if (!c->ratio)
		return err_nomem(e);
	for (i = 0; i < n; i++) {
		x = json_array_get(a, i);
		c->ratio[i] = json_is_integer(x) ? (uint64_t)json_integer_value(x) : 1;
		if (c->ratio[i] != 0 && c->ratio[i] != 4 && c->ratio[i] != 128)
			return err_rule(e, RULE_CONFIG_RATIOS, ERR_NOPOS,
				"config.json: \"compress_ratios\" entry %zu is none of 0, 4, 128",
				i);
		if (i >= c->L && c->ratio[i] != 0)
			return err_rule(e, RULE_CONFIG_RATIOS, ERR_NOPOS,
				"config.json: \"compress_ratios\" entry %zu belongs to mtp.%zu and is not 0",
				i, i - (size_t)c->L);
	}
	c->stages = n - c->L;
	return 0;
}

/* The entries of compress_ratios beyond the layers are the stages; who they are, the rest says. */
static int get_stages(struct config *c, const json_t *o, struct err *e)
{
	const json_t *targets = json_object_get(o, "dspark_target_layer_ids");

	if (!c->spark) {
		if (c->stages != c->n_mtp)
			return err_rule(e, RULE_CONFIG_STAGES, ERR_NOPOS,
				"config.json: \"num_nextn_predict_layers\" is %llu, \"compress_ratios\" has %llu "
				"entries beyond the layers",
				(unsigned long long)c->n_mtp, (unsigned long long)c->stages);
		return 0;
	}
	c->NT = json_array_size(targets);
	if (!c->NT || c->NT > c->L)
		return bad(e, targets ? RULE_CONFIG_FIELD_TYPE : RULE_CONFIG_FIELD_MISSING,
			"dspark_target_layer_ids", "is not a list of layers");
	if (!c->stages)
		return bad(e, RULE_CONFIG_STAGES, "compress_ratios",
			"has no entries for the DSpark stages");
	return 0;
}

/* The blocks of FP8 weights are what every shape is computed with. */
static int get_quant(const json_t *o, struct err *e)
{
	const json_t *q = json_object_get(o, "quantization_config");
	const json_t *b = json_object_get(q, "weight_block_size"),
		     *m = json_object_get(q, "quant_method");

	if (!q)
		return bad(e, RULE_CONFIG_FIELD_MISSING, "quantization_config", "is missing");
	if (!json_is_string(m) || strcmp(json_string_value(m), "fp8"))
		return bad(e, RULE_CONFIG_QUANT, "quantization_config",
			"does not say quant_method fp8");
	if (json_array_size(b) != 2 ||
		json_integer_value(json_array_get(b, 0)) != codecs[CODEC_FP8].rows ||
		json_integer_value(json_array_get(b, 1)) != codecs[CODEC_FP8].cols)
		return err_rule(e, RULE_CONFIG_QUANT, ERR_NOPOS,
			"config.json: \"quantization_config\" does not say weight_block_size [%u, %u]",
			codecs[CODEC_FP8].rows, codecs[CODEC_FP8].cols);
	return 0;
}

static int get_experts(struct config *c, const json_t *o, struct err *e)
{
	const json_t *x = json_object_get(o, "expert_dtype");
	size_t i;

	if (!x || json_is_null(x)) {
		c->experts = EXPERT_UNSAID;
		return 0;
	}
	for (i = 0; json_is_string(x) && i < sizeof forms / sizeof *forms; i++) {
		if (!strcmp(json_string_value(x), forms[i].name)) {
			c->experts = forms[i].form;
			return 0;
		}
	}
	return bad(e, RULE_CONFIG_EXPERT_DTYPE, "expert_dtype", "is neither \"fp4\" nor \"fp8\"");
}

/* What the shapes divide by. */
static int check_divides(const struct config *c, struct err *e)
{
	const struct codec_form *fp4 = &codecs[CODEC_MXFP4];

	if (c->H * c->hd % c->G)
		return err_rule(e, RULE_CONFIG_FIELD_RANGE, ERR_NOPOS,
			"config.json: %llu heads of %llu do not divide into %llu o_groups",
			(unsigned long long)c->H, (unsigned long long)c->hd,
			(unsigned long long)c->G);
	if (c->D % fp4->cols || c->I % fp4->cols)
		return err_rule(e, RULE_CONFIG_FIELD_RANGE, ERR_NOPOS,
			"config.json: hidden_size %llu and moe_intermediate_size %llu must be multiples of %u",
			(unsigned long long)c->D, (unsigned long long)c->I, fp4->cols);
	if ((c->L + c->stages) * c->E > TENSORS_MAX / 6)
		return bad(e, RULE_CONFIG_FIELD_RANGE, "n_routed_experts",
			"times the layers is absurd");
	if (c->K > c->E)
		return bad(e, RULE_CONFIG_FIELD_RANGE, "num_experts_per_tok",
			"exceeds n_routed_experts");
	if (c->n_hash > c->L)
		return bad(e, RULE_CONFIG_FIELD_RANGE, "num_hash_layers",
			"exceeds num_hidden_layers");
	return 0;
}

static int get_all(struct config *c, const json_t *o, struct err *e)
{
	uint64_t v = 0;
	int i;

	if (get_type(o, e))
		return -1;
	c->spark = json_object_get(o, "dspark_block_size") != NULL;
	for (i = 0; i < FIELDS; i++) {
		if (fields[i].spark && !c->spark)
			continue;
		if (get_uint(o, fields[i].key, fields[i].min, fields[i].max, &v, e))
			return -1;
		memcpy((char *)c + fields[i].at, &v, sizeof v);
	}
	if (get_ratios(c, o, e) || get_stages(c, o, e) || get_quant(o, e) || get_experts(c, o, e))
		return -1;
	return check_divides(c, e);
}

int config_doc_parse(struct config_doc *d, const char *s, size_t n, struct err *e)
{
	json_error_t je;

	memset(d, 0, sizeof *d);
	text_put(&d->raw, s, n);
	if (d->raw.failed) {
		config_doc_free(d);
		return err_nomem(e);
	}
	d->o = json_loadb(s, n, JSON_REJECT_DUPLICATES, &je);
	if (!d->o)
		return err_rule(e, RULE_CONFIG_SYNTAX, (uint64_t)je.position,
			"config.json: line %d: %s", je.line, text_quote(je.text).s);
	if (json_is_object(d->o))
		return 0;
	json_decref(d->o);
	d->o = NULL;
	return err_rule(e, RULE_CONFIG_SYNTAX, ERR_NOPOS, "config.json holds no JSON object");
}

int config_doc_read(struct config_doc *d, const struct io *io, int dir, const char *name,
	struct err *e)
{
	struct text t = { 0 };
	int rc;

	memset(d, 0, sizeof *d);
	rc = file_load(io, dir, name, CONFIG_CAP, &t, e);
	if (!rc)
		rc = config_doc_parse(d, t.s, t.n, e);
	text_free(&t);
	return rc;
}

void config_doc_free(struct config_doc *d)
{
	json_decref(d->o);
	text_free(&d->raw);
	memset(d, 0, sizeof *d);
}

int config_read(struct config *c, const struct config_doc *d, struct err *e)
{
	memset(c, 0, sizeof *c);
	if (get_all(c, d->o, e)) {
		config_free(c);
		return -1;
	}
	c->usable = true;
	return 0;
}

void config_free(struct config *c)
{
	free(c->ratio);
	memset(c, 0, sizeof *c);
}

int config_put(struct text *out, const struct config_doc *d, enum expert_form form, struct err *e)
{
	struct text t = { 0 };
	char value[16];
	int rc;

	snprintf(value, sizeof value, "\"%s\"", expert_form_name(form));
	text_put(&t, d->raw.s, d->raw.n);
	rc = t.failed ? err_nomem(e) : jmember_set(&t, "expert_dtype", value, e);
	if (!rc)
		text_put(out, t.s, t.n);
	text_free(&t);
	return rc || !out->failed ? rc : err_nomem(e);
}

const uint64_t *config_field(const struct config *c, const char *name, size_t n)
{
	int i;

	for (i = 0; i < FIELDS; i++)
		if (strlen(fields[i].name) == n && !memcmp(fields[i].name, name, n))
			return (const uint64_t *)(const void *)((const char *)c + fields[i].at);
	return n == 2 && !memcmp(name, "NT", 2) ? &c->NT : NULL;
}
