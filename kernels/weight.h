/* weight.h -- a weight matrix as the linears take it: where its codes and scales lie, in the layout they
 * lie in.
 *
 * Not a reader of files (kernels/forward/weights.h) and no arithmetic (linear.h). A matrix of rows outputs and
 * cols inputs is either plain (row-major, as in a checkpoint: n_pieces 0) or made of pieces that engines'
 * layouts hold: row i and column k of a piece are found through the address functions of formats/layout/tile.h,
 * so that what is multiplied are the converted bytes themselves and not an unpacked copy.
 *
 *	FP4    E2M1 codes two in a byte, the even column low; scales E8M0 [rows][cols / 32]
 *	FP8    E4M3 codes; scales E8M0 or F32 [ceil(rows / 128)][ceil(cols / 128)]
 *	MXFP8  E4M3 codes; scales E8M0 [rows][cols / 32]
 *	NVFP4  E2M1 codes as FP4; scales E4M3 [rows][cols / 16], each times the factor `second`
 *	BF16, F32   values, no scales
 *
 * Pointers are memory of the device that computes.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_WEIGHT_H
#define KERNELS_WEIGHT_H
#include "formats/layout/rowmap.h"
#include "formats/layout/tile.h"

#ifdef __cplusplus
extern "C" {
#endif

enum weight_type {
	WEIGHT_FP4,
	WEIGHT_FP8,
	WEIGHT_BF16,
	WEIGHT_F32,
	WEIGHT_MXFP8,
	WEIGHT_NVFP4,
	WEIGHT_TYPES
};

/* What follows from a type. */
struct weight_form {
	const char *name;
	uint8_t bits;        /* of a code or value */
	uint32_t rows, cols; /* elements that share a scale; 0: there are no scales */
	uint32_t
		sum; /* columns of a partial sum of linear_q (dev.h), unless struct weight says another */
};
extern const struct weight_form weight_forms[WEIGHT_TYPES];

/* A rectangle of a matrix of FP4 codes as one rank of a converted set holds it. Row i of it is row
 * map->to(part, i, rows) of the matrix laid out, which has map->parts * rows rows. */
struct weight_piece {
	uint32_t row, rows; /* of the whole matrix */
	uint32_t col, cols; /* codes; multiples of 32 */
	const struct rowmap *map;
	uint32_t part;
	const struct tile *tile, *sf; /* layouts of codes and scales */
	struct tile_dim dim, sf_dim;  /* of the matrix laid out, in elements of the layouts */
	const uint8_t *codes, *scales;
};

struct weight {
	uint8_t type;        /* enum weight_type */
	bool f32_scales;     /* FP8 with scales in F32, as -Base has: exact powers of two */
	uint32_t rows, cols; /* outputs, inputs */
	const void *codes, *scales;
	float second; /* NVFP4: the factor of the matrix */
	/* Columns of a partial sum of linear_q: 32 or 128, 0: those of the type. It is 128 only where all columns of a
	 * partial share a scale, or have none. */
	uint32_t sum;
	/* FP4 only: instead of codes and scales. They cover the matrix; pieces side by side come by
	 * ascending column, pieces below one another by ascending row. */
	const struct weight_piece *pieces;
	uint32_t n_pieces;
};

/* Columns of a partial sum of linear_q with w. */
static inline uint32_t weight_sum(const struct weight *w)
{
	return w->sum ? w->sum : weight_forms[w->type].sum;
}
/* Returns rows row .. row + n of w, which is not made of pieces. row begins a block of scales. */
struct weight weight_rows(const struct weight *w, uint32_t row, uint32_t n);

#ifdef __cplusplus
}
#endif
#endif
