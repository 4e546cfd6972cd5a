/* linear.h -- outputs of a linear for a range of its rows, in the quickest way that a processor has; and
 * rows of weights read in the layout they lie in.
 *
 * Not the meaning: that is ref_linear.c, element by element through the address functions, and every way
 * here gives its bits (docs/numbers.md; tests/test_linear.c compares them). The one idea: scales are
 * powers of two, so x * s_x and w * s_w are exact, and a linear of any type is a dot product of floats
 * in 32 lanes (with a fresh partial for each weight_sum() columns). A row whose codes or scales make that untrue
 * (NaN, a scale far out, one that is no power of two) is computed as the formula stands.
 *
 * A call computes rows first .. first + n for all tokens, alone and without memory of its own, so threads
 * take ranges of rows; the bits do not depend on how the rows or tokens are divided.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_LINEAR_LINEAR_H
#define KERNELS_LINEAR_LINEAR_H
#include "kernels/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/* linear_q of dev.h has q and s, linear has x. */
struct linear_job {
	const struct weight *w;
	uint32_t tokens;
	const uint8_t *q; /* E4M3 [tokens][cols], or NULL */
	const float *s;   /* their scales [tokens][cols / 128] */
	const float *x;   /* [tokens][ldx], where q is NULL */
	uint64_t ldx;
	bool round; /* y to BF16; with q it always is */
	float *y;   /* [tokens][ldy], from output 0 on */
	uint64_t ldy;
};

struct linear_core; /* the inner loops of a way, linear_core.h */
struct linear_way {
	const char *name;               /* NULL ends the table */
	unsigned needs;                 /* bits of enum cpu_feature */
	const struct linear_core *core; /* NULL: plain C */
};
/* Best first; the last but the end is "plain". */
extern const struct linear_way linear_ways[];
const struct linear_way *linear_best(unsigned features);

/* Bytes of scratch that a call needs, aligned to 64. */
size_t linear_scratch(const struct weight *w, uint32_t tokens);
/* features: of the processor, for reading layouts. */
void linear_run(const struct linear_way *way, const struct linear_job *job, uint32_t first,
	uint32_t n, unsigned features, void *scratch);

/* Rows that are read from pieces together. */
enum { LINEAR_READ = 256 };
/* Reads rows first .. first + n (n <= LINEAR_READ) of a matrix made of pieces: codes and scale bytes as a
 * checkpoint has them, cols / 2 and cols / 32 bytes a row. scratch: linear_read_scratch(w) bytes. */
void linear_read(const struct weight *w, uint32_t first, uint32_t n, unsigned features,
	uint8_t *codes, uint8_t *scales, void *scratch);
size_t linear_read_scratch(const struct weight *w);

#ifdef __cplusplus
}
#endif
#endif
