/* dry.h -- an I/O table for whole conversions without their payload: sources may have holes for payload, and of what
 * is written only the beginning of each file reaches the disk.
 *
 * Memory is what is measured with it: everything is read, made and digested as with any other bytes.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_DRY_H
#define TESTS_DRY_H
#include "core/io.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

/* Headers, indexes, sidecars and other small things lie below this byte of their file and are really read and
 * written. */
enum { DRY_FROM = 64 << 20 };

static bool dry_hole(const char *p, size_t n)
{
	return n && !*p && !memcmp(p, p + 1, n - 1);
}

/* Payload reads as bytes 126, which are a scale of a half and sound in every format that a source has. */
static ssize_t dry_read(const struct io *io, int fd, void *buf, size_t n, off_t at)
{
	ssize_t got = (ssize_t)n;

	if (n < 4096 || at < DRY_FROM)
		got = io_posix()->pread(io, fd, buf, n, at);
	if (at >= DRY_FROM || (got > 0 && dry_hole(buf, (size_t)got)))
		memset(buf, 126, n);
	return got;
}

static ssize_t dry_write(const struct io *io, int fd, const void *buf, size_t n, off_t at)
{
	return at < DRY_FROM ? io_posix()->pwrite(io, fd, buf, n, at) : (ssize_t)n;
}

static int dry_allocate(const struct io *io, int fd, off_t n)
{
	(void)io;
	return ftruncate(fd, n);
}

static int dry_statvfs(const struct io *io, int fd, struct statvfs *v)
{
	int rc = io_posix()->statvfs(io, fd, v);

	v->f_bavail = (fsblkcnt_t)1 << 40;
	return rc;
}

static inline struct io dry_io(void)
{
	struct io io = *io_posix();

	io.pread = dry_read;
	io.pwrite = dry_write;
	io.allocate = dry_allocate;
	io.statvfs = dry_statvfs;
	return io;
}
#endif
