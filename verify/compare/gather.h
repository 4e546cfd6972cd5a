/* gather.h -- a layout made quickly out of its own address function: a list of moves for one slab, which
 * all other slabs of the matrix repeat.
 *
 * The address function of a layout (formats/layout/tile_at.h) is asked once where each element of the first
 * slab goes. From the answers follows, for the bytes of the result in order, which source byte each comes
 * from; bytes that stay neighbours become one move. Where nibbles or bits change places inside 32-bit words
 * it is the same exchange in every word, which is applied afterwards. Nothing of the converter's own quick
 * ways is used, so that a comparison does not believe what it is to judge.
 *
 * That the slabs of a layout repeat each other is a promise of formats/layout/tile.h; gather_make holds it
 * to samples of the matrix at hand, and a test holds the results to tile_pack for every layout.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_GATHER_H
#define VERIFY_COMPARE_GATHER_H
#include "formats/layout/tile.h"

#ifdef __cplusplus
extern "C" {
#endif

struct gather_move {
	uint32_t row, byte; /* in the slab's rectangle */
};

/* Bits of a word that go the same way: rotated left by so many places. */
struct gather_turn {
	uint32_t mask, left;
};

struct gather {
	const struct tile *tile; /* NULL: of none yet */
	struct tile_dim dim;
	struct tile_grid grid;
	bool usable;               /* false: this layout, or this matrix, is left to tile_pack */
	struct gather_move *moves; /* owns; [grid.bytes / unit] */
	size_t cap;
	uint32_t unit; /* bytes of a move */
	struct gather_turn
		turn[32]; /* what is done to each word of the result, all of them combined */
	unsigned n_turns; /* 0: words are as they were moved */
};

/* Makes g that of a layout and a matrix; keeps what it has where it is that already. g is zeroed before the
 * first call. Returns -1 without memory; then g may be freed or made again. */
int gather_make(struct gather *g, const struct tile *t, struct tile_dim d);
void gather_free(struct gather *g);
/* Writes all slabs of the matrix to out, tile_bytes() bytes. row: [dim.rows] pointers to its rows. g must be
 * usable. */
void gather_run(const struct gather *g, const uint8_t *const *row, uint8_t *out);

#ifdef __cplusplus
}
#endif
#endif
