/* SPDX-License-Identifier: MIT */
#include "verify/atlas/draw.h"

#include "verify/report/escape.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	WIDE = 1000,   /* of a drawing; the page scales it */
	LEFT = 80,     /* room for the name of a row */
	ROW = 10,      /* height of a row; its letters are 8 high */
	TOP = 12,      /* room for the numbers of experts */
	CELL = 22,     /* widest cell */
	COLUMNS = 460, /* more experts than that share cells: at 2 a cell is still seen */
	STEPS = 9,     /* colours */
	TICK = 44,     /* least distance of two numbers of experts */
};

/* A value for each block and expert of one of w1, w2, w3. NaN: not measured; infinite: exact. */
struct map {
	const char *what; /* "w1" */
	double *v;        /* owns; [rows][cols] */
};

struct plate {
	char (*rows)[ATLAS_WORD]; /* owns */
	size_t n, cap, cols;
	struct map map[3];
	double low, high; /* of all finite values */
};

static const char *const matrices[3] = { "w1", "w2", "w3" };

/* Which of w1, w2, w3 of a routed expert a tensor is; -1: none of them. *column is the expert. */
static int matrix_of(const char *tensor, size_t *column)
{
	static const char mark[] = ".ffn.experts.";
	long expert = atlas_expert(tensor);
	const char *at = expert < 0 ? NULL : strchr(strstr(tensor, mark) + sizeof mark - 1, '.');
	int i;

	if (!at)
		return -1;
	*column = (size_t)expert;
	for (i = 0; i < 3; i++)
		if (!strncmp(at + 1, matrices[i], 2) && (!at[3] || !strcmp(at + 3, ".weight")))
			return i;
	return -1;
}

static size_t row_of(struct plate *p, const char *tensor)
{
	char block[ATLAS_WORD];
	size_t i;

	atlas_block(tensor, block);
	for (i = 0; i < p->n && strcmp(p->rows[i], block) != 0; i++)
		;
	return i;
}

static int by_place(const void *a, const void *b)
{
	long m = atlas_place(a), n = atlas_place(b);

	return m < n ? -1 : m > n;
}

static void plate_free(struct plate *p)
{
	int i;

	for (i = 0; i < 3; i++)
		free(p->map[i].v);
	free(p->rows);
}

/* The rows and columns that there are, all empty. */
static int plate_make(struct plate *p, const struct atlas *a, struct err *e)
{
	size_t i, k, column;

	*p = (struct plate){ .low = INFINITY, .high = -INFINITY };
	for (i = 0; i < a->n; i++) {
		if (!a->v[i].s.n || matrix_of(a->v[i].tensor, &column) < 0)
			continue;
		p->cols = column + 1 > p->cols ? column + 1 : p->cols;
		if (row_of(p, a->v[i].tensor) < p->n)
			continue;
		if (mem_grow(&p->rows, &p->cap, p->n + 1, sizeof *p->rows))
			return err_nomem(e);
		atlas_block(a->v[i].tensor, p->rows[p->n++]);
	}
	if (p->n)
		qsort(p->rows, p->n, sizeof *p->rows, by_place);
	for (i = 0; i < 3; i++) {
		p->map[i].what = matrices[i];
		p->map[i].v = malloc(p->n * p->cols * sizeof(double) + 1);
		if (!p->map[i].v)
			return err_nomem(e);
		for (k = 0; k < p->n * p->cols; k++)
			p->map[i].v[k] = (double)NAN;
	}
	return 0;
}

static void put(struct plate *p, const char *tensor, double v)
{
	size_t column, row;
	int m = matrix_of(tensor, &column);

	if (m < 0)
		return;
	row = row_of(p, tensor);
	if (row == p->n || column >= p->cols)
		return;
	p->map[m].v[row * p->cols + column] = v;
	if (!isfinite(v))
		return;
	p->low = v < p->low ? v : p->low;
	p->high = v > p->high ? v : p->high;
}

static double quality(const struct atlas_entry *x)
{
	if (!x->s.n || x->s.odd)
		return (double)NAN;
	return x->s.error > 0 ? sums_sqnr(x->s.error, x->s.energy) : INFINITY;
}

/* --- drawing --- */

/* Of a scale: the least value, and how much a colour covers. */
struct scale {
	double low, each;
	bool apart; /* of differences: the middle colour is no difference */
};

