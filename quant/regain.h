/* regain.h -- rows of a matrix that FP4 was written as, in any number format, made MXFP4 again: by their values.
 *
 *	a format that has a scale for 32 columns, or equal ones for 16 and 16    that scale, where E8M0 has it and every
 *	                                                                         value is on its grid: the old bytes
 *	any other                                                                the smallest scale that has the largest
 *	                                                                         value of the 32 columns; 2^-127 for zeros
 *
 * A grid of a larger scale has no value below 6 times the smallest that the smallest has not: so that a block whose values
 * are on no grid is on none of any scale. It was rounded before, or was never MXFP4.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_REGAIN_H
#define QUANT_REGAIN_H
#include "quant/codec.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What became of the blocks of rows, added up. */
struct regain {
	uint64_t blocks, inexact;
	size_t first; /* column of the first block of the last row that is inexact; cols of that: none was */
};

/* Makes a row of cols columns, a multiple of 32, from its codes in that format, the scales of that row (NULL: it has none)
 * and the factor of the matrix (1: none). v: room for cols values. Writes cols / 2 bytes of codes and cols / 32 of scales;
 * what is on no grid is rounded to nearest, ties to even. Returns the first column whose value is NaN or infinite, cols if
 * there is none; nothing else is said then. */
size_t regain_row(enum codec from, const uint8_t *codes, const uint8_t *scales, double second,
	size_t cols, double *v, uint8_t *to, uint8_t *to_scales, struct regain *r);

#ifdef __cplusplus
}
#endif
#endif
