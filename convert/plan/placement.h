/* placement.h -- which routed experts lie on which rank: the same number each in order of their ids, or
 * as a file says, in which an expert may have several places.
 *
 *	{"layers.3": [[0, 1, 5], [2, 3, 4, 5]], "mtp.0": [...], "*": [...]}
 *
 * A list of ids for each rank; "*" is for blocks that are not named, but for drafts that have another
 * number of experts than layers. Every expert needs a place.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_PLAN_PLACEMENT_H
#define CONVERT_PLAN_PLACEMENT_H
#include "core/err.h"
#include "core/io.h"

#include <jansson.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct placement {
	json_t *doc;                            /* owns */
	uint64_t ranks, experts, stage_experts; /* experts of a layer, of a draft */
};

/* Reads and checks the file at path (any path the user typed). */
int placement_read(struct placement *p, const struct io *io, const char *path, uint64_t ranks,
	uint64_t experts, uint64_t stage_experts, struct err *e);
void placement_free(struct placement *p);

/* The ids of a rank in a block ("layers.N", "mtp.N"), ascending, to ids[experts]; their number.
 * p NULL: the same number each. -1 where the file says
 * nothing of the block. */
long placement_ids(const struct placement *p, const char *block, uint64_t rank, uint64_t ranks,
	uint64_t experts, uint32_t *ids, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
