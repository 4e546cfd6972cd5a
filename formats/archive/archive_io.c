/* SPDX-License-Identifier: MIT */
#include "formats/archive/archive_io.h"

#include "core/file.h"
#include "formats/archive/cache.h"
#include "formats/archive/opened.h"
#include "formats/archive/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct archive_state {
	struct opened_table open;
	struct cache *cache; /* owns */
};

static const struct archive_io *self(const struct io *io)
{
	return (const struct archive_io *)io;
}

static struct opened *open_folder_of(const struct archive_io *a, int dir)
{
	struct opened *o = opened_of(&a->s->open, dir);

	return o && o->folder ? o : NULL;
}

/* Fails with EILSEQ, or where the system failed with EIO; why is kept for the folder or file. */
static int damaged(const struct archive_io *a, struct opened *o, const struct err *why)
{
	if (why->kind == ERR_SYSTEM) {
		errno = EIO;
		return -1;
	}
	opened_blame(&a->s->open, o, why);
	errno = EILSEQ;
	return -1;
}

/* Puts the path below the archive of name in the folder; returns false where it has none: ".." leads out of it, say. */
static bool path_in(const struct opened *folder, const char *name, char path[LISTING_PATH])
{
	if (strchr(name, '/') || !strcmp(name, ".."))
		return false;
	if (!strcmp(name, "."))
		name = "";
	return snprintf(path, LISTING_PATH, "%s%s%s", folder->path,
		       *folder->path && *name ? "/" : "", name) < LISTING_PATH;
}

/* Returns the file of the list that name in the folder is; NULL if it is none. */
static const struct listed *listed_in(const struct opened *folder, const char *name)
{
	char path[LISTING_PATH];

	return folder && path_in(folder, name, path) ? listing_find(&folder->list->l, path) : NULL;
}

static bool is_list(const struct opened *folder, const char *name)
{
	return folder && !*folder->path && !strcmp(name, LISTING_NAME);
}

/* The last component of the name of the file of the archive that restores name. */
struct packed_name {
	char s[LISTED_NAME];
};

static struct packed_name packed_name(const char *name, const struct listed *l)
{
	struct packed_name z;

	snprintf(z.s, sizeof z.s, "%.1020s%s", name, filter_suffix(l->filter));
	return z;
}

/* --- folders --- */

/* Notes the open folder where it is an archive, or lies in one. */
static int note_folder(const struct archive_io *a, int fd, struct opened *above, const char *name)
{
	struct opened_table *t = &a->s->open;
	char path[LISTING_PATH] = "";
	struct err why = { 0 };
	struct opened *o;
	bool there = true, inside = above && path_in(above, name, path);

	o = opened_new(t, inside ? above->list : NULL, inside ? path : "");
	if (!o) {
		errno = ENOMEM;
		return -1;
	}
	o->folder = true;
	if (!inside && listing_read(&o->list->l, a->pass.base, fd, &there, &why)) {
		opened_free(t, o);
		return damaged(a, above, &why);
	}
	if (there && !opened_note(t, fd, o))
		return 0;
	opened_free(t, o);
	errno = ENOMEM;
	return there ? -1 : 0;
}

static int open_folder(const struct archive_io *a, int dir, const char *path, int flags)
{
	int fd = a->pass.base->open(a->pass.base, dir, path, flags, 0), why;

	if (fd < 0 || !note_folder(a, fd, open_folder_of(a, dir), path))
		return fd;
	why = errno;
	(void)a->pass.base->close(a->pass.base, fd); /* a folder has nothing to flush */
	errno = why;
	return -1;
}

/* Takes the suffix off a name of a file of the archive, and leaves other names as they are. */
static void show_name(const struct opened *folder, char *name)
{
	const struct listed *l;
	enum filter filter;
	size_t n = filter_by_suffix(name, &filter);

	if (!n)
		return;
	name[n] = 0;
	l = listed_in(folder, name);
	if (!l || l->filter != filter)
		name[n] = filter_suffix(filter)[0];
}

/* Shows the names of what is restored: takes suffixes off, leaves the list out. names are n in bytes of room; the names
 * become other ones in place. Returns how many there are now. */
