/* codec.h -- what the bits of each number format mean: decode a row to numbers, encode numbers to a row.
 *
 * These functions are the meaning of every format of formats/codec.h: plain C, element by element, in
 * double, which holds every value of every format exactly (an E2M1, E4M3 or F32 times an E4M3, E8M0 or F32
 * scale has at most 48 significant bits, and its exponent lies far inside). Whatever is quicker is a row of
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
	 * scales: the scales of the row's blocks, from column 0, as they lie on disk; NULL where the format
	 * has none. second: the factor of the tensor, 1 where the format has none. A code or scale that is
	 * NaN gives NaN. The sign of a zero is kept. */
	void (*decode)(const uint8_t *codes, const uint8_t *scales, double second, size_t cols,
		double *v);
	/* Writes the code nearest to each value, ties to even, given scales that were chosen before. The
	 * last byte of a row whose codes do not fill it is filled up with zeros. A value beyond the
	 * largest gives the largest in E2M1, NaN in E4M3 (as torch does) and infinity in BF16 and F32. The
	 * sign of a zero is kept. */
	void (*encode)(const double *v, const uint8_t *scales, double second, size_t cols,
		uint8_t *codes);
	const char *exact; /* a sentence: which values encode keeps */
};
/* A row for each enum codec; CODEC_NONE has no functions. */
extern const struct codec_ops codec_ops[CODEC_COUNT];

/* Returns the factor of the matrix that the four bytes at p are, in a format that has one; 1 in others. */
double codec_second(enum codec c, const uint8_t *p);
/* Returns scale i of a row of scales of format c, as they lie on disk; 1 where the format has none. */
double codec_scale(enum codec c, const uint8_t *scales, size_t i);

#ifdef __cplusplus
}
#endif
#endif
