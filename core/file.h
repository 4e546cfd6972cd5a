/* file.h -- reading exactly, and outputs that appear whole or not at all.
 *
 * Inputs are read with pread, never mapped: a file that shrinks is an error and not a signal.
 * Paths from files never come here; a name is one component below an open folder.
 *
 *	.NAME.part  --write--> fsync, close  --rename--> NAME, fsync of the folder
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_FILE_H
#define CORE_FILE_H
#include "core/err.h"
#include "core/io.h"
#include "core/text.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Opens a folder for use as the dir of the calls below. path may be any path the user typed. */
int file_open_dir(const struct io *io, const char *path, int *dir, struct err *e);

/* Opens the folder at path below dir, component by component and through no link. "" is dir itself, once
 * more. */
int file_open_below(const struct io *io, int dir, const char *path, int *fd, struct err *e);

/* Opens the regular file name for reading, with its size and identity in *st. Neither follows a
 * link nor waits for a FIFO. */
int file_open(const struct io *io, int dir, const char *name, int *fd, struct stat *st,
	struct err *e);
/* Reads exactly n bytes; a shorter file is ERR_DATA. */
int file_read(const struct io *io, int fd, void *buf, size_t n, uint64_t at, struct err *e);
int file_write(const struct io *io, int fd, const void *buf, size_t n, uint64_t at, struct err *e);
/* The whole file as text, refused beyond cap bytes. */
int file_load(const struct io *io, int dir, const char *name, uint64_t cap, struct text *out,
	struct err *e);

/* One output file on its way. Zeroed = none; file_out_abandon of none does nothing. */
struct file_out {
	const struct io *io;
	int dir;    /* borrows until published or abandoned */
	int fd;     /* owns, -1 once closed */
	bool begun; /* the temporary file exists */
	uint64_t size;
	char name[256], part[264];
};
/* Makes .NAME.part, with size bytes set aside where the file system can. */
int file_out_begin(struct file_out *o, const struct io *io, int dir, const char *name,
	uint64_t size, struct err *e);
/* Checks that the size is what was announced, then mode 0644, fsync, close. The first failure is
 * final: what follows is file_out_abandon, never a second fsync. */
int file_out_close(struct file_out *o, struct err *e);
/* Gives the closed file its name, which must be free, and syncs the folder. */
int file_out_publish(struct file_out *o, struct err *e);
/* Removes what there is of it. */
void file_out_abandon(struct file_out *o);
/* All three for a small file; a failure leaves nothing behind. */
int file_put(const struct io *io, int dir, const char *name, const void *p, size_t n,
	struct err *e);
/* Removes name; not being there is fine. */
int file_remove(const struct io *io, int dir, const char *name, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
