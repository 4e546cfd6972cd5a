/* SPDX-License-Identifier: MIT */
#include "formats/model/params.h"

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct params, field)

/* A number that must be there. usual: what published models have; 0, 0 where they differ among themselves or the
 * limits leave one value only. */
struct number {
	const char *key;
	size_t at;
	double min, max, usual[2];
	enum { AS_FLOAT, AS_DOUBLE, AS_COUNT } as; /* how struct params has it */
};

/* clang-format off */
static const struct number numbers[] = {
	{ "rms_norm_eps",          AT(eps),            1e-30, 1e-3, { 1e-6, 1e-20 }, AS_FLOAT },
	{ "hc_eps",                AT(hc_eps),         1e-30, 1e-3, { 1e-6, 1e-20 }, AS_FLOAT },
	{ "routed_scaling_factor", AT(route_scale),    1e-3,  1e3,  { 0, 0 }, AS_FLOAT },
	{ "swiglu_limit",          AT(swiglu_limit),   1e-3,  1e6,  { 0, 0 }, AS_FLOAT },
	{ "hc_sinkhorn_iters",     AT(hc_iters),       1,     1000, { 20, 20 }, AS_COUNT },
	{ "index_topk",            AT(topk),           1, PARAMS_TOPK_MAX, { 0, 0 }, AS_COUNT },
	{ "sliding_window",        AT(window),         128,   128,  { 0, 0 }, AS_COUNT },
	{ "qk_rope_head_dim",      AT(rope_dim),       PARAMS_ROPE_DIM, PARAMS_ROPE_DIM, { 0, 0 }, AS_COUNT },
	{ "rope_theta",            AT(theta),          1,     1e12, { 10000, 10000 }, AS_DOUBLE },
	{ "compress_rope_theta",   AT(theta_compress), 1,     1e12, { 160000, 160000 }, AS_DOUBLE },
};
static const struct number yarn[] = { /* of rope_scaling */
	{ "factor",                AT(yarn_factor),    1,     1e6,  { 16, 16 }, AS_DOUBLE },
	{ "original_max_position_embeddings", AT(yarn_original), 1, 1e9, { 65536, 65536 }, AS_DOUBLE },
	{ "beta_fast",             AT(beta_fast),      1e-3,  1e6,  { 32, 32 }, AS_DOUBLE },
	{ "beta_slow",             AT(beta_slow),      1e-3,  1e6,  { 1, 1 }, AS_DOUBLE },
};

/* What else is computed, and in no other way. must: the field is no default of the model's code. */
static const struct word {
	const char *key, *value; /* JSON */
	bool must;
} words[] = {
	{ "scoring_func",        "\"sqrtsoftplus\"", true },
	{ "hidden_act",          "\"silu\"",         true },
	{ "norm_topk_prob",      "true",             true },
	{ "topk_method",         "\"noaux_tc\"",     false },
	{ "num_key_value_heads", "1",                false },
	{ "attention_bias",      "false",            false },
};
/* clang-format on */
enum { NUMBERS = sizeof numbers / sizeof *numbers, YARN = sizeof yarn / sizeof *yarn };

struct reader {
	struct params *p;
	const json_t *o;
	struct findings *f;
	bool lacks; /* a field may be missing, which is a warning */
};

static int say(struct reader *r, const char *in, const char *key, const char *what)
{
	return finding_add(r->f, RULE_CONFIG_FORWARD, "config.json", "config.json: %s\"%s\" %s", in,
		key, what);
}

static int lacks(struct reader *r, const char *in, const char *key)
{
	return finding_add(r->f, RULE_SUSPECT_CONFIG, "config.json",
		"config.json: %s\"%s\" is missing: engines stop, or take a default of their own",
		in, key);
}

static void store(char *at, const struct number *n, double v)
{
	const float single = (float)v;
	const uint32_t count = (uint32_t)v;

	if (n->as == AS_FLOAT)
		memcpy(at, &single, sizeof single);
	else if (n->as == AS_DOUBLE)
		memcpy(at, &v, sizeof v);
	else
		memcpy(at, &count, sizeof count);
}

