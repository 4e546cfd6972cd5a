/* job.h -- a source, found sound, and what is to be made of it: one plan, or for an engine a set.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_RUN_JOB_H
#define CONVERT_RUN_JOB_H
#include "formats/folder/folder.h"
#include "formats/model/expected.h"
#include "formats/conversion/joined.h"
#include "convert/plan/placement.h"
#include "convert/plan/planner.h"
#include "convert/run/set.h"

#ifdef __cplusplus
extern "C" {
#endif

struct job_opts {
	struct ckpt_opts ckpt;
	struct plan_opts plan;
	enum expert_form assume;
	const char *placement; /* file, or NULL */
	const char *source_sha256;
	enum use use;      /* what dir is wanted for; USE_RESTORE, USE_RESHARD: a conversion, whose source is read */
	unsigned features; /* bits of enum cpu_feature, for that */
	unsigned threads;
	uint64_t max_memory;
};

struct job {
	struct ckpt c;
	struct joined joined; /* of a conversion: what c reads from */
	bool is_set;
	struct plan p;    /* else */
	struct plan back; /* of p, if it is to have one (opts.plan.back): what restore needs */
	struct set s;     /* is_set */
	struct placement placement;
	struct expected expected;
	bool has_expected;
	size_t unsaid;   /* of a hub's cache: shards whose blobs are not named by their SHA-256; they are not verified */
	struct budget b; /* of the part that needs most */
};

/* Opens dir, refuses what is not sound, plans. */
int job_open(struct job *j, const struct io *io, const char *dir, const struct job_opts *o,
	struct err *e);
void job_close(struct job *j);

#ifdef __cplusplus
}
#endif
#endif
