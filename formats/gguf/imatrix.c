/* SPDX-License-Identifier: MIT */
#include "formats/gguf/imatrix.h"

#include "core/file.h"
#include "core/text.h"
#include "formats/gguf/ggml_type.h"
#include "formats/gguf/gguf_meta.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 1 << 14 }; /* values looked at together */

struct opening {
	struct imatrix *m;
	struct gguf_file f;
	bool said; /* general.type is "imatrix" */
};

static int look(void *ctx, struct gguf *g, const struct gguf_value *v, struct err *e)
{
	struct opening *o = ctx;
	struct gguf_value item;
	size_t n;

	if (!strcmp(g->key.s, "general.type"))
		o->said = v->type == GGUF_STRING && v->n == 7 && !memcmp(v->s, "imatrix", 7);
	else if (!strcmp(g->key.s, "imatrix.chunk_count"))
		(void)gguf_value_u64(v,
			&o->m->chunks); /* a figure for people: 0 where it is none */
	else if (!strcmp(g->key.s, "imatrix.chunk_size"))
		(void)gguf_value_u64(v, &o->m->chunk_size);
	else if (!strcmp(g->key.s, "imatrix.datasets") && v->type == GGUF_ARRAY &&
		v->item == GGUF_STRING && v->count) {
		if (gguf_item(g, &item) < 0)
			return -1;
		n = item.n < IMATRIX_TEXT - 1 ? item.n : IMATRIX_TEXT - 1;
		memcpy(o->m->datasets, item.s, n);
		o->m->datasets[n] = 0;
	}
	(void)e;
	return 0;
}

/* --- which matrices there are --- */

static int bad(const struct gguf_tensor *t, const char *what, struct err *e)
{
	return err_rule(e, RULE_IMPORTANCE_FORM, t->pos, "tensor %s %s", text_quote(t->name).s,
		what);
}

