/* order.h -- matrices whose sums are taken in the order of another number format than the one they lie in, so that two
 * forms of one model can be held against each other bit by bit.
 *
 * The order is how many columns a partial sum has (docs/numbers.md): 32 or 128.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_FORWARD_ORDER_H
#define KERNELS_FORWARD_ORDER_H
#include "kernels/forward/weights.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whether w must be made another matrix to be summed in partials of sum columns: its scales change inside of one. */
bool order_remakes(const struct weight *w, uint32_t sum);
/* Makes m, a matrix whose codes and scales are own[0] and own[1] in ordinary memory (weights_take), one that can be
 * summed in partials of sum columns: FP4 becomes the FP8 that it is exactly, other types the BF16 values that they are
 * exactly. One that would change stays as it is, with its own order: it then shows. n are the bytes of both, before and
 * after. */
int order_remake(struct weights *w, struct weight_matrix *m, uint32_t sum, uint64_t n[2],
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
