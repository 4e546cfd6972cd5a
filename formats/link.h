/* link.h -- a file of a folder that may be a link: into the blobs of a hub's cache, or anywhere with --follow-links.
 *
 *	config.json  ->  config.json                 a regular file
 *	config.json  ->  ../../blobs/HASH             of a snapshot: followed, and HASH says what is in it
 *	config.json  ->  elsewhere                    file.symlink; with follow: up to 8 links, one after the other
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_LINK_H
#define FORMATS_LINK_H
#include "core/err.h"
#include "core/io.h"
#include "core/text.h"

#include <sys/stat.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { LINK_NAME = 256, LINK_PATH = 1024 }; /* room for a name, and for where a link leads */

struct link_dir {
	const struct io *io; /* borrows */
	int dir;             /* borrows; the folder */
	bool follow;         /* links that lead elsewhere too */
};

/* Finds the file: *there says whether it is, actual what to open relative to the folder, *st its size. An error where
 * it is no regular file, or a link that is not followed or leads nowhere. */
int link_look(const struct link_dir *d, const char *name, char actual[LINK_PATH], struct stat *st,
	bool *there, struct err *e);
/* Opens it: *fd is -1 where *there is false. *hash is the place in actual of the hash that names the blob, or NULL. */
int link_open(const struct link_dir *d, const char *name, int *fd, struct stat *st, bool *there,
	char actual[LINK_PATH], const char **hash, struct err *e);
/* Opens a file of at most cap bytes and holds it to the name of its blob (source.blob) before it is believed. A larger
 * one is file.too-big. */
int link_open_small(const struct link_dir *d, const char *name, uint64_t cap, int *fd,
	struct stat *st, bool *there, struct err *e);
/* Appends the whole file, opened like that, to out. */
int link_load(const struct link_dir *d, const char *name, uint64_t cap, struct text *out,
	bool *there, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
