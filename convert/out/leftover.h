/* leftover.h -- what a killed run --follow has left in OUT: files that it made beside OUT, in OUT/.dsv4-work/follow-HASH.
 *
 * Only the same run --follow goes on with them, and only as long as OUT has no file of a conversion under its final name. So a
 * run that begins to write there removes them first: their room is its room.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_OUT_LEFTOVER_H
#define CONVERT_OUT_LEFTOVER_H
#include "core/io.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define STAGE_DIR ".dsv4-work" /* in OUT: where files are made that get their place by one rename */
#define STAGE_FOLLOW "follow-" /* what the names of folders of run --follow begin with */
/* Folders in one another below STAGE_DIR, at most: HASH, pp-S-of-P, rank-R-of-N, and what lies in that. */
enum { STAGE_DEPTH = 4 };

/* Removes the folder of that name in the open folder dir, and what is in it to that depth, as far as that goes. It follows no
 * link. */
void leftover_remove_tree(const struct io *io, int dir, const char *name, unsigned depth);
/* Returns how many bytes of the disk lie in the folders of run --follow below the open folder out. */
uint64_t leftover_bytes(const struct io *io, int out);
/* The same of the folder at path, which need not be there. */
uint64_t leftover_bytes_at(const struct io *io, const char *path);
/* Removes these folders; the caller holds the lock on out. What cannot be removed stays. */
void leftover_sweep(const struct io *io, int out);

#ifdef __cplusplus
}
#endif
#endif
