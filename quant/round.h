/* round.h -- encoders of number formats that round: rows of FP32 to codes and scales, by a search for the least squared
 * error.
 *
 * The search minimises, group by group of the values that share a scale,
 *
 *	sum of w (x - y)^2    x: the value; y: what quant/codec.h decodes; w: the weight of its column, or 1
 *
 * Weights are the importance matrix: the mean of the squared activations of each column. A group whose weights are all
 * zero is encoded as if all were 1. Scales are numbers of the format, never negative:
 *
 *	BF16   those nearest to the largest magnitude over sixteen divisors, of which the first is what compressed-tensors
 *	       divides by (7.5, 127.5, 448), and then the eight BF16 numbers to either side of the best of them
 *	       Formats with zero points: the best of those with code 8 as zero; and of scales that are the distance from the
 *	       least value to the largest over sixteen divisors, the first being the package's 15, with its zero point; the
 *	       eight numbers to either side of the best of these, and those with the zero points beside it
 *	E4M3   sixteen neighbours, from about the largest magnitude over 8 to that over 2.5; both choices of 4/6 are among
 *	       them. They are relative to a factor of the matrix, 2^second
 *	E8M0   the power of two by which the largest magnitude is between 4 and 8, and one to either side
 *
 * Codes are the nearest to value over scale, ties to even; zeros lose their sign. Of scales with one error the first is
 * taken, in the order of above. In its own measure no group has so a greater error than with the package's scale,
 * nor, in formats with zero points, than it has without one.
 *
 * What is written depends on values and weights alone: neither on the way nor on the compiler. Sums run in the order of
 * columns, in FP32 without contraction, in runs of 32.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_ROUND_H
#define QUANT_ROUND_H
#include "quant/codec.h"
#include "quant/lowbit.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A format that there is an encoder of. */
struct rounding;
/* Returns the encoder of format c, NULL where there is none. */
const struct rounding *rounding_find(enum codec c);

/* Values beyond it, of either sign, are refused: scales would not be finite. */
#define ROUND_MOST 0x1p126f

/* The columns of a row are a multiple of it. */
enum { ROUND_UNIT = 16 };

/* Returns the groups of a row of cols columns, and the columns of one. */
size_t round_groups(enum codec c, size_t cols);
size_t round_group(enum codec c, size_t cols);

/* What a row is made with. All is borrowed. */
struct round_job {
	const struct rounding *how;
	const struct lowbit_way *way;
	int second;           /* the factor of the matrix is 2^second; formats without one: 0 */
	const float *weights; /* [cols], none of which lowbit_bad_weight names; NULL: 1 */
	float *room;          /* [round_room(cols)] */
};
/* Returns how many FP32 numbers of room rows of so many columns need. */
size_t round_room(size_t cols);

/* Encodes a row of cols values, a whole number of groups and a multiple of ROUND_UNIT: codes as they lie on disk, and scales as
 * codec_scale_row() has them.
 * changed: [round_groups()], each is set to whether a value of the group is not what it was. Returns the first column whose value
 * cannot be encoded (NaN, infinite, beyond ROUND_MOST): then the rest holds nothing of use. Returns cols if there is
 * none. */
size_t round_row(const struct round_job *j, const float *x, size_t cols, uint8_t *codes,
	uint8_t *scales, uint8_t *changed);

/* Decodes a row of MXFP4, FP8 or FP8_F32 to FP32, quicker than quant/codec.h: the numbers are the same, rounded to nearest
 * where FP32 has not those. scales: those of the row's blocks, from column 0; of MXFP4 cols is a multiple of a block. */
void round_source(enum codec from, const uint8_t *codes, const uint8_t *scales, size_t cols,
	float *x);

#ifdef __cplusplus
}
#endif
#endif
