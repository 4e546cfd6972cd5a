/* outdir.h -- the folder a run writes to: made, locked, and known to hold nothing foreign.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_OUTDIR_H
#define CONVERT_OUTDIR_H
#include "convert/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

struct outdir {
	const struct io *io;
	int fd; /* owns; holds the lock */
};

/* Refuses a folder that is the input, lies in it or holds it; one that another run has locked; one
 * with files that this plan does not write. Makes path, and its parents, where they are missing. */
int outdir_open(struct outdir *o, const struct plan *p, const char *path, struct err *e);
void outdir_close(struct outdir *o);
/* An error if the file system has not room for bytes. */
int outdir_room(const struct outdir *o, uint64_t bytes, struct err *e);

/* Free bytes where path lies or would lie; false if that cannot be told. */
bool outdir_free(const struct io *io, const char *path, uint64_t *bytes);

#ifdef __cplusplus
}
#endif
#endif
