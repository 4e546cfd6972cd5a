/* final.h -- the end of a job: every file has its receipt and is what the receipt says; small files and manifests are
 * written, with the bytes that one process would have written.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_BATCH_FINAL_H
#define CONVERT_BATCH_FINAL_H
#include "convert/batch/batch.h"
#include "convert/run/run.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Finishes the job b, which was held to j. Refuses where receipts are missing (job.unfinished), are none of this job
 * (job.receipt), or are contradicted by a file or its sidecar (job.output); nothing is changed then. A file whose size
 * and time are those of its receipt is not read, unless full, which is refused for a job without SHA-256. Called again,
 * it leaves everything as it is. *read: files that were read. The caller frees *r in any case. */
int final_run(struct batch *b, const struct job *j, const struct run_opts *o, bool full,
	size_t *read, struct run_result *r, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
