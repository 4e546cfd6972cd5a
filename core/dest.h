/* dest.h -- a file of any path that a call writes when its work is done, such as a report. It is tried before the
 * work, so that hours are not lost on a name that cannot be written, and an old file of that name is replaced in
 * one step.
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

/* Zeroed = none. */
struct dest {
	const struct io *io;
	int dir;        /* owns; folder of name; -1: none */
	int fd;         /* owns, but not stdout; what is written to as it is; -1: none */
	char name[256]; /* in dir */
};

/* Opens the folder of path and makes sure that a file can be made in it. Changes nothing that is there. Returns
 * -1 where path is a folder, or cannot be written. */
int dest_open(struct dest *d, const struct io *io, const char *path, struct err *e);
/* Writes all of the file: the new one appears whole, or the old one stays. */
int dest_put(struct dest *d, const void *p, size_t n, struct err *e);
/* True if path means stdout. */
bool dest_is_stdout(const char *path);
void dest_close(struct dest *d);

#ifdef __cplusplus
}
#endif
#endif
