/* dest.h -- a file of any path that a call writes when its work is done, such as a report. It is tried before the
 * work, so that hours are not lost on a name that cannot be written. A file that is there already is replaced, in one
 * step, only where it is empty or of the very kind that the call writes; anything else is refused (rule out.file).
 *
 *	-                 stdout
 *	/dev/null, FIFO   written to as it is
 *	a link            what it leads to
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_DEST_H
#define CORE_DEST_H
#include "core/err.h"
#include "core/io.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A kind of file, and how an old one of it is known. */
struct dest_kind {
	const char *what; /* for messages: "a record" */
	/* Whether an open regular file of size bytes is of this kind; false too where it cannot be read. */
	bool (*is)(const struct io *io, int fd, uint64_t size);
};

/* Zeroed = none. */
struct dest {
	const struct dest_kind *kind; /* borrows; of files that may be replaced; NULL: none */
	const struct io *io;
	int dir;        /* owns; folder of name; -1: none */
	int fd;         /* owns, but not stdout; what is written to as it is; -1: none */
	char name[256]; /* in dir */
};

/* Opens the folder of path and makes sure that a file can be made in it. kind: files that may be replaced; it is
 * borrowed until dest_close, and NULL means that only an empty file may be. Changes nothing that is there. Returns -1
 * where path is a folder, cannot be written, or is a file of another kind (rule out.file). */
int dest_open(struct dest *d, const struct io *io, const char *path, const struct dest_kind *kind,
	struct err *e);
/* Looks whether the name in the open folder dir is free, or that of a regular file that may be replaced: an empty one,
 * or one of the kind. It follows no link. Returns -1 where not; 0 for a folder, which no rename replaces. */
int dest_may(const struct io *io, int dir, const char *name, const struct dest_kind *kind,
	struct err *e);
/* Returns whether the file fd of size bytes begins with these n bytes, of which there are at most 256; false too where it
 * cannot be read. */
bool dest_begins(const struct io *io, int fd, uint64_t size, const char *bytes, size_t n);
/* Writes all of the file: the new one appears whole, or the old one stays. An old one is looked at once more before, so
 * that no file is lost which came to be there meanwhile. Returns -1 where that one may not be replaced (rule out.file), or
 * nothing could be written. */
int dest_put(struct dest *d, const void *p, size_t n, struct err *e);
/* Returns whether path means stdout. */
bool dest_is_stdout(const char *path);
/* Closes what is open and makes d zero again; of a zeroed one it does nothing. */
void dest_close(struct dest *d);

#ifdef __cplusplus
}
#endif
#endif
