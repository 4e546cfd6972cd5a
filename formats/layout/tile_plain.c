/* tile_plain.c -- quick ways of packing that any processor has.
 *
 * Two facts make them, and test_tile.c checks both for every layout: slabs are alike (the places of
 * one are those of another), and in a slab the place of an element is that of its row plus that of its
 * column. So two short tables, made once for a call, stand for the address function.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/layout/tile_fast.h"

/* --- slabs of a call, one by one --- */

struct walk {
	struct tile_grid g;
	uint64_t down, across;
	bool by_cols;
};

static struct walk walk_from(const struct tile_call *c)
{
	struct walk w = { .g = tile_grid(c->t, c->d), .by_cols = c->t->by_cols };

	w.down = w.by_cols ? c->first % w.g.down : 0;
	w.across = w.by_cols ? c->first / w.g.down : c->first % w.g.across;
	return w;
}

static inline void walk_on(struct walk *w)
{
	if (w->by_cols && ++w->down < w->g.down)
		return;
	w->down = 0;
	w->across++;
}

void tile_blocks(const struct tile_call *c, uint32_t max, tile_block_fn *fn, const void *ctx)
{
	struct walk w = walk_from(c);
	uint64_t end = c->first + c->n, down = w.by_cols ? w.g.down : 1, i, a, to, last;
	uint64_t line = (uint64_t)w.g.cols * c->t->bits / 8;
	struct tile_block b = { .stride = down * w.g.bytes, .ctx = ctx };

	last = w.by_cols ? end / down : w.across + c->n;
	for (i = 0; i < down; i++) {
		a = w.across + (i < w.down);
		to = last + (w.by_cols && i < end % down);
		b.row = c->row + i * w.g.rows * w.by_cols;
		for (; a < to; a += b.m) {
			b.m = to - a < max ? (uint32_t)(to - a) : max;
			b.at = a * line;
			b.flat = c->flat + ((a - w.across) * down + i - w.down) * w.g.bytes;
			fn(&b);
		}
	}
}

struct tile_words tile_words(const struct tile_call *c)
{
	uint32_t rows = c->t->slab_rows;

	if (c->t->at(c->d, 1, 0) == 4)
		return (struct tile_words){ rows, 4, 1 };
	return (struct tile_words){ rows, 1, rows / 4 };
}

void tile_words_rest(const struct tile_block *b, uint32_t m0, bool back)
{
	const struct tile_words *w = b->ctx;
	uint8_t *const *row;
	uint32_t k, i;

	for (k = 0; k < w->rows; k++) {
		row = b->row + k / 4 * w->next + k % 4 * w->apart;
		for (i = m0; i < b->m; i++)
			tile_move(*row + b->at + 4 * i, b->flat + i * b->stride + 4 * k, 4, back);
	}
}

/* --- places, split --- */

enum { ROWS = 256, COLS = 1024 };

/* Places of pieces of a rectangle at (row, col) of a slab: rows, and every step-th column. */
struct split {
	uint32_t row, col, rows, cols, step;
	uint32_t of_row[ROWS], of_col[COLS];
};

static void split_fill(struct split *s, const struct tile_call *c, const struct tile_grid *g)
{
	uint32_t i;

	s->rows = g->rows - s->row < ROWS ? g->rows - s->row : ROWS;
	s->cols = (g->cols - s->col) / s->step;
	s->cols = s->cols < COLS ? s->cols : COLS;
	for (i = 0; i < s->rows; i++)
		s->of_row[i] = (uint32_t)c->t->at(c->d, s->row + i, 0);
	for (i = 0; i < s->cols; i++)
		s->of_col[i] = (uint32_t)c->t->at(c->d, 0, s->col + i * s->step);
}

/* Elements of a rectangle; row r of them begins at row[r]. */
typedef void rect_fn(const struct split *, uint8_t *const *row, uint64_t at, uint8_t *flat);

/* Calls fn for the rectangles of each slab, whose pieces are step columns wide. */
static inline void split_run(const struct tile_call *c, uint32_t step, rect_fn *fn)
{
	struct walk w, begin = walk_from(c);
	struct split s = { .step = step };
	uint64_t i, at;

	for (s.row = 0; s.row < begin.g.rows; s.row += ROWS) {
		for (s.col = 0; s.col < begin.g.cols; s.col += COLS * step) {
			split_fill(&s, c, &begin.g);
			w = begin;
			for (i = 0; i < c->n; i++, walk_on(&w)) {
				at = (w.across * w.g.cols + s.col) * c->t->bits / 8;
				fn(&s, c->row + w.down * w.g.rows + s.row, at,
					c->flat + i * w.g.bytes);
			}
		}
	}
}

