/* SPDX-License-Identifier: MIT */
#include "verify/atlas/curve.h"

#include "core/text.h"
#include "verify/report/escape.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
	WIDE = 1000, /* of the drawing; the page scales it */
	HIGH = 360,
	LEFT = 80, /* the axes */
	RIGHT = 980,
	TOP = 24,
	BOTTOM = 316,
	LETTER_WIDE = 8, /* at most, of the monospaced letters of the page's style */
	LETTER_HIGH = 14,
	TICKS_X = 6,
	TICKS_Y = 4,
	LABELS = FRONTIER_NAMES + 2 /* names, the choice, OUT */
};

struct box {
	double x, y, wide;
};

struct curve {
	const struct frontier *f;
	uint64_t files;
	double low, high, most; /* bytes at either end; the largest error */
	double unit;            /* bytes of one of the axis */
	const char *unit_name;
	struct box label[LABELS]; /* letters that are there already */
	size_t n_labels;
};

static void stretch(struct curve *c, uint64_t bytes, double error)
{
	c->low = fmin(c->low, (double)bytes);
	c->high = fmax(c->high, (double)bytes);
	c->most = fmax(c->most, error);
}

static struct curve curve_of(const struct frontier *f, uint64_t files)
{
	struct curve c = { .f = f, .files = files, .low = INFINITY, .high = 0, .most = 0 };
	double room;
	size_t i;

	stretch(&c, files, 0);
	stretch(&c, f->chosen.bytes, f->chosen.error);
	for (i = 0; i < f->n; i++)
		stretch(&c, f->v[i].bytes, f->v[i].error);
	for (i = 0; i < f->n_names; i++)
		stretch(&c, f->names[i].bytes, f->names[i].error);
	c.unit = c.high >= 1e9 ? 1e9 : c.high >= 1e6 ? 1e6 : 1e3;
	c.unit_name = c.high >= 1e9 ? "GB" : c.high >= 1e6 ? "MB" : "kB";
	room = fmax((c.high - c.low) / 25, 1);
	c.low = fmax(c.low - room, 0);
	c.high += room;
	c.most = c.most > 0 ? c.most * 1.05 : 1;
	return c;
}

static double at_x(const struct curve *c, double bytes)
{
	return LEFT + (bytes - c->low) / (c->high - c->low) * (RIGHT - LEFT);
}

static double at_y(const struct curve *c, double error)
{
	return BOTTOM - error / c->most * (BOTTOM - TOP);
}

/* 1, 2 or 5 times a power of ten, so that a span has at most about so many steps. */
static double step_of(double span, int steps)
{
	double least = span / steps, ten = pow(10, floor(log10(least)));

	return least <= ten        ? ten
		: least <= 2 * ten ? 2 * ten
		: least <= 5 * ten ? 5 * ten
				   : 10 * ten;
}

static void put_axes(struct text *t, const struct curve *c)
{
	double step = step_of(c->high - c->low, TICKS_X), first = ceil(c->low / step), v;
	int i;

	text_fmt(t, "<path class=\"axis\" d=\"M%d %dV%dH%d\"/>\n", LEFT, TOP, BOTTOM, RIGHT);
	for (i = 0; i <= 2 * TICKS_X && (first + i) * step <= c->high; i++) {
		v = (first + i) * step;
		text_fmt(t,
			"<path class=\"axis\" d=\"M%.6g %dv5\"/><text class=\"mid\" x=\"%.6g\" y=\"%d\">%.6g</text>\n",
			at_x(c, v), BOTTOM, at_x(c, v), BOTTOM + 18, v / c->unit);
	}
	step = step_of(c->most, TICKS_Y);
	for (i = 0; i <= 2 * TICKS_Y && i * step <= c->most; i++)
		text_fmt(t,
			"<path class=\"axis\" d=\"M%d %.6gh-5\"/><text class=\"end\" x=\"%d\" y=\"%.6g\">%.4g</text>\n",
			LEFT, at_y(c, i * step), LEFT - 8, at_y(c, i * step) + 4, i * step);
	text_fmt(t, "<text x=\"0\" y=\"12\">error (no unit)</text>\n");
	text_fmt(t,
		"<text class=\"end\" x=\"%d\" y=\"%d\">size of all files of weights, %s</text>\n",
		RIGHT, HIGH - 8, c->unit_name);
}

/* Writes letters beside a point where no others are; else nothing: the title of the mark and the rows of the report say it. */
static void put_label(struct text *t, struct curve *c, double x, double y, const char *what)
{
	struct box b = { x + 8, y - 6, LETTER_WIDE * (double)strlen(what) };
	size_t i;

	if (b.x + b.wide > RIGHT)
		b.x = x - 8 - b.wide;
	b.y = fmax(b.y, TOP + LETTER_HIGH);
	for (i = 0; i < c->n_labels; i++)
		if (b.x < c->label[i].x + c->label[i].wide && c->label[i].x < b.x + b.wide &&
			fabs(b.y - c->label[i].y) < LETTER_HIGH)
			return;
	if (b.x < LEFT || c->n_labels == LABELS)
		return;
	c->label[c->n_labels++] = b;
	text_fmt(t, "<text x=\"%.6g\" y=\"%.6g\">", b.x, b.y);
	escape_put(t, what);
	text_str(t, "</text>\n");
}

