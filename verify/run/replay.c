/* SPDX-License-Identifier: MIT */
#include "verify/run/replay.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct run {
	struct forward f;
	const struct record *r;
	const struct replay_opts *o;
	struct report *rep;
	struct replay_result *res;
	uint32_t n, dim;
	uint64_t streams; /* n * 4 * dim */
};

/* --- moving --- */

/* Puts a tensor of the record into memory of the device: 1, or 0 if it has none. */
static int feed(struct run *k, const char *name, float *to, uint64_t n, struct err *e)
{
	float *v;
	int rc = record_floats(k->r, name, n, &v, e);

	if (rc == 1 && k->f.dev->put(k->f.dev, to, v, (size_t)(4 * n), e))
		rc = -1;
	free(v);
	return rc;
}

static int fetch(struct run *k, const float *from, uint64_t n, float **v, struct err *e)
{
	*v = malloc((size_t)(4 * n + 1));
	if (!*v)
		return err_nomem(e);
	if (!k->f.dev->get(k->f.dev, *v, from, (size_t)(4 * n), e))
		return 0;
	free(*v);
	*v = NULL;
	return -1;
}

static int held(struct run *k, const char *name, const float *is, uint64_t n, struct measure *m,
	struct err *e)
{
	float *was;
	int rc = record_floats(k->r, name, n, &was, e);

	memset(m, 0, sizeof *m);
	if (rc == 1)
		measure_add(m, is, was, n);
	free(was);
	return rc;
}

/* --- judging --- */

/* A value of a sub-block: bits for an own record, else nearness. */
static void judge(struct run *k, const char *name, const struct measure *m, bool exact_ish)
{
	double rel = measure_rel(m), max = k->o->max_rel > 0 ? k->o->max_rel : REPLAY_REL;
	char text[96];

	snprintf(text, sizeof text, "%.2f %% equal, relative L2 %.2g", 100 * measure_equal(m), rel);
	report_row(k->rep, "sub-blocks", name, m->n, 0, text);
	k->res->worst_rel = rel > k->res->worst_rel ? rel : k->res->worst_rel;
	if (exact_ish && measure_equal(m) < k->res->least_equal)
		k->res->least_equal = measure_equal(m);
	if (k->r->ours ? m->equal == m->n : rel <= max)
		return;
	if (k->r->ours)
		report_add(k->rep, RULE_REPLAY_DIFFERS, NULL,
			"%s: value %llu of %llu is %.9g, the record says %.9g (%.2f %% equal, "
			"relative L2 %.2g)",
			name, (unsigned long long)m->first, (unsigned long long)m->n, (double)m->is,
			(double)m->was, 100 * measure_equal(m), rel);
	else
		report_add(k->rep, RULE_REPLAY_DIFFERS, NULL,
			"%s: relative L2 %.3g, at most %.3g is allowed (first at value %llu: %.9g, "
			"the record says %.9g)",
			name, rel, max, (unsigned long long)m->first, (double)m->is,
			(double)m->was);
}

static int compare(struct run *k, const char *prefix, const char *name, const float *v, uint64_t n,
	bool exact_ish, struct err *e)
{
	char full[96];
	struct measure m;
	float *is;
	int rc;

	snprintf(full, sizeof full, "%s%s", prefix, name);
	if (!record_find(k->r, full))
		return 0;
	if (fetch(k, v, n, &is, e))
		return -1;
	rc = held(k, full, is, n, &m, e);
	free(is);
	if (rc == 1)
		judge(k, full, &m, exact_ish);
	return rc < 0 ? -1 : 0;
}

/* --- routing and indexer --- */

static bool same_set(const int32_t *a, const int32_t *b, uint32_t n)
{
	uint32_t i, j, hits;

	for (i = 0; i < n; i++) {
		for (j = 0, hits = 0; j < n; j++)
			hits += a[i] == b[j];
		if (!hits)
			return false;
	}
	return true;
}

static int routing(struct run *k, const char *prefix, struct err *e)
{
	uint32_t kk = (uint32_t)k->f.c->K, t, other = 0, first = 0;
	char name[96], text[96];
	int32_t *was;
	int rc;

	snprintf(name, sizeof name, "%sgate.experts", prefix);
	rc = record_ints(k->r, name, (uint64_t)k->n * kk, &was, e);
	if (rc != 1)
		return rc;
	for (t = 0; t < k->n; t++)
		if (!same_set(k->f.expert + t * kk, was + t * kk, kk)) {
			first = other ? first : t;
			other++;
		}
	free(was);
	snprintf(text, sizeof text, "%u of %u tokens with the same experts", k->n - other, k->n);
	report_row(k->rep, "routing", name, k->n, 0, text);
	k->res->routed += k->n;
	k->res->reroute += other;
	if (other)
		report_add(k->rep, RULE_REPLAY_ROUTING, NULL,
			"%s: %u of %u tokens go to other experts, the first is token %u", name,
			other, k->n, first);
	return 0;
}

