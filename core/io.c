/* SPDX-License-Identifier: MIT */
#include "core/io.h"

#include "core/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int do_open(const struct io *io, int dir, const char *path, int flags, mode_t mode)
{
	(void)io;
	return openat(dir, path, flags, mode);
}

static int do_close(const struct io *io, int fd)
{
	(void)io;
	return close(fd);
}

static int do_fstat(const struct io *io, int fd, struct stat *st)
{
	(void)io;
	return fstat(fd, st);
}

static int do_lstat(const struct io *io, int dir, const char *path, struct stat *st)
{
	(void)io;
	return fstatat(dir, path, st, AT_SYMLINK_NOFOLLOW);
}

static ssize_t do_readlink(const struct io *io, int dir, const char *path, char *buf, size_t n)
{
	(void)io;
	return readlinkat(dir, path, buf, n);
}

static ssize_t do_read(const struct io *io, int fd, void *buf, size_t n)
{
	(void)io;
	return read(fd, buf, n);
}

static ssize_t do_write(const struct io *io, int fd, const void *buf, size_t n)
{
	(void)io;
	return write(fd, buf, n);
}

static ssize_t do_pread(const struct io *io, int fd, void *buf, size_t n, off_t at)
{
	(void)io;
	return pread(fd, buf, n, at);
}

static ssize_t do_pwrite(const struct io *io, int fd, const void *buf, size_t n, off_t at)
{
	(void)io;
	return pwrite(fd, buf, n, at);
}

static int do_allocate(const struct io *io, int fd, off_t n)
{
	(void)io;
	return fallocate(fd, 0, 0, n);
}

static int do_fsync(const struct io *io, int fd)
{
	(void)io;
	return fsync(fd);
}

static int do_rename(const struct io *io, int dir, const char *from, const char *to)
{
	struct stat st;

	(void)io;
	if (!renameat2(dir, from, dir, to, RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (!linkat(dir, from, dir, to, 0)) /* takes no name that is there, either */
		return unlinkat(dir, from, 0);
	if (errno == EEXIST)
		return -1;
	if (!fstatat(dir, to, &st, AT_SYMLINK_NOFOLLOW)) {
		errno = EEXIST;
		return -1;
	}
	return errno == ENOENT ? renameat(dir, from, dir, to) : -1;
}

static int do_replace(const struct io *io, int dir, const char *from, const char *to)
{
	(void)io;
	return renameat(dir, from, dir, to);
}

static int do_clone(const struct io *io, int from, int to)
{
	(void)io;
	return ioctl(to, FICLONE, from);
}

static int do_link(const struct io *io, int from_dir, const char *from, int dir, const char *name)
{
	(void)io;
	return linkat(from_dir, from, dir, name, 0);
}

static int do_unlink(const struct io *io, int dir, const char *path)
{
	(void)io;
	return unlinkat(dir, path, 0);
}

static int do_rmdir(const struct io *io, int dir, const char *path)
{
	(void)io;
	return unlinkat(dir, path, AT_REMOVEDIR);
}

static int do_mkdir(const struct io *io, int dir, const char *path, mode_t mode)
{
	(void)io;
	return mkdirat(dir, path, mode);
}

static int by_bytes(const void *a, const void *b)
{
	const char *x, *y;

	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return strcmp(x, y);
}

/* Turns n names that lie in text into one sorted run of strings. */
static int sort_names(char *names, size_t n, size_t bytes, char **out)
{
	const char **at = malloc((n + 1) * sizeof *at);
	char *sorted = malloc(bytes + 1), *p = names, *o = sorted;
	size_t i;

	if (!at || !sorted) {
		free(at);
		free(sorted);
		errno = ENOMEM;
		return -1;
	}
	for (i = 0; i < n; i++, p += strlen(p) + 1)
		at[i] = p;
	qsort(at, n, sizeof *at, by_bytes);
	for (i = 0; i < n; i++) {
		size_t len = strlen(at[i]) + 1;

		memcpy(o, at[i], len);
		o += len;
	}
	free(at);
	*out = sorted;
	return 0;
}

static int do_list(const struct io *io, int dir, char **names, size_t *n)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = -1, why;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	char *all = NULL;
	size_t used = 0, cap = 0, len;

	(void)io;
	if (!d) {
		why = errno;
		if (fd >= 0)
			close(fd);
		errno = why;
		return -1;
	}
	*n = 0;
	while (errno = 0, e = readdir(d)) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		len = strlen(e->d_name) + 1;
		if (mem_grow(&all, &cap, used + len, 1)) {
			errno = ENOMEM;
			break;
		}
		memcpy(all + used, e->d_name, len);
		used += len;
		++*n;
	}
	if (!errno)
		rc = sort_names(all, *n, used, names);
	why = errno;
	free(all);
	closedir(d);
	errno = why;
	return rc;
}

static int do_statvfs(const struct io *io, int fd, struct statvfs *v)
{
	(void)io;
	return fstatvfs(fd, v);
}

static int do_lock(const struct io *io, int fd)
{
	(void)io;
	return flock(fd, LOCK_EX | LOCK_NB);
}

/* A lock of the open file description goes with the descriptor that took it. Where the system knows only
 * locks of processes, these serve: this program opens a file that it locks once. */
static int do_lock_file(const struct io *io, int fd)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int rc = fcntl(fd, F_OFD_SETLK, &l);

	(void)io;
	if (rc && errno == EINVAL)
		rc = fcntl(fd, F_SETLK, &l);
	if (rc && errno == EACCES)
		errno = EWOULDBLOCK;
	return rc;
}

static void do_forget(const struct io *io, int fd)
{
	(void)io;
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* it is a wish */
}

const struct io *io_posix(void)
{
	static const struct io posix = { .open = do_open,
		.close = do_close,
		.fstat = do_fstat,
		.lstat = do_lstat,
		.readlink = do_readlink,
		.read = do_read,
		.write = do_write,
		.pread = do_pread,
		.pwrite = do_pwrite,
		.allocate = do_allocate,
		.fsync = do_fsync,
		.rename = do_rename,
		.replace = do_replace,
		.clone = do_clone,
		.link = do_link,
		.unlink = do_unlink,
		.rmdir = do_rmdir,
		.mkdir = do_mkdir,
		.list = do_list,
		.statvfs = do_statvfs,
		.lock = do_lock,
		.lock_file = do_lock_file,
		.forget = do_forget };

	return &posix;
}
