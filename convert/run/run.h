/* run.h -- executes a plan: makes, digests and writes all files, several at a time on each thread.
 *
 * The bytes written depend on the plan alone, not on threads or memory.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_RUN_RUN_H
#define CONVERT_RUN_RUN_H
#include "convert/out/outdir.h"
#include "convert/run/budget.h"
#include "formats/model/expected.h"
#include "convert/plan/plan.h"
#include "core/progress.h"

#include <signal.h>

#ifdef __cplusplus
extern "C" {
#endif

struct run_opts {
	const char *out;    /* folder */
	struct outdir *top; /* NULL, or the open folder that below, and not out, is a path from */
	const char *below;
	bool overwrite;   /* also a folder that another plan has filled */
	const char *tool; /* name and version, for manifests */
	const struct plan *
		back; /* NULL, or of OUT/source: what the way back needs; made before the manifest */
	struct budget budget;
	unsigned features;                 /* bits of enum cpu_feature */
	const struct expected *expected;   /* NULL: the source is taken as it is */
	bool source_checked;               /* it was found to be as expected by another run */
	struct progress *progress;         /* NULL: nobody watches */
	const volatile sig_atomic_t *stop; /* not 0: give up; NULL: never */
};

struct run_result {
	size_t made, kept;        /* files */
	uint64_t written;         /* bytes of the files made */
	uint64_t blocks, inexact; /* cast */
	uint64_t scales[3];       /* of experts laid out: scale bytes 0, above 247, above 249 */
	uint8_t (*sha256)[32];    /* owns; of each file of the plan, if that computes it */
};

/* What a source that is found false has produced is removed; what was finished before any other
 * failure stays for the next run. */
int run_plan(const struct plan *p, const struct run_opts *o, struct run_result *r, struct err *e);

void run_result_free(struct run_result *r);

/* Bytes that pass through a run, for its progress: outputs, and shards if they are digested. */
uint64_t run_work(const struct plan *p, const struct run_opts *o);

#ifdef __cplusplus
}
#endif
#endif