static struct scale scale_of(const struct plate *p, bool apart)
{
	struct scale s = { .apart = apart };
	double span = p->high - p->low, most;

	if (apart) {
		most = fmax(fabs(p->low), fabs(p->high));
		most = isfinite(most) && most > 0.01 ? most : 0.01;
		s.each = 2 * most / STEPS;
		s.low = -most;
		return s;
	}
	if (!isfinite(span))
		return s;
	s.each = (span > 0.1 ? span : 0.1) / STEPS;
	s.low = span > 0.1 ? p->low : p->low - 0.05;
	return s;
}

/* The colour of a value: 0 .. STEPS - 1; -1 nothing, -2 a line. */
static int colour_of(const struct scale *s, double v)
{
	int k;

	if (isnan(v))
		return -1;
	if (isinf(v) || !(s->each > 0))
		return -2;
	k = (int)floor((v - s->low) / s->each);
	return k < 0 ? 0 : k >= STEPS ? STEPS - 1 : k;
}

/* Where the columns of experts stand. */
struct columns {
	size_t experts, per; /* experts of a cell */
	size_t cells;
	double wide; /* of a cell */
};

static struct columns columns_of(const struct plate *p)
{
	struct columns c = { .experts = p->cols };
	double room = WIDE - LEFT;

	c.per = (c.experts + COLUMNS - 1) / COLUMNS;
	c.cells = c.per ? (c.experts + c.per - 1) / c.per : 0;
	c.wide = c.cells ? room / (double)c.cells : CELL;
	c.wide = c.wide > CELL ? CELL : c.wide;
	return c;
}

/* The worst of a cell's experts: an exact one is the best there is. */
static double cell(const double *row, const struct columns *c, size_t i, bool apart)
{
	double v = (double)NAN, x;
	size_t k;

	for (k = i * c->per; k < (i + 1) * c->per && k < c->experts; k++) {
		x = row[k];
		if (!isnan(x) && (isnan(v) || (apart ? fabs(x) > fabs(v) : x < v)))
			v = x;
	}
	return v;
}

/* A run of cells of one colour. A little room is left between cells that are wide enough. */
static void put_run(struct text *out, double x, double y, double wide, int colour, bool gaps)
{
	double high = colour == -2 ? 1.5 : ROW - 1;

	text_fmt(out, "M%.4g %.4gh%.4gv%.4gh-%.4gz", x, colour == -2 ? y + ROW / 2.0 - 1 : y,
		gaps ? wide - 1 : wide, high, gaps ? wide - 1 : wide);
}

/* All cells of a row that have one colour, as one path. */
static void put_colour(struct text *out, const double *row, const struct columns *c,
	const struct scale *s, double y, int colour, bool apart)
{
	bool begun = false, gaps = c->wide >= 6;
	double x = LEFT;
	size_t i, k;

	for (i = 0; i < c->cells; i = k) {
		k = i + 1;
		if (colour_of(s, cell(row, c, i, apart)) != colour)
			continue;
		while (!gaps && k < c->cells && colour_of(s, cell(row, c, k, apart)) == colour)
			k++;
		if (!begun)
			text_fmt(out, "<path class=\"%s%d\" d=\"", apart ? "e" : "d",
				colour < 0 ? STEPS : colour);
		begun = true;
		put_run(out, x + c->wide * (double)i, y, c->wide * (double)(k - i), colour, gaps);
	}
	if (begun)
		text_str(out, "\"/>");
}

/* What a row says when the mouse rests on it. */
static void put_title(struct text *out, const char *block, const char *what, const double *row,
	const struct plate *p)
{
	double low = INFINITY, high = -INFINITY;
	size_t k, at = 0;

	for (k = 0; k < p->cols; k++) {
		if (isnan(row[k]))
			continue;
		at = row[k] < low ? k : at;
		low = fmin(low, row[k]);
		high = fmax(high, row[k]);
	}
	text_str(out, "<title>");
	escape_put(out, block);
	if (low > high)
		text_fmt(out, " %s: none", what);
	else if (isinf(low))
		text_fmt(out, " %s: all exact", what);
	else if (isinf(high))
		text_fmt(out, " %s: from %.2f dB (expert %zu) to exact", what, low, at);
	else
		text_fmt(out, " %s: from %.2f dB (expert %zu) to %.2f dB", what, low, at, high);
	text_str(out, "</title>");
}

