/* SPDX-License-Identifier: MIT */
#include "formats/joined.h"

#include "core/file.h"
#include "core/sha256.h"
#include "formats/sidecar.h"
#include "formats/manifest.h"

#include <errno.h>
#include <fcntl.h>
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

static int wrong(const struct opener *o, const char *rule, const char *file, const char *what)
{
	return err_rule(o->e, ERR_MISMATCH, rule, ERR_NOPOS, "%s: %s", text_quote(file).s, what);
}

/* Loads name in dir, of which the digest is known. */
static int load_known(const struct opener *o, int dir, const char *folder, const char *name,
	const uint8_t sha[32], struct text *t)
{
	uint8_t is[32];
	char path[400];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	if (file_load(o->io, dir, name, UINT32_MAX, t, o->e) || sha256_of(t->s, t->n, is, o->e))
		return err_at(o->e, "%s", folder);
	if (memcmp(is, sha, 32) != 0)
		return wrong(o, "set.manifest", path,
			"its SHA-256 is another than the manifest above says: it was edited, or is of "
			"another conversion");
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
	snprintf(path, sizeof path, "%s/%s", folder, f->name);
	*jf = (struct joined_file){ .fd = -1, .bytes = f->bytes, .name = strdup(path) };
	j->n_files++;
	if (!jf->name)
		return err_nomem(o->e);
	if (file_open(o->io, dir, f->name, &jf->fd, &st, o->e))
		return err_at(o->e, "%s", folder);
	if ((uint64_t)st.st_size != f->bytes)
		return wrong(o, "set.size", path, "its size is another than its manifest says");
	rc = load_known(o, dir, folder, f->sidecar, f->sidecar_sha256, &t);
	rc = rc ? rc : sidecar_read(j, (uint32_t)j->n_files - 1, &t, o->e);
	text_free(&t);
	return rc ? err_at(o->e, "%s", path) : 0;
}

