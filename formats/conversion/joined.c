/* SPDX-License-Identifier: MIT */
#include "formats/conversion/joined.h"

#include "core/file.h"
#include "core/hash/sha256.h"
#include "formats/conversion/sidecar.h"
#include "formats/conversion/manifest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what is in the folders --- */

struct opener {
	struct joined *j;
	const struct io *io;
	int top;
	struct err *e;
};

static int wrong(const struct opener *o, enum rule_id rule, const char *file, const char *what)
{
	return err_rule(o->e, rule, ERR_NOPOS, "%s: %s", text_quote(file).s, what);
}

/* Loads name in dir, of which the digest is known. */
static int load_known(const struct opener *o, int dir, const char *folder, const char *name,
	const uint8_t sha[32], struct text *t)
{
	uint8_t is[32];
	char path[400];

	snprintf(path, sizeof path, "%s%s%s", folder, *folder ? "/" : "", name);
	if (file_load(o->io, dir, name, UINT32_MAX, t, o->e) || sha256_of(t->s, t->n, is, o->e))
		return err_at(o->e, "%s", folder);
	if (memcmp(is, sha, 32) != 0)
		return wrong(o, RULE_SET_MANIFEST, path,
			"its SHA-256 is another than the manifest above says: it was edited, or is of "
			"another conversion");
	return 0;
}

/* What the casts in the file dropped. */
static int open_kept(const struct opener *o, int dir, const struct set_file *f,
	struct joined_file *jf)
{
	char name[300];
	struct stat st;

	if (!jf->kept_bytes)
		return 0;
	snprintf(name, sizeof name, "%s%s", f->name, MAN_DROPPED);
	if (file_open(o->io, dir, name, &jf->kept, &st, o->e))
		return -1;
	if ((uint64_t)st.st_size != jf->kept_bytes)
		return wrong(o, RULE_SET_SIZE, name, "its size is another than the sidecar says");
	return 0;
}

/* One file of weights of a folder, with the pieces its sidecar tells of. */
static int join_file(const struct opener *o, int dir, const char *folder, const struct set_file *f)
{
	struct joined *j = o->j;
	struct joined_file *jf;
	struct text t = { 0 };
	struct stat st;
	char path[400];
	int rc;

	if (mem_grow(&j->files, &j->files_cap, j->n_files + 1, sizeof *j->files))
		return err_nomem(o->e);
	jf = &j->files[j->n_files];
	snprintf(path, sizeof path, "%s%s%s", folder, *folder ? "/" : "", f->name);
	*jf = (struct joined_file){ .fd = -1, .kept = -1, .bytes = f->bytes, .name = strdup(path) };
	j->n_files++;
	if (!jf->name)
		return err_nomem(o->e);
	if (file_open(o->io, dir, f->name, &jf->fd, &st, o->e))
		return err_at(o->e, "%s", folder);
	if ((uint64_t)st.st_size != f->bytes)
		return wrong(o, RULE_SET_SIZE, path, "its size is another than its manifest says");
	rc = load_known(o, dir, folder, f->sidecar, f->sidecar_sha256, &t);
	rc = rc ? rc : sidecar_read(j, (uint32_t)j->n_files - 1, &t, o->e);
	text_free(&t);
	rc = rc ? rc : open_kept(o, dir, f, jf);
	return rc ? err_at(o->e, "%s", path) : 0;
}

/* The files that a folder's manifest lists. */
static int join_files(const struct opener *o, int dir, const char *folder, const struct text *t)
{
	struct set_files files = { 0 };
	size_t i;
	int rc = set_files_read(&files, t, o->e);

	for (i = 0; !rc && i < files.n; i++)
		if (files.v[i].sidecar[0])
			rc = join_file(o, dir, folder, &files.v[i]);
	set_files_free(&files);
	return rc;
}

