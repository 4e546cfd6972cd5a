/* SPDX-License-Identifier: MIT */
#include "verify/run/measure.h"

#include <math.h>
#include <string.h>

void measure_add(struct measure *m, const float *is, const float *was, uint64_t n)
{
	double d;
	uint64_t i;

	if (!m->n)
		m->first = UINT64_MAX;
	for (i = 0; i < n; i++) {
		if (!memcmp(&is[i], &was[i], 4) && !isnan(is[i])) {
			m->equal++;
		} else if (m->first == UINT64_MAX) {
			m->first = m->n + i;
			m->is = is[i];
			m->was = was[i];
		}
		d = (double)is[i] - (double)was[i];
		m->nan = m->nan || isnan(is[i]) || isnan(was[i]);
		if (isnan(d))
			continue;
		m->diff += d * d;
		m->norm += (double)was[i] * (double)was[i];
		m->max = fabs(d) > m->max ? fabs(d) : m->max;
	}
	m->n += n;
	if (m->equal == m->n)
		m->first = m->n;
}

double measure_rel(const struct measure *m)
{
	if (m->nan)
		return INFINITY;
	return m->diff > 0 ? sqrt(m->diff / m->norm) : 0.0;
}

double measure_equal(const struct measure *m)
{
	return m->n ? (double)m->equal / (double)m->n : 1.0;
}

/* --- logits --- */

enum { BEST = 10, FEW = 5 };

static double log_sum(const float *z, uint32_t n)
{
	double max = -INFINITY, sum = 0;
	uint32_t i;

	for (i = 0; i < n; i++)
		max = z[i] > max ? z[i] : max;
	for (i = 0; i < n; i++)
		sum += exp((double)z[i] - max);
	return max + log(sum);
}

/* The ids of the k highest, of equal ones the lower. */
static uint32_t best(const float *z, uint32_t n, uint32_t *id)
{
	uint32_t have = 0, i, at;

	for (i = 0; i < n; i++) {
		if (have == BEST && !(z[i] > z[id[BEST - 1]]))
			continue;
		at = have < BEST ? have++ : BEST - 1;
		for (; at && z[i] > z[id[at - 1]]; at--)
			id[at] = id[at - 1];
		id[at] = i;
	}
	return have;
}

static double shared(const uint32_t *a, const uint32_t *b, uint32_t n)
{
	uint32_t i, j, both = 0;

	for (i = 0; i < n; i++)
		for (j = 0; j < n; j++)
			both += a[i] == b[j];
	return n ? (double)both / n : 1.0;
}

/* What both say of the token that follows. */
static void foretold(struct opinion *o, const float *is, double la, const float *was, double lb)
{
	if (!o->n_next)
		return;
	o->nll_is += la - (double)is[*o->next];
	o->nll_was += lb - (double)was[*o->next];
	o->predicted++;
	o->next++;
	o->n_next--;
}

void opinion_add(struct opinion *o, const float *is, const float *was, uint32_t rows,
	uint32_t vocab)
{
	uint32_t a[BEST], b[BEST], r, i, n;
	double kl, la, lb;

	for (r = 0; r < rows; r++, is += vocab, was += vocab) {
		la = log_sum(is, vocab);
		lb = log_sum(was, vocab);
		for (i = 0, kl = 0; i < vocab; i++)
			kl += exp((double)was[i] - lb) *
				(((double)was[i] - lb) - ((double)is[i] - la));
		kl = kl > 0 || isnan(kl) ? kl : 0;
		o->kl += kl;
		if (o->each)
			o->each[o->rows] = (float)kl;
		o->kl_max = kl > o->kl_max || isnan(kl) ? kl : o->kl_max;
		n = best(is, vocab, a);
		best(was, vocab, b);
		o->top1 += a[0] == b[0];
		o->topk += shared(a, b, n);
		o->top5 += shared(a, b, n < FEW ? n : FEW);
		foretold(o, is, la, was, lb);
		o->rows++;
	}
}
