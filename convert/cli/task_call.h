/* task_call.h -- the verbs of jobs that several processes do: plan --job, run JOB, status, finalize.
 *
 * A job folder keeps the options of its plan as words; run JOB and finalize parse them again with the table of plan, so
 * that whatever plan takes is kept without being listed a second time.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_CLI_TASK_CALL_H
#define CONVERT_CLI_TASK_CALL_H
#include "convert/batch/slot.h"
#include "convert/cli/call.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The program whose verbs these are. */
struct task_tool {
	const struct cli_tool *cli;
	const struct call_tool *run;
	/* Checks the options of a call of run and turns them into *jo. */
	int (*settle)(const struct call *o, struct job_opts *jo, struct err *e);
	slot_env *env; /* getenv: libraries do not read the environment */
};

/* plan with --job: opens dir, makes the job folder and prints the plan. */
int task_call_plan(const struct call *o, const char *dir, const struct task_tool *tool,
	struct err *e);
/* Whether run, called with o for dir, is a task of a job. */
bool task_call_is(const struct call *o, const char *dir);
int task_call_run(const struct call *o, const char *dir, const struct task_tool *tool,
	struct err *e);
int task_call_finalize(const struct call *o, const char *dir, const struct task_tool *tool,
	struct err *e);
/* The verb status (struct cli_cmd): opts is a struct call, args[0] the job folder. It reads files of that and of OUT only. */
int task_call_status(void *opts, int n, char **args, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
