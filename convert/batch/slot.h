/* slot.h -- which task of a job this process is: said by --task, or read from the environment that a scheduler sets.
 *
 * A row of slot_rows is a scheduler: the variables that hold the index and the number of tasks, and how the index counts
 * from 0. The first row that is set decides, and every other one that is set must say the same: a process that
 * two schedulers number differently is refused.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_BATCH_SLOT_H
#define CONVERT_BATCH_SLOT_H
#include "core/err.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct slot {
	uint64_t index, count; /* from 0; count 0: nobody says how many tasks there are */
	char from
		[160]; /* what said so, such as "SLURM_ARRAY_TASK_ID 3 of SLURM_ARRAY_TASK_COUNT 8" */
};

/* Looks up a variable; as getenv, which tests replace. */
typedef const char *slot_env(const char *name);

/* task is the value of --task (NULL: not said), launcher that of --launcher (NULL: not said). Returns -1 with job.index
 * where that is no index, where nothing says one, or where two things say different ones. */
int slot_find(struct slot *s, const char *task, const char *launcher, slot_env *env, struct err *e);
/* Refuses a slot that does not belong to a job of count tasks (job.index). */
int slot_hold(const struct slot *s, uint64_t count, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
