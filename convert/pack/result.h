/* result.h -- one file that a pack or unpack makes: begun under a name of its own, or there from an earlier call; then it is read and
 * held to what would be written.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_PACK_RESULT_H
#define CONVERT_PACK_RESULT_H
#include "core/file.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zeroed but for fd and dir = -1: none. */
struct pack_result {
	const struct io *io;
	int fd;         /* owns where it is there, else out does */
	int dir;        /* owns; the folder that it lies in */
	bool there;     /* it is finished, and is only read */
	uint64_t bytes; /* that it has where it is there */
	struct file_out out;
};

/* Opens the file at path below the folder top, or begins it, of size bytes; 0: not known yet. Folders above it are made. On an error
 * pack_result_close is to be called too. */
int pack_result_open(struct pack_result *r, const struct io *io, int top, const char *path,
	uint64_t size, struct err *e);
/* Gives what was begun its name, with size bytes; does nothing where it is there. */
int pack_result_finish(struct pack_result *r, uint64_t size, struct err *e);
/* Removes what was begun and not finished, and closes. */
void pack_result_close(struct pack_result *r);

#ifdef __cplusplus
}
#endif
#endif
