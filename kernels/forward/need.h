/* need.h -- how much memory a forward pass takes, before it is begun; and how many tokens fit together.
 *
 * The pass itself is run on a device that counts (tally.h): one layer of each kind, the head, and an MTP block
 * where it will be computed. What the caller holds beside it, and what was read when the models were opened, is
 * added.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_FORWARD_NEED_H
#define KERNELS_FORWARD_NEED_H
#include "kernels/forward/weights.h"

#ifdef __cplusplus
extern "C" {
#endif

struct need {
	uint64_t limit; /* bytes; 0: none */
	struct weights *
		models[2]; /* that run in step, each with activations of its own; [1] may be NULL */
	uint32_t n;        /* tokens */
	bool mtp;          /* the first MTP block is computed too */
	bool steps;        /* results of the steps of a sub-block are kept (spare bounds them) */
	uint64_t logits;   /* bytes of logits for each token that the caller holds */
	uint64_t beside;   /* bytes that the caller holds beside */
	/* found: */
	uint32_t block; /* tokens taken together */
	uint64_t
		spare; /* bytes for logits at once, or for steps: an eighth of the limit, at most 256 MiB */
	uint64_t bytes; /* of all that the process will hold */
};

/* Chooses block, 256 at most. Returns -1 (ERR_USAGE, with what is needed at least) where nothing fits. */
int need_find(struct need *x, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
