/* SPDX-License-Identifier: MIT */
#include "convert/pack/scan.h"

#include "core/file.h"
#include "core/hash/xxh.h"
#include "formats/archive/listing.h"
#include "formats/blob.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINK_ROOM = 256 };

void scan_free(struct scan *s)
{
	free(s->v);
	arena_free(&s->arena);
	memset(s, 0, sizeof *s);
}

/* What to look at for name: itself, or the blob that it is a link to, whose hash is then *hash. */
static const char *through_blob(const struct io *io, int dir, const char *name, unsigned depth,
	char link[LINK_ROOM], const char **hash)
{
	ssize_t n = io->readlink(io, dir, name, link, LINK_ROOM - 1);

	*hash = NULL;
	if (n <= 0 || n == LINK_ROOM - 1)
		return name;
	link[n] = 0;
	*hash = blob_of(link, depth);
	return *hash ? link : name;
}

static int add(struct scan *s, const struct scanned *x, struct err *e)
{
	char *path;

	if (strlen(x->path) >= LISTING_PATH || (!x->part && !listing_path(x->path)))
		return err_rule(e, RULE_ARCHIVE_OTHER, ERR_NOPOS,
			"%s: no archive has room for that path", text_quote(x->path).s);
	if (s->n == LISTING_MOST)
		return err_rule(e, RULE_ARCHIVE_OTHER, ERR_NOPOS, "more than %d files or folders",
			LISTING_MOST);
	path = arena_strndup(&s->arena, x->path, strlen(x->path));
	if (!path || mem_grow(&s->v, &s->cap, s->n + 1, sizeof *s->v))
		return err_nomem(e);
	s->v[s->n] = *x;
	s->v[s->n++].path = path;
	return 0;
}

static int scan_folder(struct scan *s, const struct io *io, int dir, const char *path,
	unsigned depth, struct err *e);

static int scan_name(struct scan *s, const struct io *io, int dir, const char *path,
	const char *name, unsigned depth, struct err *e)
{
	char link[LINK_ROOM], whole[LISTING_PATH + 256], real[256];
	const char *hash;
	struct scanned x = { .path = whole };
	struct stat st;
	int fd, rc;

	snprintf(whole, sizeof whole, "%s%s%s", path, *path ? "/" : "", name);
	if (io->lstat(io, dir, through_blob(io, dir, name, depth, link, &hash), &st))
		return err_sys(e, "cannot look at %s", text_quote(whole).s);
	if (S_ISLNK(st.st_mode))
		return err_rule(e, RULE_FILE_SYMLINK, ERR_NOPOS, "%s is a symbolic link",
			text_quote(whole).s);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return err_rule(e, RULE_FILE_NOT_REGULAR, ERR_NOPOS, "%s is not a regular file",
			text_quote(whole).s);
	x.folder = S_ISDIR(st.st_mode);
	x.bytes = x.folder ? 0 : (uint64_t)st.st_size;
	x.part = !x.folder && file_is_part(name, real);
	if (add(s, &x, e))
		return -1;
	if (!x.folder)
		return 0;
	if (file_open_below(io, dir, name, &fd, e))
		return -1;
	rc = scan_folder(s, io, fd, whole, depth + 1, e);
	(void)io->close(io, fd); /* a folder has nothing to flush */
	return rc;
}

static int scan_folder(struct scan *s, const struct io *io, int dir, const char *path,
	unsigned depth, struct err *e)
{
	char *names = NULL, *p;
	size_t n, i;
	int rc = 0;

	if (io->list(io, dir, &names, &n))
		return err_sys(e, "cannot list %s", *path ? text_quote(path).s : "the folder");
	for (i = 0, p = names; i < n && !rc; i++, p += strlen(p) + 1)
		rc = scan_name(s, io, dir, path, p, depth, e);
	free(names);
	return rc;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct scanned *)a)->path, ((const struct scanned *)b)->path);
}

int scan_below(struct scan *s, const struct io *io, int dir, struct err *e)
{
	memset(s, 0, sizeof *s);
	if (scan_folder(s, io, dir, "", 0, e)) {
		scan_free(s);
		return -1;
	}
	if (s->n)
		qsort(s->v, s->n, sizeof *s->v, by_path);
	return 0;
}

const struct scanned *scan_find(const struct scan *s, const char *path)
{
	struct scanned key = { .path = path };

	return s->n ? bsearch(&key, s->v, s->n, sizeof *s->v, by_path) : NULL;
}

int scan_hold(const struct io *io, int fd, const char *path, const struct stat *was,
	const char *hash, const uint8_t sha256[32], struct err *e)
{
	struct stat now;
	char hex[65];

	if (io->fstat(io, fd, &now))
		return err_sys(e, "cannot look at it");
	if (now.st_size != was->st_size || !file_same_time(&now.st_mtim, &was->st_mtim))
		return err_set(e, ERR_SYSTEM, "it was written to while it was read");
	if (*hash && !blob_is_sha256(hash))
		return blob_check(io, fd, (uint64_t)was->st_size, hash, path, e);
	hex_of(sha256, 32, hex);
	return !*hash || !strcmp(hash, hex)
		? 0
		: err_rule(e, RULE_SOURCE_BLOB, ERR_NOPOS,
			  "it has another digest than the name of its blob says");
}

int scan_open_parent(const struct io *io, int dir, const char *path, bool make, int *fd,
	const char **name, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char parent[LISTING_PATH];
	size_t n = slash ? (size_t)(slash - path) : 0;

	*fd = -1;
	*name = slash ? slash + 1 : path;
	if (n >= sizeof parent)
		return err_set(e, ERR_USAGE, "%s is too long a path", text_quote(path).s);
	memcpy(parent, path, n);
	parent[n] = 0;
	return make ? file_make_below(io, dir, parent, fd, e)
		    : file_open_below(io, dir, parent, fd, e);
}

static unsigned depth_of(const char *path)
{
	unsigned depth = 0;

	for (; *path; path++)
		depth += *path == '/';
	return depth;
}

int scan_open(const struct io *io, int dir, const char *path, int *fd, struct stat *st,
	char hash[65], struct err *e)
{
	char link[LINK_ROOM];
	const char *name, *actual, *h;
	int in, rc;

	*fd = -1;
	hash[0] = 0;
	if (scan_open_parent(io, dir, path, false, &in, &name, e))
		return -1;
	actual = through_blob(io, in, name, depth_of(path), link, &h);
	rc = file_open(io, in, actual, fd, st, e);
	(void)io->close(io, in); /* a folder has nothing to flush */
	if (!rc && h)
		snprintf(hash, 65, "%s", h);
	return rc;
}
