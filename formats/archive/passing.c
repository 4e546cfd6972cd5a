/* SPDX-License-Identifier: MIT */
#include "formats/archive/passing.h"

#include <errno.h>

static const struct io *base(const struct io *io)
{
	return ((const struct passing *)io)->base;
}

/* Refuses what would change a folder of an archive. */
static bool refused(const struct io *io, int dir)
{
	if (!((const struct passing *)io)->is_archive(io, dir))
		return false;
	errno = EROFS;
	return true;
}

static ssize_t pass_read(const struct io *io, int fd, void *buf, size_t n)
{
	return base(io)->read(base(io), fd, buf, n);
}

static ssize_t pass_write(const struct io *io, int fd, const void *buf, size_t n)
{
	return base(io)->write(base(io), fd, buf, n);
}

static ssize_t pass_pwrite(const struct io *io, int fd, const void *buf, size_t n, off_t at)
{
	return base(io)->pwrite(base(io), fd, buf, n, at);
}

static int pass_allocate(const struct io *io, int fd, off_t n)
{
	return base(io)->allocate(base(io), fd, n);
}

static int pass_fsync(const struct io *io, int fd)
{
	return base(io)->fsync(base(io), fd);
}

static int pass_rename(const struct io *io, int dir, const char *from, const char *to)
{
	return refused(io, dir) ? -1 : base(io)->rename(base(io), dir, from, to);
}

static int pass_replace(const struct io *io, int dir, const char *from, const char *to)
{
	return refused(io, dir) ? -1 : base(io)->replace(base(io), dir, from, to);
}

static int pass_unlink(const struct io *io, int dir, const char *path)
{
	return refused(io, dir) ? -1 : base(io)->unlink(base(io), dir, path);
}

static int pass_rmdir(const struct io *io, int dir, const char *path)
{
	return refused(io, dir) ? -1 : base(io)->rmdir(base(io), dir, path);
}

static int pass_mkdir(const struct io *io, int dir, const char *path, mode_t mode)
{
	return refused(io, dir) ? -1 : base(io)->mkdir(base(io), dir, path, mode);
}

static int pass_statvfs(const struct io *io, int fd, struct statvfs *v)
{
	return base(io)->statvfs(base(io), fd, v);
}

static int pass_lock(const struct io *io, int fd)
{
	return base(io)->lock(base(io), fd);
}

static void pass_forget(const struct io *io, int fd)
{
	if (base(io)->forget)
		base(io)->forget(base(io), fd);
}

static int pass_lock_file(const struct io *io, int fd)
{
	return base(io)->lock_file(base(io), fd);
}

void passing_fill(struct passing *p)
{
	struct io *io = &p->io;

	io->read = pass_read;
	io->write = pass_write;
	io->pwrite = pass_pwrite;
	io->allocate = pass_allocate;
	io->fsync = pass_fsync;
	io->rename = pass_rename;
	io->replace = pass_replace;
	io->unlink = pass_unlink;
	io->rmdir = pass_rmdir;
	io->mkdir = pass_mkdir;
	io->statvfs = pass_statvfs;
	io->lock = pass_lock;
	io->lock_file = pass_lock_file;
	io->forget = pass_forget;
}