static size_t show(const struct opened *folder, char *names, size_t n)
{
	char *from = names, *to = names, *end;
	size_t i, kept = 0;

	for (i = 0; i < n; i++, from = end + 1) {
		end = from + strlen(from);
		if (is_list(folder, from))
			continue;
		show_name(folder, from);
		memmove(to, from, strlen(from) + 1);
		to += strlen(to) + 1;
		kept++;
	}
	return kept;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts n names that lie one after the other, and drops those that are there twice. */
static int sort_names(char **names, size_t *n)
{
	char **v, *out, *p;
	size_t i, kept = 0;

	for (i = 0, p = *names; i < *n; i++)
		p += strlen(p) + 1;
	v = malloc((*n + 1) * sizeof *v);
	out = malloc((size_t)(p - *names) + 1);
	if (!v || !out) {
		free(v);
		free(out);
		errno = ENOMEM;
		return -1;
	}
	for (i = 0, p = *names; i < *n; i++, p += strlen(p) + 1)
		v[i] = p;
	qsort(v, *n, sizeof *v, by_name);
	for (i = 0, p = out; i < *n; i++)
		if (!i || strcmp(v[i - 1], v[i])) {
			p = stpcpy(p, v[i]) + 1;
			kept++;
		}
	free(v);
	free(*names);
	*names = out;
	*n = kept;
	return 0;
}

static int do_list(const struct io *io, int dir, char **names, size_t *n)
{
	const struct archive_io *a = self(io);
	const struct opened *folder = open_folder_of(a, dir);

	if (a->pass.base->list(a->pass.base, dir, names, n))
		return -1;
	if (!folder)
		return 0;
	*n = show(folder, *names, *n);
	if (!sort_names(names, n))
		return 0;
	free(*names);
	*names = NULL;
	return -1;
}

/* --- files --- */

/* Reads the table of the open file, which is to be that of l, and notes it. */
static int note_file(const struct archive_io *a, int fd, struct opened *folder, const char *name,
	const struct listed *l)
{
	struct opened_table *t = &a->s->open;
	struct err why = { 0 };
	struct opened *o = opened_new(t, folder->list, l->name);
	const struct packed_name packed = packed_name(name, l);
	struct stat st;

	if (!o) {
		errno = ENOMEM;
		return -1;
	}
	if (a->pass.base->fstat(a->pass.base, fd, &st))
		err_sys(&why, "cannot look at %s", text_quote(packed.s).s);
	else if (!S_ISREG(st.st_mode))
		err_rule(&why, RULE_FILE_NOT_REGULAR, ERR_NOPOS, "%s is not a regular file",
			text_quote(packed.s).s);
	else if (seek_read(&o->seek, a->pass.base, fd, (uint64_t)st.st_size, &why))
		err_at(&why, "%s", text_quote(packed.s).s);
	else if ((uint64_t)st.st_size != l->packed || o->seek.bytes != l->bytes)
		err_rule(&why, RULE_ARCHIVE_TABLE, ERR_NOPOS,
			"%s has %llu bytes and restores %llu, and " LISTING_NAME
			" says %llu and %llu",
			text_quote(packed.s).s, (unsigned long long)st.st_size,
			(unsigned long long)o->seek.bytes, (unsigned long long)l->packed,
			(unsigned long long)l->bytes);
	o->seek.filter = l->filter;
	if (!why.kind && !opened_note(t, fd, o))
		return 0;
	opened_free(t, o);
	errno = ENOMEM;
	return why.kind ? damaged(a, folder, &why) : -1;
}

static int open_listed(const struct archive_io *a, int dir, struct opened *folder, const char *name,
	const struct listed *l, int flags)
{
	int fd = a->pass.base->open(a->pass.base, dir, packed_name(name, l).s, flags, 0), why;

	if (fd < 0 || !note_file(a, fd, folder, name, l))
		return fd;
	why = errno;
	(void)a->pass.base->close(a->pass.base, fd); /* it was only read */
	errno = why;
	return -1;
}

/* A file of a folder of an archive. */
static int open_in(const struct archive_io *a, int dir, struct opened *folder, const char *name,
	int flags)
{
	const struct listed *l = listed_in(folder, name);
	struct err why = { 0 };
	struct stat st;
	int fd;

	if (is_list(folder, name)) {
		errno = ENOENT;
		return -1;
	}
	fd = a->pass.base->open(a->pass.base, dir, name, flags, 0);
	if (!l || (fd < 0 && errno != ENOENT))
		return fd;
	if (fd < 0)
		return open_listed(a, dir, folder, name, l, flags);
	if (a->pass.base->lstat(a->pass.base, dir, packed_name(name, l).s, &st))
		return fd; /* it was unpacked by itself */
	(void)a->pass.base->close(a->pass.base, fd);
	err_rule(&why, RULE_ARCHIVE_OTHER, ERR_NOPOS,
		"%s and %s are both there: remove the one that is not meant", text_quote(name).s,
		text_quote(packed_name(name, l).s).s);
	return damaged(a, folder, &why);
}

/* The folder that the file at path lies in, opened; -1 if there is none. *name is the file's. */
static int open_above(const struct io *io, const char *path, const char **name)
{
	int dir = -1, why = errno;

	if (file_open_above(io, path, &dir, name, NULL)) {
		errno = why;
		return -1;
	}
	return dir;
}

static int do_open(const struct io *io, int dir, const char *path, int flags, mode_t mode)
{
	const struct archive_io *a = self(io);
	struct opened *folder = open_folder_of(a, dir);
	struct err fault = { 0 };
	const char *name;
	int fd, up, why;

	if (flags & O_DIRECTORY)
		return open_folder(a, dir, path, flags);
	if (folder && ((flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT)) {
		errno = EROFS;
		return -1;
	}
	if (folder)
		return open_in(a, dir, folder, path, flags);
	fd = a->pass.base->open(a->pass.base, dir, path, flags, mode);
	if (fd >= 0 || dir != AT_FDCWD || errno != ENOENT || (flags & O_ACCMODE) != O_RDONLY ||
		(up = open_above(io, path, &name)) < 0)
		return fd;
	folder = open_folder_of(a, up);
	fd = folder ? open_in(a, up, folder, name, flags) : -1;
	why = folder ? errno : ENOENT;
	if (fd < 0 && folder && why == EILSEQ && opened_fault(&a->s->open, folder, &fault))
		opened_blame(&a->s->open, NULL, &fault); /* who asks has a path, no folder */
	(void)io->close(io, up);
	errno = why;
	return fd;
}

static int do_close(const struct io *io, int fd)
{
	const struct archive_io *a = self(io);

	opened_drop(&a->s->open, fd);
	return a->pass.base->close(a->pass.base, fd);
}

static int do_fstat(const struct io *io, int fd, struct stat *st)
{
	const struct archive_io *a = self(io);
	const struct opened *o = opened_of(&a->s->open, fd);
	int rc = a->pass.base->fstat(a->pass.base, fd, st);

	if (!rc && o && !o->folder)
		st->st_size = (off_t)o->seek.bytes;
	return rc;
}

static int lstat_in(const struct archive_io *a, int dir, const struct opened *folder,
	const char *name, struct stat *st)
{
	const struct listed *l = listed_in(folder, name);
	int rc = a->pass.base->lstat(a->pass.base, dir, name, st);

	if (!rc && is_list(folder, name)) {
		errno = ENOENT;
		return -1;
	}
	if (!rc || !l || errno != ENOENT)
		return rc;
	rc = a->pass.base->lstat(a->pass.base, dir, packed_name(name, l).s, st);
	if (!rc && S_ISREG(st->st_mode))
		st->st_size = (off_t)l->bytes;
	return rc;
}

static int do_lstat(const struct io *io, int dir, const char *path, struct stat *st)
{
	const struct archive_io *a = self(io);
	const struct opened *folder = open_folder_of(a, dir);
	const char *name;
	int rc, up, why;

	if (folder)
		return lstat_in(a, dir, folder, path, st);
	rc = a->pass.base->lstat(a->pass.base, dir, path, st);
	if (!rc || dir != AT_FDCWD || errno != ENOENT || (up = open_above(io, path, &name)) < 0)
		return rc;
	folder = open_folder_of(a, up);
	rc = folder ? lstat_in(a, up, folder, name, st) : -1;
	why = folder ? errno : ENOENT;
	(void)io->close(io, up);
	errno = why;
	return rc;
}

/* NAME.zst is no link as NAME. */
static ssize_t do_readlink(const struct io *io, int dir, const char *path, char *buf, size_t n)
{
	const struct archive_io *a = self(io);
	ssize_t k = a->pass.base->readlink(a->pass.base, dir, path, buf, n);
	const struct listed *l;
	struct stat st;

	if (k >= 0 || errno != ENOENT || !(l = listed_in(open_folder_of(a, dir), path)))
		return k;
	errno = !a->pass.base->lstat(a->pass.base, dir, packed_name(path, l).s, &st) &&
			S_ISREG(st.st_mode)
		? EINVAL
		: ENOENT;
	return -1;
}

/* Says in why whose bytes the frame has, and which file it is of. */
static void say_place(const struct archive_io *a, struct opened *o, size_t frame, int fd,
	struct err *why)
{
	char tensor[PLACE_ROOM];

	if (why->rule && place_of_frame(&o->seek, frame, a->pass.base, fd, o->path, tensor))
		err_at(why, "%s", tensor);
	err_at(why, "%s%s", text_quote(o->path).s, filter_suffix(o->seek.filter));
}

static ssize_t do_pread(const struct io *io, int fd, void *buf, size_t n, off_t at)
{
	const struct archive_io *a = self(io);
	struct opened *o = opened_of(&a->s->open, fd);
	struct err why = { 0 };
	size_t i, skip;

	if (!o || o->folder)
		return a->pass.base->pread(a->pass.base, fd, buf, n, at);
	if (at < 0) {
		errno = EINVAL;
		return -1;
	}
	if ((uint64_t)at >= o->seek.bytes || !n)
		return 0;
	i = seek_find(&o->seek, (uint64_t)at);
	skip = (size_t)((uint64_t)at - o->seek.v[i].from);
	n = n < o->seek.v[i].bytes - skip ? n : o->seek.v[i].bytes - skip;
	if (!cache_read(a->s->cache, o->serial, &o->seek, i, a->pass.base, fd, buf, skip, n, &why))
		return (ssize_t)n;
	say_place(a, o, i, fd, &why);
	return damaged(a, o, &why);
}

/* A file of an archive has other bytes on disk than it is read as. */
static int do_clone(const struct io *io, int from, int to)
{
	const struct archive_io *a = self(io);

	if (!opened_of(&a->s->open, from) && !opened_of(&a->s->open, to))
		return a->pass.base->clone(a->pass.base, from, to);
	errno = EOPNOTSUPP;
	return -1;
}

static int do_link(const struct io *io, int from_dir, const char *from, int dir, const char *name)
{
	const struct archive_io *a = self(io);

	if (!opened_of(&a->s->open, from_dir) && !opened_of(&a->s->open, dir))
		return a->pass.base->link(a->pass.base, from_dir, from, dir, name);
	errno = EXDEV;
	return -1;
}

static int do_fault(const struct io *io, int fd, struct err *e)
{
	const struct archive_io *a = self(io);

	return opened_fault(&a->s->open, opened_of(&a->s->open, fd), e);
}

static bool is_archive(const struct io *io, int dir)
{
	return open_folder_of(self(io), dir) != NULL;
}

const struct io *archive_io_open(struct archive_io *a, const struct io *base)
{
	memset(a, 0, sizeof *a);
	a->s = calloc(1, sizeof *a->s);
	if (!a->s)
		return base;
	a->s->cache = cache_new();
	if (!a->s->cache) {
		free(a->s);
		a->s = NULL;
		return base;
	}
	pthread_rwlock_init(&a->s->open.lock, NULL);
	a->pass.base = base;
	a->pass.is_archive = is_archive;
	passing_fill(&a->pass);
	a->pass.io.open = do_open;
	a->pass.io.close = do_close;
	a->pass.io.fstat = do_fstat;
	a->pass.io.lstat = do_lstat;
	a->pass.io.readlink = do_readlink;
	a->pass.io.pread = do_pread;
	a->pass.io.list = do_list;
	a->pass.io.clone = do_clone;
	a->pass.io.link = do_link;
	a->pass.io.fault = do_fault;
	return &a->pass.io;
}

const struct listing *archive_io_listing(const struct io *io, int dir)
{
	const struct opened *o = io->open == do_open ? open_folder_of(self(io), dir) : NULL;

	return o && !*o->path ? &o->list->l : NULL;
}

const struct io *archive_io_base(const struct io *io)
{
	return io->open == do_open ? self(io)->pass.base : io;
}

void archive_io_close(struct archive_io *a)
{
	if (!a->s)
		return;
	opened_end(&a->s->open);
	pthread_rwlock_destroy(&a->s->open.lock);
	cache_free(a->s->cache);
	free(a->s);
	memset(a, 0, sizeof *a);
}
