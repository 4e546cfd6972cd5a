/* SPDX-License-Identifier: MIT */
#include "verify/run/replay.h"

#include "verify/run/contents.h"
#include "verify/run/free_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int held(struct replaying *k, const char *name, const float *is, uint64_t n,
	struct measure *m, struct err *e)
{
	float *was;
	int rc = record_floats(k->r, name, n, &was, e);

	memset(m, 0, sizeof *m);
	if (rc == 1)
		measure_add(m, is, was, n);
	free(was);
	return rc;
}

/* A value of f against the record's of that name. Returns 1 if the record has it, 0 if not, -1. */
static int compare(struct replaying *k, const char *prefix, const char *name, const float *v,
	uint64_t n, struct measure *m, struct err *e)
{
	char full[96];
	float *is;
	int rc;

	snprintf(full, sizeof full, "%s%s", prefix, name);
	if (!record_find(k->r, full))
		return 0;
	if (replaying_fetch(k, v, n, &is, e))
		return -1;
	rc = held(k, full, is, n, m, e);
	free(is);
	if (rc == 1)
		replaying_judge(k, full, m, k->max_rel);
	return rc;
}

/* --- routing and indexer --- */

/* The experts of a token, ascending, each with its weight. */
struct choice {
	int32_t id;
	float weight;
};

static int by_id(const void *a, const void *b)
{
	int32_t x = ((const struct choice *)a)->id, y = ((const struct choice *)b)->id;

	return (x > y) - (x < y);
}

static void sorted(struct choice *v, const int32_t *id, const float *weight, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		v[i] = (struct choice){ id[i], weight[i] };
	qsort(v, n, sizeof *v, by_id);
}

/* Of one token: are the experts the same? Then their weights go to m. */
static bool same_choice(const struct choice *is, const struct choice *was, uint32_t n,
	struct measure *m)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (is[i].id != was[i].id)
			return false;
	for (i = 0; i < n; i++)
		measure_add(m, &is[i].weight, &was[i].weight, 1);
	return true;
}

static void routed(struct replaying *k, const char *name, uint32_t other, uint32_t first)
{
	char text[96];

	snprintf(text, sizeof text, "%u of %u tokens with the same experts", k->n - other, k->n);
	report_row(k->rep, "routing", name, k->n, 0, text);
	report_figure(k->rep, "tokens", k->n);
	report_figure(k->rep, "other_experts", other);
	k->res->routed += k->n;
	k->res->reroute += other;
	if (other)
		report_add(k->rep, RULE_REPLAY_ROUTING, NULL,
			"%s: %u of %u tokens go to other experts, the first is token %u", name,
			other, k->n, first);
}

/* Experts and their weights, in whatever order the record has them. */
static int routing(struct replaying *k, const char *prefix, struct err *e)
{
	uint32_t kk = (uint32_t)k->f.c->K, t, other = 0, first = 0;
	struct choice *is = calloc(2 * kk + 1, sizeof *is), *was = is + kk;
	char name[96], weights[96];
	struct measure m = { 0 };
	int32_t *ids = NULL;
	float *w = NULL;
	int rc;

	snprintf(name, sizeof name, "%sgate.experts", prefix);
	snprintf(weights, sizeof weights, "%sgate.weights", prefix);
	rc = is ? record_ints(k->r, name, (uint64_t)k->n * kk, &ids, e) : err_nomem(e);
	rc = rc == 1 ? record_floats(k->r, weights, (uint64_t)k->n * kk, &w, e) : rc;
	for (t = 0; rc == 1 && t < k->n; t++) {
		sorted(is, k->f.expert + (uint64_t)t * kk, k->f.weight + (uint64_t)t * kk, kk);
		sorted(was, ids + (uint64_t)t * kk, w + (uint64_t)t * kk, kk);
		if (!same_choice(is, was, kk, &m)) {
			first = other ? first : t;
			other++;
		}
	}
	if (rc == 1) {
		routed(k, name, other, first);
		replaying_judge(k, weights, &m, k->max_rel);
	}
	free(is);
	free(ids);
	free(w);
	return rc < 0 ? -1 : 0;
}

/* Picks of the record, widened to topk with -1: 1, 0 if it has none, -1. */
static int recorded_picks(struct replaying *k, const char *name, int32_t **picks, struct err *e)
{
	uint32_t topk = k->f.p->topk, t, j;
	const struct tensor *x = record_find(k->r, name);
	uint64_t width = x && x->rank == 2 && x->dim[0] == k->n ? x->dim[1] : 0;
	int32_t *was;
	int rc;

	*picks = NULL;
	if (!width || width > topk) /* contents_check has seen to its shape */
		return 0;
	rc = record_ints(k->r, name, k->n * width, &was, e);
	*picks = rc == 1 ? malloc(4 * (size_t)k->n * topk) : NULL;
	for (t = 0; *picks && t < k->n; t++)
		for (j = 0; j < topk; j++)
			(*picks)[(uint64_t)t * topk + j] = j < width ? was[t * width + j] : -1;
	free(was);
	return rc == 1 && !*picks ? err_nomem(e) : rc;
}

static void indexer(struct replaying *k, const char *name, const int32_t *was)
{
	uint32_t topk = k->f.p->topk, t, i, j, both = 0, all = 0;
	const int32_t *a, *b;
	char text[96];

	for (t = 0; t < k->n; t++) {
		a = k->f.picked + (uint64_t)t * topk;
		b = was + (uint64_t)t * topk;
		for (i = 0; i < topk; i++)
			for (j = 0, all += b[i] >= 0; b[i] >= 0 && j < topk; j++)
				both += a[j] == b[i];
	}
	snprintf(text, sizeof text, "%u of %u picks the same, or as good", both, all);
	report_row(k->rep, "indexer", name, all, 0, text);
	if (k->r->ours && both != all)
		report_add(k->rep, RULE_REPLAY_ROUTING, NULL, "%s: %u of %u picks differ", name,
			all - both, all);
}

