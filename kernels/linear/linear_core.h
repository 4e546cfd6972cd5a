/* linear_core.h -- what linear.c asks of a vector unit: rows decoded to floats, tiles of them multiplied.
 *
 * A vector has width floats; 32 columns are 32 / width vectors. A core may keep the columns of 32 in an
 * order of its own (FP4 comes out of its nibbles that way), the same for weights and activations; tree
 * knows it. Two arrangements of a matrix in memory:
 *
 *	by blocks   [block][32], for one token
 *	by lanes    [vector of the block][block][width]: what a tile of rows and tokens reads from first to last
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_LINEAR_LINEAR_CORE_H
#define KERNELS_LINEAR_LINEAR_CORE_H
#include "kernels/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How a row is decoded. */
enum linear_kind {
	LINEAR_FP4,
	LINEAR_FP8,
	LINEAR_BF16,
	LINEAR_F32,
	LINEAR_MXFP8,
	LINEAR_NVFP4,
	LINEAR_KINDS
};
/* FP4 codes, whose columns a core may keep in an order of its own. */
static inline bool linear_in_nibbles(enum linear_kind kind)
{
	return kind == LINEAR_FP4 || kind == LINEAR_NVFP4;
}

enum {
	LINEAR_LANES = 32,
	LINEAR_PANEL = 12,   /* rows decoded together: a multiple of every core's tile */
	LINEAR_CHUNK = 1024, /* columns decoded together: a multiple of 128 */
	LINEAR_TOKENS = 32   /* tokens together; every core's tile divides 8 */
};

/* BF16 of 2^(e - 127) times each FP4 code, its high and low bytes, for scale bytes e in a range in which
 * that is a normal number. */
enum { LINEAR_FP4_MIN = 2, LINEAR_FP4_MAX = 187 };
struct linear_fp4 {
	uint8_t byte[256][2][16];
};
extern const struct linear_fp4 linear_fp4; /* aligned to 16 */

/* A row of weights as it lies. */
struct linear_line {
	const uint8_t *codes;
	const uint8_t *e8m0; /* FP4, MXFP8: scale bytes of 32 columns */
	const float *scale;  /* FP8: scales of 128 columns; NVFP4: of 16 */
};

struct linear_core {
	uint32_t width;
	uint32_t sum_rows, sum_tokens;   /* tile of sum */
	uint32_t part_rows, part_tokens; /* tile of part */
	/* Columns col .. col + n of a row, times their scales, to out: vector v of block b at
	 * out + b * block + v * lane. False if there was a NaN code. */
	bool (*decode)(enum linear_kind kind, const struct linear_line *line, uint32_t col,
		uint32_t n, float *out, size_t block, size_t lane);
	/* The same of activations, whose order of columns is that of weights of this kind. q and s, or
	 * x. */
	bool (*act)(enum linear_kind kind, const uint8_t *q, const float *s, const float *x,
		uint32_t col, uint32_t n, float *out, size_t block, size_t lane);
	/* A tile: acc[r][t] of 32 lanes += blocks blocks of w[r] * x[t], one vector of the block: w, x
	 * by lanes, w_next and x_next from row to row and token to token, acc_next from r to r. */
	void (*sum)(float *acc, size_t acc_next, const float *w, size_t w_next, const float *x,
		size_t x_next, uint32_t blocks);
	/* The same with a partial of 4 blocks each. */
	void (*part)(float *acc, size_t acc_next, const float *w, size_t w_next, const float *x,
		size_t x_next, uint32_t blocks);
	/* Two rows with one token, x by blocks: whole sums into lanes. False if there was a NaN code. */
	bool (*pair)(enum linear_kind kind, bool partial, const struct linear_line *line,
		uint32_t cols, const float *x, float *lanes);
	/* The tree over 32 lanes. */
	float (*tree)(enum linear_kind kind, const float *lanes);
};

extern const struct linear_core linear_avx2, linear_avx512;

#ifdef __cplusplus
}
#endif
#endif
