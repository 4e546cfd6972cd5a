/* SPDX-License-Identifier: MIT */
#include "convert/follow/foreseen.h"

#include "core/file.h"
#include "formats/model/family.h"
#include "formats/st/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- headers --- */

static int unforeseen(const char *tensor, struct err *e)
{
	return err_rule(e, RULE_MODEL_UNEXPECTED, ERR_NOPOS,
		"the index has tensor %s, which config.json does not let expect",
		text_quote(tensor).s);
}

int foreseen_header(const struct foreseen *f, const struct coming *c, struct text *out,
	uint64_t *payload, struct err *e)
{
	struct tensor *v = calloc(c->n + 1, sizeof *v);
	const struct want *w;
	int rc = v ? 0 : err_nomem(e);
	size_t i;

	*payload = 0;
	for (i = 0; !rc && i < c->n; i++) {
		w = inventory_find(&f->inv, f->a->map.v[c->first + i].tensor);
		if (w)
			v[i] = (struct tensor){ .name = w->name,
				.dim = w->dim,
				.rank = w->rank,
				.dtype = w->dtype,
				.end = w->bytes };
		else
			rc = unforeseen(f->a->map.v[c->first + i].tensor, e);
	}
	if (!rc && c->n)
		qsort(v, c->n, sizeof *v, st_order);
	for (i = 0; !rc && i < c->n; i++) {
		v[i].begin = *payload;
		if (!mem_add(*payload, v[i].end, payload) || *payload > ST_OFFSET_MAX)
			rc = err_set(e, ERR_UNSUPPORTED, "%s would be too big", c->name);
		v[i].end = *payload;
	}
	if (!rc)
		st_put_header(out, v, c->n, sizeof *v);
	free(v);
	return rc || !out->failed ? rc : err_nomem(e);
}

/* --- as files --- */

static const struct foreseen *self(const struct io *io)
{
	return (const struct foreseen *)io;
}

static bool is_folder(const struct foreseen *f, int dir)
{
	struct stat st;

	return dir >= 0 && !f->pass.base->fstat(f->pass.base, dir, &st) &&
		st.st_dev == f->folder_dev && st.st_ino == f->folder_ino;
}

/* The shard that name in the folder dir is, if it is one that is not verified; else NULL. */
static const struct coming *shown(const struct foreseen *f, int dir, const char *name)
{
	const struct coming *c = arriving_find(f->a, name);

	return c && c->is != ARRIVAL_VERIFIED && is_folder(f, dir) ? c : NULL;
}

/* Makes a file in memory of these first bytes and so many more, which are not there. */
static int in_memory(const struct foreseen *f, const struct text *t, uint64_t payload)
{
	int fd = memfd_create("dsv4-foreseen", MFD_CLOEXEC), why;

	if (fd < 0)
		return -1;
	if (!file_write(f->pass.base, fd, t->s, t->n, 0, NULL) &&
		!ftruncate(fd, (off_t)(t->n + payload)))
		return fd;
	why = errno;
	(void)f->pass.base->close(f->pass.base, fd);
	errno = why;
	return -1;
}

static int open_shown(const struct foreseen *f, const struct coming *c)
{
	struct text t = { 0 };
	uint64_t payload;
	int fd = -1;

	errno = EIO;
	if (!foreseen_header(f, c, &t, &payload, NULL))
		fd = in_memory(f, &t, payload);
	text_free(&t);
	return fd;
}

static int do_open(const struct io *io, int dir, const char *path, int flags, mode_t mode)
{
	const struct foreseen *f = self(io);
	const struct coming *c = shown(f, dir, path);

	return c && (flags & O_ACCMODE) == O_RDONLY
		? open_shown(f, c)
		: f->pass.base->open(f->pass.base, dir, path, flags, mode);
}

static int do_close(const struct io *io, int fd)
{
	return self(io)->pass.base->close(self(io)->pass.base, fd);
}

static int do_fstat(const struct io *io, int fd, struct stat *st)
{
	return self(io)->pass.base->fstat(self(io)->pass.base, fd, st);
}

static int do_lstat(const struct io *io, int dir, const char *path, struct stat *st)
{
	const struct foreseen *f = self(io);

	if (!shown(f, dir, path))
		return f->pass.base->lstat(f->pass.base, dir, path, st);
	*st = (struct stat){ .st_mode = S_IFREG | 0444, .st_nlink = 1 };
	return 0;
}

static ssize_t do_readlink(const struct io *io, int dir, const char *path, char *buf, size_t n)
{
	const struct foreseen *f = self(io);

	if (!shown(f, dir, path))
		return f->pass.base->readlink(f->pass.base, dir, path, buf, n);
	errno = EINVAL; /* it is shown as a file */
	return -1;
}

