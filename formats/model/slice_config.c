/* slice_config.c -- config.json of a slice: the fields that say how many and which layers, experts and rows there are, wherever and in
 * whatever spelling the source says them. All others stay.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/slice_cut.h"

#include "formats/model/family.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* What the slice says instead of was; NULL without memory. */
struct edit {
	const char *key;
	json_t *(*value)(const struct slice_cut *k, const struct config *c, const json_t *was);
};

static json_t *number(uint64_t v)
{
	return json_integer((json_int_t)v);
}

static json_t *layers(const struct slice_cut *k, const struct config *c, const json_t *was)
{
	(void)c, (void)was;
	return number(k->layers);
}

static json_t *hashed(const struct slice_cut *k, const struct config *c, const json_t *was)
{
	(void)c, (void)was;
	return number(k->n_hash);
}

static json_t *experts(const struct slice_cut *k, const struct config *c, const json_t *was)
{
	(void)c, (void)was;
	return number(k->experts);
}

static json_t *stage_experts(const struct slice_cut *k, const struct config *c, const json_t *was)
{
	(void)c, (void)was;
	return number(k->stage_experts);
}

/* Releases have 1 beside three stages of a drafter: that stays. */
static json_t *stages(const struct slice_cut *k, const struct config *c, const json_t *was)
{
	(void)was;
	return number(k->stages ? c->n_mtp : 0);
}

static json_t *vocab(const struct slice_cut *k, const struct config *c, const json_t *was)
{
	(void)c, (void)was;
	return number(k->vocab);
}

/* Entries of layers, then of stages. */
static json_t *ratios(const struct slice_cut *k, const struct config *c, const json_t *was)
{
	json_t *now = json_array();
	uint64_t i;

	for (i = 0; now && i < c->L + c->stages; i++)
		if (k->place[i < c->L ? i + 1 : i + 2] != SLICE_NONE &&
			json_array_append(now, json_array_get(was, (size_t)i)))
			break;
	if (now && i < c->L + c->stages) {
		json_decref(now);
		now = NULL;
	}
	return now;
}

/* The new number of x, which is a layer: config_read and slice_cut_make have looked. SLICE_NONE: it is none that stays. */
static uint32_t renumber(const struct slice_cut *k, const struct config *c, const json_t *x)
{
	json_int_t i = json_is_integer(x) ? json_integer_value(x) : -1;

	return i < 0 || (uint64_t)i >= c->L ? SLICE_NONE : slice_layer(k, (uint64_t)i);
}

static json_t *ids(const struct slice_cut *k, const struct config *c, const json_t *was)
{
	json_t *now = json_array();
	size_t i;
	uint32_t n;

	for (i = 0; now && i < json_array_size(was); i++) {
		n = renumber(k, c, json_array_get(was, i));
		if (n != SLICE_NONE && json_array_append_new(now, number(n))) {
			json_decref(now);
			return NULL;
		}
	}
	return now;
}

static json_t *one_id(const struct slice_cut *k, const struct config *c, const json_t *was)
{
	uint32_t n = renumber(k, c, was);

	return json_integer(n == SLICE_NONE ? -1 : (json_int_t)n);
}

/* The layer whose table is number t; c->L: no layer has it. */
static uint64_t layer_of(const struct config *c, uint32_t t)
{
	uint64_t i;

	for (i = 0; i < c->L && !(c->layer && c->layer[i].rows && c->layer[i].table == t); i++)
		;
	return i;
}

/* The layers whose tables stay, or the rows of those. */
static json_t *tables(const struct slice_cut *k, const struct config *c, const json_t *was,
	bool rows)
{
	json_t *now = json_array();
	uint64_t layer, n;
	uint32_t t;

	for (t = 0; now && t < json_array_size(was); t++) {
		layer = layer_of(c, t);
		n = layer < c->L ? slice_rows(k, c, layer) : 0;
		if (n && json_array_append_new(now, number(rows ? n : slice_layer(k, layer)))) {
			json_decref(now);
			return NULL;
		}
	}
	return now;
}

static json_t *table_ids(const struct slice_cut *k, const struct config *c, const json_t *was)
{
	return tables(k, c, was, false);
}

static json_t *table_rows(const struct slice_cut *k, const struct config *c, const json_t *was)
{
	return tables(k, c, was, true);
}

/* clang-format off */
static const struct edit edits[] = {
	{ "num_hidden_layers",         layers },
	{ "num_hash_layers",           hashed },
	{ "n_routed_experts",          experts },
	{ "num_nextn_predict_layers",  stages },
	{ "compress_ratios",           ratios },
	{ "kv_source_layer_ids",       ids },
	{ "index_source_layer_ids",    ids },
	{ "candidate_source_layer_id", one_id },
	{ "engram_layer_ids",          table_ids },
	{ "engram_num_embeddings",     table_rows },
	{ "engram_vocab_size",         vocab },
	{ "dspark_target_layer_ids",   ids },
	{ "dspark_n_routed_experts",   stage_experts },
	{ NULL, NULL },
};
/* clang-format on */

/* The members of o, an object or NULL. Without stages nothing is said of a drafter. */
static int edit_object(json_t *o, const struct slice_cut *k, const struct config *c)
{
	static const char drafter[] = "dspark_";
	const struct edit *r;
	const char *key, *as;
	json_t *v, *now;
	void *tmp;

	json_object_foreach_safe(o, tmp, key, v)
	{
		as = c->family->canonical ? c->family->canonical(key) : key;
		for (r = edits; r->key && strcmp(r->key, as) != 0; r++)
			;
		if (!k->stages && !strncmp(as, drafter, sizeof drafter - 1)) {
			json_object_del(o, key);
		} else if (r->key) {
			now = r->value(k, c, v);
			if (!now || json_object_set_new(o, key, now))
				return -1;
		}
	}
	return 0;
}

int slice_config(char **text, const struct slice_cut *k, const struct ckpt *c, struct err *e)
{
	json_t *o = json_deep_copy(c->doc.o);
	char *s = NULL;
	size_t n;

	*text = NULL;
	if (o && !edit_object(o, k, &c->config) &&
		!edit_object(json_object_get(o, "text_config"), k, &c->config))
		s = json_dumps(o, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(15));
	json_decref(o);
	n = s ? strlen(s) : 0;
	*text = s ? malloc(n + 2) : NULL;
	if (*text) {
		memcpy(*text, s, n);
		memcpy(*text + n, "\n", 2);
	}
	free(s);
	return *text ? 0 : err_nomem(e);
}
