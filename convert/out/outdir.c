/* SPDX-License-Identifier: MIT */
#include "convert/out/outdir.h"

#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The deepest folder of path that exists: path itself, or the nearest one above. -1 with errno.
 * *missing is the rest of path, which is not there; "" if path itself is. */
static int open_nearest(const struct io *io, const char *path, const char **missing)
{
	char *s = strdup(path), *slash;
	int fd;

	if (!s) {
		errno = ENOMEM;
		return -1;
	}
	for (;;) {
		fd = io->open(io, AT_FDCWD, *s ? s : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
		if (fd >= 0 || errno != ENOENT || !*s || !strcmp(s, "/"))
			break;
		slash = strrchr(s, '/');
		if (!slash)
			*s = 0;
		else if (slash == s)
			s[1] = 0;
		else
			*slash = 0;
	}
	*missing = path + strlen(s);
	free(s);
	return fd;
}

static bool same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* 1 if folder fd is what or lies below it, 0 if not, -1 on failure. Takes fd over. */
static int lies_in(const struct io *io, int fd, const struct stat *what, struct err *e)
{
	struct stat now, up;
	int parent, rc = -1;

	if (fd < 0)
		return err_sys(e, "cannot open the folder");
	for (;;) {
		if (io->fstat(io, fd, &now))
			break;
		if (same(&now, what)) {
			rc = 1;
			break;
		}
		parent = io->open(io, fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
		if (parent < 0)
			break;
		(void)io->close(io, fd);
		fd = parent;
		if (io->fstat(io, fd, &up))
			break;
		if (same(&now, &up)) { /* the root */
			rc = 0;
			break;
		}
	}
	if (rc < 0)
		err_sys(e, "cannot look at the folders above");
	(void)io->close(io, fd);
	return rc;
}

static bool goes_up(const char *path)
{
	const char *p;

	for (p = strstr(path, ".."); p; p = strstr(p + 2, ".."))
		if ((p == path || p[-1] == '/') && (!p[2] || p[2] == '/'))
			return true;
	return false;
}

int outdir_nested(const struct plan *p, const char *path, struct err *e)
{
	const struct io *io = p->ckpt->io;
	const char *missing;
	struct stat in, out;
	int nearest = open_nearest(io, path, &missing), rc;

	if (nearest < 0)
		return err_sys(e, "cannot open %s", text_quote(path).s);
	if (goes_up(missing)) { /* where it would lead, nobody can tell yet */
		(void)io->close(io, nearest);
		return err_rule(e, RULE_OUT_NESTED, ERR_NOPOS,
			"%s goes up from a folder that is not there: it may lead into the input",
			text_quote(path).s);
	}
	if (io->fstat(io, p->ckpt->dir, &in) || io->fstat(io, nearest, &out)) {
		err_sys(e, "cannot stat %s", text_quote(path).s);
		(void)io->close(io, nearest);
		return -1;
	}
	rc = lies_in(io, nearest, &in, e);
	/* The other way round only where path itself is there already. */
	if (!rc && !*missing)
		rc = lies_in(io,
			io->open(io, p->ckpt->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0),
			&out, e);
	if (rc > 0)
		return err_rule(e, RULE_OUT_NESTED, ERR_NOPOS,
			"%s is the input folder, lies in it or holds it", text_quote(path).s);
	return rc;
}

/* *made: the last folder was not there. */
static int make_path(const struct io *io, const char *path, bool *made, struct err *e)
{
	char *s = strdup(path);
	size_t i, n = strlen(path);
	int rc = 0;

	*made = false;
	if (!s)
		return err_nomem(e);
	for (i = 1; !rc && i <= n; i++) {
		if (i < n && s[i] != '/')
			continue;
		s[i] = 0;
		*made = !io->mkdir(io, AT_FDCWD, s, 0777);
		if (!*made && errno != EEXIST)
			rc = err_sys(e, "cannot make folder %s", text_quote(s).s);
		s[i] = path[i];
	}
	free(s);
	return rc;
}

/* So that the new folder itself survives a power cut. */
static int sync_parent(const struct outdir *o, struct err *e)
{
	int up = o->io->open(o->io, o->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), rc = 0;

	if (up < 0 || o->io->fsync(o->io, up))
		rc = err_sys(e, "cannot sync the folder above the output");
	if (up >= 0)
		(void)o->io->close(o->io, up);
	return rc;
}

int outdir_open_any(struct outdir *o, const struct plan *p, const char *path, struct err *e)
{
	bool made;

	memset(o, 0, sizeof *o);
	o->io = p->ckpt->io;
	o->fd = -1;
	if (!*path)
		return err_set(e, ERR_USAGE, "the output folder has no name");
	if (outdir_nested(p, path, e) || make_path(o->io, path, &made, e) ||
		file_open_dir(o->io, path, &o->fd, e))
		return -1;
	if (made && sync_parent(o, e)) {
		outdir_close(o);
		return -1;
	}
	if (!o->io->lock(o->io, o->fd))
		return 0;
	if (errno == EWOULDBLOCK)
		err_rule(e, RULE_OUT_LOCKED, ERR_NOPOS, "another run is writing to %s",
			text_quote(path).s);
	else
		err_sys(e, "cannot lock %s", text_quote(path).s);
	outdir_close(o);
	return -1;
}

int outdir_open(struct outdir *o, const struct plan *p, const char *path, bool overwrite,
	struct err *e)
{
	if (outdir_open_any(o, p, path, e))
		return -1;
	if (!claim_look(&o->claim, p, o->fd, path, overwrite, e))
		return 0;
	outdir_close(o);
	return -1;
}

int outdir_look(const struct plan *p, const char *path, bool overwrite, struct err *e)
{
	const struct io *io = p->ckpt->io;
	const char *missing;
	struct claim c;
	int fd, rc = 0;

	if (!*path)
		return err_set(e, ERR_USAGE, "the output folder has no name");
	if (outdir_nested(p, path, e))
		return -1;
	fd = open_nearest(io, path, &missing);
	if (fd < 0)
		return err_sys(e, "cannot open %s", text_quote(path).s);
	if (!*missing)
		rc = claim_look(&c, p, fd, path, overwrite, e);
	(void)io->close(io, fd); /* a folder has nothing to flush */
	return rc;
}

void outdir_close(struct outdir *o)
{
	if (o->fd >= 0)
		(void)o->io->close(o->io, o->fd); /* a folder has nothing to flush */
	o->fd = -1;
}

int outdir_room(const struct outdir *o, uint64_t bytes, struct err *e)
{
	struct statvfs v;
	uint64_t room;

	if (o->io->statvfs(o->io, o->fd, &v))
		return err_sys(e, "cannot tell the free space");
	room = (uint64_t)v.f_bavail * v.f_frsize;
	if (room >= bytes)
		return 0;
	return err_rule(e, RULE_OUT_NO_SPACE, ERR_NOPOS,
		"%s are to be written, %s are free: %llu bytes too few", text_bytes(bytes).s,
		text_bytes(room).s, (unsigned long long)(bytes - room));
}

bool outdir_free(const struct io *io, const char *path, uint64_t *bytes)
{
	struct statvfs v;
	const char *missing;
	int fd = open_nearest(io, path, &missing), rc;

	if (fd < 0)
		return false;
	rc = io->statvfs(io, fd, &v);
	(void)io->close(io, fd);
	*bytes = (uint64_t)v.f_bavail * v.f_frsize;
	return !rc;
}
