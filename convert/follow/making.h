/* making.h -- the files of a conversion that is followed: which of them can be made, and making them beside OUT.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_FOLLOW_MAKING_H
#define CONVERT_FOLLOW_MAKING_H
#include "convert/batch/stage.h"
#include "convert/follow/arriving.h"
#include "convert/follow/follow_opts.h"
#include "convert/run/run.h"

#ifdef __cplusplus
extern "C" {
#endif

struct making {
	const struct follow_opts *o; /* borrows */
	char hash[65];               /* of the files that are made; "": no plan was made yet */
	size_t n;                    /* files */
	bool *made;                  /* owns; [n]; folder by folder, in the order of the plans */
	bool *wanted;                /* owns; [n]; by the round that is on */
	uint8_t (*sha256)[32];       /* owns; [n]; of those that are made */
	size_t *first;               /* owns; [folders + 1]: number of the first file of each */
	size_t n_made;
	uint64_t bytes;     /* of those */
	struct outdir top;  /* OUT, locked; io NULL: not open */
	struct stage stage; /* where they are; out -1: not open */
};

/* The SHA-256 of all that decides the bytes of the files of c, in hexadecimal. The hash of a plan covers more: sizes of
 * shards and names of small files, which are known at the end only. */
int making_hash(const struct conversion *c, char hex[65], struct err *e);
/* Takes the plan of j. *same: it makes the same files as the one before, or is the first. Where it is not, what was made is
 * forgotten. */
int making_plan(struct making *m, const struct job *j, bool *same, struct err *e);
/* Returns how many files of c are made of all shards, so that they can be made at the end only. */
size_t making_needs_all(const struct conversion *c);
/* Makes the files of j, whose plan was taken, that are not made and whose shards are all verified. The hashes of j's folders
 * become the one of m. */
int making_round(struct making *m, struct job *j, const struct arriving *a, struct err *e);
/* All files are made: puts them in place for j, whose hashes are its own, with sidecars that have these; *r says what was done, and
 * the caller frees it, also after -1. */
int making_finish(struct making *m, const struct job *j, struct run_result *r, struct err *e);
void making_free(struct making *m);

#ifdef __cplusplus
}
#endif
#endif