/* Picks of the record, widened to topk with -1: 1, 0 if it has none, -1. */
static int recorded_picks(struct run *k, const char *name, int32_t **picks, struct err *e)
{
	uint32_t topk = k->f.p->topk, t, j;
	const struct tensor *x = record_find(k->r, name);
	uint64_t width = x && x->rank == 2 && x->dim[0] == k->n ? x->dim[1] : 0;
	int32_t *was;
	int rc;

	*picks = NULL;
	if (!width || width > topk)
		return 0;
	rc = record_ints(k->r, name, k->n * width, &was, e);
	*picks = rc == 1 ? malloc(4 * (size_t)k->n * topk) : NULL;
	for (t = 0; *picks && t < k->n; t++)
		for (j = 0; j < topk; j++)
			(*picks)[(uint64_t)t * topk + j] = j < width ? was[t * width + j] : -1;
	free(was);
	return rc == 1 && !*picks ? err_nomem(e) : rc;
}

static void indexer(struct run *k, const char *name, const int32_t *was)
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
static int run_sub(struct run *k, uint32_t layer, enum forward_sub sub, struct err *e)
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

static int sub_block(struct run *k, uint32_t layer, enum forward_sub sub, struct err *e)
{
	static const char *const in[] = { "attn.in", "ffn.in" },
				 *const out[] = { "attn.out", "ffn.out" };
	uint64_t n = (uint64_t)k->n * k->dim;
	char prefix[32], name[64];
	bool indexed = sub == SUB_ATTN && k->f.c->ratio[layer] == 4;
	int rc;

	forward_prefix(&k->f, layer, prefix);
	if (forward_pre(&k->f, layer, sub, e) || compare(k, prefix, in[sub], k->f.y, n, false, e))
		return -1;
	snprintf(name, sizeof name, "%s%s", prefix, in[sub]);
	rc = feed(k, name, k->f.y, n, e);
	if (rc < 0 || run_sub(k, layer, sub, e))
		return -1;
	if (rc == 1 && sub == SUB_FFN && routing(k, prefix, e))
		return -1;
	if (rc == 1 && compare(k, prefix, out[sub], k->f.o, n, !indexed, e))
		return -1;
	snprintf(name, sizeof name, "%s%s", prefix, out[sub]);
	if (feed(k, name, k->f.o, n, e) < 0)
		return -1;
	return forward_post(&k->f, layer, sub, e);
}

static int forced(struct run *k, struct err *e)
{
	char prefix[32], name[64] = "layers.0.in";
	uint32_t layer;
	int rc;

	if (forward_embed(&k->f, e) || compare(k, "", name, k->f.x, k->streams, false, e))
		return -1;
	for (layer = 0; layer < k->f.c->L; layer++) {
		rc = feed(k, name, k->f.x, k->streams, e);
		if (rc < 0)
			return -1;
		forward_prefix(&k->f, layer, prefix);
		snprintf(name, sizeof name, "%sout", prefix);
		if (!rc || !record_find(k->r, name))
			continue; /* the record has no layers, or not this one */
		if (sub_block(k, layer, SUB_ATTN, e) || sub_block(k, layer, SUB_FFN, e) ||
			compare(k, prefix, "out", k->f.x, k->streams, false, e))
			return -1;
	}
	return 0;
}

/* --- free --- */

static void logits_row(struct run *k, const char *name, const struct measure *m,
	const struct opinion *o, bool held)
{
	char text[192];
	double n = (double)o->rows;

	snprintf(text, sizeof text,
		"%s, relative L2 %.3g, max abs %.3g, KL mean %.2g max %.2g, top-1 %.1f %%, "
		"top-10 %.1f %%",
		m->equal == m->n ? "bit-equal" : "not bit-equal", measure_rel(m), m->max, o->kl / n,
		o->kl_max, 100 * (double)o->top1 / n, 100 * o->topk / n);
	report_row(k->rep, "logits", name, o->rows, 0, text);
	if (held &&
		!(k->r->ours ? m->equal == m->n
			     : !m->nan && (double)o->top1 >= REPLAY_TOP1 * n &&
					o->kl <= REPLAY_KL * n))
		report_add(k->rep, RULE_REPLAY_LOGITS, NULL, "%s: %s", name, text);
}

