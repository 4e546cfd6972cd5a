/* SPDX-License-Identifier: MIT */
#include "verify/run/logits.h"

#include "verify/run/heads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pair {
	struct forward a, b; /* source, converted */
	const struct logits_opts *o;
	struct report *rep;
	struct logits_result *res;
	struct trace t;
	bool quiet; /* figures only */
};

/* --- naming --- */

/* "layers.1.ffn.experts.5.w2" -> "layers.1", "ffn". */
static void place_of(const char *name, char layer[32], char sub[16])
{
	const char *dot = strchr(name, '.'), *end = dot ? strchr(dot + 1, '.') : NULL;
	size_t n = end ? (size_t)(end - name) : strlen(name);

	snprintf(layer, 32, "%.*s", (int)(n < 31 ? n : 31), name);
	end = end ? end + 1 : "";
	if (!strncmp(end, "gate.", 5))
		end = "ffn";
	else if (!strncmp(end, "indexer.", 8))
		end = "attn";
	snprintf(sub, 16, "%.*s", (int)(strcspn(end, ".") < 15 ? strcspn(end, ".") : 15), end);
}

/* Where rounding is allowed, a difference by itself is none to fail for. */
static enum rule_id rule_of(const struct pair *p)
{
	return p->o->lossy && p->o->max_kl >= 0 ? RULE_LOGITS_ROUNDED : RULE_LOGITS_DIFFERS;
}

/* Says what differs first, in a sentence. */
static void tell(struct pair *p)
{
	const struct trace_difference *d = &p->res->first;
	char layer[32], sub[16], at[64] = "";

	place_of(d->name, layer, sub);
	if (d->token >= 0)
		snprintf(at, sizeof at, "token %lld, value %u", (long long)(d->token + d->row),
			d->col);
	else
		snprintf(at, sizeof at, "its token %u, value %u", d->row, d->col);
	if (d->kept)
		report_add(p->rep, rule_of(p), NULL,
			"%s, sub-block %s: the first difference is in what %s gives: %s is %.9g, of "
			"the source %.9g (%llu of %llu values differ)",
			layer, sub, d->name, at, d->is, d->was, (unsigned long long)d->differ,
			(unsigned long long)d->n);
	else
		report_add(p->rep, rule_of(p), NULL,
			"%s, sub-block %s: the first difference is in what %s gives", layer, sub,
			d->name);
}

/* --- in step --- */

static void taps(struct pair *p)
{
	struct forward_tap none = { 0 };

	p->a.tap = (struct forward_tap){ .ctx = &p->t, .see = trace_keep, .steps = true };
	p->b.tap = (struct forward_tap){ .ctx = &p->t, .see = trace_check, .steps = true };
	if (p->t.first.found || p->quiet)
		p->a.tap = p->b.tap = none;
}

/* One step of both. */
static int both(struct pair *p,
	int (*step)(struct forward *f, uint32_t layer, enum forward_sub sub, struct err *e),
	uint32_t layer, enum forward_sub sub, struct err *e)
{
	taps(p);
	if (step(&p->a, layer, sub, e))
		return err_at(e, "source");
	if (step(&p->b, layer, sub, e))
		return err_at(e, "converted");
	trace_clear(&p->t);
	if (p->t.first.found && !p->res->first.found) {
		p->res->first = p->t.first;
		tell(p);
	}
	return 0;
}

static int embed(struct forward *f, uint32_t layer, enum forward_sub sub, struct err *e)
{
	(void)layer, (void)sub;
	return forward_embed(f, e);
}

/* The streams of both after a layer. */
static int layer_row(struct pair *p, uint32_t layer, struct err *e)
{
	uint64_t n = (uint64_t)p->a.n * DEV_HC * p->a.c->D;
	float *was = malloc((size_t)(4 * n)), *is = malloc((size_t)(4 * n));
	struct measure m = { 0 };
	char name[32], text[96];
	int rc = was && is ? 0 : err_nomem(e);

	rc = rc ? rc : p->a.dev->get(p->a.dev, was, p->a.x, (size_t)(4 * n), e);
	rc = rc ? rc : p->b.dev->get(p->b.dev, is, p->b.x, (size_t)(4 * n), e);
	if (!rc) {
		measure_add(&m, is, was, n);
		snprintf(name, sizeof name, "layers.%u", layer);
		snprintf(text, sizeof text, "%.2f %% equal, relative L2 %.2g",
			100 * measure_equal(&m), measure_rel(&m));
		report_row(p->rep, "layers", name, n, 0, m.equal == m.n ? "equal" : text);
		report_figure(p->rep, "equal", measure_equal(&m));
		report_figure(p->rep, "relative_l2", measure_rel(&m));
	}
	free(was);
	free(is);
	return rc;
}

