/* SPDX-License-Identifier: MIT */
#include "verify/run/heads.h"

#include <stdio.h>
#include <stdlib.h>

static int some(const struct heads *h, uint32_t first, uint32_t n, float *is, float *was,
	struct err *e)
{
	uint64_t vocab = h->is->c->V;

	if (forward_logits(h->is, -1, first, n, is, e))
		return -1;
	if (h->was)
		return forward_logits(h->was, -1, first, n, was, e);
	return record_some(h->rec, "logits", h->is->n * vocab, first * vocab, n * vocab, was, e);
}

int heads_compare(const struct heads *h, struct measure *m, struct opinion *o, struct err *e)
{
	uint32_t vocab = (uint32_t)h->is->c->V, t, take, most;
	float *is, *was;
	uint64_t fit = h->at_once / 8 / vocab; /* two of them, of 4 bytes a value */
	int rc;

	most = fit < 1 ? 1 : fit < h->count ? (uint32_t)fit : h->count;
	is = malloc(4 * (size_t)most * vocab);
	was = malloc(4 * (size_t)most * vocab);
	rc = is && was ? 0 : err_nomem(e);
	for (t = 0; !rc && t < h->count; t += take) {
		take = h->count - t < most ? h->count - t : most;
		rc = some(h, h->first + t, take, is, was, e);
		if (rc)
			break;
		measure_add(m, is, was, (uint64_t)take * vocab);
		opinion_add(o, is, was, take, vocab);
	}
	free(is);
	free(was);
	return rc;
}

void heads_row(struct report *r, const char *name, const struct measure *m, const struct opinion *o)
{
	double n = (double)o->rows, kl = o->kl / n, top1 = (double)o->top1 / n;
	char text[192];

	snprintf(text, sizeof text,
		"%s, relative L2 %.3g, max abs %.3g, KL mean %.2g max %.2g, top-1 %.1f %%, "
		"top-10 %.1f %%",
		m->equal == m->n ? "bit-equal" : "not bit-equal", measure_rel(m), m->max, kl,
		o->kl_max, 100 * top1, 100 * o->topk / n);
	report_row(r, "logits", name, o->rows, 0, text);
	report_figure(r, "equal", measure_equal(m));
	report_figure(r, "relative_l2", measure_rel(m));
	report_figure(r, "max_abs", m->max);
	report_figure(r, "kl_mean", kl);
	report_figure(r, "kl_max", o->kl_max);
	report_figure(r, "top1", top1);
	report_figure(r, "top10", o->topk / n);
}
