/* measure.h -- how far two arrays of numbers are apart, and what two sets of logits say of the next token.
 *
 * Sums in double, in the order of the arrays: figures, not part of any arithmetic that must be reproduced.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_RUN_MEASURE_H
#define VERIFY_RUN_MEASURE_H
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct measure {
	uint64_t n, equal; /* values; of these with the same bits */
	uint64_t first;    /* index of the first that differs, or n */
	float is, was;     /* its values */
	double diff, norm; /* sums of squares of is - was, and of was */
	double max;        /* absolute */
	bool nan;          /* one of is where was has none, or the other way */
};
/* Adds n values to what was measured so far. */
void measure_add(struct measure *m, const float *is, const float *was, uint64_t n);
double measure_rel(const struct measure *m);   /* relative L2; infinity with NaN */
double measure_equal(const struct measure *m); /* part with the same bits; 1 of nothing */

/* Row by row of vocab logits: was is what is compared with. */
struct opinion {
	uint64_t rows, top1; /* rows with the same first token */
	double kl, kl_max;   /* sum and largest of KL(was || is), nats */
	double topk;         /* sum of the part of the 10 best that both have */
};
void opinion_add(struct opinion *o, const float *is, const float *was, uint32_t rows,
	uint32_t vocab);

#ifdef __cplusplus
}
#endif
#endif
