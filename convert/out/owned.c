/* SPDX-License-Identifier: MIT */
#include "convert/out/owned.h"

#include "core/file.h"
#include "core/text.h"
#include "formats/conversion/chain.h"
#include "formats/conversion/head.h"
#include "formats/conversion/manifest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH = 600 };

struct reader {
	struct owned *o;
	const struct io *io;
	int out;
};

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct owned_path *)a)->s, ((const struct owned_path *)b)->s);
}

/* dir/name, or name. */
static void join(char path[PATH], const char *dir, const char *name)
{
	snprintf(path, PATH, "%s%s%s", dir, *dir ? "/" : "", name);
}

static const struct owned_path *find(const struct owned *o, const char *path)
{
	const struct owned_path key = { .s = path };

	return o->n ? bsearch(&key, o->v, o->n, sizeof key, by_path) : NULL;
}

/* --- what the documents say --- */

/* Adds dir/name if it is there and of that sort. fd is the folder dir. */
static int add(struct reader *r, int fd, const char *dir, const char *name, bool folder,
	struct err *e)
{
	char path[PATH];
	struct owned_path p = { .folder = folder };
	struct stat st;

	if (r->io->lstat(r->io, fd, name, &st))
		return errno == ENOENT ? 0 : err_sys(e, "cannot look at %s", text_quote(name).s);
	if (folder ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode))
		return 0;
	join(path, dir, name);
	p.s = arena_strndup(&r->o->arena, path, strlen(path));
	if (!p.s || mem_grow(&r->o->v, &r->o->cap, r->o->n + 1, sizeof p))
		return err_nomem(e);
	p.blocks = (uint64_t)st.st_blocks * 512;
	r->o->v[r->o->n++] = p;
	return 0;
}

/* What casts dropped, as the sidecar says. A sidecar that is not what the manifest says speaks for nothing. */
static int add_dropped(struct reader *r, const struct chain_folder *d,
	const struct manifest_file *f, struct err *e)
{
	struct err why = { 0 };
	char name[PATH];
	struct sidecar s;
	bool has;

	if (chain_sidecar(&s, d, f, &why))
		return why.kind == ERR_SYSTEM ? err_move(e, &why) : 0;
	has = s.dropped_bytes > 0;
	sidecar_free(&s);
	snprintf(name, sizeof name, "%s" MAN_DROPPED, f->name);
	return has ? add(r, d->dir, d->name, name, false, e) : 0;
}

static int add_folder(void *ctx, const struct chain_folder *d, struct err *e)
{
	struct reader *r = ctx;
	const struct manifest_file *f, *end = d->m->files.v + d->m->files.n;

	for (f = d->m->files.v; f < end; f++) {
		if (add(r, d->dir, d->name, f->name, false, e))
			return -1;
		if (f->side &&
			(add_dropped(r, d, f, e) || add(r, d->dir, d->name, f->side, false, e)))
			return -1;
	}
	return add(r, d->dir, d->name, MAN_NAME, false, e);
}

/* The folder of that name, and those above it. */
static int add_path(struct reader *r, const char *name, struct err *e)
{
	char part[PATH];
	const char *slash;

	for (slash = strchr(name, '/');; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof part, "%.*s",
			(int)(slash ? (size_t)(slash - name) : strlen(name)), name);
		if (add(r, r->out, "", part, true, e))
			return -1;
		if (!slash)
			return 0;
	}
}

static int add_set(void *ctx, const struct set_manifest *s, struct err *e)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (add_path(ctx, s->v[i].name, e))
			return -1;
	return 0;
}

/* The folder beside the weights of target hf. */
static int add_restore(struct reader *r, struct err *e)
{
	size_t i;

	for (i = 0; i < r->o->n; i++)
		if (!strcmp(r->o->v[i].s, SET_SOURCE "/" MAN_NAME))
			return add_path(r, SET_SOURCE, e);
	return 0;
}

/* What is wrong with a folder makes its files nobody's; at the top it ends the walk. */
static int pass_over(void *ctx, const char *path, struct err *why)
{
	(void)ctx;
	return why->kind == ERR_SYSTEM || !strcmp(path, MAN_NAME) ? -1 : 0;
}

/* --- folders that hold something else too --- */

static int look_into(struct reader *r, struct owned_path *p, struct err *e)
{
	char *names, *s, path[PATH];
	size_t n;
	int fd;

	if (file_open_below(r->io, r->out, p->s, &fd, e))
		return -1;
	if (r->io->list(r->io, fd, &names, &n)) {
		err_sys(e, "cannot list %s", text_quote(p->s).s);
		(void)r->io->close(r->io, fd); /* a folder has nothing to flush */
		return -1;
	}
	(void)r->io->close(r->io, fd); /* a folder has nothing to flush */
	for (s = names; n--; s += strlen(s) + 1) {
		join(path, p->s, s);
		p->mixed = p->mixed || !find(r->o, path);
	}
	free(names);
	return 0;
}