/* Payload of a file in memory is not there. */
static ssize_t do_pread(const struct io *io, int fd, void *buf, size_t n, off_t at)
{
	const struct foreseen *f = self(io);
	const struct io *b = f->pass.base;
	uint64_t header;
	struct stat st;

	if (f->has_memory && at >= 0 && !b->fstat(b, fd, &st) && st.st_dev == f->memory &&
		(b->pread(b, fd, &header, 8, 0) != 8 || (uint64_t)at + n > 8 + header)) {
		errno = EIO;
		return -1;
	}
	return b->pread(b, fd, buf, n, at);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Puts the n names of v into one piece of memory, sorted and each once. */
static int join(const char **v, size_t n, char **names, size_t *kept)
{
	size_t i, bytes = 1;
	char *to;

	for (i = 0; i < n; i++)
		bytes += strlen(v[i]) + 1;
	*names = to = malloc(bytes);
	if (!to)
		return -1;
	qsort(v, n, sizeof *v, by_name);
	for (i = 0, *kept = 0; i < n; i++) {
		if (i && !strcmp(v[i - 1], v[i]))
			continue;
		to = stpcpy(to, v[i]) + 1;
		++*kept;
	}
	return 0;
}

static int list_folder(const struct foreseen *f, char *there, size_t n_there, char **names,
	size_t *n)
{
	const char **v = malloc((n_there + f->a->n + 1) * sizeof *v);
	size_t i, k = 0;
	char *s;
	int rc = -1;

	for (i = 0, s = there; v && i < n_there; i++, s += strlen(s) + 1)
		if (!arriving_is_part(s))
			v[k++] = s;
	for (i = 0; v && i < f->a->n; i++)
		v[k++] = f->a->v[i].name;
	if (v)
		rc = join(v, k, names, n);
	free(v);
	if (rc)
		errno = ENOMEM;
	return rc;
}

static int do_list(const struct io *io, int dir, char **names, size_t *n)
{
	const struct foreseen *f = self(io);
	char *there;
	size_t n_there;
	int rc;

	if (!is_folder(f, dir))
		return f->pass.base->list(f->pass.base, dir, names, n);
	if (f->pass.base->list(f->pass.base, dir, &there, &n_there))
		return -1;
	rc = list_folder(f, there, n_there, names, n);
	free(there);
	return rc;
}

static int do_clone(const struct io *io, int from, int to)
{
	return self(io)->pass.base->clone(self(io)->pass.base, from, to);
}

static int do_link(const struct io *io, int from_dir, const char *from, int dir, const char *name)
{
	return self(io)->pass.base->link(self(io)->pass.base, from_dir, from, dir, name);
}

static int do_fault(const struct io *io, int fd, struct err *e)
{
	const struct io *b = self(io)->pass.base;

	return b->fault ? b->fault(b, fd, e) : 0;
}

static bool is_archive(const struct io *io, int dir)
{
	(void)io, (void)dir;
	return false;
}

/* --- */

static void fill(struct foreseen *f)
{
	passing_fill(&f->pass);
	f->pass.is_archive = is_archive;
	f->pass.io.open = do_open;
	f->pass.io.close = do_close;
	f->pass.io.fstat = do_fstat;
	f->pass.io.lstat = do_lstat;
	f->pass.io.readlink = do_readlink;
	f->pass.io.pread = do_pread;
	f->pass.io.list = do_list;
	f->pass.io.clone = do_clone;
	f->pass.io.link = do_link;
	f->pass.io.fault = do_fault;
}

/* Finds out which device files in memory have, to know them by it. */
static int know_memory(struct foreseen *f, struct err *e)
{
	int fd = memfd_create("dsv4-foreseen", MFD_CLOEXEC);
	struct stat st;

	if (fd < 0 || f->pass.base->fstat(f->pass.base, fd, &st)) {
		err_sys(e, "cannot make a file in memory");
	} else {
		f->memory = st.st_dev;
		f->has_memory = true;
	}
	if (fd >= 0)
		(void)f->pass.base->close(f->pass.base, fd);
	return f->has_memory ? 0 : -1;
}

int foreseen_open(struct foreseen *f, const struct arriving *a, enum codec assume, struct err *e)
{
	enum codec experts = a->config.experts != CODEC_NONE ? a->config.experts : assume;
	const struct model_forms forms = { .dense = a->config.family->dense,
		.experts = experts != CODEC_NONE ? experts : CODEC_MXFP4 };
	struct stat st;
	size_t i;

	*f = (struct foreseen){ .pass.base = a->io, .a = a };
	fill(f);
	if (a->io->fstat(a->io, a->dir, &st))
		return err_sys(e, "cannot stat %s", text_quote(a->path).s);
	f->folder_dev = st.st_dev;
	f->folder_ino = st.st_ino;
	if (know_memory(f, e) || inventory_make(&f->inv, &a->config, forms, e))
		return -1;
	for (i = 0; i < a->map.n; i++)
		if (!inventory_find(&f->inv, a->map.v[i].tensor))
			return unforeseen(a->map.v[i].tensor, e);
	return 0;
}

void foreseen_close(struct foreseen *f)
{
	inventory_free(&f->inv);
	memset(f, 0, sizeof *f);
}
