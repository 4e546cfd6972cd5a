/* known.h -- a file of weights that another process has made: what a manifest says of it, taken from its sidecar.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_OUT_KNOWN_H
#define CONVERT_OUT_KNOWN_H
#include "convert/out/publish.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What somebody says of a file. */
struct known {
	uint64_t side_bytes;
	uint8_t sha256[32],
		side_sha256[32]; /* of the file, if the plan has it computed; of its sidecar */
};

/* Takes file i for one that was kept. Its sidecar must have the size and the digest that are said, be of this plan and
 * this tool, and list the tensors of the plan; the file must have the size that the plan says. Its payload is not read.
 * Returns -1 with a rule where something is otherwise. */
int known_take(struct publisher *u, size_t i, const struct known *k, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