static int join_folder(const struct opener *o, const struct set_folder *d)
{
	struct text t = { 0 };
	struct stat st;
	size_t n;
	int dir, rc;

	if (!strcmp(d->name, SET_SOURCE))
		return 0;
	if (o->io->lstat(o->io, o->top, d->name, &st) && errno == ENOENT) {
		n = strlen(o->j->missing);
		snprintf(o->j->missing + n, sizeof o->j->missing - n, "%s%s", n ? ", " : "",
			d->name);
		return 0; /* told to who asks for what it had */
	}
	if (file_open_below(o->io, o->top, d->name, &dir, o->e))
		return -1;
	rc = load_known(o, dir, d->name, MAN_NAME, d->sha256, &t);
	rc = rc ? rc : join_files(o, dir, d->name, &t);
	text_free(&t);
	(void)o->io->close(o->io, dir); /* a folder has nothing to flush */
	return rc;
}

/* --- putting the pieces in order --- */

static int by_place(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	if (x->tensor != y->tensor)
		return x->tensor < y->tensor ? -1 : 1;
	if (x->row != y->row)
		return x->row < y->row ? -1 : 1;
	if (x->col != y->col)
		return x->col < y->col ? -1 : 1;
	return (x->file > y->file) - (x->file < y->file);
}

static uint64_t tensor_rows(const struct tensor *t)
{
	return t->rank ? t->dim[0] : 1;
}

/* Whether the n pieces make all of t: one after the other by rows, or by columns. */
static bool make_all(const struct tensor *t, const struct piece *p, size_t n)
{
	uint64_t rows = tensor_rows(t), cols = rows ? (t->end - t->begin) / rows : 0, at = 0;
	bool by_rows = n && p[0].cols == cols;
	size_t i;

	if (t->begin == t->end)
		return true;
	for (i = 0; i < n; i++) {
		if (by_rows ? p[i].col || p[i].cols != cols || p[i].row != at
			    : p[i].row || p[i].rows != rows || p[i].col != at)
			return false;
		at += by_rows ? p[i].rows : p[i].cols;
	}
	return n && at == (by_rows ? rows : cols);
}

static int order(struct joined *j, struct err *e)
{
	size_t i, k, n = 0;

	j->first = calloc(j->c->n + 1, sizeof *j->first);
	j->has = calloc(j->c->n + 1, sizeof *j->has);
	if (!j->first || !j->has)
		return err_nomem(e);
	if (j->n_pieces)
		qsort(j->pieces, j->n_pieces, sizeof *j->pieces, by_place);
	for (k = 0; k < j->n_pieces; k++) /* replicas: the first will do */
		if (!n || j->pieces[n - 1].tensor != j->pieces[k].tensor ||
			j->pieces[n - 1].row != j->pieces[k].row ||
			j->pieces[n - 1].col != j->pieces[k].col)
			j->pieces[n++] = j->pieces[k];
	j->n_pieces = n;
	for (i = 0, k = 0; i < j->c->n; i++) {
		j->first[i] = k;
		while (k < n && j->pieces[k].tensor == i)
			k++;
		j->has[i] = make_all(&j->c->tensors[i], j->pieces + j->first[i], k - j->first[i]);
	}
	j->first[j->c->n] = n;
	return 0;
}

/* --- opening --- */

/* The source folder's own manifest is held to its digest too, and its files to that. */
static int check_source(const struct opener *o, const struct set_folder *d)
{
	struct set_files files = { 0 };
	struct text t = { 0 }, small = { 0 };
	size_t i;
	int dir, rc;

	if (file_open_below(o->io, o->top, d->name, &dir, o->e))
		return -1;
	rc = load_known(o, dir, d->name, MAN_NAME, d->sha256, &t);
	rc = rc ? rc : set_files_read(&files, &t, o->e);
	for (i = 0; !rc && i < files.n; i++) {
		small.n = 0;
		rc = load_known(o, dir, d->name, files.v[i].name, files.v[i].sha256, &small);
	}
	set_files_free(&files);
	text_free(&small);
	text_free(&t);
	(void)o->io->close(o->io, dir); /* a folder has nothing to flush */
	return rc;
}

