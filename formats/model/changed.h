/* changed.h -- whether what was read of a checkpoint is what it was when it was opened.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_CHANGED_H
#define FORMATS_MODEL_CHANGED_H
#include "formats/model/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Holds every shard, config.json and the index to what they were when they were opened. Returns -1 where
 *
 *	ckpt.changed    a file has another size, is another file, or is gone: the source is to blame
 *	ckpt.touched    nothing but a time is another: it may have been written to, or have got another mode or owner
 *
 * and the first of these if both are found. A file that only got or lost a name is the same. Whether a file that was
 * touched has the bytes that it had, only reading it once more can tell (convert/run/proof.h). */
int ckpt_unchanged(const struct ckpt *c, struct err *e);

/* The same for the file name, which was st when it was looked at. */
int ckpt_file_unchanged(const struct ckpt *c, const char *name, const struct stat *st,
	struct err *e);

/* Returns whether e says ckpt.touched. */
bool ckpt_touched(const struct err *e);

#ifdef __cplusplus
}
#endif
#endif
