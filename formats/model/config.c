/* SPDX-License-Identifier: MIT */
#include "formats/model/config.h"

#include "core/file.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CONFIG_CAP = 1 << 20,
	SPARK_BLOCK_MAX = 1024 /* tokens of a draft; published models have 5 */
};

int config_bad(struct err *e, enum rule_id rule, const char *key, const char *what)
{
	return err_rule(e, rule, ERR_NOPOS, "config.json: \"%s\" %s", key, what);
}

bool config_says(const json_t *o, const char *key)
{
	const json_t *x = json_object_get(o, key);

	return x && !json_is_null(x);
}

static int get_uint(const json_t *o, const char *key, uint64_t min, uint64_t max, uint64_t *v,
	struct err *e)
{
	const json_t *x = json_object_get(o, key);

	if (!x)
		return config_bad(e, RULE_CONFIG_FIELD_MISSING, key, "is missing");
	if (!json_is_integer(x))
		return config_bad(e, RULE_CONFIG_FIELD_TYPE, key, "is not an integer");
	if (json_integer_value(x) < 0 || (uint64_t)json_integer_value(x) < min ||
		(uint64_t)json_integer_value(x) > max)
		return err_rule(e, RULE_CONFIG_FIELD_RANGE, ERR_NOPOS,
			"config.json: \"%s\" is %lld, expected %llu to %llu", key,
			(long long)json_integer_value(x), (unsigned long long)min,
			(unsigned long long)max);
	*v = (uint64_t)json_integer_value(x);
	return 0;
}

int config_fields(struct config *c, const json_t *o, const struct config_field *f, unsigned n,
	struct err *e)
{
	uint64_t v = 0;
	unsigned i;

	for (i = 0; i < n; i++) {
		if ((f[i].only == FIELD_SPARK && !c->spark) ||
			(f[i].only == FIELD_VISION && !c->vision) ||
			(f[i].only == FIELD_ENGRAM && !c->engram))
			continue;
		if (get_uint(o, f[i].key, f[i].min, f[i].max, &v, e))
			return -1;
		memcpy((char *)c + f[i].at, &v, sizeof v);
	}
	return 0;
}

int config_hold(const json_t *o, bool must, const char *key, uint64_t min, uint64_t max,
	uint64_t *v, struct err *e)
{
	*v = 0;
	return must || config_says(o, key) ? get_uint(o, key, min, max, v, e) : 0;
}

static int hold_targets(const struct config *c, const json_t *a, struct err *e)
{
	static const char key[] = "dspark_target_layer_ids";
	size_t i, k, n = json_array_size(a);
	const json_t *x;

	for (i = 0; i < n; i++) {
		x = json_array_get(a, i);
		if (!json_is_integer(x) || json_integer_value(x) < 0 ||
			(uint64_t)json_integer_value(x) >= c->L)
			return err_rule(e, RULE_CONFIG_FIELD_RANGE, ERR_NOPOS,
				"config.json: \"%s\" entry %zu is none of the layers 0 to %llu",
				key, i, (unsigned long long)c->L - 1);
		for (k = 0; k < i; k++)
			if (json_equal(x, json_array_get(a, k)))
				return config_bad(e, RULE_CONFIG_FIELD_RANGE, key,
					"names a layer twice");
	}
	return 0;
}

int config_spark(struct config *c, const json_t *o, bool must, struct err *e)
{
	const json_t *targets = json_object_get(o, "dspark_target_layer_ids");
	uint64_t v;

	if (!c->spark)
		return 0;
	c->NT = json_array_size(targets);
	if (!c->NT || c->NT > c->L)
		return config_bad(e, targets ? RULE_CONFIG_FIELD_TYPE : RULE_CONFIG_FIELD_MISSING,
			"dspark_target_layer_ids", "is not a list of layers");
	if (!c->stages)
		return config_bad(e, RULE_CONFIG_STAGES, "compress_ratios",
			"has no entries for the DSpark stages");
	if (c->n_mtp != 1 && c->n_mtp != c->stages)
		return err_rule(e, RULE_CONFIG_STAGES, ERR_NOPOS,
			"config.json: \"num_nextn_predict_layers\" is %llu, \"compress_ratios\" has %llu "
			"entries beyond the layers",
			(unsigned long long)c->n_mtp, (unsigned long long)c->stages);
	return hold_targets(c, targets, e) ||
			config_hold(o, must, "dspark_block_size", 1, SPARK_BLOCK_MAX, &v, e) ||
			config_hold(o, must, "dspark_noise_token_id", 0, c->V - 1, &v, e)
		? -1
		: 0;
}

int config_vision(const struct config *c, const json_t *o, bool must, struct err *e)
{
	static const char heads[] = "vision_n_heads";
	uint64_t v;

	if (!c->vision)
		return 0;
	if (config_hold(o, must, heads, 1, c->VD, &v, e))
		return -1;
	return v && c->VD % v
		? config_bad(e, RULE_CONFIG_FIELD_RANGE, heads, "does not divide vision_dim")
		: 0;
}

int config_experts(struct config *c, const json_t *o, struct err *e)
{
	const json_t *x = json_object_get(o, "expert_dtype");

	c->experts = CODEC_NONE;
	if (!x || json_is_null(x))
		return 0;
	if (json_is_string(x))
		c->experts = codec_of_expert(json_string_value(x));
	if (c->experts != CODEC_NONE)
		return 0;
	return config_bad(e, RULE_CONFIG_EXPERT_DTYPE, "expert_dtype",
		"is neither \"fp4\" nor \"fp8\"");
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

void config_free(struct config *c)
{
	free(c->ratio);
	free(c->layer);
	memset(c, 0, sizeof *c);
}
