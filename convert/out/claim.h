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
 *	files of a finished conversion under other names (owned.h)     refused; with overwrite: removed by who calls
 *
 * .dsv4-plan is written before the first change to the folder and removed before manifest.json
 * appears. While a run works it holds a lock on that file (fcntl), beside the one on the folder (flock):
 * one of the two reaches runs on other machines. Files whose names the plan does not have are refused if
 * they could be taken for a part of the model (formats/conversion/bystander.h), and never removed.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_OUT_CLAIM_H
#define CONVERT_OUT_CLAIM_H
#include "convert/out/owned.h"
#include "convert/plan/plan.h"

#include <pthread.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLAIM_NAME ".dsv4-plan"

struct claim {
	const struct io *io;
	int dir; /* borrows */
	const struct plan *p;
	struct claim *
		above; /* borrows; of a folder whose manifest names this one's, or NULL: taken first */
	pthread_mutex_t
		taking; /* held by claim_take: the claim above is taken from all ranks at once */
	bool fresh;     /* it was new */
	bool listed; /* names of the plan are listed in it, if only such as cannot be looked at: seen late, or just removed */
	bool marked; /* our .dsv4-plan lies there */
	bool taken;  /* this run has made sure of that */
	bool parts;  /* temporary files of a killed run lie there */
	uint64_t
		there; /* bytes that a run need not find room for: finished files, and what it removes */
	int lock; /* owns; our .dsv4-plan, locked; -1: not yet, or the file system has no locks */
	struct stat mark; /* of it */
};

/* Looks into the folder, which path names in messages. old: what --overwrite may replace and remove, NULL: nothing.
 * Changes nothing. */
int claim_look(struct claim *c, const struct plan *p, int dir, const char *path,
	const struct owned *old, struct err *e);
/* Returns whether the plan has a file of that name, or a part of one. */
bool claim_writes(const struct plan *p, const char *name);
/* After claim_look, with the folder locked by the caller: locks our mark if there is one, and removes temporary
 * files of killed runs. Returns -1 with out.locked if another run has the mark. */
int claim_begin(struct claim *c, struct err *e);
/* After claim_look, for processes that work in the folder together and hold no lock. first: for the call before all of
 * them, which marks the folder and removes manifest.json. The others mark a folder that holds nothing, and leave a manifest:
 * each of them may have slept until all was finished, and what they put there are the files that it names. */
int claim_share(struct claim *c, bool first, struct err *e);
/* To be called before every change to the folder: marks it, and removes manifest.json, which would
 * be stale. Does nothing the second time. Threads may call it at once, for claims with one above too. */
int claim_take(struct claim *c, struct err *e);
/* The work is done: removes the mark. An error (out.race) if it is not the one of this run any more. */
int claim_release(struct claim *c, struct err *e);
/* The run failed and nothing of it is left: a folder that was new is as it was. */
void claim_undo(struct claim *c);
/* Lets go of the lock. A zeroed claim is none. */
void claim_end(struct claim *c);

#ifdef __cplusplus
}
#endif
#endif