static void put_title(struct text *t, const struct frontier_point *p, const char *what)
{
	text_str(t, "<title>");
	escape_put(t, what);
	text_fmt(t, ": %s bytes, error %.6g</title>", text_thousands(p->bytes).s, p->error);
}

static void put_line(struct text *t, const struct curve *c)
{
	const struct frontier *f = c->f;
	size_t i;

	text_str(t, "<path class=\"front\" d=\"");
	for (i = 0; i < f->n; i++)
		text_fmt(t, "%c%.6g %.6g", i ? 'L' : 'M', at_x(c, (double)f->v[i].bytes),
			at_y(c, f->v[i].error));
	text_str(t, "\"/>\n");
	for (i = 0; i < f->n; i++) {
		text_fmt(t, "<circle class=\"point\" cx=\"%.6g\" cy=\"%.6g\" r=\"2.5\">",
			at_x(c, (double)f->v[i].bytes), at_y(c, f->v[i].error));
		put_title(t, &f->v[i], "frontier");
		text_str(t, "</circle>\n");
	}
}

static void put_marks(struct text *t, struct curve *c)
{
	const struct frontier *f = c->f;
	double x = at_x(c, (double)c->files), y;
	size_t i;

	text_fmt(t, "<path class=\"out\" d=\"M%.6g %dV%d\"><title>OUT: %s bytes</title></path>\n",
		x, TOP, BOTTOM, text_thousands(c->files).s);
	put_label(t, c, x, TOP, "OUT, as measured");
	x = at_x(c, (double)f->chosen.bytes);
	y = at_y(c, f->chosen.error);
	text_fmt(t, "<circle class=\"chosen\" cx=\"%.6g\" cy=\"%.6g\" r=\"5\">", x, y);
	put_title(t, &f->chosen, "chosen by --budget");
	text_str(t, "</circle>\n");
	put_label(t, c, x, y, "chosen");
	for (i = 0; i < f->n_names; i++) {
		x = at_x(c, (double)f->names[i].bytes);
		y = at_y(c, f->names[i].error);
		text_fmt(t, "<path class=\"name\" d=\"M%.6g %.6gh10m-5 -5v10\">", x - 5, y);
		put_title(t, &f->names[i], f->names[i].name);
		text_str(t, "</path>\n");
		put_label(t, c, x, y, f->names[i].name);
	}
}

static void draw(struct text *t, struct curve *c)
{
	text_str(t, "<h2>Size against weighted error</h2>\n<p>");
	text_str(t,
		c->f->weighted
			? "Error: the sum over tensors of the part of each that is wrong, by importance, times the part that its sub-block has of the residual stream."
			: "Error: the sum over tensors of the sum of (x - y)^2 over that of x^2; without importance.");
	if (c->f->kept)
		text_fmt(t,
			" %llu tensors are as the plan's name says, so that a name may lie below the frontier.",
			(unsigned long long)c->f->kept);
	text_str(t,
		" As dsv4-quant plan --budget estimated it; of OUT only the size is known here. It is no measure of the model's quality.</p>\n");
	text_fmt(t,
		"<svg class=\"heat curve\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"size against weighted error\">\n",
		WIDE, HIGH);
	put_axes(t, c);
	put_line(t, c);
	put_marks(t, c);
	text_str(t, "</svg>\n");
}

/* The point of the frontier that has the least error in at most so many bytes; NULL: all have more bytes. */
static const struct frontier_point *best_under(const struct frontier *f, uint64_t bytes)
{
	size_t i;

	for (i = f->n; i && f->v[i - 1].bytes > bytes; i--)
		;
	return i ? &f->v[i - 1] : NULL;
}

static void put_row(struct report *r, const struct frontier_point *p, const char *what)
{
	char word[48];

	snprintf(word, sizeof word, "%.6g", p->error);
	report_row(r, "size against error", what, 0, p->bytes, word);
}

void curve_put(struct report *r, const struct frontier *f, uint64_t files)
{
	const struct frontier_point *best = best_under(f, files);
	struct curve c = curve_of(f, files);
	char word[96] = "not known; the frontier has no choice as small";
	size_t i;

	if (best)
		snprintf(word, sizeof word, "not known; the frontier has %.6g in %llu bytes",
			best->error, (unsigned long long)best->bytes);
	report_row(r, "size against error", "OUT, as measured", 0, files, word);
	put_row(r, &f->chosen, "chosen by --budget");
	put_row(r, &f->v[0], "smallest of the frontier");
	put_row(r, &f->v[f->n - 1], "largest of the frontier");
	for (i = 0; i < f->n_names; i++)
		put_row(r, &f->names[i], f->names[i].name);
	draw(&r->drawn, &c);
}
