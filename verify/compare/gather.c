/* SPDX-License-Identifier: MIT */
#include "verify/compare/gather.h"

#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

/* Where a nibble of the result comes from; elements of 8 to 32 bits are two to eight of them. */
struct nibble {
	uint32_t row, at; /* at: nibbles from the slab's first column */
};

/* Asks the layout about every element of slab 0. false: the matrix has no such element, it is padded. */
static bool ask(const struct gather *g, struct nibble *from)
{
	unsigned each = g->tile->bits / 4, i;
	uint32_t r, c;
	uint64_t to;

	for (r = 0; r < g->grid.rows; r++)
		for (c = 0; c < g->grid.cols; c++) {
			to = g->tile->at(g->dim, r, c) * each;
			if (to + each > 2 * g->grid.bytes)
				return false;
			for (i = 0; i < each; i++)
				from[to + i] = (struct nibble){ r, c * each + i };
		}
	return true;
}

/* Elements of other slabs lie in them as those of slab 0 lie there: eight of each slab, spread over it by
 * an odd step so that rows and columns vary. */
static bool repeats(const struct gather *g)
{
	uint64_t s, i, at, base, size = (uint64_t)g->grid.rows * g->grid.cols;
	uint32_t r, c, row, col;

	for (s = 0; s < g->grid.n; s++) {
		row = (uint32_t)(g->tile->by_cols ? s % g->grid.down : s / g->grid.across) *
			g->grid.rows;
		col = (uint32_t)(g->tile->by_cols ? s / g->grid.down : s % g->grid.across) *
			g->grid.cols;
		base = s * size;
		for (i = 0; i < 8; i++) {
			at = (i * (size / 8 | 1) + s) % size;
			r = (uint32_t)(at / g->grid.cols);
			c = (uint32_t)(at % g->grid.cols);
			if (g->tile->at(g->dim, row + r, col + c) - base !=
				g->tile->at(g->dim, r, c))
				return false;
		}
	}
	return true;
}

/* The word at from: its four source bytes in the order in which they are met, to byte[4], and which of
 * their 32 bits (byte 0 lowest) each bit of the word is, to bit[32]. false where it has more than four. */
static bool split_word(const struct nibble *from, struct gather_move byte[4], uint8_t bit[32])
{
	unsigned n = 0, p, b, i;

	for (p = 0; p < 8; p++) {
		struct gather_move m = { from[p].row, from[p].at / 2 };

		for (b = 0; b < n && (byte[b].row != m.row || byte[b].byte != m.byte); b++)
			;
		if (b == 4)
			return false;
		if (b == n)
			byte[n++] = m;
		for (i = 0; i < 4; i++)
			bit[4 * p + i] = (uint8_t)(8 * b + from[p].at % 2 * 4 + i);
	}
	return n == 4;
}

/* From bit[to] and the layout's twist, which moves single bits: the turns of a word. */
static bool find_turns(struct gather *g, const uint8_t bit[32])
{
	uint32_t mask[32] = { 0 }, all = 0, to;
	unsigned i, left, moved = 0;

	for (i = 0; i < 32; i++) {
		to = g->tile->twist ? g->tile->twist(1u << i) : 1u << i;
		if (__builtin_popcount(to) != 1 || (all & to))
			return false;
		all |= to;
		left = ((unsigned)__builtin_ctz(to) + 32 - bit[i]) % 32;
		mask[left] |= 1u << bit[i];
		moved |= left;
	}
	g->n_turns = 0;
	for (i = 0; moved && i < 32; i++)
		if (mask[i])
			g->turn[g->n_turns++] = (struct gather_turn){ mask[i], i };
	return true;
}

/* Moves of single bytes to moves of as many as stay neighbours, a power of two. */
static void merge(struct gather *g)
{
	size_t n = (size_t)g->grid.bytes, i;

	for (g->unit = 1; n % 2 == 0; g->unit *= 2) {
		for (i = 0; i < n; i += 2)
			if (g->moves[i].row != g->moves[i + 1].row ||
				g->moves[i].byte + g->unit != g->moves[i + 1].byte)
				return;
		n /= 2;
		for (i = 0; i < n; i++)
			g->moves[i] = g->moves[2 * i];
	}
}

