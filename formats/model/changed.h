/* changed.h -- whether what was read of a checkpoint is what it was when it was opened.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_CHANGED_H
#define FORMATS_MODEL_CHANGED_H
#include "formats/model/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An error (ckpt.changed) if size, times or identity of a shard, of config.json or of the index differ from when it
 * was opened. A file that only got or lost a name is the same. The source is to blame. */
int ckpt_unchanged(const struct ckpt *c, struct err *e);

/* The same for the file name, which was st when it was looked at. */
int ckpt_file_unchanged(const struct ckpt *c, const char *name, const struct stat *st,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
