/* io.h -- the one table through which all files are touched.
 *
 * Every operation behaves as the system call of its name does: result, errno, partial transfers.
 * Tests put another table in its place and make the n-th call fail; nothing else in the library
 * may call open(2) and kin. A table has no state of its own; one that needs some embeds it
 * (struct io first).
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_IO_H
#define CORE_IO_H
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct err;

struct io {
	int (*open)(const struct io *, int dir, const char *path, int flags, mode_t mode);
	int (*close)(const struct io *, int fd);
	int (*fstat)(const struct io *, int fd, struct stat *st);
	/* As fstatat with AT_SYMLINK_NOFOLLOW. */
	int (*lstat)(const struct io *, int dir, const char *path, struct stat *st);
	ssize_t (*readlink)(const struct io *, int dir, const char *path, char *buf, size_t n);
	/* Of what has no positions: keys that come through a pipe. */
	ssize_t (*read)(const struct io *, int fd, void *buf, size_t n);
	/* To what has no positions: stdout, a FIFO. */
	ssize_t (*write)(const struct io *, int fd, const void *buf, size_t n);
	ssize_t (*pread)(const struct io *, int fd, void *buf, size_t n, off_t at);
	ssize_t (*pwrite)(const struct io *, int fd, const void *buf, size_t n, off_t at);
	/* As fallocate(fd, 0, 0, n): blocks are there and the size is n. */
	int (*allocate)(const struct io *, int fd, off_t n);
	int (*fsync)(const struct io *, int fd);
	/* Fails with EEXIST where there is a file named to, also on file systems that lack
	 * RENAME_NOREPLACE. Where these have no hard links either, another process could slip in
	 * between; the lock on the output folder keeps our own out. */
	int (*rename)(const struct io *, int dir, const char *from, const char *to);
	/* As renameat: what is named to is gone, in one step. */
	int (*replace)(const struct io *, int dir, const char *from, const char *to);
	/* Makes the file of that name share the blocks of another one (FICLONE) or be the same file (linkat): the name is new
	 * in its folder. */
	int (*clone)(const struct io *, int from, int to); /* open files */
	int (*link)(const struct io *, int from_dir, const char *from, int dir, const char *name);
	int (*unlink)(const struct io *, int dir, const char *path);
	int (*rmdir)(const struct io *, int dir, const char *path); /* an empty folder */
	int (*mkdir)(const struct io *, int dir, const char *path, mode_t mode);
	/* Names in the folder except . and .., each NUL-terminated one after the other, in *names
	 * (malloc, the caller frees), *n of them, sorted by byte value. */
	int (*list)(const struct io *, int dir, char **names, size_t *n);
	int (*statvfs)(const struct io *, int fd, struct statvfs *v);
	/* As flock(fd, LOCK_EX | LOCK_NB); gone when fd is closed. */
	int (*lock)(const struct io *, int fd);
	/* As fcntl with F_OFD_SETLK for the whole file, which reaches other machines where flock does not;
	 * fd is open for writing. EWOULDBLOCK: somebody else has it. Gone when fd is closed. */
	int (*lock_file)(const struct io *, int fd);
	/* Lets go of what memory holds of the open file, whose writes were synced, so that it is read from the device again. NULL: that
	 * cannot be asked for, and where it has no effect nobody is told. */
	void (*forget)(const struct io *, int fd);
	/* Reports what errno cannot say of the last call that failed with EILSEQ: on the open file fd, on a name in the folder
	 * fd, or, for AT_FDCWD, on a path. Returns -1, or 0 where there is nothing to report. NULL: there never is. */
	int (*fault)(const struct io *, int fd, struct err *e);
};

/* The real system. */
const struct io *io_posix(void);

#ifdef __cplusplus
}
#endif
#endif
