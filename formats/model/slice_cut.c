/* SPDX-License-Identifier: MIT */
#include "formats/model/slice_cut.h"

#include "formats/model/engram.h"
#include "formats/model/family.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static int refuse(struct err *e, const char *why)
{
	return err_rule(e, RULE_PLAN_SLICE, ERR_NOPOS, "%s", why);
}

uint32_t slice_layer(const struct slice_cut *k, uint64_t layer)
{
	uint32_t p = k->place[1 + layer];

	return p == SLICE_NONE ? SLICE_NONE : p - 1;
}

uint64_t slice_rows(const struct slice_cut *k, const struct config *c, uint64_t layer)
{
	struct config less = *c;

	if (!c->engram || !c->layer || !c->layer[layer].rows || slice_layer(k, layer) == SLICE_NONE)
		return 0;
	less.EV = k->vocab;
	return engram_bounds(&less, c->layer[layer].table, NULL);
}

/* --- what stays --- */

/* Counts, and numbers what stays. Embedding and head always do. */
static int number(struct slice_cut *k, const struct slice_ask *a, struct err *e)
{
	const struct config *c = &a->ckpt->config;
	uint32_t p, head = (uint32_t)c->L + 1;

	k->place = malloc((a->places + 1) * sizeof *k->place);
	if (!k->place)
		return err_nomem(e);
	for (p = 0; p < a->places; p++) {
		k->place[p] = SLICE_NONE;
		if (p != 0 && p != head && !a->selected[p])
			continue;
		k->place[p] = k->places++;
		k->layers += p > 0 && p < head;
		k->n_hash += p > 0 && p <= c->n_hash;
		k->stages += p > head;
	}
	if (!k->layers)
		return refuse(e, "--layers names no layer: a model has one at least");
	if (k->stages && k->stages != c->stages)
		return refuse(e, "--layers: of the stages under mtp. all or none can stay");
	return 0;
}

static int count_experts(struct slice_cut *k, const struct slice_ask *a, struct err *e)
{
	const struct config *c = &a->ckpt->config;
	uint64_t stage = config_stage_experts(c);

	k->experts = a->keep ? a->keep : c->E;
	k->stage_experts = !a->keep || stage < k->experts ? stage : k->experts;
	if (k->experts > c->E || k->experts < c->K)
		return err_rule(e, RULE_PLAN_SLICE, ERR_NOPOS,
			"--experts %llu: there are %llu, and a token goes to %llu of them",
			(unsigned long long)k->experts, (unsigned long long)c->E,
			(unsigned long long)c->K);
	return 0;
}

/* --- who needs whom --- */

/* The last layer up to i that has the property is; -1: none has. */
static int64_t last_with(const struct config *c, uint64_t i, unsigned is)
{
	int64_t j = (int64_t)i;

	while (j >= 0 && !(c->layer[j].is & is))
		j--;
	return j;
}

static int hold_source(const struct slice_cut *k, const struct slice_ask *a, uint64_t i,
	unsigned is, const char *what, struct err *e)
{
	int64_t j = last_with(&a->ckpt->config, i, is);

	if (j < 0 || slice_layer(k, (uint64_t)j) != SLICE_NONE)
		return 0;
	return err_rule(e, RULE_PLAN_SLICE, ERR_NOPOS,
		"--layers: layer %llu takes its %s from layer %lld, which would be left out",
		(unsigned long long)i, what, (long long)j);
}

/* A table is found by hashes that are seeded with the number of its layer, and its columns have the primes behind those of the tables
 * in front of it. Source: compute_hash_multipliers and EngramLayout of layers/engram.py, sglang 0.5.23. */
static int hold_table(const struct slice_cut *k, const struct slice_ask *a, uint64_t i,
	struct err *e)
{
	const struct config *c = &a->ckpt->config;
	uint64_t j;

	if (slice_layer(k, i) != i)
		return err_rule(e, RULE_PLAN_SLICE, ERR_NOPOS,
			"--layers: layer %llu has an Engram table, whose rows are found by hashes that the number of the layer seeds, and it would be layer %u: keep all layers in front of it, leave it out, or leave Engram out (--engram drop)",
			(unsigned long long)i, slice_layer(k, i));
	for (j = 0; j < c->L; j++)
		if (c->layer[j].rows && c->layer[j].table < c->layer[i].table &&
			slice_layer(k, j) == SLICE_NONE)
			return err_rule(e, RULE_PLAN_SLICE, ERR_NOPOS,
				"--layers: the columns of the Engram table of layer %llu have the primes behind those of layer %llu, which would be left out",
				(unsigned long long)i, (unsigned long long)j);
	return 0;
}

