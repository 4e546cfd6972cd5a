/* SPDX-License-Identifier: MIT */
#include "convert/out/outdir.h"

#include "core/file.h"
#include "formats/conversion/freed.h"
#include "formats/conversion/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A folder that is only passed, or asked for its identity and free space, need not be readable: mode 0711 is
 * common for the folders above those of users. */
enum { WALK = O_PATH | O_DIRECTORY | O_CLOEXEC };

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
		fd = io->open(io, AT_FDCWD, *s ? s : ".", WALK, 0);
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

/* Returns 1 if folder fd is what or lies below it, 0 if not, -1 on failure. Takes fd over. A folder above that
 * may not be passed ends the way up as the root does: nothing above it was reached through a path either. */
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
		parent = io->open(io, fd, "..", WALK, 0);
		if (parent < 0) {
			rc = errno == EACCES ? 0 : -1;
			break;
		}
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

/* The input folder, opened once more: of a checkpoint that is read from a conversion (headers only) the folder
 * above its source/. */
static int open_input(const struct ckpt *c)
{
	return c->io->open(c->io, c->dir, c->headers ? ".." : ".", WALK, 0);
}

/* Opens path as far as it is there, for a look at what lies around it. *missing: as open_nearest has it. Returns -1 where
 * nobody can tell where path leads. */
static int open_around(const struct io *io, const char *path, const char **missing, struct err *e)
{
	int fd;

	if (!*path)
		return err_set(e, ERR_USAGE, "the output folder has no name");
	fd = open_nearest(io, path, missing);
	if (fd < 0)
		return err_sys(e, "cannot open %s", text_quote(path).s);
	if (!goes_up(*missing))
		return fd;
	(void)io->close(io, fd); /* a folder has nothing to flush */
	return err_rule(e, RULE_OUT_NESTED, ERR_NOPOS,
		"%s goes up from a folder that is not there: it may lead into the input",
		text_quote(path).s);
}

/* Returns 1 if the folder out is in or lies in it, or, where holds is set, holds it; 0 if not, -1 on failure. Takes both over. */
static int meet(const struct io *io, int out, bool holds, int in, struct err *e)
{
	struct stat of_in, of_out;
	int rc;

	if (in < 0 || io->fstat(io, in, &of_in) || io->fstat(io, out, &of_out)) {
		err_sys(e, "cannot stat the folders");
		(void)io->close(io, out);
		if (in >= 0)
			(void)io->close(io, in);
		return -1;
	}
	rc = lies_in(io, out, &of_in, e);
	if (!rc && holds)
		return lies_in(io, in, &of_out, e);
	(void)io->close(io, in);
	return rc;
}

/* Whether the open folder is one that an option of the plan reads. */
static int is_read(const struct plan *p, int fd, bool *is, struct err *e)
{
	struct stat st;
	size_t i;

	*is = false;
	if (p->ckpt->io->fstat(p->ckpt->io, fd, &st))
		return err_sys(e, "cannot stat the output folder");
	for (i = 0; i < sizeof p->opts.reads / sizeof *p->opts.reads; i++)
		*is = *is || (p->opts.reads[i] && same(p->opts.reads[i], &st));
	return 0;
}

int outdir_nested(const struct plan *p, const char *path, struct err *e)
{
	const struct io *io = p->ckpt->io;
	const char *missing;
	bool read = false;
	int fd = open_around(io, path, &missing, e), rc;

	if (fd < 0)
		return -1;
	rc = *missing ? 0 : is_read(p, fd, &read, e);
	if (rc || read) {
		(void)io->close(io, fd);
		return rc ? rc
			  : err_rule(e, RULE_OUT_NESTED, ERR_NOPOS,
				    "%s is a folder that an option of this call reads",
				    text_quote(path).s);
	}
	/* The other way round only where path itself is there already. */
	rc = meet(io, fd, !*missing, open_input(p->ckpt), e);
	if (rc > 0)
		return err_rule(e, RULE_OUT_NESTED, ERR_NOPOS,
			"%s is the input folder, lies in it or holds it", text_quote(path).s);
	return rc;
}

int outdir_apart(const struct io *io, const char *path, const char *base, struct err *e)
{
	const char *missing;
	int fd = open_around(io, path, &missing, e), in, rc;

	if (fd < 0)
		return -1;
	if (file_open_dir(io, base, &in, e)) {
		(void)io->close(io, fd);
		return err_at(e, "--base %s", text_quote(base).s);
	}
	rc = meet(io, fd, !*missing, in, e);
	if (rc > 0)
		return err_rule(e, RULE_OUT_NESTED, ERR_NOPOS,
			"%s is the folder of --base, lies in it or holds it", text_quote(path).s);
	return rc;
}

