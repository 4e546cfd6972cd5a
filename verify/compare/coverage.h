/* coverage.h -- which parts of which source tensors were used, and whether they make the whole.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_COVERAGE_H
#define VERIFY_COMPARE_COVERAGE_H
#include "formats/model/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

struct coverage_part {
	uint32_t tensor;
	uint64_t row, rows, col, cols; /* cols: bytes of a row */
};

/* Zeroed = none. */
struct coverage {
	struct coverage_part *v; /* owns */
	size_t n, cap;
};
int coverage_add(struct coverage *c, const struct coverage_part *p, struct err *e);
/* After the last was added. */
void coverage_sort(struct coverage *c);

enum covered { COVERED_NOT, COVERED_PARTLY, COVERED_WHOLE };
/* Whether the parts of tensor i lie side by side by rows or by columns, from end to end. */
enum covered coverage_of(const struct coverage *c, const struct ckpt *k, uint32_t i);
void coverage_free(struct coverage *c);

#ifdef __cplusplus
}
#endif
#endif
