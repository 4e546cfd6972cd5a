/* SPDX-License-Identifier: MIT */
#include "verify/report/grid.h"

#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number between dots that follows word in s, and where it ends; -1 if there is none below most. */
static long number_after(const char *s, const char *word, long most, const char **end)
{
	const char *p = strstr(s, word);
	long v = 0;
	size_t n;

	if (!p || (p != s && p[-1] != '.'))
		return -1;
	p += strlen(word);
	n = strspn(p, "0123456789");
	if (!n || n > 6 || (p[n] != '.' && p[n]))
		return -1;
	*end = p + n;
	for (; n; n--, p++)
		v = v * 10 + (*p - '0');
	return v < most ? v : -1;
}

/* The row of that name, made if need be; NULL beyond the bounds or without memory (*nomem). */
static struct grid_row *row_of(struct grid *g, const char *name, size_t len, int *nomem)
{
	struct grid_row *r;
	size_t i;

	if (len >= sizeof r->name)
		return NULL;
	for (i = g->n; i; i--) /* the newest first: tensors come block by block */
		if (!strncmp(g->rows[i - 1].name, name, len) && !g->rows[i - 1].name[len])
			return &g->rows[i - 1];
	if (g->n == GRID_ROWS)
		return NULL;
	if (mem_grow(&g->rows, &g->cap, g->n + 1, sizeof *r)) {
		*nomem = 1;
		return NULL;
	}
	r = &g->rows[g->n++];
	memset(r, 0, sizeof *r);
	memcpy(r->name, name, len);
	return r;
}

static int widen(struct grid_row *r, size_t cols)
{
	size_t cap = r->cols;

	if (cols <= r->cols)
		return 0;
	if (mem_grow(&r->v, &cap, cols, sizeof *r->v))
		return -1;
	for (; r->cols < cap; r->cols++)
		r->v[r->cols] = -1;
	return 0;
}

int grid_add(struct grid *g, const char *tensor, double v, struct err *e)
{
	const char *block = strstr(tensor, "layers."), *end = NULL, *at;
	long n = block ? number_after(block, "layers.", GRID_ROWS, &end) : -1, expert;
	struct grid_row *r;
	size_t column;
	int nomem = 0;

	if (n < 0) {
		block = strstr(tensor, "mtp.");
		n = block ? number_after(block, "mtp.", GRID_ROWS, &end) : -1;
	}
	if (n < 0)
		return 0;
	expert = number_after(end, "experts.", GRID_COLUMNS - 1, &at);
	column = expert < 0 ? 0 : (size_t)expert + 1;
	r = row_of(g, block, (size_t)(end - block), &nomem);
	if (!r)
		return nomem ? err_nomem(e) : 0;
	if (widen(r, column + 1))
		return err_nomem(e);
	if ((float)v > r->v[column])
		r->v[column] = (float)v;
	g->columns = column + 1 > g->columns ? column + 1 : g->columns;
	return 0;
}

double grid_at(const struct grid *g, size_t row, size_t column)
{
	return column < g->rows[row].cols ? (double)g->rows[row].v[column] : -1;
}

void grid_free(struct grid *g)
{
	size_t i;

	for (i = 0; i < g->n; i++)
		free(g->rows[i].v);
	free(g->rows);
	memset(g, 0, sizeof *g);
}
