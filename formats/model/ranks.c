/* SPDX-License-Identifier: MIT */
#include "formats/model/ranks.h"

#include "core/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* N of the first name of the form model0-mpN.safetensors in the folder; 0: there is none. */
static uint32_t count(const struct io *io, int dir)
{
	char *names = NULL, *p, again[48];
	unsigned long n = 0;
	size_t k, i;

	if (io->list(io, dir, &names, &k))
		return 0;
	for (i = 0, p = names; i < k && !n; i++, p += strlen(p) + 1) {
		if (strncmp(p, "model0-mp", 9) != 0)
			continue;
		n = strtoul(p + 9, NULL, 10);
		snprintf(again, sizeof again, "model0-mp%lu.safetensors", n);
		n = n <= RANKS_MAX && !strcmp(again, p) ? n : 0;
	}
	free(names);
	return (uint32_t)n;
}

bool ranks_there(const struct io *io, const char *path)
{
	struct err e = { 0 };
	uint32_t n;
	int dir;

	if (file_open_dir(io, path, &dir, &e))
		return false;
	n = count(io, dir);
	(void)io->close(io, dir); /* a folder has nothing to flush */
	return n;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

static const struct tensor *in_rank(const struct rank_file *f, const char *name)
{
	struct tensor key = { .name = name };

	return f->h.n ? bsearch(&key, f->h.tensors, f->h.n, sizeof key, by_name) : NULL;
}

static int open_rank(struct ranks *r, int dir, uint32_t i, struct err *e)
{
	struct rank_file *f = &r->v[i];
	struct stat st;

	snprintf(f->name, sizeof f->name, "model%u-mp%u.safetensors", i, r->n);
	if (file_open(r->io, dir, f->name, &f->fd, &st, e))
		return -1;
	if (st_read(&f->h, r->io, f->fd, (uint64_t)st.st_size, ST_HEADER_CAP, &r->arena, e))
		return err_at(e, "%s", f->name);
	if (f->h.n)
		qsort(f->h.tensors, f->h.n, sizeof *f->h.tensors, by_name);
	return 0;
}

/* --- joining --- */

static enum split split_of(const struct ranks *r, const char *name)
{
	const struct want *w = inventory_find(r->inv, name);

	return w ? roles[w->role].split : SPLIT_NONE;
}

/* Logical columns of a row. */
static uint64_t width(const struct tensor *t)
{
	uint64_t w = 1;
	unsigned i;

	for (i = 1; i < t->rank; i++)
		w *= t->dim[i];
	return t->dtype == DT_I8 ? 2 * w : w;
}

/* Has the joined tensor the shape of the source's? Scales are looked at with their weights. */
static int check_shape(const struct ranks *r, const struct tensor *t, struct err *e)
{
	const struct want *w = inventory_find(r->inv, t->name);
	struct tensor was = { 0 };

	if (!w)
		return err_rule(e, ERR_DATA, "model.unexpected", ERR_NOPOS,
			"tensor %s is not part of the source's model", text_quote(t->name).s);
	if (w->scale)
		return 0;
	was.dim = w->dim;
	was.rank = w->rank;
	was.dtype = w->dtype;
	if (t->rank == w->rank && (!t->rank || t->dim[0] == w->dim[0]) && width(t) == width(&was))
		return 0;
	return err_rule(e, ERR_DATA, "model.shape", ERR_NOPOS,
		"tensor %s, joined from the ranks, has not the shape of the source's",
		text_quote(t->name).s);
}

/* The tensor that begins in rank first (no earlier one has it), as the ranks have it together. */
static int join(struct ranks *r, struct ckpt *c, uint32_t first, const struct tensor *t,
	struct err *e)
{
	enum split split = split_of(r, t->name);
	uint64_t *dim = arena_alloc(&r->arena, (t->rank + 1u) * sizeof *dim);
	struct tensor *to = &c->tensors[c->n];
	const struct tensor *part;
	uint32_t i;

	if (!dim)
		return err_nomem(e);
	memcpy(dim, t->dim, t->rank * sizeof *dim);
	*to = *t;
	to->dim = dim;
	to->begin = 0;
	to->end = t->end - t->begin;
	for (i = first + 1; i < r->n && (split == SPLIT_ROWS || split == SPLIT_COLS); i++) {
		part = in_rank(&r->v[i], t->name);
		if (!part || part->dtype != t->dtype || part->rank != t->rank ||
			t->rank <= (split == SPLIT_COLS))
			return err_rule(e, ERR_DATA, "model.shape", ERR_NOPOS,
				"%s: tensor %s is not as in %s", r->v[i].name,
				text_quote(t->name).s, r->v[first].name);
		dim[split == SPLIT_COLS] += part->dim[split == SPLIT_COLS];
		to->end += part->end - part->begin;
	}
	c->n++;
	return check_shape(r, to, e);
}

static int join_all(struct ranks *r, struct ckpt *c, struct err *e)
{
	size_t all = 0, k;
	uint32_t i, j;

	for (i = 0; i < r->n; i++)
		all += r->v[i].h.n;
	c->tensors = calloc(all + 1, sizeof *c->tensors);
	if (!c->tensors)
		return err_nomem(e);
	for (i = 0; i < r->n; i++)
		for (k = 0; k < r->v[i].h.n; k++) {
			for (j = 0; j < i && !in_rank(&r->v[j], r->v[i].h.tensors[k].name); j++)
				;
			if (j == i && join(r, c, i, &r->v[i].h.tensors[k], e))
				return -1;
		}
	qsort(c->tensors, c->n, sizeof *c->tensors, by_name);
	return 0;
}

/* --- reading --- */

/* n bytes from off on of a tensor of rank i. */
static int read_rank(const struct ranks *r, uint32_t i, const struct tensor *t, uint64_t off,
	uint8_t *dst, uint64_t n, struct err *e)
{
	const struct rank_file *f = &r->v[i];

	if (file_read(r->io, f->fd, dst, (size_t)n, f->h.data_at + t->begin + off, e))
		return err_at(e, "%s", f->name);
	return 0;
}

/* Ranks one after the other; of whole tensors the first that has it. */
static int read_below(const struct ranks *r, const char *name, bool whole, uint64_t off,
	uint8_t *dst, uint64_t n, struct err *e)
{
	const struct tensor *t;
	uint64_t size, take;
	uint32_t i;

	for (i = 0; i < r->n && n; i++) {
		t = in_rank(&r->v[i], name);
		if (!t)
			continue;
		size = t->end - t->begin;
		take = off >= size ? 0 : size - off < n ? size - off : n;
		if (take && read_rank(r, i, t, off, dst, take, e))
			return -1;
		off = off > size ? off - size : 0;
		dst += take;
		n -= take;
		if (whole)
			break;
	}
	return n ? err_set(e, ERR_SYSTEM, "tensor %s ends too early", text_quote(name).s) : 0;
}

/* Ranks side by side. */
static int read_beside(const struct ranks *r, const struct tensor *t, uint64_t off, uint8_t *dst,
	uint64_t n, struct err *e)
{
	uint64_t rows = t->dim[0], row_bytes = rows ? t->end / rows : 0, col, part, take;
	const struct tensor *p = NULL;
	uint32_t i;

	while (n && row_bytes) {
		col = off % row_bytes;
		for (i = 0, part = 0; i < r->n; i++, col -= part) {
			p = in_rank(&r->v[i], t->name);
			part = p ? (p->end - p->begin) / rows : 0;
			if (col < part)
				break;
		}
		if (i == r->n)
			break;
		take = part - col < n ? part - col : n;
		if (read_rank(r, i, p, off / row_bytes * part + col, dst, take, e))
			return -1;
		off += take;
		dst += take;
		n -= take;
	}
	return n ? err_set(e, ERR_SYSTEM, "tensor %s ends too early", text_quote(t->name).s) : 0;
}

static int read_tensor(void *reader, uint32_t i, uint64_t off, uint8_t *dst, size_t n,
	struct err *e)
{
	const struct ranks *r = reader;
	const struct tensor *t = &r->c->tensors[i];
	enum split split = split_of(r, t->name);

	if (split == SPLIT_COLS && r->n > 1)
		return read_beside(r, t, off, dst, n, e);
	return read_below(r, t->name, split != SPLIT_ROWS, off, dst, n, e);
}

static void *reader_open(void *ctx)
{
	return ctx;
}

static void reader_close(void *reader)
{
	(void)reader;
}

static bool has(void *ctx, uint32_t i)
{
	(void)ctx, (void)i;
	return true;
}

/* --- */

int ranks_open(struct ranks *r, struct ckpt *c, const struct io *io, const char *path,
	const struct inventory *inv, struct err *e)
{
	uint32_t i;
	int dir, rc;

	memset(r, 0, sizeof *r);
	r->io = io;
	r->inv = inv;
	r->c = c;
	if (file_open_dir(io, path, &dir, e))
		return -1;
	r->n = count(io, dir);
	r->v = calloc(r->n + 1, sizeof *r->v);
	rc = r->v ? 0 : err_nomem(e);
	for (i = 0; r->v && i < r->n; i++)
		r->v[i].fd = -1;
	for (i = 0; !rc && i < r->n; i++)
		rc = open_rank(r, dir, i, e);
	(void)io->close(io, dir); /* a folder has nothing to flush */
	rc = rc ? rc : join_all(r, c, e);
	r->payload = (struct ckpt_payload){ .ctx = r,
		.open = reader_open,
		.close = reader_close,
		.read = read_tensor,
		.has = has };
	c->payload = &r->payload;
	if (rc)
		ranks_close(r, c);
	return rc;
}

void ranks_close(struct ranks *r, struct ckpt *c)
{
	uint32_t i;

	for (i = 0; r->v && i < r->n; i++) {
		if (r->v[i].fd >= 0)
			(void)r->io->close(r->io, r->v[i].fd); /* read only */
		st_free(&r->v[i].h);
	}
	free(r->v);
	free(c->tensors);
	arena_free(&r->arena);
	memset(r, 0, sizeof *r);
	memset(c, 0, sizeof *c);
}