static int layers(struct pair *p, uint32_t from, uint32_t to, struct err *e)
{
	enum forward_sub s;
	uint32_t l;

	for (l = from; l < to; l++) {
		for (s = SUB_ATTN; s <= SUB_FFN; s++)
			if (both(p, forward_pre, l, s, e) || both(p, forward_run, l, s, e) ||
				both(p, forward_post, l, s, e))
				return -1;
		if (!p->quiet && l < p->a.c->L && layer_row(p, l, e))
			return -1;
	}
	return 0;
}

/* --- logits --- */

static int heads(struct pair *p, struct err *e)
{
	uint32_t first = p->o->last ? p->a.n - 1 : 0;
	struct heads h = { .is = &p->b,
		.was = &p->a,
		.first = first,
		.count = p->a.n - first,
		.at_once = p->o->keep };

	return heads_compare(&h, &p->res->m, &p->res->o, e);
}

static void figures(struct pair *p, const char *name)
{
	const struct measure *m = &p->res->m;
	const struct opinion *o = &p->res->o;
	double kl = o->kl / (double)o->rows;
	bool near = p->o->lossy && p->o->max_kl >= 0 && kl <= p->o->max_kl;

	heads_row(p->rep, name, m, o);
	if (!p->quiet && m->equal != m->n)
		report_add(p->rep, near ? RULE_LOGITS_ROUNDED : RULE_LOGITS_DIFFERS, NULL,
			"the logits: %llu of %llu values differ, relative L2 %.3g, KL mean %.3g max "
			"%.3g, top-1 %.1f %%",
			(unsigned long long)(m->n - m->equal), (unsigned long long)m->n,
			measure_rel(m), kl, o->kl_max, 100 * (double)o->top1 / (double)o->rows);
}

static int run(struct pair *p, struct weights *a, struct weights *b, const char *name,
	struct err *e)
{
	const struct logits_opts *o = p->o;
	int rc;

	memset(p->res, 0, sizeof *p->res);
	p->t.most = o->keep;
	if (forward_open(&p->a, a->dev, a, o->ids, o->n, 0, o->block, e))
		return -1;
	if (forward_open(&p->b, b->dev, b, o->ids, o->n, 0, o->block, e)) {
		forward_close(&p->a);
		return -1;
	}
	rc = both(p, embed, 0, SUB_ATTN, e) || layers(p, 0, (uint32_t)p->a.c->L, e) ? -1 : 0;
	p->a.tap = p->b.tap = (struct forward_tap){ 0 };
	rc = rc ? rc : heads(p, e);
	if (!rc)
		figures(p, name);
	trace_clear(&p->t);
	forward_close(&p->a);
	forward_close(&p->b);
	return rc;
}

int logits_run(struct weights *source, struct weights *made, const struct logits_opts *o,
	struct report *rep, struct logits_result *res, struct err *e)
{
	struct pair p = { .o = o, .rep = rep, .res = res };

	return run(&p, source, made, "converted", e);
}

int logits_noise(struct weights *source, const struct logits_opts *o, struct report *rep,
	struct err *e)
{
	struct logits_result res;
	struct pair p = { .o = o, .rep = rep, .res = &res, .quiet = true };
	struct weights other = *source; /* borrows what it owns */
	enum { FP4 = 32, FP8 = 128 };
	struct weights_order own = weights_order(source);

	source->order = own;
	other.order = own;
	other.order.experts = own.experts == FP8 ? FP4 : FP8;
	other.held = other.peak = 0;
	return run(&p, source, &other, "source in another order", e);
}