static bool find_moves(struct gather *g, const struct nibble *from)
{
	uint8_t bit[32], first[32];
	size_t w;

	for (w = 0; w < g->grid.bytes / 4; w++) {
		if (!split_word(from + 8 * w, g->moves + 4 * w, bit))
			return false;
		if (w == 0)
			memcpy(first, bit, sizeof first);
		if (memcmp(first, bit, sizeof first) != 0)
			return false;
	}
	if (!find_turns(g, first))
		return false;
	merge(g);
	return true;
}

int gather_make(struct gather *g, const struct tile *t, struct tile_dim d)
{
	struct nibble *from;

	if (g->tile == t && !memcmp(&g->dim, &d, sizeof d))
		return 0;
	g->tile = t;
	g->dim = d;
	g->grid = tile_grid(t, d);
	g->usable = false;
	if (d.rows % g->grid.rows || d.cols % g->grid.cols || d.rows % t->row_unit ||
		d.cols % t->col_unit || g->grid.bytes % 4 || g->grid.cols * t->bits % 8)
		return 0; /* padded, or no whole words */
	from = malloc(2 * g->grid.bytes * sizeof *from);
	if (!from || mem_grow(&g->moves, &g->cap, g->grid.bytes, sizeof *g->moves)) {
		free(from);
		g->tile = NULL;
		return -1;
	}
	g->usable = ask(g, from) && find_moves(g, from) && repeats(g);
	free(from);
	return 0;
}

void gather_free(struct gather *g)
{
	free(g->moves);
	memset(g, 0, sizeof *g);
}

/* --- running it --- */

static inline __attribute__((always_inline)) void move_units(const struct gather *g, uint32_t unit,
	const uint8_t *const *row, uint64_t off, uint8_t *out)
{
	const struct gather_move *m = g->moves, *end = m + g->grid.bytes / unit;

	for (; m < end; m++, out += unit)
		memcpy(out, row[m->row] + off + m->byte, unit);
}

static void move(const struct gather *g, const uint8_t *const *row, uint64_t off, uint8_t *out)
{
	switch (g->unit) { /* sizes known to the compiler are single instructions */
	case 1:
		move_units(g, 1, row, off, out);
		break;
	case 2:
		move_units(g, 2, row, off, out);
		break;
	case 4:
		move_units(g, 4, row, off, out);
		break;
	case 8:
		move_units(g, 8, row, off, out);
		break;
	case 16:
		move_units(g, 16, row, off, out);
		break;
	default:
		move_units(g, g->unit, row, off, out);
	}
}

enum { AT_ONCE = 64 }; /* words; a number that the compiler knows, for vectors of them */

static void turn_words(const struct gather *g, uint8_t *out, size_t words)
{
	uint32_t w[AT_ONCE], sum[AT_ONCE], mask, left;
	size_t n, i;
	unsigned t;

	for (; words; words -= n, out += 4 * n) {
		n = words < AT_ONCE ? words : AT_ONCE;
		memcpy(w, out, 4 * n); /* little-endian, as the files are */
		memset(sum, 0, sizeof sum);
		memset(w + n, 0, 4 * (AT_ONCE - n));
		for (t = 0; t < g->n_turns; t++) {
			mask = g->turn[t].mask;
			left = g->turn[t].left;
			for (i = 0; i < AT_ONCE; i++)
				sum[i] |= (w[i] & mask) << left | (w[i] & mask) >> (31 - left) >> 1;
		}
		memcpy(out, sum, 4 * n);
	}
}

void gather_run(const struct gather *g, const uint8_t *const *row, uint8_t *out)
{
	uint64_t s, first, off;

	for (s = 0; s < g->grid.n; s++, out += g->grid.bytes) {
		first = (g->tile->by_cols ? s % g->grid.down : s / g->grid.across) * g->grid.rows;
		off = (g->tile->by_cols ? s / g->grid.down : s % g->grid.across) * g->grid.cols *
			g->tile->bits / 8;
		move(g, row + first, off, out);
		if (g->n_turns)
			turn_words(g, out, (size_t)g->grid.bytes / 4);
	}
}
