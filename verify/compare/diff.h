/* diff.h -- what two checkpoints, converted folders or sets have in common, and in what they differ.
 *
 * Tensors only here or there, of another type or shape, with other bytes; of those how many values differ
 * and by how much, and sums by role. Where both have digests that are equal, nothing is read. Values are
 * those of the stored codes: scales are tensors of their own and not multiplied in.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_DIFF_H
#define VERIFY_COMPARE_DIFF_H
#include "core/progress.h"
#include "verify/compare/tensors.h"

#ifdef __cplusplus
extern "C" {
#endif

struct diff_opts {
	struct tensors_opts open;
	unsigned threads;
	struct progress *(*started)(uint64_t bytes); /* may be NULL */
};

/* A difference is a finding that makes the verdict false. -1 only where nothing can be said. */
int diff_run(struct report *r, const char *a, const char *b, const struct diff_opts *o,
	struct err *e);

/* How two runs of n bytes of values differ; adds up. */
struct diff_sum {
	uint64_t values, changed, odd; /* odd: NaN or infinity on one side only */
	double max_abs, max_rel;
	uint64_t at; /* the value with the largest difference */
};
/* first: number of the first value. False where the type has no values to compare. */
bool diff_values(struct diff_sum *s, unsigned dtype, const uint8_t *a, const uint8_t *b, size_t n,
	uint64_t first);

#ifdef __cplusplus
}
#endif
#endif
