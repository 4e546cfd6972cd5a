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

/* Fills id with a digest, in hex, over
 *
 *	shards           name and size, and the published digest, or, where there is none, the time at which it was written,
 *	                 or, on a file system that stores none, the word timeless
 *	a conversion     digests that its sidecars have of the source, in place of times
 *	--experts-from   name, size and time of each file of that folder too
 *
 * Returns -1 without memory. */
int source_id(const struct job *j, char id[65], struct err *e);
/* Returns what that digest of j is over, in words for people; a constant. */
const char *source_id_words(const struct job *j);

#ifdef __cplusplus
}
#endif
#endif