/* Sorts, leaves each path once, and finds out which folders are mixed: one with a mixed folder in it is, too. */
static int settle(struct reader *r, struct err *e)
{
	struct owned *o = r->o;
	const struct owned_path *up;
	char path[PATH], *slash;
	size_t i, n = 0;

	if (o->n)
		qsort(o->v, o->n, sizeof *o->v, by_path);
	for (i = 0; i < o->n; i++)
		if (!n || strcmp(o->v[n - 1].s, o->v[i].s) != 0)
			o->v[n++] = o->v[i];
	o->n = n;
	for (i = 0; i < n; i++)
		if (o->v[i].folder && look_into(r, &o->v[i], e))
			return -1;
	for (i = n; i-- > 0;) {
		snprintf(path, sizeof path, "%s", o->v[i].s);
		slash = strrchr(path, '/');
		if (!o->v[i].mixed || !slash)
			continue;
		*slash = 0;
		up = find(o, path);
		if (up)
			o->v[up - o->v].mixed = true;
	}
	return 0;
}

int owned_read(struct owned *o, const struct io *io, int out, struct err *e)
{
	struct reader r = { .o = o, .io = io, .out = out };
	struct chain_walk w = {
		.io = io, .ctx = &r, .tell = pass_over, .set = add_set, .folder = add_folder
	};
	struct err why = { 0 };
	struct head h;

	memset(o, 0, sizeof *o);
	if (head_read(&h, io, out, &why) || (h.form != HEAD_FOLDER && h.form != HEAD_SET) ||
		chain_walk(&w, out, &why) || add_restore(&r, &why) || settle(&r, &why)) {
		owned_free(o);
		return why.kind == ERR_SYSTEM ? err_move(e, &why) : 0;
	}
	return 0;
}

void owned_free(struct owned *o)
{
	free(o->v);
	arena_free(&o->arena);
	memset(o, 0, sizeof *o);
}

bool owned_has(const struct owned *o, const char *dir, const char *name)
{
	const struct owned_path *p;
	char path[PATH];

	if (!o)
		return false;
	join(path, dir, name);
	p = find(o, path);
	return p && !p->mixed;
}

/* --- removing --- */

/* Splits a path into its folder, "" for OUT, and its name. */
static const char *split(const char *path, char dir[PATH])
{
	char *slash;

	snprintf(dir, PATH, "%s", path);
	slash = strrchr(dir, '/');
	if (slash)
		*slash = 0;
	else
		*dir = 0;
	return slash ? path + (slash - dir) + 1 : path;
}

static bool goes(const struct owned_path *p, const struct owned_keep *k)
{
	char dir[PATH];
	const char *name = split(p->s, dir);

	return !p->mixed && strcmp(p->s, MAN_NAME) != 0 && !k->stays(k->ctx, dir, name, p->folder);
}

uint64_t owned_blocks(const struct owned *o, const struct owned_keep *k)
{
	uint64_t bytes = 0;
	size_t i;

	for (i = 0; i < o->n; i++)
		bytes += goes(&o->v[i], k) ? o->v[i].blocks : 0;
	return bytes;
}

static int remove_one(const struct owned_path *p, const struct io *io, int out, struct err *e)
{
	char dir[PATH];
	const char *name = split(p->s, dir);
	int fd = out, rc;

	if (*dir && file_open_below(io, out, dir, &fd, e))
		return -1;
	rc = p->folder ? io->rmdir(io, fd, name) : io->unlink(io, fd, name);
	rc = rc && errno != ENOENT ? err_sys(e, "cannot remove %s of the conversion that was there",
					     text_quote(p->s).s)
				   : 0;
	if (!rc && file_sync_dir(io, fd))
		rc = err_sys(e, "cannot sync the folder of %s", text_quote(p->s).s);
	if (fd != out)
		(void)io->close(io, fd); /* synced */
	return rc;
}

/* In which turn a path goes: weights and what belongs to them, manifests, folders. Sidecars say what was
 * dropped, and manifests where folders are, so that they are there for a second call. */
static int turn_of(const struct owned_path *p)
{
	char dir[PATH];
	const char *name = split(p->s, dir);

	if (p->folder)
		return 3;
	if (!strcmp(name, MAN_NAME))
		return 2;
	return text_stem(name, MAN_SIDECAR) > 0;
}

int owned_remove(const struct owned *o, const struct io *io, int out, const struct owned_keep *k,
	struct err *e)
{
	size_t i;
	int turn;

	for (turn = 0; turn <= 3; turn++)
		for (i = o->n; i-- > 0;) /* what lies in a folder comes before it */
			if (turn_of(&o->v[i]) == turn && goes(&o->v[i], k) &&
				remove_one(&o->v[i], io, out, e))
				return -1;
	return 0;
}
