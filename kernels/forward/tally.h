/* tally.h -- a device that counts the memory of a forward pass, so that what a pass will need comes from the pass
 * itself: the same code runs on it, allocates, and gives back, while nothing is computed, read or held.
 *
 * Its memory is handles that nobody may look into. Counted are memory of the device and ordinary memory of the pass
 * (host_get), what readers of weights hold, and what the device of which it is the double would keep for linears.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_FORWARD_TALLY_H
#define KERNELS_FORWARD_TALLY_H
#include "kernels/dev.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tally {
	struct dev dev; /* to run on; its ctx is this struct */
	struct dev *of; /* borrows: the device that will compute */
	uint64_t held;  /* bytes now */
	uint64_t peak;  /* at most so far */
	uint64_t room;  /* that the device keeps for itself, at most so far */
};

/* Nothing is to be closed. *t may not be moved while it is in use. */
void tally_open(struct tally *t, struct dev *of);

#ifdef __cplusplus
}
#endif
#endif
