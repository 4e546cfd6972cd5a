/* blob.h -- files of the Hugging Face hub's cache: a snapshot is a folder of links, and the file that a link leads
 * to is named by its own digest.
 *
 *	snapshots/REVISION/config.json  ->  ../../blobs/HASH
 *	64 digits   the SHA-256 of the file (Git LFS and Xet: shards, large files)
 *	40 digits   the SHA-1 that git gives it: of "blob SIZE", a NUL, and the file (small files)
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_BLOB_H
#define FORMATS_BLOB_H
#include "core/err.h"
#include "core/io.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The HASH in the text of a link of exactly that form, which lies in the snapshot's folder (depth 0) or so many folders
 * below it, with as many more "../"; NULL if it has another form. */
const char *blob_of(const char *link, unsigned depth);
/* Returns whether hash has the 64 digits of a SHA-256. */
bool blob_is_sha256(const char *hash);
/* Reads the size bytes of the open file and holds them to hash, which blob_of returned. An error of rule
 * source.blob where they have another digest. name is the file's, for the message. */
int blob_check(const struct io *io, int fd, uint64_t size, const char *hash, const char *name,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
