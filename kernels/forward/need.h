/* need.h -- how much memory a forward pass takes, before it is begun; and how many tokens fit together.
 *
 * Counted are weights (the larger of an attention sub-block and two experts; a band of the head), activations
 * and what the caller keeps, from config and headers alone.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_FORWARD_NEED_H
#define KERNELS_FORWARD_NEED_H
#include "kernels/forward/weights.h"

#ifdef __cplusplus
extern "C" {
#endif

struct need {
	uint64_t limit;  /* bytes; 0: none */
	unsigned models; /* run in step: 1 or 2 */
	uint32_t n;      /* tokens */
	/* found: */
	uint32_t block; /* tokens together */
	uint64_t bytes; /* that it will take */
	uint64_t
		spare; /* for buffers of logits and steps kept: an eighth of the limit, at most 256 MiB */
};

/* Chooses block, 256 at most; ERR_USAGE with the least that is needed where nothing fits. */
int need_find(struct need *x, const struct weights *w, unsigned threads, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