/* Layers of families whose config.json has lists of them. */
static int hold_layers(const struct slice_cut *k, const struct slice_ask *a, struct err *e)
{
	const struct config *c = &a->ckpt->config;
	uint64_t i;

	for (i = 0; c->layer && i < c->L; i++) {
		if (slice_layer(k, i) == SLICE_NONE)
			continue;
		if (c->ratio[i] &&
			(hold_source(k, a, i, IN_COMPRESS, "keys", e) ||
				hold_source(k, a, i, IN_INDEX, "indices", e)))
			return -1;
		if (c->engram && c->layer[i].rows && hold_table(k, a, i, e))
			return -1;
	}
	return 0;
}

/* Indexers behind that layer look among the candidates that it has found. */
static int hold_candidates(const struct slice_cut *k, const struct slice_ask *a, const json_t *flat,
	struct err *e)
{
	const struct config *c = &a->ckpt->config;
	const json_t *x = json_object_get(flat, "candidate_source_layer_id");
	json_int_t from = json_is_integer(x) ? json_integer_value(x) : -1;
	uint64_t i;

	if (!c->layer || from < 0 || (uint64_t)from >= c->L ||
		slice_layer(k, (uint64_t)from) != SLICE_NONE)
		return 0;
	for (i = (uint64_t)from + 1; i < c->L; i++)
		if (c->layer[i].is & IN_INDEX && slice_layer(k, i) != SLICE_NONE)
			return err_rule(e, RULE_PLAN_SLICE, ERR_NOPOS,
				"--layers: layer %llu takes its candidates from layer %lld, which would be left out",
				(unsigned long long)i, (long long)from);
	return 0;
}

/* A drafter reads some layers, and routes tokens to some experts. */
static int hold_drafter(const struct slice_cut *k, const struct slice_ask *a, const json_t *flat,
	struct err *e)
{
	const struct config *c = &a->ckpt->config;
	const json_t *read = json_object_get(flat, "dspark_target_layer_ids"),
		     *n = json_object_get(flat, "dspark_num_experts_per_tok");
	json_int_t j;
	size_t i;

	if (!k->stages || !c->spark)
		return 0;
	for (i = 0; i < json_array_size(read); i++) {
		j = json_integer_value(json_array_get(read, i)); /* a layer: config_spark */
		if (slice_layer(k, (uint64_t)j) == SLICE_NONE)
			return err_rule(e, RULE_PLAN_SLICE, ERR_NOPOS,
				"--layers: the drafter under mtp. reads layer %lld, which would be left out: keep it, or leave mtp out",
				(long long)j);
	}
	n = n ? n : json_object_get(flat, "dspark_n_activated_experts");
	if (json_is_integer(n) && json_integer_value(n) > (json_int_t)k->stage_experts)
		return err_rule(e, RULE_PLAN_SLICE, ERR_NOPOS,
			"--experts %llu: a draft of the stages under mtp. goes to %lld of them",
			(unsigned long long)k->experts, (long long)json_integer_value(n));
	return 0;
}

static int hold(const struct slice_cut *k, const struct slice_ask *a, struct err *e)
{
	json_t *flat = config_flat(&a->ckpt->doc);
	int rc = flat ? hold_layers(k, a, e) : err_nomem(e);

	rc = rc || hold_candidates(k, a, flat, e) || hold_drafter(k, a, flat, e) ? -1 : 0;
	json_decref(flat);
	return rc;
}

static int count_rows(struct slice_cut *k, const struct slice_ask *a, struct err *e)
{
	const struct config *c = &a->ckpt->config;
	uint64_t vocab = a->vocab, i;
	bool any = false;

	k->vocab = vocab ? vocab : c->EV;
	for (i = 0; i < c->L; i++)
		any = any || slice_rows(k, c, i);
	if (vocab && !any)
		return refuse(e, "--engram-vocab: no layer that stays has an Engram table");
	if (vocab > c->EV)
		return err_rule(e, RULE_PLAN_SLICE, ERR_NOPOS,
			"--engram-vocab %llu: engram_vocab_size is %llu, and no table gets larger",
			(unsigned long long)vocab, (unsigned long long)c->EV);
	return 0;
}

int slice_cut_make(struct slice_cut *k, const struct slice_ask *a, struct err *e)
{
	*k = (struct slice_cut){ 0 };
	if (!number(k, a, e) && !count_experts(k, a, e) && !hold(k, a, e) && !count_rows(k, a, e))
		return 0;
	slice_cut_free(k);
	return -1;
}

void slice_cut_free(struct slice_cut *k)
{
	free(k->place);
	*k = (struct slice_cut){ 0 };
}
