/* SPDX-License-Identifier: MIT */
#include "core/dest.h"

#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool dest_is_stdout(const char *path)
{
	return !strcmp(path, "-");
}

/* The folder and name of path, neither of which is a link any more. */
static int open_name(struct dest *d, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	if (!*name || !strcmp(name, ".") || !strcmp(name, "..") || strlen(name) > FILE_NAME_MAX)
		return err_set(e, ERR_USAGE, "%s is no name for a file", text_quote(path).s);
	snprintf(d->name, sizeof d->name, "%s", name);
	return file_open_above(d->io, path, &d->dir, &name, e);
}

bool dest_begins(const struct io *io, int fd, uint64_t size, const char *bytes, size_t n)
{
	char has[256];

	return n <= sizeof has && n <= size && !file_read(io, fd, has, n, 0, &(struct err){ 0 }) &&
		!memcmp(has, bytes, n);
}

int dest_may(const struct io *io, int dir, const char *name, const struct dest_kind *kind,
	struct err *e)
{
	struct stat st;
	bool may;
	int fd;

	if (io->lstat(io, dir, name, &st))
		return errno == ENOENT ? 0 : err_sys(e, "cannot look at %s", text_quote(name).s);
	if (S_ISDIR(st.st_mode) || (S_ISREG(st.st_mode) && !st.st_size))
		return 0; /* rename puts no file in the place of a folder */
	if (S_ISREG(st.st_mode)) {
		if (file_open(io, dir, name, &fd, &st, e))
			return -1;
		may = !st.st_size || (kind && kind->is(io, fd, (uint64_t)st.st_size));
		(void)io->close(io, fd); /* read only */
		if (may)
			return 0;
	}
	return err_rule(e, RULE_OUT_FILE, ERR_NOPOS, "%s is there already, and %s%s",
		text_quote(name).s, kind ? "is not " : "is not replaced", kind ? kind->what : "");
}

/* A name that was free to take: makes a temporary file, which proves that the folder can be written. */
static int try_name(const struct dest *d, const char *path, struct err *e)
{
	return file_try(d->io, d->dir, d->name, e) ? err_at(e, "%s", text_quote(path).s) : 0;
}

static int open_path(struct dest *d, const char *path, struct err *e)
{
	struct stat st;

	if (open_name(d, path, e))
		return -1;
	if (d->io->lstat(d->io, d->dir, d->name, &st))
		return errno == ENOENT ? try_name(d, path, e)
				       : err_sys(e, "cannot look at %s", text_quote(path).s);
	if (S_ISREG(st.st_mode))
		return dest_may(d->io, d->dir, d->name, d->kind, e) ? -1 : try_name(d, path, e);
	if (S_ISDIR(st.st_mode))
		return err_set(e, ERR_USAGE, "%s is a folder, not a file", text_quote(path).s);
	d->fd = d->io->open(d->io, d->dir, d->name, O_WRONLY | O_CLOEXEC | O_NOCTTY, 0);
	return d->fd < 0 ? err_sys(e, "cannot open %s", text_quote(path).s) : 0;
}

int dest_open(struct dest *d, const struct io *io, const char *path, const struct dest_kind *kind,
	struct err *e)
{
	char *real = NULL;
	int rc;

	*d = (struct dest){ .kind = kind, .io = io, .dir = -1, .fd = -1 };
	if (dest_is_stdout(path)) {
		d->fd = STDOUT_FILENO;
		return 0;
	}
	real = realpath(path, NULL); /* NULL: not there yet */
	rc = open_path(d, real ? real : path, e);
	free(real);
	if (rc)
		dest_close(d);
	return rc;
}

static int put_stream(const struct dest *d, const char *p, size_t n, struct err *e)
{
	ssize_t put;

	while (n) {
		put = d->io->write(d->io, d->fd, p, n);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return err_sys(e, "cannot write to %s",
				*d->name ? d->name : "standard output");
		p += put;
		n -= (size_t)put;
	}
	return 0;
}

int dest_put(struct dest *d, const void *p, size_t n, struct err *e)
{
	if (d->fd >= 0)
		return put_stream(d, p, n, e);
	if (dest_may(d->io, d->dir, d->name, d->kind, e))
		return -1;
	return file_replace(d->io, d->dir, d->name, p, n, e);
}

void dest_close(struct dest *d)
{
	if (d->io && d->dir >= 0)
		(void)d->io->close(d->io, d->dir); /* a folder has nothing to flush */
	if (d->io && d->fd >= 0 && d->fd != STDOUT_FILENO)
		(void)d->io->close(d->io, d->fd);
	memset(d, 0, sizeof *d);
}
