/* tile_fast.h -- what the quick ways of tile_ways.c share: walking a call's slabs, and blocks of slabs
 * that lie side by side.
 *
 * All of them take whole matrices and rows that are there. Packing and unpacking are one function with
 * the flag `back`, so rows and flat memory come without const; which of them is only read follows
 * from it. Several rows of one unpacking may be the same memory: nothing that was written is read.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_LAYOUT_TILE_FAST_H
#define FORMATS_LAYOUT_TILE_FAST_H
#include "formats/layout/tile.h"

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A call as both directions have it. */
struct tile_call {
	const struct tile *t;
	struct tile_dim d;
	uint8_t *const *row;
	uint64_t first, n;
	uint8_t *flat;
};

/* m slabs side by side: slab i holds the same rows, its bytes of a row come after those of slab i-1,
 * and it lies at flat + i * stride. row[0] is the slabs' first row, each read from byte `at`. */
struct tile_block {
	uint8_t *const *row;
	uint64_t at;
	uint32_t m;
	uint8_t *flat;
	uint64_t stride;
	const void *ctx;
};
typedef void tile_block_fn(const struct tile_block *);

/* Cuts a call into blocks of at most max slabs; what it reads of a row it reads from left to right. */
void tile_blocks(const struct tile_call *c, uint32_t max, tile_block_fn *fn, const void *ctx);

/* How the words of a slab of scales lie, one for each row: word 4l+m is row l*next + m*apart. */
struct tile_words {
	uint32_t rows, next, apart;
};
struct tile_words tile_words(const struct tile_call *c);
/* Slabs m0 and on of a block of them, word by word. */
void tile_words_rest(const struct tile_block *b, uint32_t m0, bool back);

/* Defines NAME_pack and NAME_unpack from fn(call, back). */
#define TILE_PAIR(name, fn)                                                                   \
	void name##_pack(const struct tile *t, struct tile_dim d, const uint8_t *const *row,  \
		uint64_t first, uint64_t n, uint8_t *out)                                     \
	{                                                                                     \
		fn(&(struct tile_call){ t, d, (uint8_t *const *)row, first, n, out }, false); \
	}                                                                                     \
	void name##_unpack(const struct tile *t, struct tile_dim d, uint8_t *const *row,      \
		uint64_t first, uint64_t n, const uint8_t *in)                                \
	{                                                                                     \
		fn(&(struct tile_call){ t, d, row, first, n, (uint8_t *)in }, true);          \
	}
#define TILE_PAIR_DECL(name)      \
	tile_pack_fn name##_pack; \
	tile_unpack_fn name##_unpack

/* tile_plain.c: any processor. */
TILE_PAIR_DECL(tile_split);   /* any layout: a place is a row's plus a column's */
TILE_PAIR_DECL(tile_line);    /* rows stay whole */
TILE_PAIR_DECL(tile_pieces4); /* runs of so many bytes stay whole */
TILE_PAIR_DECL(tile_pieces16);
TILE_PAIR_DECL(tile_bytes8); /* slabs of one column: bytes transposed, 8 x 8 */
TILE_PAIR_DECL(tile_twisted);

/* tile_avx2.c and tile_avx512.c; tile_none.c has none. */
TILE_PAIR_DECL(tile_marlin4_avx2);
TILE_PAIR_DECL(tile_frag_avx2);
TILE_PAIR_DECL(tile_words_avx2); /* scales that move four at a time */
TILE_PAIR_DECL(tile_marlin4_avx512);
TILE_PAIR_DECL(tile_frag_avx512);
TILE_PAIR_DECL(tile_words_avx512);

static inline void tile_move(uint8_t *line, uint8_t *flat, size_t n, bool back)
{
	if (back)
		memcpy(line, flat, n);
	else
		memcpy(flat, line, n);
}

#ifdef __cplusplus
}
#endif
#endif