/* How logits are held against the record: fed with what the record says went in they are the output of one
 * more sub-block; of a free run, or of a whole block, they are an opinion, and that of one token is only told. */
enum how { FED, FED_BLOCK, FREE, FREE_ONE };

static int logits(struct run *k, const char *name, int stage, uint32_t first, uint32_t count,
	enum how how, struct err *e)
{
	uint32_t vocab = (uint32_t)k->f.c->V;
	uint64_t n = (uint64_t)count * vocab;
	struct opinion o = { 0 };
	struct measure m = { 0 };
	float *is, *was;
	char fed[64];
	int rc = record_floats(k->r, name, n, &was, e);

	if (rc != 1)
		return rc;
	is = malloc((size_t)(4 * n));
	rc = is ? forward_logits(&k->f, stage, first, count, is, e) : err_nomem(e);
	if (!rc) {
		measure_add(&m, is, was, n);
		opinion_add(&o, is, was, count, vocab);
		snprintf(fed, sizeof fed, "%s%s", name, how <= FED_BLOCK ? " (fed)" : "");
		if (how == FED)
			judge(k, fed, &m, false);
		else
			logits_row(k, fed, &m, &o, how == FREE || k->r->ours);
		if (how == FREE) {
			k->res->free_run = m;
			k->res->logits = o;
			k->res->has_logits = true;
		}
	}
	free(is);
	free(was);
	return rc;
}

static bool has_mtp(const struct run *k)
{
	return !k->f.c->spark && k->f.c->stages && record_find(k->r, "mtp.0.logits_last");
}

static int mtp(struct run *k, enum how how, struct err *e)
{
	if (!has_mtp(k))
		return 0;
	if (forward_mtp(&k->f, 0, e) || forward_layer(&k->f, (uint32_t)k->f.c->L, e))
		return -1;
	return logits(k, "mtp.0.logits_last", 0, k->n - 1, 1, how, e);
}

/* Head and MTP block, fed with the last layer's output. */
static int forced_end(struct run *k, struct err *e)
{
	char name[64];
	int rc;

	snprintf(name, sizeof name, "layers.%u.out", (uint32_t)k->f.c->L - 1);
	rc = feed(k, name, k->f.x, k->streams, e);
	if (rc != 1)
		return rc;
	return logits(k, "logits", -1, 0, k->n, FED, e) ? -1 : mtp(k, FED_BLOCK, e);
}

/* The digests that own records have of every layer's output. */
static int digest(struct run *k, uint32_t layer, bool *told, struct err *e)
{
	struct xxh_digest d;
	float *x;

	if (!k->r->ours || layer >= k->r->layers || !k->r->has_out[layer] || *told)
		return 0;
	if (fetch(k, k->f.x, k->streams, &x, e))
		return -1;
	d = xxh_of(x, (size_t)(4 * k->streams));
	free(x);
	if (!memcmp(&d, &k->r->out[layer], sizeof d))
		return 0;
	*told = true;
	report_add(k->rep, RULE_REPLAY_DIFFERS, NULL,
		"layers.%u.out: running free it has another digest than the record says, and is the "
		"first layer that has",
		layer);
	return 0;
}

static int free_run(struct run *k, struct err *e)
{
	bool told = false;
	uint32_t layer;

	if (forward_embed(&k->f, e))
		return -1;
	for (layer = 0; layer < k->f.c->L; layer++)
		if (forward_layer(&k->f, layer, e) || digest(k, layer, &told, e))
			return -1;
	return logits(k, "logits", -1, 0, k->n, FREE, e) ? -1 : mtp(k, FREE_ONE, e);
}

static int check_ids(const struct run *k, struct err *e)
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
	struct run k = { .r = r, .o = o, .rep = rep, .res = res, .n = r->n };
	bool layers = record_find(r, "layers.0.out");
	int rc;

	memset(res, 0, sizeof *res);
	res->least_equal = 1.0;
	k.dim = (uint32_t)w->c.config.D;
	k.streams = (uint64_t)k.n * DEV_HC * k.dim;
	k.f.w = w;
	if (!layers && !record_find(r, "logits"))
		return err_rule(e, RULE_RECORD_FORM, ERR_NOPOS,
			"the record has neither layers nor logits");
	if (check_ids(&k, e) || forward_open(&k.f, w->dev, w, r->ids, r->n, 0, o->block, e))
		return -1;
	rc = layers ? forced(&k, e) || forced_end(&k, e) ? -1 : 0 : 0;
	rc = rc ? rc : free_run(&k, e);
	forward_close(&k.f);
	return rc;
}
