/* outdir.h -- the folder a run writes to: made, locked, and known to be ours.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_OUT_OUTDIR_H
#define CONVERT_OUT_OUTDIR_H
#include "convert/out/claim.h"
#include "convert/plan/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

struct outdir {
	const struct io *io;
	int fd; /* owns; holds the lock */
	struct claim claim;
};

/* In all of these old is what --overwrite may replace (owned.h), NULL: nothing.
 * Refuses a folder that is the input, lies in it or holds it; one that another run has locked; one
 * with files that are not this plan's (claim.h). Makes path, and its parents, where they are missing. */
int outdir_open(struct outdir *o, const struct plan *p, const char *path, const struct owned *old,
	struct err *e);
/* The same for a folder of folders: what is in it is the caller's matter. */
int outdir_open_any(struct outdir *o, const struct plan *p, const char *path, struct err *e);
/* A folder below one that outdir_open or outdir_open_any has opened; below is a path of one or more components.
 * Makes what is missing. No component may be a link (out.link). Where top was claimed for a plan, its manifest,
 * which names the one of this folder, is removed before this folder changes; top must then outlive o. */
int outdir_open_below(struct outdir *o, struct outdir *top, const struct plan *p, const char *below,
	const struct owned *old, struct err *e);
/* The same for several processes at once, none of which locks the folder or removes temporary files in it: makes path,
 * looks, and marks the folder (claim_share). It is closed on return. below: "" or the path of a folder below path. */
int outdir_share(const struct plan *p, const char *path, const char *below, bool first,
	struct err *e);
/* An error if path is the input, lies in it or holds it. */
int outdir_nested(const struct plan *p, const char *path, struct err *e);
/* An error if path is the folder base, from which a run takes files, lies in it or holds it, or base is no folder. */
int outdir_apart(const struct io *io, const char *path, const char *base, struct err *e);
/* An error (reclaim.kept) if the open folder, which path names, has the list of run --reclaim: it may hold the only copy of what was
 * freed. */
int outdir_only_copy(const struct io *io, int dir, const char *path, struct err *e);
/* An error if path is the folder dir or lies in it; what says what dir is. dir must be there. */
int outdir_outside(const struct io *io, const char *path, const char *dir, const char *what,
	struct err *e);
void outdir_close(struct outdir *o);
/* Refuses what outdir_open (below being "") or outdir_open_below would, as far as that can be seen without
 * changing or locking anything. *there: bytes of the plan that need no free space, since its files are there or
 * what a run removes gives that much back. */
int outdir_look(const struct plan *p, const char *path, const char *below, const struct owned *old,
	uint64_t *there, struct err *e);
/* Bytes that a run into the folder needs free space for. */
uint64_t outdir_missing(const struct outdir *o);
/* An error (out.no-space) if the file system says that it has not room for bytes; none if it says nothing. */
int outdir_room(const struct outdir *o, uint64_t bytes, struct err *e);

/* Whether path lies, or would lie, on the file system of the source of p; false too if that cannot be told. */
bool outdir_beside(const struct plan *p, const char *path);
/* Free bytes where path lies or would lie; false if that cannot be told. */
bool outdir_free(const struct io *io, const char *path, uint64_t *bytes);

#ifdef __cplusplus
}
#endif
#endif
