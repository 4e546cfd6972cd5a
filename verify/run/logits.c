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

enum rule_id logits_rule(const struct logits_opts *o, bool allowed)
{
	if (!o->lossy)
		return RULE_LOGITS_DIFFERS;
	return allowed ? RULE_LOGITS_ROUNDED : RULE_LOGITS_BEYOND;
}

void logits_tell(struct report *rep, const struct logits_opts *o, const struct trace_difference *d)
{
	/* Where rounding is allowed, a difference by itself is none to fail for: the mean KL decides. */
	enum rule_id rule = logits_rule(o, o->max_kl >= 0);
	char layer[32], sub[16], at[64] = "";

	place_of(d->name, layer, sub);
	if (d->token >= 0)
		snprintf(at, sizeof at, "token %lld, value %u", (long long)(d->token + d->row),
			d->col);
	else
		snprintf(at, sizeof at, "its token %u, value %u", d->row, d->col);
	if (d->kept)
		report_add(rep, rule, NULL,
			"%s, sub-block %s: the first difference is in what %s gives: %s is %.9g, of "
			"the source %.9g (%llu of %llu values differ)",
			layer, sub, d->name, at, d->is, d->was, (unsigned long long)d->differ,
			(unsigned long long)d->n);
	else
		report_add(rep, rule, NULL,
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
		logits_tell(p->rep, p->o, &p->res->first);
	}
	return 0;
}

static int embed(struct forward *f, uint32_t layer, enum forward_sub sub, struct err *e)
{
	(void)layer, (void)sub;
	return forward_embed(f, e);
}

/* Of the experts that a chose, how many b did not choose for the same token. */
static void choices(struct drift *d, const struct forward *a, const struct forward *b)
{
	uint32_t k = (uint32_t)a->c->K, t, i, j;
	const int32_t *x = a->expert, *y = b->expert;

	for (t = 0; t < a->n; t++, x += k, y += k)
		for (i = 0; i < k; i++) {
			for (j = 0; j < k && x[i] != y[j]; j++)
				;
			d->picks++;
			d->moved += j == k;
		}
}

/* The streams of both after a layer, and where they sent their tokens. */
static int drifted(struct pair *p, uint32_t layer, struct err *e)
{
	uint64_t n = (uint64_t)p->a.n * DEV_HC * p->a.c->D;
	float *was = malloc((size_t)(4 * n)), *is = malloc((size_t)(4 * n));
	struct drift *d = &p->res->s.d[layer];
	int rc = was && is ? 0 : err_nomem(e);

	rc = rc ? rc : p->a.dev->get(p->a.dev, was, p->a.x, (size_t)(4 * n), e);
	rc = rc ? rc : p->b.dev->get(p->b.dev, is, p->b.x, (size_t)(4 * n), e);
	if (!rc) {
		measure_add(&d->m, is, was, n);
		choices(d, &p->a, &p->b);
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
		if (drifted(p, l, e))
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
	struct sample *s = &p->res->s;

	s->o.next = p->o->ids + first + 1;
	s->o.n_next = p->a.n - first - 1;
	return heads_compare(&h, &s->m, &s->o, e);
}

static int run(struct pair *p, struct weights *a, struct weights *b, struct err *e)
{
	const struct logits_opts *o = p->o;
	int rc;

	p->t.first.found = p->res->first.found;
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
	trace_clear(&p->t);
	forward_close(&p->a);
	forward_close(&p->b);
	return rc;
}

int logits_run(struct weights *source, struct weights *made, const struct logits_opts *o,
	struct report *rep, struct logits_result *res, struct err *e)
{
	struct pair p = { .o = o, .rep = rep, .res = res };

	return run(&p, source, made, e);
}

int logits_noise(struct weights *source, const struct logits_opts *o, struct sample *s,
	struct err *e)
{
	struct logits_result res = { .s = *s };
	struct pair p = { .o = o, .res = &res, .quiet = true };
	struct weights other = *source; /* borrows what it owns */
	enum { FP4 = 32, FP8 = 128 };
	struct weights_order own = weights_order(source);
	struct dev wide;
	int rc;

	if (dev_open_cpu(&wide, o->features, o->threads, e))
		return -1;
	dev_cpu_order(&wide, DEV_ORDER_WIDE);
	other.dev = &wide;

	source->order = own;
	other.order = own;
	other.order.experts = own.experts == FP8 ? FP4 : FP8;
	other.held = other.peak = 0;
	rc = run(&p, source, &other, e);
	*s = res.s;
	wide.close(&wide);
	return rc;
}
