/* stage.h -- where a task makes files, and how they get from there into OUT.
 *
 *	OUT/.dsv4-work/I.G/    folder of the G-th process that does task I: an output folder like any other
 *	OUT/.dsv4-work/I.G.K/  of another one that believes it is the G-th
 *	OUT/.dsv4-work/follow-HASH/  of run --follow (convert/follow/making.h), which holds the lock on OUT
 *
 * It is on the file system of OUT, so that one rename puts a file in place. Whatever another process has put there before
 * has the same bytes, or is wrong, and is replaced.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_BATCH_STAGE_H
#define CONVERT_BATCH_STAGE_H
#include "convert/batch/batch.h"
#include "convert/out/leftover.h"
#include "convert/out/publish.h"

#ifdef __cplusplus
extern "C" {
#endif

struct stage {
	const struct io *io;
	int out;         /* owns; OUT; -1: not open */
	char name[80];   /* of the folder, below OUT */
	char path[4300]; /* the same with OUT in front */
};

/* Makes OUT and its folders ready for the files of the conversion, for several processes at once (outdir.h). first: for the
 * plan, before any of them. */
int stage_share(const struct conversion *c, const char *out, bool first, struct err *e);
/* Opens OUT, removes what earlier processes of the task have left there, and makes a folder for this one. After -1 *s is
 * none. */
int stage_open(struct stage *s, const struct io *io, const char *out, uint32_t task,
	uint32_t number, struct err *e);
/* Whether the folder was removed: by who has taken the task over, or by finalize. */
bool stage_is_gone(const struct stage *s);
/* Moves file o, and what belongs to it, from the folder into its place below dir ("" is OUT). */
int stage_move(const struct stage *s, const char *dir, const char *name, const struct output *o,
	struct err *e);
/* Removes the folder; a zeroed stage is none. all: also those of all other processes. What cannot be removed stays. */
void stage_close(struct stage *s, bool all);

#ifdef __cplusplus
}
#endif
#endif
