/* source_id.h -- what makes the source of a job what it is, as one digest: each task and finalize compare it with that of
 * the plan.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_BATCH_SOURCE_ID_H
#define CONVERT_BATCH_SOURCE_ID_H
#include "convert/run/job.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Fills id with a digest, in hex, over names and sizes of the shards of j, and their published digests, or, where there
 * are none, the times at which they were written. Returns -1 without memory. */
int source_id(const struct job *j, char id[65], struct err *e);

#ifdef __cplusplus
}
#endif
#endif