static int by_name(const void *a, const void *b)
{
	const struct gguf_tensor *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int by_matrix(const void *a, const void *b)
{
	const struct imatrix_tensor *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* The counts that belong to sums, both as they lie in the file. Returns NULL where there are none. */
static const struct gguf_tensor *counts_of(const struct gguf_file *f, const char *matrix)
{
	char name[GGUF_NAME_MAX + sizeof IMATRIX_COUNTS];
	struct gguf_tensor key = { .name = name };

	memcpy(name, matrix, strlen(matrix) + 1);
	strncat(name, IMATRIX_COUNTS, sizeof name - strlen(name) - 1);
	return bsearch(&key, f->tensors, f->n, sizeof key, by_name);
}

static int take(struct opening *o, const struct gguf_tensor *t, struct err *e)
{
	struct imatrix_tensor *x = &o->m->v[o->m->n];
	const struct gguf_tensor *c;

	x->name = arena_strndup(&o->m->arena, t->name, strlen(t->name) - strlen(IMATRIX_SUMS));
	if (!x->name)
		return err_nomem(e);
	c = counts_of(&o->f, x->name);
	if (!c)
		return bad(t, "has no counts of tokens beside it", e);
	if (t->type != GGML_F32 || c->type != GGML_F32)
		return bad(t, "or its counts are not in F32", e);
	x->cols = t->dim[0];
	x->mats = t->dim[1];
	if (!x->cols || !x->mats || t->dim[2] != 1 || t->dim[3] != 1 || c->dim[0] != 1 ||
		c->dim[1] != x->mats || c->dim[2] != 1 || c->dim[3] != 1)
		return bad(t, "and its counts have shapes that do not fit together", e);
	x->sums_at = o->f.data_at + t->at;
	x->counts_at = o->f.data_at + c->at;
	o->m->n++;
	return 0;
}

static int take_all(struct opening *o, struct err *e)
{
	size_t i, sums = 0;

	if (o->f.n)
		qsort(o->f.tensors, o->f.n, sizeof *o->f.tensors, by_name);
	o->m->v = calloc(o->f.n + 1, sizeof *o->m->v);
	if (!o->m->v)
		return err_nomem(e);
	for (i = 0; i < o->f.n; i++) {
		if (text_stem(o->f.tensors[i].name, IMATRIX_SUMS)) {
			if (take(o, &o->f.tensors[i], e))
				return -1;
			sums++;
		} else if (!text_stem(o->f.tensors[i].name, IMATRIX_COUNTS)) {
			return bad(&o->f.tensors[i], "is neither sums nor counts", e);
		}
	}
	if (!sums || 2 * sums != o->f.n)
		return err_rule(e, RULE_IMPORTANCE_FORM, ERR_NOPOS,
			"it has %llu matrices with sums and %llu tensors: two are wanted of each",
			(unsigned long long)sums, (unsigned long long)o->f.n);
	qsort(o->m->v, o->m->n, sizeof *o->m->v,
		by_matrix); /* "a.weight" and "a" sort another way with endings */
	return 0;
}

/* --- values --- */

/* n values of the file from byte at on, held to what sums can be. */
static int values(const struct imatrix *m, const struct imatrix_tensor *t, float *v, size_t n,
	uint64_t at, struct err *e)
{
	size_t i;

	if (file_read(m->io, m->fd, v, 4 * n, at, e))
		return -1;
	for (i = 0; i < n; i++)
		if (!isfinite(v[i]) || v[i] < 0)
			return err_rule(e, RULE_IMPORTANCE_FORM, at + 4 * i,
				"%s: a sum or count is %g: squares and tokens are never negative, nor NaN or infinite",
				text_quote(t->name).s, (double)v[i]);
	return 0;
}

static int check_values(const struct imatrix *m, struct err *e)
{
	float *v = malloc(WINDOW * sizeof *v);
	uint64_t at, all;
	size_t i, n;
	int rc = v ? 0 : err_nomem(e);

	for (i = 0; !rc && i < m->n; i++) {
		/* the file holds them: the product does not wrap */
		all = m->v[i].cols * m->v[i].mats;
		for (at = 0; !rc && at < all; at += n) {
			n = all - at < WINDOW ? (size_t)(all - at) : WINDOW;
			rc = values(m, &m->v[i], v, n, m->v[i].sums_at + 4 * at, e);
		}
		for (at = 0; !rc && at < m->v[i].mats; at += n) {
			n = m->v[i].mats - at < WINDOW ? (size_t)(m->v[i].mats - at) : WINDOW;
			rc = values(m, &m->v[i], v, n, m->v[i].counts_at + 4 * at, e);
		}
	}
	free(v);
	return rc;
}

/* --- */

int imatrix_open_in(struct imatrix *m, const struct io *io, int dir, const char *name,
	struct err *e)
{
	struct opening o = { .m = m };
	struct stat st;
	int rc;

	*m = (struct imatrix){ .io = io, .fd = -1 };
	if (file_open(io, dir, name, &m->fd, &st, e)) {
		m->fd = -1;
		return -1;
	}
	rc = gguf_file_read(&o.f, io, m->fd, (uint64_t)st.st_size, look, &o, &m->arena, e);
	if (!rc && !o.said)
		rc = err_rule(e, RULE_IMPORTANCE_FORM, ERR_NOPOS,
			"it is a GGUF, but general.type does not say imatrix");
	rc = rc ? rc : take_all(&o, e);
	rc = rc ? rc : check_values(m, e);
	gguf_file_free(&o.f);
	if (rc)
		imatrix_close(m);
	return rc;
}

static bool is_imatrix(const struct io *io, int fd, uint64_t size)
{
	struct imatrix m = { .io = io, .fd = -1 };
	struct opening o = { .m = &m };
	bool is = !gguf_file_read(&o.f, io, fd, size, look, &o, &m.arena, &(struct err){ 0 }) &&
		o.said;

	gguf_file_free(&o.f);
	imatrix_close(&m);
	return is;
}

const struct dest_kind imatrix_kind = { "a GGUF whose general.type is imatrix", is_imatrix };

int imatrix_open(struct imatrix *m, const struct io *io, const char *path, struct err *e)
{
	const char *name;
	int dir, rc;

	*m = (struct imatrix){ .io = io, .fd = -1 };
	if (file_open_above(io, path, &dir, &name, e))
		return -1;
	rc = imatrix_open_in(m, io, dir, name, e);
	(void)io->close(io, dir); /* a folder has nothing to flush */
	return rc ? err_at(e, "%s", text_quote(path).s) : 0;
}

void imatrix_close(struct imatrix *m)
{
	if (!m->io)
		return;
	if (m->fd >= 0)
		(void)m->io->close(m->io, m->fd); /* read only */
	free(m->v);
	arena_free(&m->arena);
	memset(m, 0, sizeof *m);
	m->fd = -1;
}

const struct imatrix_tensor *imatrix_find(const struct imatrix *m, const char *name)
{
	const struct imatrix_tensor key = { .name = name };

	return m->n ? bsearch(&key, m->v, m->n, sizeof key, by_matrix) : NULL;
}

int imatrix_mean(const struct imatrix *m, const struct imatrix_tensor *t, uint64_t mat, float *mean,
	double *count, struct err *e)
{
	float n;
	uint64_t i;

	if (values(m, t, &n, 1, t->counts_at + 4 * mat, e) ||
		values(m, t, mean, (size_t)t->cols, t->sums_at + 4 * mat * t->cols, e))
		return -1;
	*count = (double)n;
	for (i = 0; i < t->cols; i++) {
		mean[i] = n > 0 ? mean[i] / n : 1;
		if (!isfinite(mean[i]))
			return err_rule(e, RULE_IMPORTANCE_FORM,
				t->sums_at + 4 * (mat * t->cols + i),
				"%s: a sum over %g tokens has no mean that is finite",
				text_quote(t->name).s, *count);
	}
	return 0;
}

int imatrix_count(const struct imatrix *m, const struct imatrix_tensor *t, uint64_t mat,
	double *count, struct err *e)
{
	float n;

	if (values(m, t, &n, 1, t->counts_at + 4 * mat, e))
		return -1;
	*count = (double)n;
	return 0;
}

/* --- writing --- */

void imatrix_begin(struct gguf_out *o, const struct imatrix_head *h)
{
	gguf_put_string(o, "general.type", "imatrix", 7);
	gguf_put_array(o, "imatrix.datasets", GGUF_STRING, 1);
	gguf_put_item_string(o, h->dataset, strlen(h->dataset));
	gguf_put_u32(o, "imatrix.chunk_count", h->chunks);
	gguf_put_u32(o, "imatrix.chunk_size", h->chunk_size);
}

bool imatrix_put(struct gguf_out *o, const char *name, uint64_t cols, uint64_t mats)
{
	char full[GGUF_NAME_MAX + 1];
	size_t n = strlen(name);

	if (n > IMATRIX_NAME_MAX)
		return false;
	memcpy(full, name, n);
	memcpy(full + n, IMATRIX_SUMS, sizeof IMATRIX_SUMS);
	gguf_put_tensor(o, full, GGML_F32, (const uint64_t[]){ cols, mats }, 2);
	memcpy(full + n, IMATRIX_COUNTS, sizeof IMATRIX_COUNTS);
	gguf_put_tensor(o, full, GGML_F32, (const uint64_t[]){ 1, mats }, 2);
	return true;
}