static int join_folder(const struct opener *o, const struct set_folder *d)
{
	struct set_files files = { 0 };
	struct text t = { 0 };
	struct stat st;
	size_t i, n;
	int dir, rc;

	if (!strcmp(d->name, SET_SOURCE))
		return 0;
	if (o->io->lstat(o->io, o->top, d->name, &st) && errno == ENOENT) {
		n = strlen(o->j->missing);
		snprintf(o->j->missing + n, sizeof o->j->missing - n, "%s%s", n ? ", " : "",
			d->name);
		return 0; /* told to who asks for what it had */
	}
	dir = o->io->open(o->io, o->top, d->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (dir < 0)
		return err_sys(o->e, "cannot open folder %s", text_quote(d->name).s);
	rc = load_known(o, dir, d->name, MAN_NAME, d->sha256, &t);
	rc = rc ? rc : set_files_read(&files, &t, o->e);
	for (i = 0; !rc && i < files.n; i++)
		if (files.v[i].sidecar[0])
			rc = join_file(o, dir, d->name, &files.v[i]);
	set_files_free(&files);
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

/* --- reading --- */

enum { SLOTS = 3 }; /* w1 and w3 are read in turn, and another while one of them is still wanted */

struct slot {
	uint32_t tensor;
	bool full;
	uint64_t used;
	uint8_t *p; /* owns */
};

struct reader {
	const struct joined *j;
	struct slot slot[SLOTS];
	uint64_t now;
	uint8_t *packed, *spare; /* own: a matrix laid out; a row that nobody wants */
	uint8_t **row;           /* owns */
	uint32_t *from;          /* owns */
	struct xxh *xxh;         /* owns */
};

static size_t need(void *ctx)
{
	const struct joined *j = ctx;

	return (size_t)(j->packed + (SLOTS + 1) * j->plain +
		j->rows * (sizeof(uint8_t *) + sizeof(uint32_t)));
}

static void reader_close(void *reader)
{
	struct reader *r = reader;
	int i;

	for (i = 0; i < SLOTS; i++)
		free(r->slot[i].p);
	free(r->packed);
	free(r->spare);
	free(r->row);
	free(r->from);
	xxh_free(r->xxh);
	free(r);
}

static void *reader_open(void *ctx)
{
	struct reader *r = calloc(1, sizeof *r);
	const struct joined *j = ctx;
	bool ok;
	int i;

	if (!r)
		return NULL;
	r->j = j;
	r->packed = malloc(j->packed + 1);
	r->spare = malloc(j->plain + 1);
	r->row = malloc((j->rows + 1) * sizeof *r->row);
	r->from = malloc((j->rows + 1) * sizeof *r->from);
	r->xxh = xxh_new();
	ok = r->packed && r->spare && r->row && r->from && r->xxh;
	for (i = 0; i < SLOTS; i++) {
		r->slot[i].p = malloc(j->plain + 1);
		ok = ok && r->slot[i].p;
	}
	if (ok)
		return r;
	reader_close(r);
	return NULL;
}

static int read_file(const struct reader *r, const struct piece *p, uint64_t at, uint8_t *dst,
	size_t n, struct err *e)
{
	const struct joined_file *f = &r->j->files[p->file];

	if (file_read(r->j->c->io, f->fd, dst, n, p->at + at, e))
		return err_at(e, "%s", f->name);
	return 0;
}

/* Takes a matrix apart: what is of the piece goes to its place in dst, a whole source tensor. */
static int unpack(struct reader *r, const struct piece *p, uint8_t *dst, uint64_t row_bytes,
	struct err *e)
{
	struct tile_dim d = tile_dim(p->tile, (uint32_t)(p->parts * p->rows), p->cols);
	struct tile_grid g = tile_grid(p->tile, d);
	tile_unpack_fn *fn = tile_unpacker(p->tile, d, r->j->features);
	uint64_t s, take;
	uint32_t i;

	if (read_file(r, p, 0, r->packed, (size_t)tile_bytes(p->tile, d), e))
		return -1;
	rowmap_from(p->map, (uint32_t)p->rows, r->from);
	for (i = 0; i < d.rows; i++)
		r->row[i] = r->from[i] / p->rows != p->part
			? r->spare
			: dst + (p->row + r->from[i] % p->rows) * row_bytes + p->col;
	for (s = 0; s < g.n; s += take) {
		take = p->tile->by_cols ? g.n : g.across;
		if (p->tile->by_cols || s / g.across * g.rows < d.rows)
			fn(p->tile, d, r->row + (p->tile->by_cols ? 0 : s / g.across * g.rows), s,
				take, r->packed + s * g.bytes);
	}
	return 0;
}

/* Is it what was laid out then? */
static int check_piece(struct reader *r, const struct piece *p, const uint8_t *src,
	uint64_t row_bytes, struct err *e)
{
	struct xxh_digest d;
	uint64_t i;

	if (!p->has_xxh)
		return 0;
	xxh_reset(r->xxh);
	for (i = 0; i < p->rows; i++)
		xxh_update(r->xxh, src + (p->row + i) * row_bytes + p->col, (size_t)p->cols);
	d = xxh_final(r->xxh);
	if (!memcmp(&d, &p->xxh, sizeof d))
		return 0;
	return err_rule(e, ERR_MISMATCH, "set.digest", ERR_NOPOS,
		"%s: taken apart it is not tensor %s as it was: it was damaged since",
		r->j->files[p->file].name, text_quote(r->j->c->tensors[p->tensor].name).s);
}

/* The tensor i, taken apart. NULL on failure. */
static const uint8_t *slot_of(struct reader *r, uint32_t i, struct err *e)
{
	const struct joined *j = r->j;
	const struct tensor *t = &j->c->tensors[i];
	uint64_t row_bytes = (t->end - t->begin) / tensor_rows(t);
	struct slot *s, *old = r->slot;
	const struct piece *p;

	r->now++;
	for (s = r->slot; s < r->slot + SLOTS; s++) {
		if (s->full && s->tensor == i) {
			s->used = r->now;
			return s->p;
		}
		if (!s->full || s->used < old->used)
			old = s;
	}
	old->full = false;
	for (p = j->pieces + j->first[i]; p < j->pieces + j->first[i + 1]; p++)
		if (unpack(r, p, old->p, row_bytes, e) || check_piece(r, p, old->p, row_bytes, e))
			return NULL;
	*old = (struct slot){ .tensor = i, .full = true, .used = r->now, .p = old->p };
	return old->p;
}

/* Bytes off..off+n of pieces that lie below one another. */
static int read_rows(const struct reader *r, const struct piece *p, const struct piece *end,
	uint64_t off, uint8_t *dst, size_t n, struct err *e)
{
	uint64_t from, to, take;

	for (; n && p < end; p++) {
		from = p->row * p->cols;
		to = from + p->rows * p->cols;
		if (off >= to)
			continue;
		take = to - off < n ? to - off : n;
		if (read_file(r, p, off - from, dst, (size_t)take, e))
			return -1;
		off += take;
		dst += take;
		n -= (size_t)take;
	}
	return 0;
}

/* The same of pieces side by side. */
static int read_cols(const struct reader *r, const struct piece *first, const struct piece *end,
	uint64_t row_bytes, uint64_t off, uint8_t *dst, size_t n, struct err *e)
{
	const struct piece *p;
	uint64_t row, col, take;

	while (n) {
		row = off / row_bytes;
		col = off % row_bytes;
		for (p = first; p + 1 < end && col >= p->col + p->cols; p++)
			;
		take = p->col + p->cols - col < n ? p->col + p->cols - col : n;
		if (read_file(r, p, row * p->cols + (col - p->col), dst, (size_t)take, e))
			return -1;
		off += take;
		dst += take;
		n -= (size_t)take;
	}
	return 0;
}

static int read_tensor(void *reader, uint32_t i, uint64_t off, uint8_t *dst, size_t n,
	struct err *e)
{
	struct reader *r = reader;
	const struct joined *j = r->j;
	const struct tensor *t = &j->c->tensors[i];
	const struct piece *p = j->pieces + j->first[i], *end = j->pieces + j->first[i + 1];
	uint64_t rows = tensor_rows(t), row_bytes = rows ? (t->end - t->begin) / rows : 0;
	const uint8_t *whole;

	if (!n)
		return 0;
	if (p == end)
		return err_set(e, ERR_SYSTEM, "tensor %s is not there", text_quote(t->name).s);
	if (p->tile) {
		whole = slot_of(r, i, e);
		if (!whole)
			return -1;
		memcpy(dst, whole + off, n);
		return 0;
	}
	return p->cols == row_bytes ? read_rows(r, p, end, off, dst, n, e)
				    : read_cols(r, p, end, row_bytes, off, dst, n, e);
}

static bool has_tensor(void *ctx, uint32_t i)
{
	const struct joined *j = ctx;

	return j->has[i];
}

static const char *missing(void *ctx)
{
	const struct joined *j = ctx;

	return j->missing[0] ? j->missing : NULL;
}

static int check_tensor(void *ctx, uint32_t i, const struct xxh_digest *d, struct err *e)
{
	const struct joined *j = ctx;

	if (!j->has_xxh[i] || !memcmp(d, &j->xxh[i], sizeof *d))
		return 0;
	return err_rule(e, ERR_MISMATCH, "set.digest", ERR_NOPOS,
		"%s: tensor %s is not as it was when it was converted: it was damaged since",
		j->first[i] < j->n_pieces ? j->files[j->pieces[j->first[i]].file].name : "",
		text_quote(j->c->tensors[i].name).s);
}

/* --- opening --- */

/* The source folder's own manifest is held to its digest too, and its files to that. */
static int check_source(const struct opener *o, const struct set_folder *d)
{
	struct set_files files = { 0 };
	struct text t = { 0 }, small = { 0 };
	size_t i;
	int dir, rc;

	dir = o->io->open(o->io, o->top, d->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (dir < 0)
		return err_sys(o->e, "cannot open folder %s", text_quote(d->name).s);
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

static int join(const struct opener *o, const struct set_folders *d)
{
	struct joined *j = o->j;
	size_t i;
	int rc = 0;

	j->has_xxh = calloc(j->c->n + 1, sizeof *j->has_xxh);
	j->xxh = calloc(j->c->n + 1, sizeof *j->xxh);
	if (!j->has_xxh || !j->xxh)
		return err_nomem(o->e);
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
	text_free(&t);
	for (i = 0; !rc && i < d.n && strcmp(d.v[i].name, SET_SOURCE) != 0; i++)
		;
	if (!rc && i == d.n)
		rc = wrong(o, "set.form", MAN_NAME, "it names no folder source");
	rc = rc ? rc : check_source(o, &d.v[i]);
	snprintf(o->j->target, sizeof o->j->target, "%s", d.target);
	if (!rc && snprintf(path, sizeof path, "%s/%s", out, SET_SOURCE) >= (int)sizeof path)
		rc = err_set(o->e, ERR_USAGE, "the path is too long");
	rc = rc ? rc : ckpt_open(c, o->io, path, &co, f, o->e);
	rc = rc ? rc : join(o, &d);
	set_folders_free(&d);
	return rc;
}

int joined_open(struct joined *j, struct ckpt *c, const struct io *io, const char *out,
	uint64_t header_cap, unsigned features, struct findings *f, struct err *e)
{
	struct opener o = { .j = j, .io = io, .e = e };
	int rc;

	memset(j, 0, sizeof *j);
	memset(c, 0, sizeof *c);
	j->c = c;
	j->features = features;
	if (file_open_dir(io, out, &o.top, e))
		return -1;
	rc = open_all(&o, c, out, header_cap, f);
	(void)io->close(io, o.top); /* a folder has nothing to flush */
	j->payload = (struct ckpt_payload){ .ctx = j,
		.open = reader_open,
		.close = reader_close,
		.need = need,
		.read = read_tensor,
		.has = has_tensor,
		.missing = missing,
		.check = check_tensor };
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
		free(j->files[i].name);
	}
	free(j->files);
	free(j->pieces);
	free(j->first);
	free(j->has);
	free(j->has_xxh);
	free(j->xxh);
	memset(j, 0, sizeof *j);
}
