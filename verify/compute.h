/* compute.h -- what the verbs that run the model share: the device, the folder, the tokens.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPUTE_H
#define VERIFY_COMPUTE_H
#include "verify/replay.h"

#ifdef __cplusplus
extern "C" {
#endif

struct compute_opts {
	const struct io *io;
	const char *device; /* "cpu" */
	unsigned features, threads;
	double max_rel;
	uint32_t block;
};

int compute_device(struct dev *d, const struct compute_opts *o, struct err *e);

/* dsv4-verify replay CKPT REC. */
int compute_replay(struct report *rep, const char *folder, const char *record,
	const struct compute_opts *o, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
