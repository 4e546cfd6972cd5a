/* SPDX-License-Identifier: MIT */
#include "verify/compare/coverage.h"

#include <stdlib.h>
#include <string.h>

int coverage_add(struct coverage *c, const struct coverage_part *p, struct err *e)
{
	if (mem_grow(&c->v, &c->cap, c->n + 1, sizeof *c->v))
		return err_nomem(e);
	c->v[c->n++] = *p;
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct coverage_part *x = a, *y = b;

	if (x->tensor != y->tensor)
		return x->tensor < y->tensor ? -1 : 1;
	if (x->row != y->row)
		return x->row < y->row ? -1 : 1;
	if (x->col != y->col)
		return x->col < y->col ? -1 : 1;
	if (x->rows != y->rows)
		return x->rows < y->rows ? -1 : 1;
	return x->cols < y->cols ? -1 : x->cols > y->cols;
}

void coverage_sort(struct coverage *c)
{
	size_t i, n = 0;

	if (c->n)
		qsort(c->v, c->n, sizeof *c->v, by_place);
	for (i = 0; i < c->n; i++) /* what several ranks have counts once */
		if (!n || by_place(&c->v[n - 1], &c->v[i]))
			c->v[n++] = c->v[i];
	c->n = n;
}

/* Parts p..end cover rows x cols: whole rows one after the other, or columns of all rows. */
static bool whole(const struct coverage_part *p, const struct coverage_part *end, uint64_t rows,
	uint64_t cols)
{
	bool by_rows = p->cols == cols;
	uint64_t at = 0, to;

	for (; p < end; p++) {
		if (by_rows ? p->col || p->cols != cols || p->row > at
			    : p->row || p->rows != rows || p->col > at)
			return false;
		to = by_rows ? p->row + p->rows : p->col + p->cols;
		at = to > at ? to : at;
	}
	return at == (by_rows ? rows : cols);
}

enum covered coverage_of(const struct coverage *c, const struct ckpt *k, uint32_t i)
{
	const struct tensor *t = &k->tensors[i];
	uint64_t rows = t->rank ? t->dim[0] : 1, cols = rows ? (t->end - t->begin) / rows : 0;
	size_t lo = 0, hi = c->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (c->v[mid].tensor < i)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; hi < c->n && c->v[hi].tensor == i; hi++)
		;
	if (lo == hi)
		return COVERED_NOT;
	return t->begin == t->end || whole(c->v + lo, c->v + hi, rows, cols) ? COVERED_WHOLE
									     : COVERED_PARTLY;
}

void coverage_free(struct coverage *c)
{
	free(c->v);
	memset(c, 0, sizeof *c);
}