static int join(const struct opener *o, const struct set_folders *d, const struct text *manifest)
{
	struct joined *j = o->j;
	size_t i;
	int rc = 0;

	j->has_xxh = calloc(j->c->n + 1, sizeof *j->has_xxh);
	j->xxh = calloc(j->c->n + 1, sizeof *j->xxh);
	j->cast_of = calloc(j->c->n + 1, sizeof *j->cast_of);
	if (!j->has_xxh || !j->xxh || !j->cast_of)
		return err_nomem(o->e);
	if (d->flat) {
		rc = join_files(o, o->top, "", manifest);
		return rc ? rc : order(j, o->e);
	}
	for (i = 0; !rc && i < d->n; i++)
		rc = join_folder(o, &d->v[i]);
	return rc ? rc : order(j, o->e);
}

static int open_all(const struct opener *o, struct ckpt *c, const char *out, uint64_t header_cap,
	struct findings *f)
{
	struct ckpt_opts co = { .headers = true, .header_cap = header_cap };
	struct set_folders d = { 0 };
	struct text t = { 0 };
	char path[4096];
	size_t i;
	int rc;

	if (file_load(o->io, o->top, MAN_NAME, UINT32_MAX, &t, o->e))
		return err_at(o->e, "%s is no finished conversion for an engine",
			text_quote(out).s);
	rc = set_folders_read(&d, &t, o->e);
	for (i = 0; !rc && i < d.n && strcmp(d.v[i].name, SET_SOURCE) != 0; i++)
		;
	if (!rc && i == d.n)
		rc = wrong(o, RULE_SET_FORM, MAN_NAME,
			"it names no folder source: what the way back needs was not kept (target "
			"official, or --no-restore)");
	rc = rc ? rc : check_source(o, &d.v[i]);
	snprintf(o->j->target, sizeof o->j->target, "%s", d.target);
	if (!rc && snprintf(path, sizeof path, "%s/%s", out, SET_SOURCE) >= (int)sizeof path)
		rc = err_set(o->e, ERR_USAGE, "the path is too long");
	rc = rc ? rc : ckpt_open(c, o->io, path, &co, f, o->e);
	rc = rc ? rc : join(o, &d, &t);
	text_free(&t);
	set_folders_free(&d);
	return rc;
}

int joined_open(struct joined *j, struct ckpt *c, const struct io *io, const char *out,
	uint64_t header_cap, unsigned features, const struct joined_uncast *uncast,
	struct findings *f, struct err *e)
{
	struct opener o = { .j = j, .io = io, .e = e };
	int rc;

	memset(j, 0, sizeof *j);
	memset(c, 0, sizeof *c);
	j->c = c;
	j->features = features;
	j->uncast = uncast;
	if (file_open_dir(io, out, &o.top, e))
		return -1;
	rc = open_all(&o, c, out, header_cap, f);
	(void)io->close(io, o.top); /* a folder has nothing to flush */
	j->payload = joined_payload(j);
	c->payload = &j->payload;
	if (rc)
		joined_close(j);
	return rc;
}

void joined_close(struct joined *j)
{
	size_t i;

	for (i = 0; i < j->n_files; i++) {
		if (j->files[i].fd >= 0)
			(void)j->c->io->close(j->c->io, j->files[i].fd); /* read only */
		if (j->files[i].kept >= 0)
			(void)j->c->io->close(j->c->io, j->files[i].kept); /* read only */
		free(j->files[i].name);
	}
	free(j->files);
	free(j->pieces);
	free(j->casts);
	free(j->cast_of);
	free(j->first);
	free(j->has);
	free(j->has_xxh);
	free(j->xxh);
	memset(j, 0, sizeof *j);
}
