/* linear_read.c -- rows of a matrix made of pieces, taken out of their layouts slab by slab.
 *
 * SPDX-License-Identifier: MIT */
#include "kernels/linear/linear.h"

#include <string.h>

/* Rows first .. first + n of a piece, of the matrix laid out in t at data: row i goes to out + i * bytes,
 * with room for a row that nobody wants at spare. row has a pointer for every row laid out, rounded up
 * to slabs. */
struct take {
	const struct weight_piece *p;
	uint32_t first, n;
	const struct tile *t;
	struct tile_dim d;
	const uint8_t *data;
	uint8_t *out, *spare;
	size_t bytes;
	uint8_t **row;
};

static void take_rows(const struct take *k, unsigned features)
{
	struct tile_grid g = tile_grid(k->t, k->d);
	tile_unpack_fn *unpack = tile_unpacker(k->t, k->d, features);
	uint64_t lo = UINT64_MAX, hi = 0, s, i;
	uint32_t r;

	for (i = 0; i < k->n; i++) {
		r = k->p->map->to(k->p->part, k->first + (uint32_t)i, k->p->rows);
		lo = r / g.rows < lo ? r / g.rows : lo;
		hi = r / g.rows > hi ? r / g.rows : hi;
	}
	for (i = lo * g.rows; i < (hi + 1) * g.rows; i++)
		k->row[i] = k->spare;
	for (i = 0; i < k->n; i++) {
		r = k->p->map->to(k->p->part, k->first + (uint32_t)i, k->p->rows);
		k->row[r] = k->out + i * k->bytes;
	}
	if (k->t->by_cols) {
		for (s = lo; s < g.n; s += g.down)
			unpack(k->t, k->d, k->row, s, hi - lo + 1, k->data + s * g.bytes);
		return;
	}
	for (s = lo; s <= hi; s++)
		unpack(k->t, k->d, k->row + s * g.rows, s * g.across, g.across,
			k->data + s * g.across * g.bytes);
}

static size_t up64(size_t n)
{
	return (n + 63) / 64 * 64;
}

/* Pointers to rows, and a row nobody wants. */
static size_t pointers(const struct weight *w)
{
	uint64_t most = 0, rows;
	uint32_t i;

	for (i = 0; i < w->n_pieces; i++) {
		const struct weight_piece *p = &w->pieces[i];
		struct tile_grid g = tile_grid(p->tile, p->dim), f = tile_grid(p->sf, p->sf_dim);

		rows = g.down * g.rows > f.down * f.rows ? g.down * g.rows : f.down * f.rows;
		most = rows > most ? rows : most;
	}
	return up64((size_t)most * sizeof(uint8_t *));
}

size_t linear_read_scratch(const struct weight *w)
{
	return w->n_pieces ? pointers(w) + up64(w->cols / 2) : 0;
}

void linear_read(const struct weight *w, uint32_t first, uint32_t n, unsigned features,
	uint8_t *codes, uint8_t *scales, void *scratch)
{
	const struct weight_piece *p;
	struct take k = { .row = scratch, .spare = (uint8_t *)scratch + pointers(w) };
	uint32_t i, lo, hi;

	for (i = 0; i < w->n_pieces; i++) {
		p = &w->pieces[i];
		lo = first > p->row ? first : p->row;
		hi = first + n < p->row + p->rows ? first + n : p->row + p->rows;
		if (lo >= hi)
			continue;
		k.p = p;
		k.first = lo - p->row;
		k.n = hi - lo;
		k.t = p->tile;
		k.d = p->dim;
		k.data = p->codes;
		k.bytes = w->cols / 2;
		k.out = codes + (lo - first) * k.bytes + p->col / 2;
		take_rows(&k, features);
		k.t = p->sf;
		k.d = p->sf_dim;
		k.data = p->scales;
		k.bytes = w->cols / 32;
		k.out = scales + (lo - first) * k.bytes + p->col / 32;
		take_rows(&k, features);
	}
}