int outdir_outside(const struct io *io, const char *path, const char *dir, const char *what,
	struct err *e)
{
	const char *missing;
	int fd = open_around(io, path, &missing, e), in, rc;

	if (fd < 0)
		return -1;
	if (file_open_dir(io, dir, &in, e)) {
		(void)io->close(io, fd); /* a folder has nothing to flush */
		return -1;
	}
	rc = meet(io, fd, false, in, e);
	if (rc > 0)
		return err_rule(e, RULE_OUT_NESTED, ERR_NOPOS, "%s is %s, or lies in it",
			text_quote(path).s, what);
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

/* So that the new folder itself survives a power cut. Where the folder above may be passed and not read, it
 * cannot be synced. */
static int sync_parent(const struct outdir *o, struct err *e)
{
	int up = o->io->open(o->io, o->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), rc;

	if (up < 0)
		return errno == EACCES ? 0 : err_sys(e, "cannot open the folder above the output");
	rc = file_sync_dir(o->io, up) ? err_sys(e, "cannot sync the folder above the output") : 0;
	(void)o->io->close(o->io, up); /* a folder has nothing to flush */
	return rc;
}

/* Some file systems have no flock for folders (NFS: EBADF). There the lock on the mark in the folder serves, and
 * the names of one's own (core/file.h). */
static int lock(const struct outdir *o, const char *path, struct err *e)
{
	if (!o->io->lock(o->io, o->fd) || errno == EBADF || errno == EINVAL || errno == ENOLCK ||
		errno == ENOSYS || errno == EOPNOTSUPP || errno == EPERM)
		return 0;
	if (errno == EWOULDBLOCK)
		return err_rule(e, RULE_OUT_LOCKED, ERR_NOPOS, "another run is writing to %s",
			text_quote(path).s);
	return err_sys(e, "cannot lock %s", text_quote(path).s);
}

/* A manifest that a killed run was about to give its name. */
static int sweep_top(const struct outdir *o, struct err *e)
{
	char *names, *s, name[256];
	size_t n;
	int rc = 0;

	if (o->io->list(o->io, o->fd, &names, &n))
		return err_sys(e, "cannot list the output folder");
	for (s = names; !rc && n--; s += strlen(s) + 1)
		if (file_is_part(s, name) && !strcmp(name, MAN_NAME))
			rc = file_remove(o->io, o->fd, s, e);
	free(names);
	return rc;
}

static int open_locked(struct outdir *o, const struct plan *p, const char *path, struct err *e)
{
	bool made;

	*o = (struct outdir){ .io = p->ckpt->io, .fd = -1 };
	if (outdir_nested(p, path, e) || make_path(o->io, path, &made, e) ||
		file_open_dir(o->io, path, &o->fd, e))
		return -1;
	if (!(made && sync_parent(o, e)) && !lock(o, path, e))
		return 0;
	outdir_close(o);
	return -1;
}

int outdir_open_any(struct outdir *o, const struct plan *p, const char *path, struct err *e)
{
	if (open_locked(o, p, path, e))
		return -1;
	if (!sweep_top(o, e))
		return 0;
	outdir_close(o);
	return -1;
}

int outdir_open(struct outdir *o, const struct plan *p, const char *path, const struct owned *old,
	struct err *e)
{
	if (open_locked(o, p, path, e))
		return -1;
	if (!claim_look(&o->claim, p, o->fd, path, old, e) && !claim_begin(&o->claim, e))
		return 0;
	outdir_close(o);
	return -1;
}

int outdir_only_copy(const struct io *io, int dir, const char *path, struct err *e)
{
	struct stat st;

	if (!io->lstat(io, dir, FREED_KEPT, &st))
		return err_rule(e, RULE_RECLAIM_KEPT, ERR_NOPOS,
			"%s has " FREED_KEPT
			": shards of a source were freed for what lies there, and it may be their only copy",
			text_quote(path).s);
	return errno == ENOENT ? 0 : err_sys(e, "cannot look at " FREED_KEPT);
}

static int share_below(const struct plan *p, int top, const char *path, const char *below,
	bool first, struct err *e);

int outdir_share(const struct plan *p, const char *path, const char *below, bool first,
	struct err *e)
{
	const struct io *io = p->ckpt->io;
	bool made;
	int top, rc;