static int read_number(struct reader *r, const json_t *o, const char *in, const struct number *n)
{
	const json_t *x = json_object_get(o, n->key);
	double v = json_number_value(x);
	char what[160];

	if (r->lacks && (!x || json_is_null(x)))
		return lacks(r, in, n->key);
	if (!json_is_number(x))
		return say(r, in, n->key, x ? "is no number" : "is missing");
	if (!(v >= n->min && v <= n->max) || (n->as == AS_COUNT && v != (double)(uint64_t)v)) {
		if (n->min == n->max)
			snprintf(what, sizeof what, "is %g: the model has %g, and no other", v,
				n->min);
		else
			snprintf(what, sizeof what, "is %g, expected %s%g to %g", v,
				n->as == AS_COUNT ? "a whole number, " : "", n->min, n->max);
		return say(r, in, n->key, what);
	}
	store((char *)r->p + n->at, n, v);
	if (n->usual[0] == 0 || v == n->usual[0] || v == n->usual[1])
		return 0;
	return finding_add(r->f, RULE_SUSPECT_CONFIG, "config.json",
		"config.json: %s\"%s\" is %g; published models have %g", in, n->key, v,
		n->usual[0]);
}

static int read_words(struct reader *r)
{
	char what[128];
	char *said;
	bool same;
	size_t i;
	int rc = 0;

	for (i = 0; !rc && i < sizeof words / sizeof *words; i++) {
		const json_t *x = json_object_get(r->o, words[i].key);

		if (!x && !words[i].must)
			continue;
		said = x ? json_dumps(x, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
		same = said && !strcmp(said, words[i].value);
		free(said);
		snprintf(what, sizeof what, "%s %s: nothing else is a DeepSeek-V4",
			x ? "is not" : "is missing, expected", words[i].value);
		rc = same ? 0 : say(r, "", words[i].key, what);
	}
	return rc;
}

/* --- rope_parameters: what transformers 5 makes of rope_theta, compress_rope_theta and rope_scaling --- */

/* The two objects of rope_parameters: flat { rope_type, rope_theta, factor .. } has one for both. */
static const json_t *rope_parameters(const struct config_doc *d, const json_t **plain)
{
	const json_t *r = json_object_get(d->o, "rope_parameters"),
		     *compress = json_object_get(r, "compress");

	*plain = compress ? json_object_get(r, "main") : r;
	return compress ? compress : r;
}

static const char *type_of(const json_t *y)
{
	const char *t = json_string_value(json_object_get(y, "rope_type"));

	return t ? t : json_string_value(json_object_get(y, "type"));
}

/* Puts a number of o as JSON; false where it is none. */
static bool put_number(char *out, size_t room, const json_t *o, const char *key)
{
	const json_t *x = json_object_get(o, key);

	if (json_is_integer(x))
		snprintf(out, room, "%lld", (long long)json_integer_value(x));
	else if (json_is_real(x))
		snprintf(out, room, "%.17g", json_real_value(x));
	return json_is_number(x);
}

static bool put_yarn(char *out, size_t room, const json_t *y)
{
	const char *type = type_of(y);
	char v[32];
	size_t n, i;

	if (!type || strcmp(type, "yarn") != 0)
		return false;
	n = (size_t)snprintf(out, room, "{\"type\": \"yarn\"");
	for (i = 0; i < YARN; i++) {
		if (!put_number(v, sizeof v, y, yarn[i].key) || n + 64 > room)
			return false;
		n += (size_t)snprintf(out + n, room - n, ", \"%s\": %s", yarn[i].key, v);
	}
	snprintf(out + n, room - n, "}");
	return true;
}

unsigned params_translate(struct params_member m[PARAMS_MEMBERS], const struct config_doc *d)
{
	const json_t *plain, *compress = rope_parameters(d, &plain);
	bool nested = plain != compress;
	unsigned n = 0;

	if (!json_is_object(compress) || !json_is_object(plain))
		return 0;
	m[n] = (struct params_member){ .key = "rope_theta" };
	if (!put_number(m[n++].value, sizeof m->value, plain, "rope_theta"))
		return 0;
	m[n] = (struct params_member){ .key = "compress_rope_theta" };
	if (!put_number(m[n++].value, sizeof m->value, nested ? compress : d->o,
		    nested ? "rope_theta" : "compress_rope_theta"))
		return 0;
	m[n] = (struct params_member){ .key = "rope_scaling" };
	if (!put_yarn(m[n++].value, sizeof m->value, compress))
		return 0;
	m[n++] = (struct params_member){ .key = "rope_parameters" };
	return n;
}

/* Whether the file says the same in both words, which both are there. */
static bool same_rope(const struct config_doc *d)
{
	struct params_member m[PARAMS_MEMBERS];
	const json_t *plain, *compress = rope_parameters(d, &plain),
			     *y = json_object_get(d->o, "rope_scaling");
	bool nested = plain != compress, same = params_translate(m, d);
	size_t i;

	same = same &&
		json_number_value(json_object_get(d->o, "rope_theta")) ==
			json_number_value(json_object_get(plain, "rope_theta"));
	same = same &&
		(!nested ||
			json_number_value(json_object_get(d->o, "compress_rope_theta")) ==
				json_number_value(json_object_get(compress, "rope_theta")));
	for (i = 0; same && i < YARN; i++)
		same = json_number_value(json_object_get(y, yarn[i].key)) ==
			json_number_value(json_object_get(compress, yarn[i].key));
	return same;
}

/* What is wrong where transformers wrote rope_parameters; NULL: nothing, or it did not. */
static const char *other_rope(const struct config_doc *d)
{
	if (!json_object_get(d->o, "rope_parameters"))
		return NULL;
	if (!json_object_get(d->o, "rope_scaling") || !json_object_get(d->o, "rope_theta") ||
		!json_object_get(d->o, "compress_rope_theta"))
		return "transformers wrote \"rope_parameters\" in place of the original rope fields; a reader of the original names takes other angles";
	return same_rope(d)
		? NULL
		: "\"rope_parameters\" says other angles than rope_scaling, rope_theta and compress_rope_theta";
}

static int read_rope(struct reader *r, const json_t *o)
{
	const json_t *y = json_object_get(o, "rope_scaling");
	const char *type = type_of(y);
	int rc = 0;
	size_t i;

	if (!json_is_object(y) || !type || strcmp(type, "yarn") != 0)
		return say(r, "", "rope_scaling", y ? "is not of type yarn" : "is missing");
	for (i = 0; !rc && i < YARN; i++)
		rc = read_number(r, y, "rope_scaling: ", &yarn[i]);
	if (!rc && r->p->beta_fast > 0 && r->p->beta_fast <= r->p->beta_slow)
		rc = say(r, "rope_scaling: ", "beta_fast", "is not above beta_slow");
	return rc;
}

int params_read(struct params *p, const struct config_doc *d, struct findings *f, struct err *e)
{
	struct reader r = { .p = p, .o = d->o, .f = f };
	const char *other = other_rope(d);
	int rc = 0, i;

	memset(p, 0, sizeof *p);
	for (i = 0; !rc && i < NUMBERS; i++)
		if (!other || !strstr(numbers[i].key, "rope_theta"))
			rc = read_number(&r, d->o, "", &numbers[i]);
	rc = rc ? rc : read_words(&r);
	if (!rc &&
		other) /* one cause, one finding: the fields that it moved are not missed besides */
		rc = finding_add(f, RULE_CONFIG_DIALECT, "config.json", "config.json: %s", other);
	else if (!rc)
		rc = read_rope(&r, d->o);
	return rc ? err_nomem(e) : 0;
}

int params_hold(const json_t *o, struct findings *f, struct err *e)
{
	struct params p;
	struct reader r = { .p = &p, .o = o, .f = f, .lacks = true };
	const json_t *y = json_object_get(o, "rope_scaling");
	int rc = 0, i;

	for (i = 0; !rc && i < NUMBERS; i++)
		rc = read_number(&r, o, "", &numbers[i]);
	if (!rc && (!y || json_is_null(y)))
		rc = lacks(&r, "", "rope_scaling");
	else if (!rc)
		rc = read_rope(&r, o);
	return rc ? err_nomem(e) : 0;
}