/* Pieces of so many bytes, each an element of `size` bytes or several. */
static inline void rect_pieces(const struct split *s, uint8_t *const *row, uint64_t at,
	uint8_t *flat, uint32_t size, unsigned bits, bool back)
{
	uint32_t r, i;
	uint8_t *line, *to;

	for (r = 0; r < s->rows; r++) {
		line = row[r] + at;
		to = flat + (uint64_t)s->of_row[r] * bits / 8;
		for (i = 0; i < s->cols; i++)
			tile_move(line + (uint64_t)i * size, to + (uint64_t)s->of_col[i] * bits / 8,
				size, back);
	}
}

/* Defines rect_NAME and rect_NAME_back. */
#define RECT(name, size, bits)                                                                  \
	static void rect_##name(const struct split *s, uint8_t *const *row, uint64_t at,        \
		uint8_t *flat)                                                                  \
	{                                                                                       \
		rect_pieces(s, row, at, flat, size, bits, false);                               \
	}                                                                                       \
	static void rect_##name##_back(const struct split *s, uint8_t *const *row, uint64_t at, \
		uint8_t *flat)                                                                  \
	{                                                                                       \
		rect_pieces(s, row, at, flat, size, bits, true);                                \
	}
RECT(1, 1, 8)
RECT(2, 2, 16)
RECT(4, 4, 32)
RECT(4of8, 4, 8)
RECT(16of8, 16, 8)

/* Nibbles: the flat side was zeroed. */
static void rect_nibbles(const struct split *s, uint8_t *const *row, uint64_t at, uint8_t *flat)
{
	const uint8_t *line;
	uint32_t r, i, k;

	for (r = 0; r < s->rows; r++) {
		line = row[r] + at;
		for (i = 0; i < s->cols; i += 2, line++) {
			k = s->of_row[r] + s->of_col[i];
			flat[k / 2] |= (uint8_t)((*line & 15) << (k % 2 * 4));
			k = s->of_row[r] + s->of_col[i + 1];
			flat[k / 2] |= (uint8_t)(*line >> 4 << (k % 2 * 4));
		}
	}
}

static void rect_nibbles_back(const struct split *s, uint8_t *const *row, uint64_t at,
	uint8_t *flat)
{
	uint8_t *line;
	uint32_t r, i, k, low;

	for (r = 0; r < s->rows; r++) {
		line = row[r] + at;
		for (i = 0; i < s->cols; i += 2) {
			k = s->of_row[r] + s->of_col[i];
			low = (uint32_t)flat[k / 2] >> (k % 2 * 4) & 15;
			k = s->of_row[r] + s->of_col[i + 1];
			*line++ = (uint8_t)(low | ((uint32_t)flat[k / 2] >> (k % 2 * 4) & 15) << 4);
		}
	}
}

/* --- any layout --- */

static void split(const struct tile_call *c, bool back)
{
	uint64_t bytes = c->n * tile_grid(c->t, c->d).bytes, i;
	uint32_t w;

	switch (c->t->bits) {
	case 4:
		if (!back)
			memset(c->flat, 0, bytes);
		split_run(c, 1, back ? rect_nibbles_back : rect_nibbles);
		break;
	case 8:
		split_run(c, 1, back ? rect_1_back : rect_1);
		break;
	case 16:
		split_run(c, 1, back ? rect_2_back : rect_2);
		break;
	default:
		split_run(c, 1, back ? rect_4_back : rect_4);
	}
	for (i = 0; c->t->twist && !back && i < bytes; i += 4) {
		memcpy(&w, c->flat + i, 4);
		w = c->t->twist(w);
		memcpy(c->flat + i, &w, 4);
	}
}

void tile_split_pack(const struct tile *t, struct tile_dim d, const uint8_t *const *row,
	uint64_t first, uint64_t n, uint8_t *out)
{
	split(&(struct tile_call){ t, d, (uint8_t *const *)row, first, n, out }, false);
}

/* Twisted words are taken apart by tile_twisted. */
void tile_split_unpack(const struct tile *t, struct tile_dim d, uint8_t *const *row, uint64_t first,
	uint64_t n, const uint8_t *in)
{
	if (t->untwist)
		tile_unpack(t, d, row, first, n, in);
	else
		split(&(struct tile_call){ t, d, row, first, n, (uint8_t *)in }, true);
}

/* --- runs of bytes that stay whole --- */

static void pieces4(const struct tile_call *c, bool back)
{
	if (c->t->bits == 32)
		split_run(c, 1, back ? rect_4_back : rect_4);
	else
		split_run(c, 4, back ? rect_4of8_back : rect_4of8);
}

static void pieces16(const struct tile_call *c, bool back)
{
	split_run(c, 16, back ? rect_16of8_back : rect_16of8);
}

TILE_PAIR(tile_pieces4, pieces4)
TILE_PAIR(tile_pieces16, pieces16)

/* A band is one row. */
static void line(const struct tile_call *c, bool back)
{
	tile_move(c->row[0], c->flat, (uint64_t)c->d.cols * c->t->bits / 8, back);
}
TILE_PAIR(tile_line, line)
