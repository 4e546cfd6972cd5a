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
	uint64_t n, equal; /* values; of these numbers with the same bits; NaN is no number */
	uint64_t first;    /* index of the first that differs, or n */
	float is, was;     /* its values */
	double diff, norm; /* sums of squares of is - was, and of was */
	double max;        /* absolute */
	bool nan;          /* a value of is or of was is NaN */
};
/* Adds n values to what was measured so far. */
void measure_add(struct measure *m, const float *is, const float *was, uint64_t n);
double measure_rel(const struct measure *m);   /* relative L2; infinity with NaN */
double measure_equal(const struct measure *m); /* part with the same bits; 1 of nothing */

/* Row by row of vocab logits: was is what is compared with. */
struct opinion {
	uint64_t rows, top1; /* rows with the same first token */
	double kl, kl_max;   /* sum and largest of KL(was || is), nats */
	double topk, top5;   /* sums of the part of the 10 and of the 5 best that both have */
	float *each; /* NULL, or room for KL of every row to come, which is put behind those of the rows before */
	const uint32_t *next;   /* NULL, or the tokens that follow the rows to come; borrows */
	uint64_t n_next;        /* so many are known */
	uint64_t predicted;     /* rows whose next token was known */
	double nll_is, nll_was; /* sums of -log of what both say of it, nats */
};
/* rows more. next and n_next are stepped on. */
void opinion_add(struct opinion *o, const float *is, const float *was, uint32_t rows,
	uint32_t vocab);

#ifdef __cplusplus
}
#endif
#endif
