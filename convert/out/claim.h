/* claim.h -- whose an output folder is, so that nothing is replaced that another conversion, or no
 * conversion at all, has put there.
 *
 *	found in the folder                                           it is
 *	nothing, or temporary files                                   new
 *	.dsv4-plan with this plan's hash (a run was broken off)       ours
 *	manifest.json of this plan (finished, perhaps damaged since)  ours
 *	weights, each with a sidecar of this plan                     ours
 *	small files of a plan that has no weights (a set's source/)   ours
 *	anything else                                                 refused; with overwrite: ours
 *
 * .dsv4-plan is written before the first change to the folder and removed before manifest.json
 * appears. Files whose names the plan does not have are refused in any case: they are never removed.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_OUT_CLAIM_H
#define CONVERT_OUT_CLAIM_H
#include "convert/plan/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CLAIM_NAME ".dsv4-plan"

struct claim {
	const struct io *io;
	int dir; /* borrows */
	const struct plan *p;
	bool fresh;  /* it was new */
	bool marked; /* our .dsv4-plan lies there */
	bool taken;  /* this run has made sure of that */
};

/* Looks into the folder, which path names in messages. Changes nothing. */
int claim_look(struct claim *c, const struct plan *p, int dir, const char *path, bool overwrite,
	struct err *e);
/* To be called before every change to the folder: marks it, and removes manifest.json, which would
 * be stale. Does nothing the second time. The caller's lock is held. */
int claim_take(struct claim *c, struct err *e);
/* The work is done: removes the mark. */
int claim_release(struct claim *c, struct err *e);
/* The run failed and nothing of it is left: a folder that was new is as it was. */
void claim_undo(struct claim *c);

#ifdef __cplusplus
}
#endif
#endif
