/* atlas_file.h -- an atlas as lines of JSON (docs/schema/atlas.json, docs/quant.md).
 *
 *	{"format": FORMAT_ATLAS, "made_by": .., "tensors": N, "imatrix_sha256": HEX or null, "source_xxh3_128": .., "out_xxh3_128": .., "files_xxh3_128": .. or null}
 *	{"tensor": .., .., "energy": .., "error": .., ..}    N lines, by name
 *	{"rollup": "role" or "block" or "all", "name": .., ..}
 *	{"lines": how many before this one, "xxh3_128": HEX}    the digest of all bytes before this line
 *
 * First and last line are those of formats/conversion/atlas_head.h. What is written depends on the values of the two folders and on the importance alone: paths, times and threads are not in
 * it. Numbers are written so that they are read back as they were.
 *
 * The reader is for files of others. It takes what the last line's digest holds, and of that the sums alone: figures that
 * follow from them, and roll-ups, are made anew.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_ATLAS_ATLAS_FILE_H
#define VERIFY_ATLAS_ATLAS_FILE_H
#include "core/dest.h"
#include "core/text.h"
#include "verify/atlas/atlas.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The kind of file that may be replaced. */
extern const struct dest_kind atlas_kind;

/* Appends the whole file to out. */
int atlas_put(const struct atlas *a, const char *made_by, struct text *out, struct err *e);
/* Reads the file at path into *a, which is zeroed. Returns -1 with rule atlas.file where it is none, or not as it was
 * written; *a is then to be freed all the same. */
int atlas_read(struct atlas *a, const struct io *io, const char *path, struct err *e);
/* Returns whether path is a regular file that begins as JSON does: it is meant as an atlas, whatever is wrong with it. */
bool atlas_is_file(const struct io *io, const char *path);

#ifdef __cplusplus
}
#endif
#endif
