/* SPDX-License-Identifier: MIT */
#include "quant/cb4_lloyd.h"

#include <stdlib.h>

enum {
	ROUNDS = 2000
}; /* of sorted sums each is short; tables of numbers drawn at random take below 300 */

/* Points that are alike are so in both, so that their order does not matter. */
static int by_place(const void *a, const void *b)
{
	const struct cb4_point *p = a, *q = b;

	if (p->x != q->x)
		return p->x < q->x ? -1 : 1;
	return p->w < q->w ? -1 : p->w > q->w;
}

void cb4_lloyd_sort(struct cb4_point *p, size_t n, double *w, double *wx)
{
	size_t i;

	if (n)
		qsort(p, n, sizeof *p, by_place);
	w[0] = wx[0] = 0;
	for (i = 0; i < n; i++) {
		w[i + 1] = w[i] + p[i].w;
		wx[i + 1] = wx[i] + p[i].w * p[i].x;
	}
}

/* How many points are not above x. */
static size_t up_to(const struct cb4_point *p, size_t n, double x)
{
	size_t lo = 0, hi = n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (p[mid].x > x)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

void cb4_lloyd(double *level, unsigned fixed, const struct cb4_point *p, size_t n, const double *w,
	const double *wx)
{
	size_t first[CB4_LEVELS + 1] = { 0 };
	unsigned round, i;
	bool moved = true;
	double to;

	for (round = 0; moved && round < ROUNDS; round++) {
		for (i = 1; i < CB4_LEVELS; i++)
			first[i] = up_to(p, n, (level[i - 1] + level[i]) / 2);
		first[CB4_LEVELS] = n;
		moved = false;
		for (i = 0; i < CB4_LEVELS; i++) {
			if (i == fixed || first[i + 1] == first[i])
				continue;
			to = (wx[first[i + 1]] - wx[first[i]]) / (w[first[i + 1]] - w[first[i]]);
			moved = moved || to != level[i];
			level[i] = to;
		}
		for (i = 1; i < CB4_LEVELS;
			i++) /* sums that were rounded do not change the order */
			level[i] = level[i] < level[i - 1] ? level[i - 1] : level[i];
	}
}

double cb4_lloyd_error(const double *level, const struct cb4_point *p, size_t n)
{
	double sum = 0, d;
	unsigned at = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		while (at + 1 < CB4_LEVELS && p[i].x > (level[at] + level[at + 1]) / 2)
			at++;
		d = p[i].x - level[at];
		sum += p[i].w * d * d;
	}
	return sum;
}
