/* sums.h -- how far values are from those that they stand for: the sums of which every figure of an atlas is made.
 *
 *	w   a value of the source, exactly       q   the value that lies in the result, exactly
 *
 * All sums are doubles, in an order that depends on the shape of a matrix alone, so that they are the same to the last bit
 * for any number of threads and any processor: columns c, c + 4, c + 8, .. of a row by themselves for c = 0 .. 3, then
 * (0 + 1) + (2 + 3), then row after row of a unit, then unit after unit. A unit is as many whole rows as have at most
 * SUMS_UNIT values, at least one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_ATLAS_SUMS_H
#define VERIFY_ATLAS_SUMS_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SUMS_UNIT = 1 << 18 };

/* Zeroed: of no values. */
struct sums {
	uint64_t n;       /* values */
	uint64_t exact;   /* q == w; zeros of either sign are equal */
	uint64_t flushed; /* q is 0 and w is not */
	uint64_t
		clipped; /* w lies beyond what the block of q can write with its scale, and q is not w */
	uint64_t odd; /* w or q is NaN or infinite: such a pair is in n, and in nothing else here */
	double energy, error, cross, out; /* sums of w^2, (q - w)^2, w q, q^2 */
	double max_abs;                   /* largest |q - w| */
	double weighed_energy,
		weighed_error; /* sums of i w^2 and i (q - w)^2, i being the importance of the column */
};

/* Adds a row of cols values. lo and hi: the bounds beyond which a value is clipped (range.h); NULL: not known, nothing is
 * counted as clipped. weight: importance of columns; NULL: the weighed sums stay. */
void sums_row(struct sums *s, const double *w, const double *q, size_t cols, const double *lo,
	const double *hi, const float *weight);
/* Adds all of b to a. */
void sums_add(struct sums *a, const struct sums *b);

/* Figures; each is NaN where there is nothing to divide by. */
double sums_rms(double error, double energy); /* sqrt(error / energy): relative RMS */
double sums_sqnr(double error,
	double energy); /* 10 log10(energy / error), in dB; NaN too where error is 0 */
double sums_cosine(const struct sums *s); /* at most 1 */

#ifdef __cplusplus
}
#endif
#endif
