/* file.h -- reading exactly, and outputs that appear whole or not at all.
 *
 * Inputs are read with pread, never mapped: a file that shrinks is an error and not a signal.
 * Paths from files never come here; a name is one component below an open folder.
 *
 *	.NAME.TOKEN.part  --write--> fsync, close  --rename--> NAME, fsync of the folder
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

/* Opens the folder that the file at path lies in; *name, in path, is its name there. */
int file_open_above(const struct io *io, const char *path, int *dir, const char **name,
	struct err *e);

/* Opens the folder at path below dir, component by component and through no link. "" is dir itself, once
 * more. After a failure errno is the one of open: ENOENT where there is no such folder. */
int file_open_below(const struct io *io, int dir, const char *path, int *fd, struct err *e);
/* The same, but makes the folders that are missing. */
int file_make_below(const struct io *io, int dir, const char *path, int *fd, struct err *e);

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

/* The longest name of an output: what stands around it in the temporary name has room up to 255. */
enum { FILE_NAME_MAX = 232 };

/* One output file on its way. Zeroed = none; file_out_abandon of none does nothing. */
struct file_out {
	const struct io *io;
	int dir;    /* borrows until published or abandoned */
	int fd;     /* owns, -1 once closed */
	bool begun; /* the temporary file exists */
	uint64_t size;
	struct stat st; /* once closed */
	char name[256], part[264];
};
/* Makes .NAME.TOKEN.part, TOKEN being random, with size bytes set aside where the file system can. Its mode
 * is what the umask, or the folder's default ACL, leaves of 0666. fd can be read from too. */
int file_out_begin(struct file_out *o, const struct io *io, int dir, const char *name,
	uint64_t size, struct err *e);
/* The same of a file that is there: .NAME.TOKEN.part shares the blocks of the open file from, of size bytes, or is another name of
 * it, from_name in the folder from_dir; it is not to be written to. *taken: one of the two was possible; else nothing has begun.
 * Returns -1 where the folder takes no new file. */
int file_out_from(struct file_out *o, const struct io *io, int dir, const char *name, int from,
	int from_dir, const char *from_name, uint64_t size, bool *taken, struct err *e);
/* Syncs the file, checks that its size is what was announced, closes it. The first failure is final: what
 * follows is file_out_abandon, never a second fsync. */
int file_out_close(struct file_out *o, struct err *e);
/* Gives the closed file its name, which must be free, and syncs the folder. An error (out.race) if the
 * temporary file is not the one that was closed. */
int file_out_publish(struct file_out *o, struct err *e);
/* The same, but replaces what has the name. */
int file_out_replace(struct file_out *o, struct err *e);
/* Removes what there is of it. */
void file_out_abandon(struct file_out *o);
/* Syncs what was written so far and lets go of the file, which stays under its temporary name for a later call of
 * file_out_again; after a failure it is still to be abandoned. */
int file_out_leave(struct file_out *o, struct err *e);
/* Takes up the temporary file part, of size bytes, where file_out_leave has left it. *usable: it is a regular file
 * of that size and has no other name; else nothing is open. Returns -1 where that cannot be found out. */
int file_out_again(struct file_out *o, const struct io *io, int dir, const char *part,
	uint64_t size, bool *usable, struct err *e);
/* True if part is a name that file_out_begin makes, of this version or an earlier one (.NAME.part); then the
 * name that the file was to get is in name. */
bool file_is_part(const char *part, char name[256]);
/* The temporary name that name would have with the token of part; "" if part has none. */
void file_part_beside(const char *part, const char *name, char out[300]);
/* Returns 1 if name is the regular file that was, 0 if not, -1 with errno: by device and inode, or, on file systems that number their files
 * anew, by size and time of the last write. */
int file_is(const struct io *io, int dir, const char *name, const struct stat *was);
/* To be asked after a rename that failed. Returns whether to is the file was all the same: the answer to a request can
 * be lost on a network, and the second one finds nothing to rename (ENOENT), or its own work (EEXIST). errno stays. */
bool file_was_moved(const struct io *io, int dir, const char *to, const struct stat *was);
bool file_same_time(const struct timespec *a, const struct timespec *b);
/* Whether the times of the open file, which is st, say nothing: drivers that store none make new ones for every
 * look, so that four looks in a row see four; a file that is being written to has other times only once in some
 * milliseconds. */
int file_timeless(const struct io *io, int fd, const struct stat *st, bool *timeless,
	struct err *e);
/* Syncs a folder. Returns -1 with errno, but 0 where the file system, or the way the folder was opened, has
 * no such thing (vboxsf, SMB, FUSE drivers: EINVAL, ENOSYS, EPERM, EBADF). */
int file_sync_dir(const struct io *io, int dir);
/* All three for a small file; a failure leaves nothing behind. */
int file_put(const struct io *io, int dir, const char *name, const void *p, size_t n,
	struct err *e);
/* The same; a file that has the name already is replaced in one step, or stays where that fails. */
int file_replace(const struct io *io, int dir, const char *name, const void *p, size_t n,
	struct err *e);
/* Makes a temporary file for name and removes it: returns -1 where the folder cannot be written. */
int file_try(const struct io *io, int dir, const char *name, struct err *e);
/* Lets this process have as many open files as the system allows it, and says how many that are: many systems begin
 * with 1024 and allow more for the asking. */
uint64_t file_most_open(void);
/* Removes name; not being there is fine. */
int file_remove(const struct io *io, int dir, const char *name, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