/* The sub-block itself, with the picks of the record where they are as good as ours. */
static int run_sub(struct replaying *k, uint32_t layer, enum forward_sub sub, struct err *e)
{
	char prefix[32], name[64];
	int32_t *picks = NULL;
	int rc;

	forward_prefix(&k->f, layer, prefix);
	snprintf(name, sizeof name, "%sindexer.picked", prefix);
	if (sub == SUB_ATTN && recorded_picks(k, name, &picks, e) < 0)
		return -1;
	k->f.prefer = picks;
	rc = forward_run(&k->f, layer, sub, e);
	k->f.prefer = NULL;
	if (!rc && picks)
		indexer(k, name, picks);
	free(picks);
	return rc;
}

/* --- teacher-forced --- */

static int sub_block(struct replaying *k, uint32_t layer, enum forward_sub sub, struct err *e)
{
	static const char *const in[] = { "attn.in", "ffn.in" },
				 *const out[] = { "attn.out", "ffn.out" };
	uint64_t n = (uint64_t)k->n * k->dim;
	bool indexed = sub == SUB_ATTN && k->f.c->ratio[layer] == RATIO_INDEXED;
	char prefix[32], name[64];
	struct measure m;
	int rc;

	forward_prefix(&k->f, layer, prefix);
	if (forward_pre(&k->f, layer, sub, e) || compare(k, prefix, in[sub], k->f.y, n, &m, e) < 0)
		return -1;
	snprintf(name, sizeof name, "%s%s", prefix, in[sub]);
	rc = replaying_feed(k, &k->f, name, k->f.y, n, e);
	if (rc < 0 || run_sub(k, layer, sub, e))
		return -1;
	if (rc == 1 && sub == SUB_FFN && routing(k, prefix, e))
		return -1;
	rc = rc == 1 ? compare(k, prefix, out[sub], k->f.o, n, &m, e) : 0;
	if (rc < 0)
		return -1;
	if (rc == 1 && !indexed && measure_equal(&m) < k->res->least_equal)
		k->res->least_equal = measure_equal(&m);
	snprintf(name, sizeof name, "%s%s", prefix, out[sub]);
	if (replaying_feed(k, &k->f, name, k->f.o, n, e) < 0)
		return -1;
	return forward_post(&k->f, layer, sub, e);
}

/* Every layer, fed with what the record says went in. */
static int forced(struct replaying *k, struct err *e)
{
	char prefix[32], name[64] = "layers.0.in";
	struct measure m;
	uint32_t layer;

	if (forward_embed(&k->f, e) || compare(k, "", name, k->f.x, k->streams, &m, e) < 0)
		return -1;
	for (layer = 0; layer < k->f.c->L; layer++) {
		if (replaying_feed(k, &k->f, name, k->f.x, k->streams, e) < 0)
			return -1;
		forward_prefix(&k->f, layer, prefix);
		snprintf(name, sizeof name, "%sout", prefix);
		if (sub_block(k, layer, SUB_ATTN, e) || sub_block(k, layer, SUB_FFN, e) ||
			compare(k, prefix, "out", k->f.x, k->streams, &m, e) < 0)
			return -1;
	}
	return free_run_fed(k, e);
}

/* --- */

static int check_ids(const struct replaying *k, struct err *e)
{
	uint32_t i;

	for (i = 0; i < k->n; i++)
		if (k->r->ids[i] >= k->f.w->c.config.V)
			return err_rule(e, RULE_RECORD_FORM, ERR_NOPOS,
				"token %u of the record is %u: it is of a model with a larger "
				"vocabulary",
				i, k->r->ids[i]);
	return 0;
}

int replay_run(struct weights *w, const struct record *r, const struct replay_opts *o,
	struct report *rep, struct replay_result *res, struct err *e)
{
	struct replaying k = { .r = r, .o = o, .rep = rep, .res = res, .n = r->n, .ours = r->ours };
	const struct contents c = { .c = &w->c.config,
		.tokens = r->n,
		.topk = w->p.topk,
		.fp32 = w->dev->fp32,
		.no_drafts = !w->c.config.stages };
	enum contents_level level;
	int rc;

	memset(res, 0, sizeof *res);
	res->least_equal = 1.0;
	k.dim = (uint32_t)w->c.config.D;
	k.streams = (uint64_t)k.n * DEV_HC * k.dim;
	k.max_rel = o->max_rel >= 0 ? o->max_rel : w->dev->fp32 ? REPLAY_REL_FP32 : REPLAY_REL;
	k.f.w = w;
	if (contents_check(&c, r, &level, e) || check_ids(&k, e) ||
		forward_open(&k.f, w->dev, w, r->ids, r->n, 0, o->block, e))
		return -1;
	if (!k.ours && level == CONTENTS_LOGITS && !w->dev->fp32)
		report_add(rep, RULE_REPLAY_COARSE, NULL,
			"the record has logits only: what changes them less than rounding does is not "
			"seen");
	if (c.no_drafts && record_find(r, "mtp.0.logits_last"))
		report_row(rep, "not looked at", "mtp.0.logits_last", 1, 0,
			"the model here is without its drafts");
	rc = level > CONTENTS_LOGITS ? forced(&k, e) : 0;
	rc = rc ? rc : free_run(&k, e);
	forward_close(&k.f);
	return rc;
}