static void put_ticks(struct text *out, const struct columns *c)
{
	size_t step = 1, i;

	while ((double)step * c->wide / (double)(c->per ? c->per : 1) < TICK && step < c->experts)
		step *= 2;
	text_str(out, "<text x=\"0\" y=\"8\">expert</text>");
	for (i = 0; i < c->experts; i += step)
		text_fmt(out, "<text x=\"%.4g\" y=\"8\">%zu</text>",
			LEFT + c->wide * (double)(i / (c->per ? c->per : 1)), i);
	text_str(out, "\n");
}

static void put_map(struct text *out, const struct plate *p, const struct map *m,
	const struct scale *s)
{
	struct columns c = columns_of(p);
	const double *row;
	size_t i;
	int k;

	text_fmt(out,
		"<h3>%s</h3>\n<svg class=\"heat atlas\" viewBox=\"0 0 %d %zu\" role=\"img\" aria-label=\"%s by layer and expert\">\n",
		m->what, WIDE, TOP + ROW * p->n, m->what);
	put_ticks(out, &c);
	for (i = 0; i < p->n; i++) {
		row = m->v + i * p->cols;
		text_str(out, "<g>");
		put_title(out, p->rows[i], m->what, row, p);
		text_fmt(out, "<text x=\"0\" y=\"%zu\">", TOP + ROW * (i + 1) - 2);
		escape_put(out, p->rows[i]);
		text_str(out, "</text>");
		for (k = -2; k < STEPS; k++)
			if (k != -1)
				put_colour(out, row, &c, s, (double)(TOP + ROW * i), k, s->apart);
		text_str(out, "</g>\n");
	}
	text_str(out, "</svg>\n");
}

static void put_legend(struct text *out, const struct scale *s, const struct columns *c)
{
	int k;

	text_str(out, "<p class=\"legend\">");
	text_str(out,
		s->apart ? "SQNR of the other, less that of this one, in dB: "
			 : "SQNR in dB, high is good: ");
	for (k = 0; k < STEPS && s->each > 0; k++)
		text_fmt(out,
			"<span class=\"key\"><span class=\"%s%d\"></span>&nbsp;%.2f&nbsp;to&nbsp;%.2f</span> ",
			s->apart ? "e" : "d", k, s->low + s->each * k, s->low + s->each * (k + 1));
	text_fmt(out, "<span class=\"key\"><span class=\"line\"></span>&nbsp;%s</span> ",
		s->apart ? "exact in one of the two" : "exact");
	text_str(out, "<span class=\"key\">no cell: not measured</span>");
	if (c->per > 1)
		text_fmt(out,
			" <span class=\"key\">%zu experts to a cell: the worst of them</span>",
			c->per);
	text_str(out, "</p>\n");
}

static void put_plate(struct text *out, const struct plate *p, const char *title, bool apart)
{
	struct scale s = scale_of(p, apart);
	struct columns c = columns_of(p);
	int i;

	if (!p->n)
		return;
	text_fmt(out, "<h2>%s</h2>\n", title);
	put_legend(out, &s, &c);
	for (i = 0; i < 3; i++)
		put_map(out, p, &p->map[i], &s);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct atlas_entry *)a)->tensor,
		((const struct atlas_entry *)b)->tensor);
}

int draw_atlas(const struct atlas *a, const struct atlas *b, struct text *out, struct err *e)
{
	const struct atlas_entry *other;
	struct plate p;
	double x, y;
	size_t i;
	int rc = plate_make(&p, a, e);

	for (i = 0; !rc && i < a->n; i++)
		put(&p, a->v[i].tensor, quality(&a->v[i]));
	if (!rc)
		put_plate(out, &p, "SQNR by layer and expert", false);
	plate_free(&p);
	if (rc || !b)
		return rc;
	rc = plate_make(&p, a, e);
	for (i = 0; !rc && i < a->n; i++) {
		other = b->n ? bsearch(&a->v[i], b->v, b->n, sizeof *b->v, by_name) : NULL;
		x = quality(&a->v[i]);
		y = other ? quality(other) : (double)NAN;
		put(&p, a->v[i].tensor, isinf(x) && isinf(y) ? 0 : y - x);
	}
	if (!rc)
		put_plate(out, &p, "The other: better or worse, by layer and expert", true);
	plate_free(&p);
	return rc;
}
