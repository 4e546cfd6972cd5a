/* SPDX-License-Identifier: MIT */
#include "verify/report/heatmap.h"

#include "verify/report/escape.h"

#include <math.h>

enum {
	DRAWN = 128, /* columns: at 1000 pixels a cell is 7 wide */
	LEFT = 90,   /* room for the name of a row */
	CELL = 7,
	GAP = 3, /* the first column, which is no expert, stands apart */
	TALL = 12,
	STEPS = 8, /* colours, one for each decade below the largest value */
};

/* The class of a value: 0 equal, 1..STEPS; -1 nothing was compared. */
static int step_of(double v, double most)
{
	double below;

	if (v < 0)
		return -1;
	if (v == 0)
		return 0;
	below = floor(log10(most / v));
	return below >= STEPS ? 1 : STEPS - (int)below;
}

static double largest(const struct grid *g)
{
	double most = 0;
	size_t i, k;

	for (i = 0; i < g->n; i++)
		for (k = 0; k < g->columns; k++)
			most = grid_at(g, i, k) > most ? grid_at(g, i, k) : most;
	return most;
}

/* The largest of the values from..to of a row; negative where none was compared. */
static double most_of(const struct grid *g, size_t row, size_t from, size_t to)
{
	double v = -1;

	for (; from < to; from++)
		v = grid_at(g, row, from) > v ? grid_at(g, row, from) : v;
	return v;
}

static void put_cell(struct text *out, size_t x, size_t y, int step)
{
	if (step >= 0)
		text_fmt(out,
			"<rect class=\"h%d\" x=\"%zu\" y=\"%zu\" width=\"%d\" height=\"%d\"/>",
			step, x, y, CELL - 1, TALL - 1);
}

void heatmap_put(const struct grid *g, struct text *out)
{
	size_t experts = g->columns ? g->columns - 1 : 0, each = (experts + DRAWN - 1) / DRAWN, i,
	       k;
	size_t cells = each ? (experts + each - 1) / each : 0;
	double most = largest(g);

	if (!g->n)
		return;
	text_fmt(out, "<svg class=\"heat\" viewBox=\"0 0 %d %zu\" role=\"img\" aria-label=\"",
		LEFT + CELL + GAP + CELL * DRAWN + 1, TALL * (g->n + 1));
	escape_put(out, g->title ? g->title : "");
	text_str(out, "\">\n");
	text_fmt(out,
		"<text x=\"0\" y=\"%d\">layer</text><text x=\"%d\" y=\"%d\">other | experts 0..%zu%s</text>\n",
		TALL - 3, LEFT, TALL - 3, experts ? experts - 1 : 0,
		each > 1 ? ", several to a cell" : "");
	for (i = 0; i < g->n; i++) {
		text_fmt(out, "<text x=\"0\" y=\"%zu\">", TALL * (i + 2) - 3);
		escape_put(out, g->rows[i].name);
		text_str(out, "</text>");
		put_cell(out, LEFT, TALL * (i + 1), step_of(grid_at(g, i, 0), most));
		for (k = 0; k < cells; k++)
			put_cell(out, LEFT + CELL + GAP + CELL * k, TALL * (i + 1),
				step_of(most_of(g, i, 1 + k * each,
						1 +
							((k + 1) * each < experts ? (k + 1) * each
										  : experts)),
					most));
		text_str(out, "\n");
	}
	text_fmt(out,
		"</svg>\n<p class=\"legend\"><span class=\"h0\"></span> equal <span class=\"h1\"></span> "
		"below %.1e of the largest .. <span class=\"h%d\"></span> largest: %.3g</p>\n",
		pow(10, 1 - STEPS), STEPS, most);
}
