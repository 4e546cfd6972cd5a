/* proof.h -- a run that goes on although somebody touched the source: by comparing what was made with it once more.
 *
 * A new mode, owner, link or time of a shard cannot be told from bytes that were changed and a time that was put back
 * (formats/model/changed.h). The source is then opened anew: its headers must lead to the same plan, and every file that
 * was made is made once more in memory and must have the same bytes. If so, what is published was made of the source
 * as it is. That costs as much reading as the run did, and only where something was touched.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_RUN_PROOF_H
#define CONVERT_RUN_PROOF_H
#include "convert/run/job.h"
#include "convert/run/run.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where the job came from; borrows. */
struct proof_source {
	const struct io *io;
	const char *dir;
	const struct job_opts *o;
};

/* run_conversion of the job, which job_open made of from; *j becomes the job that was opened last, *o what it was run
 * with. What is found changed is ckpt.changed; files that are finished stay for the same call again. A source that
 * is touched all the time is ckpt.touched. */
int proof_run(struct job *j, const struct proof_source *from, struct run_opts *o,
	struct run_result *r, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
