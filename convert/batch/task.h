/* task.h -- one task of a job: makes the files that are its share, and, if that is asked for, those that nobody else makes.
 *
 *	take the lease of the task --> list what is not done --> make it, file by file --> a receipt for each
 *	                                     ^                            |
 *	                                     +-- others may have failed <-+
 *
 * A task ends when every file of its share has a receipt, whoever made it. With steal it also makes files of other tasks
 * that have no lease, or one that is stale; it does not wait for those that others are at.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_BATCH_TASK_H
#define CONVERT_BATCH_TASK_H
#include "convert/batch/batch.h"
#include "convert/run/run_opts.h"

#ifdef __cplusplus
extern "C" {
#endif

struct task_opts {
	uint32_t index;
	bool steal;
	const struct run_opts *run; /* borrows; out, overwrite and units are the task's */
	/* A sentence for who watches, such as that it waits for another process. May be NULL. */
	void (*note)(const char *s);
};

struct task_result {
	bool *made;            /* owns; [b->n]: by this process */
	uint8_t (*sha256)[32]; /* owns; [b->n]; of those */
	size_t n_made, n_stolen, n_share,
		n_done; /* files: made here; of them those of other tasks; of the share; of it done */
	uint64_t bytes; /* made here */
};

/* Does the task of b, which was held to j. Returns 0 when its share is done; -1 with job.running or job.stopped, or what
 * making a file said. In all cases *r says what was done, and the caller frees it. */
int task_run(struct batch *b, const struct job *j, const struct task_opts *o, struct task_result *r,
	struct err *e);
void task_result_free(struct task_result *r);

#ifdef __cplusplus
}
#endif
#endif
