/* tile.h -- the table of layouts: how a kernel wants a matrix in memory, and how to get there and back.
 *
 * A layout moves bits and changes none, so it can always be undone; values that change (an exponent
 * plus six, a scale as BF16) are quant/recode.h's matter, the order of rows of w1 and w3 is rowmap.h's.
 * A row of the table names an address function (tile_at.h), which is the meaning, and what follows
 * from it for working in pieces:
 *
 *	the matrix is cut into slabs; a slab is a rectangle of it and a run of the result:
 *
 *	    +----+----+----+                  +----+----+----+
 *	    | 0  | 1  | 2  |  slab_rows       | 0  | 2  | 4  |   by_cols
 *	    +----+----+----+                  +----+----+----+
 *	    | 3  | 4  | 5  |                  | 1  | 3  | 5  |
 *	    +----+----+----+                  +----+----+----+
 *	     slab_cols
 *
 *	so a result is written from its first byte to its last while a band of rows (by_cols: all of
 *	them) is at hand.
 *
 * Rows come as pointers, so that gathering rows from several tensors costs nothing.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_LAYOUT_TILE_H
#define FORMATS_LAYOUT_TILE_H
#include "formats/layout/tile_at.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a layout is for. */
enum tile_holds {
	TILE_FP4,  /* two E2M1 codes in a byte, the even column low */
	TILE_FP8,  /* E4M3 codes */
	TILE_SF,   /* E8M0 scales of 32 columns */
	TILE_SF128 /* scales of 128 x 128, given for every row */
};

/* How sure we are that the kernel reads this. */
enum tile_status {
	TILE_EXECUTED, /* compared with the engine's own code, executed */
	TILE_EMULATED, /* compared with an emulation of the engine's kernel */
	TILE_OURS,     /* of this project: nothing to compare with */
	TILE_READ      /* read in the source, not compared: needs --experimental */
};

struct tile {
	const char *name; /* never reused: a changed layout is a new name */
	uint16_t version;
	uint8_t bits; /* of an element: 4, 8, 16 or 32 */
	uint8_t holds, status;
	uint32_t slab_rows, slab_cols; /* in elements; 0: all of them */
	uint32_t row_unit, col_unit;   /* of these the matrix must be a multiple ... */
	bool pads;                     /* ... or it is rounded up, with zeros */
	bool by_cols;
	/* The place of an element. The quick ways rely on this, and a test holds each to it: in the
	 * first slab at(row, col) is at(row, 0) + at(0, col), and the other slabs repeat it, one behind the other.
	 * An XOR of row and column is no such place. */
	uint64_t (*at)(struct tile_dim d, uint32_t row, uint32_t col);
	uint32_t (*twist)(uint32_t), (*untwist)(uint32_t); /* of each word of the result, or NULL */
	const char *engine; /* who reads it, and the version it was checked against */
	const char *what;
};
extern const struct tile tiles[];
extern const unsigned n_tiles;

const struct tile *tile_find(const char *name); /* NULL: there is none */

/* The matrix of a layout whose source rows have so many bytes. */
struct tile_dim tile_dim(const struct tile *t, uint32_t rows, uint64_t row_bytes);
/* Whether it takes that matrix. */
bool tile_fits(const struct tile *t, struct tile_dim d);

/* How the slabs lie. */
struct tile_grid {
	uint32_t rows, cols;   /* of a slab, elements */
	uint64_t down, across; /* slabs */
	uint64_t n, bytes;     /* slabs in all; bytes of one */
	uint32_t stage;        /* rows that must be at hand for a slab */
};
struct tile_grid tile_grid(const struct tile *t, struct tile_dim d);
uint64_t tile_bytes(const struct tile *t, struct tile_dim d); /* of the result */

/* Makes slabs first..first+n at out, whose first byte is that of slab first; or takes them apart.
 * row[i] is source row i of the band that slab first lies in (by_cols: of the matrix), from its first
 * column; slabs of another band are not asked for in one call. A row that is NULL is read as zeros,
 * and not written. */
typedef void tile_pack_fn(const struct tile *t, struct tile_dim d, const uint8_t *const *row,
	uint64_t first, uint64_t n, uint8_t *out);
typedef void tile_unpack_fn(const struct tile *t, struct tile_dim d, uint8_t *const *row,
	uint64_t first, uint64_t n, const uint8_t *in);

/* The meaning: element by element. */
tile_pack_fn tile_pack;
tile_unpack_fn tile_unpack;

/* Quicker ways for some layouts. All give the same bytes. They take a matrix that needs no padding
 * and no row that is NULL. */
struct tile_way {
	const char *tile; /* the name it is for, or with a star at its end all that begin so */
	const char *name;
	unsigned needs; /* bits of enum cpu_feature */
	tile_pack_fn *pack;
	tile_unpack_fn *unpack; /* NULL: none */
};
/* Way i for layout t, from the best to tile_pack and tile_unpack; NULL beyond. */
const struct tile_way *tile_way(const struct tile *t, unsigned i);
/* The best that a processor with these features has for this matrix. */
tile_pack_fn *tile_packer(const struct tile *t, struct tile_dim d, unsigned features);
tile_unpack_fn *tile_unpacker(const struct tile *t, struct tile_dim d, unsigned features);

#ifdef __cplusplus
}
#endif
#endif
