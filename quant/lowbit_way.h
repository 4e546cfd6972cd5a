/* lowbit_way.h -- what the encoders of quant/lowbit.h and their searches share.
 *
 * A search sees a chunk of 512 values: two blocks of 256, or 16 of 32. It runs on LANES sub-blocks at a time, each in a lane
 * of a vector, so that the sums of a sub-block run in the order of its values whatever the width of a vector is. The plain
 * way has one lane: it is the meaning.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_LOWBIT_WAY_H
#define QUANT_LOWBIT_WAY_H
#include "quant/ggml_lowbit.h"
#include "quant/round_way.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
	LOWBIT_BLOCK = 256, /* values of a block that has scales of its sub-blocks */
	LOWBIT_CHUNK = 512,
	LOWBIT_SUBS = 32 /* sub-blocks of a chunk, at most */
};

/* The searches. */
enum lowbit_step {
	LOWBIT_NONE,
	LOWBIT_Q2_K,
	LOWBIT_Q3_K,
	LOWBIT_Q4_K,
	LOWBIT_Q5_K,
	LOWBIT_Q6_K,
	LOWBIT_IQ2_XXS,
	LOWBIT_IQ3_XXS,
	LOWBIT_IQ4_NL,
	LOWBIT_STEPS
};

struct lowbit_chunk {
	float x[LOWBIT_CHUNK], w[LOWBIT_CHUNK]; /* values, and their weights, which are at most 2 */
	uint8_t q[LOWBIT_CHUNK]; /* codes as they are stored, before they are packed */
	int16_t scale[LOWBIT_SUBS], min[LOWBIT_SUBS]; /* whole numbers by sub-block */
	uint16_t d[16], dmin[16];                     /* FP16 by block */
	/* Of types with a codebook: bit i of byte g is set where value 8 g + i is negative. */
	uint8_t signs[LOWBIT_CHUNK / 8];
	bool weighted; /* the caller gave weights */
	bool as_ggml; /* LOWBIT_GGML without weights: IQ4_NL chooses as ggml does, Q3_K searches long */
};

/* What the weights of a block are multiplied by. */
enum lowbit_weighing {
	LOWBIT_ONE,       /* 1 */
	LOWBIT_SIGMA,     /* sqrt(sigma mean(x^2) + x^2), the mean of the block */
	LOWBIT_RMS,       /* sqrt(mean(x^2)) + |x|, the mean of 32 values */
	LOWBIT_MAGNITUDE, /* |x| */
	LOWBIT_SQUARE     /* x^2 */
};

struct lowbit_way {
	const char *name;
	unsigned need; /* bits of enum cpu_feature */
	/* Returns whether one of n values is NaN or its magnitude is above most. */
	bool (*beyond)(const float *x, size_t n, float most);
	/* Multiplies the weights of a block of n values, a multiple of 32, and takes them by a power of two to a largest
	 * between 1 and 2, so that no sum leaves FP32; where all are zero they become 1, before and after. Sums are those of
	 * every sixteenth value, added up. */
	void (*weigh)(enum lowbit_weighing how, float sigma, const float *x, size_t n, float *w);
	/* Blocks of Q8_0. */
	void (*q8_0)(const float *x, size_t blocks, uint8_t *dst);
	/* By enum lowbit_step; no function of LOWBIT_NONE. */
	void (*search[LOWBIT_STEPS])(struct lowbit_chunk *c);
	/* Steps of quant/round.h. n is a multiple of 16. */
	/* Returns the largest magnitude of n values, none of which is NaN. */
	float (*round_largest)(const float *x, size_t n);
	/* Writes the products of n values with a number. */
	void (*round_times)(const float *x, float by, size_t n, float *out);
	/* Writes the BF16 number nearest to `top` over each of sixteen divisors, at least `lowest`. */
	void (*round_divided)(float top, const float *by, float lowest, float *scale);
	/* Writes the numbers whose bits are those of `scale` plus each of sixteen whole numbers, at least `lowest`. */
	void (*round_beside)(float scale, const int *steps, float lowest, float *scales);
	/* Sets the least and the largest level of lanes to those of four bits where code `even` is zero, in lanes 0, 2, ..., and `odd` in
	 * the others. */
	void (*round_zeros)(int even, int odd, struct round_lanes *l);
	/* Sets lanes to the scales that the distance from the least of n values to the largest, zero being one of them, has over each of
	 * sixteen divisors, BF16 numbers that are at least `lowest`; and their least and largest levels to those of the zero
	 * point that compressed-tensors has: the least value over the scale before that is BF16, rounded. */
	void (*round_ranges)(const float *x, size_t n, const float *by, float lowest,
		struct round_lanes *l);
	/* Returns which of the sixteen scales has the least error over n values, the first of several, and writes that error;
	 * w: the weights of the values, NULL: 1. */
	unsigned (*round_best)(const struct round_grid *g, const struct round_lanes *l,
		const float *x, const float *w, size_t n, float *error);
	/* Writes the levels nearest to n values, a multiple of 16, times inverse. */
	void (*round_levels)(const struct round_grid *g, float inverse, const float *x, size_t n,
		float *level);
	/* Writes n levels, whole numbers, plus zero as codes of four bits, two to a byte, the first one low. */
	void (*round_pairs)(const float *level, int zero, size_t n, uint8_t *codes);
};
extern const struct lowbit_way lowbit_plain, lowbit_avx2, lowbit_avx512;

/* --- lowbit_fit.c: what is done once for a block, in plain C whatever the way --- */

/* Sums over a sub-block whose values are y = d scale q - dmin min, each weighted. */
struct lowbit_sums {
	float qq[LOWBIT_SUBS], q[LOWBIT_SUBS], xq[LOWBIT_SUBS], x[LOWBIT_SUBS], one[LOWBIT_SUBS],
		error[LOWBIT_SUBS];
};

/* Returns the one of n numbers whose magnitude is the largest, the first of several; 0 where all are. */
float lowbit_farthest(const float *p, unsigned n);
/* Returns the number of FP16 that is nearest to far, divided by most, times part; the least one of its sign that is not zero where
 * that is zero and far is not. */
float lowbit_first(float far, float most, float part);
/* Returns the sum of n errors. */
double lowbit_total(const float *error, unsigned n);
/* Takes d and dmin, FP16, to the least error for the scales, minimums and codes of n sub-blocks. Returns whether one of them
 * changed. */
bool lowbit_refit(const struct lowbit_sums *s, unsigned at, unsigned n, const float *scale,
	const float *min, float *d, float *dmin);
/* Does the same where there are no minimums. */
bool lowbit_refit_scale(const struct lowbit_sums *s, unsigned at, unsigned n, const float *scale,
	float *d);

/* Of types with a codebook: writes the signs of 32 values whose entries are given. They are those of x, but an even number in each
 * 8 of them: where theirs is odd the one that costs least is turned. */
void lowbit_grid_signs(const struct ggml_grid *g, const float *x, const float *w,
	const uint8_t *entry, uint8_t *signs);
/* Writes the weighted sums of x y and of y^2 over 32 values, y being the signed levels. */
void lowbit_grid_sums(const struct ggml_grid *g, const float *x, const float *w,
	const uint8_t *entry, const uint8_t *signs, float *xq, float *qq);

#ifdef __cplusplus
}
#endif
#endif
