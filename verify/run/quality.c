/* SPDX-License-Identifier: MIT */
#include "verify/run/quality.h"

#include "verify/run/heads.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sample_open(struct sample *s, uint32_t layers, size_t rows, struct err *e)
{
	memset(s, 0, sizeof *s);
	s->d = calloc(layers + 1, sizeof *s->d);
	s->o.each = malloc((rows + 1) * sizeof *s->o.each);
	s->each_cap = rows + 1;
	if (s->d && s->o.each)
		return 0;
	sample_close(s);
	return err_nomem(e);
}

void sample_close(struct sample *s)
{
	free(s->d);
	free(s->o.each);
	memset(s, 0, sizeof *s);
}

static void join(struct measure *a, const struct measure *b)
{
	a->n += b->n;
	a->equal += b->equal;
	a->diff += b->diff;
	a->norm += b->norm;
	a->max = b->max > a->max ? b->max : a->max;
	a->nan = a->nan || b->nan;
}

int sample_add(struct sample *a, const struct sample *b, uint32_t layers, struct err *e)
{
	struct opinion *x = &a->o;
	const struct opinion *y = &b->o;
	uint32_t l;

	if (mem_grow(&x->each, &a->each_cap, x->rows + y->rows + 1, sizeof *x->each))
		return err_nomem(e);
	memcpy(x->each + x->rows, y->each, y->rows * sizeof *x->each);
	x->rows += y->rows;
	x->top1 += y->top1;
	x->kl += y->kl;
	x->kl_max = y->kl_max > x->kl_max || isnan(y->kl_max) ? y->kl_max : x->kl_max;
	x->topk += y->topk;
	x->top5 += y->top5;
	x->nll_is += y->nll_is;
	x->nll_was += y->nll_was;
	x->predicted += y->predicted;
	join(&a->m, &b->m);
	for (l = 0; l < layers; l++) {
		join(&a->d[l].m, &b->d[l].m);
		a->d[l].picks += b->d[l].picks;
		a->d[l].moved += b->d[l].moved;
	}
	return 0;
}

static int ascending(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	if (isnan(x) || isnan(y))
		return (int)isnan(x) - (int)isnan(y);
	return (x > y) - (x < y);
}

double quality_percentile(float *v, size_t n, double p)
{
	double at = n ? p * (double)(n - 1) : 0;
	size_t i = (size_t)at;

	if (!n)
		return 0;
	qsort(v, n, sizeof *v, ascending);
	if (i + 1 >= n)
		return (double)v[n - 1];
	at -= (double)i;
	return at > 0 ? (1 - at) * (double)v[i] + at * (double)v[i + 1] : (double)v[i];
}

/* --- rows --- */

static double part(uint64_t n, uint64_t of)
{
	return of ? (double)n / (double)of : 0;
}

static void layer(struct report *rep, uint32_t no, const struct drift *is,
	const struct drift *noise)
{
	char name[32], text[256], floor[96] = "";

	if (noise)
		snprintf(floor, sizeof floor, " (noise: relative L2 %.2g, experts %.2f %%)",
			measure_rel(&noise->m), 100 * part(noise->moved, noise->picks));
	snprintf(name, sizeof name, "layers.%u", no);
	snprintf(text, sizeof text, "%.2f %% equal, relative L2 %.2g, other experts %.2f %%%s",
		100 * measure_equal(&is->m), measure_rel(&is->m), 100 * part(is->moved, is->picks),
		floor);
	report_row(rep, "layers", name, is->m.n, 0, is->m.equal == is->m.n ? "equal" : text);
	report_figure(rep, "equal", measure_equal(&is->m));
	report_figure(rep, "relative_l2", measure_rel(&is->m));
	report_figure(rep, "experts_moved", part(is->moved, is->picks));
	if (!noise)
		return;
	report_figure(rep, "noise_relative_l2", measure_rel(&noise->m));
	report_figure(rep, "noise_experts_moved", part(noise->moved, noise->picks));
}

enum figure { KL_MEAN, KL_MEDIAN, KL_95, KL_99, KL_MAX, TOP1, TOP5, PPL, PPL_RATIO, FIGURES };
static const char *const figure_names[FIGURES] = {
	[KL_MEAN] = "KL mean",
	[KL_MEDIAN] = "KL median",
	[KL_95] = "KL 95 %",
	[KL_99] = "KL 99 %",
	[KL_MAX] = "KL max",
	[TOP1] = "same top-1",
	[TOP5] = "shared of top-5",
	[PPL] = "perplexity",
	[PPL_RATIO] = "perplexity ratio",
};

static double value(struct sample *s, enum figure f)
{
	static const double at[] = { [KL_MEDIAN] = 0.5, [KL_95] = 0.95, [KL_99] = 0.99 };
	const struct opinion *o = &s->o;

	switch (f) {
	case KL_MEAN:
		return o->kl / (double)o->rows;
	case KL_MAX:
		return o->kl_max;
	case TOP1:
		return part(o->top1, o->rows);
	case TOP5:
		return o->top5 / (double)o->rows;
	case PPL:
		return exp(o->nll_is / (double)o->predicted);
	case PPL_RATIO:
		return exp((o->nll_is - o->nll_was) / (double)o->predicted);
	default:
		return quality_percentile(o->each, o->rows, at[f]);
	}
}

static void print(char out[48], enum figure f, double v)
{
	if (f == TOP1 || f == TOP5)
		snprintf(out, 48, "%.2f %%", 100 * v);
	else if (f == PPL_RATIO)
		snprintf(out, 48, "%.6f", v);
	else
		snprintf(out, 48, "%.4g", v);
}

static void figure(struct report *rep, struct sample *is, struct sample *noise, enum figure f)
{
	double v = value(is, f), w = noise ? value(noise, f) : 0;
	char a[48], b[48] = "not measured", c[48], text[224];

	if ((f == PPL || f == PPL_RATIO) && !is->o.predicted)
		return; /* a single token, or --last: nothing is predicted that is known */
	print(a, f, v);
	if (noise)
		print(b, f, w);
	print(c, f, exp(is->o.nll_was / (double)is->o.predicted));
	snprintf(text, sizeof text, "%s%s%s (noise %s)", a, f == PPL ? ", of the source " : "",
		f == PPL ? c : "", b);
	report_row(rep, "quality", figure_names[f], f < PPL ? is->o.rows : is->o.predicted, 0,
		text);
	report_figure(rep, "value", v);
	if (f == PPL)
		report_figure(rep, "source", exp(is->o.nll_was / (double)is->o.predicted));
	if (noise)
		report_figure(rep, "noise", w);
}

void quality_put(struct report *rep, struct sample *is, struct sample *noise, uint32_t layers,
	bool figures)
{
	uint32_t l;
	int f;

	for (l = 0; l < layers; l++)
		layer(rep, l, &is->d[l], noise ? &noise->d[l] : NULL);
	heads_row(rep, "converted", &is->m, &is->o);
	if (noise)
		heads_row(rep, "source in another order", &noise->m, &noise->o);
	for (f = 0; figures && f < FIGURES; f++)
		figure(rep, is, noise, (enum figure)f);
}
