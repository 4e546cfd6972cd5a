/* codec.h -- what the bits of each number format mean: decode a row to numbers, encode numbers to a row.
 *
 * These functions are the meaning of every format of formats/codec.h: plain C, element by element, in
 * double, which holds every value of every format exactly (a code times a scale has at most 48 significant bits,
 * those of F32 times F32, and its exponent lies far inside). Whatever is quicker is a row of
 * quant/recode.h and is held to these by a test.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_CODEC_H
#define QUANT_CODEC_H
#include "formats/codec.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct codec_ops {
	/* Writes the values of cols elements of a row to v. codes: the row, codec_row_bytes() bytes.
	 * scales: the scales of the row's blocks, from column 0, as they lie on disk, and behind them its zero
	 * points in a format that has those (codec_scale_row); NULL where the format has no scales. second: the factor of the tensor, 1 where the format has none. A code or scale that is
	 * NaN gives NaN. The sign of a zero is kept. */
	void (*decode)(const uint8_t *codes, const uint8_t *scales, double second, size_t cols,
		double *v);
	/* Writes the code nearest to each value, ties to even, given scales that were chosen before. The
	 * last byte of a row whose codes do not fill it is filled up with zeros. A value beyond the
	 * largest gives the largest in E2M1, NaN in E4M3 (as torch does), infinity in BF16 and F32, and the
	 * nearest end in whole numbers, which have no NaN: that gives the least one. The sign of a zero is kept
	 * where the format has one. */
	void (*encode)(const double *v, const uint8_t *scales, double second, size_t cols,
		uint8_t *codes);
	const char *exact; /* a sentence: which values encode keeps */
};
/* A row for each enum codec; CODEC_NONE has no functions. */
extern const struct codec_ops codec_ops[CODEC_COUNT];

/* Returns the factor of the matrix that the four bytes at p are, in a format that has one; 1 in others. */
double codec_second(enum codec c, const uint8_t *p);
/* Returns the bytes of the scales of a row of cols columns as decode and encode take them: the scales, and of a format with zero
 * points a byte for each of those behind them; 0 where the format has no scales. */
size_t codec_scale_row(enum codec c, size_t cols);
/* Reads the zero points of row `row` of a matrix, n of them, to zeros. words: row `row` / CODEC_ZERO_ROWS of the tensor that
 * has them, 4 * n bytes. */
void codec_zeros_get(const uint8_t *words, uint64_t row, size_t n, uint8_t *zeros);
/* Writes them into words, where those of that row are zeros before. */
void codec_zeros_put(const uint8_t *zeros, uint64_t row, size_t n, uint8_t *words);
/* Returns scale i of a row of scales of format c, as they lie on disk; 1 where the format has none. */
double codec_scale(enum codec c, const uint8_t *scales, size_t i);

#ifdef __cplusplus
}
#endif
#endif
