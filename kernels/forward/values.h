/* values.h -- matrices of a conversion that are multiplied as values and not in codes.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_FORWARD_VALUES_H
#define KERNELS_FORWARD_VALUES_H
#include "kernels/forward/weights.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Loads the matrix of weight t, which lies there as c says, to *m, whose rows and columns are set: F32, summed in partials
 * of sum columns. Returns -1, and nothing is held, where it cannot be read, or a value is no finite number. */
int weights_values(struct weights *w, struct weight_matrix *m, const struct tensor *t,
	const struct joined_cast *c, uint32_t sum, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