	if (outdir_nested(p, path, e) || make_path(io, path, &made, e) ||
		file_open_dir(io, path, &top, e))
		return -1;
	rc = outdir_only_copy(io, top, path, e) ? -1 : share_below(p, top, path, below, first, e);
	(void)io->close(io, top); /* a folder has nothing to flush */
	return rc;
}

/* A link where a folder of the output should be leads out of it: the call is refused, nothing is false. */
static int no_link(struct err *why, struct err *e)
{
	if (!why->rule)
		return err_move(e, why);
	return err_rule(e, RULE_OUT_LINK, ERR_NOPOS, "in the output folder, %s", why->text);
}

int outdir_open_below(struct outdir *o, struct outdir *top, const struct plan *p, const char *below,
	const struct owned *old, struct err *e)
{
	struct err why = { 0 };

	*o = (struct outdir){ .io = top->io, .fd = -1 };
	if (file_make_below(o->io, top->fd, below, &o->fd, &why))
		return no_link(&why, e);
	if (!lock(o, below, e) && !claim_look(&o->claim, p, o->fd, below, old, e) &&
		!claim_begin(&o->claim, e)) {
		o->claim.above = top->claim.p ? &top->claim : NULL;
		return 0;
	}
	outdir_close(o);
	return -1;
}

static int share_below(const struct plan *p, int top, const char *path, const char *below,
	bool first, struct err *e)
{
	struct outdir o = { .io = p->ckpt->io, .fd = -1 };
	struct err why = { 0 };
	int rc;

	if (file_make_below(o.io, top, below, &o.fd, &why))
		return no_link(&why, e);
	rc = claim_look(&o.claim, p, o.fd, *below ? below : path, NULL, e) ||
			claim_share(&o.claim, first, e)
		? -1
		: 0;
	outdir_close(&o);
	return rc;
}

int outdir_look(const struct plan *p, const char *path, const char *below, const struct owned *old,
	uint64_t *there, struct err *e)
{
	const struct io *io = p->ckpt->io;
	const char *missing;
	struct err why = { 0 };
	struct claim c = { 0 };
	int fd, in, rc = 0;

	*there = 0;
	if (outdir_nested(p, path, e))
		return -1;
	fd = open_nearest(io, path, &missing);
	if (fd < 0)
		return err_sys(e, "cannot open %s", text_quote(path).s);
	in = fd;
	if (!*missing && *below && file_open_below(io, fd, below, &in, &why)) {
		rc = errno == ENOENT ? 0 : no_link(&why, e);
		missing = below;
	}
	if (!rc && !*missing)
		rc = claim_look(&c, p, in, *below ? below : path, old, e);
	*there = c.there;
	if (in >= 0 && in != fd)
		(void)io->close(io, in); /* a folder has nothing to flush */
	(void)io->close(io, fd);
	return rc;
}

void outdir_close(struct outdir *o)
{
	claim_end(&o->claim);
	if (o->fd >= 0)
		(void)o->io->close(o->io, o->fd); /* a folder has nothing to flush */
	o->fd = -1;
}

/* Free bytes. False where that cannot be told: FUSE drivers say 0 of 0. */
static bool free_of(const struct io *io, int fd, uint64_t *bytes)
{
	struct statvfs v;

	if (io->statvfs(io, fd, &v) || !v.f_blocks)
		return false;
	*bytes = (uint64_t)v.f_bavail * v.f_frsize;
	return true;
}

int outdir_room(const struct outdir *o, uint64_t bytes, struct err *e)
{
	uint64_t room;

	if (!free_of(o->io, o->fd, &room) || room >= bytes)
		return 0;
	return err_rule(e, RULE_OUT_NO_SPACE, ERR_NOPOS,
		"%s are to be written, %s are free: %llu bytes too few", text_bytes(bytes).s,
		text_bytes(room).s, (unsigned long long)(bytes - room));
}

uint64_t outdir_missing(const struct outdir *o)
{
	const struct claim *c = &o->claim;

	return c->p->bytes > c->there ? c->p->bytes - c->there : 0;
}

bool outdir_free(const struct io *io, const char *path, uint64_t *bytes)
{
	const char *missing;
	int fd = open_nearest(io, path, &missing);
	bool known;

	if (fd < 0)
		return false;
	known = free_of(io, fd, bytes);
	(void)io->close(io, fd); /* a folder has nothing to flush */
	return known;
}

bool outdir_beside(const struct plan *p, const char *path)
{
	const struct io *io = p->ckpt->io;
	const char *missing;
	struct stat out, in;
	int fd = open_nearest(io, path, &missing);
	bool same;

	if (fd < 0)
		return false;
	same = !io->fstat(io, fd, &out) && !io->fstat(io, p->ckpt->dir, &in) &&
		out.st_dev == in.st_dev;
	(void)io->close(io, fd);
	return same;
}
