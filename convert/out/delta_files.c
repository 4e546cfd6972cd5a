/* SPDX-License-Identifier: MIT */
#include "convert/out/delta.h"

#include "convert/out/options.h"
#include "convert/out/partial.h"
#include "convert/out/rows.h"
#include "core/mem.h"

#include <string.h>

/* A file of both conversions. */
struct both {
	const struct delta *d;
	struct rows was, now;
	bool parts; /* found: a step takes a part of a source tensor */
};

/* Whether tensor i of the file comes about by the same step of the same bytes. */
static bool same_tensor(struct both *b, size_t i)
{
	const struct ckpt *c = b->was.p->ckpt;
	struct sidecar_tensor was = { 0 }, now = { 0 };
	struct sidecar_source x;
	uint32_t k, from, to;

	rows_tensor(&b->was, i, &was);
	rows_tensor(&b->now, i, &now);
	if (!rows_same_step(&was, &now))
		return false;
	for (k = 0; k < now.n; k++) {
		x = (struct sidecar_source){ 0 };
		rows_source(&b->now, k, &x);
		from = step_source(b->was.step, k);
		to = step_source(b->now.step, k);
		b->parts = b->parts || x.part;
		if (strcmp(c->tensors[from].name, x.tensor) != 0 ||
			b->d->side[DELTA_RECENT].is[to] != DELTA_SAME)
			return false;
	}
	return true;
}

static int same_header(const struct plan *p, const struct plan_file *f, const struct plan *q,
	const struct plan_file *g, bool *same, struct err *e)
{
	struct text a = { 0 }, b = { 0 };
	int rc = plan_header(p, f, &a, e) || plan_header(q, g, &b, e) ? -1 : 0;

	*same = !rc && a.n == b.n && !memcmp(a.s, b.s, a.n);
	text_free(&a);
	text_free(&b);
	return rc;
}

/* Whether both files are made by the same steps of the same bytes. */
static int same_steps(struct both *b, bool *same, struct err *e)
{
	struct stream s, t;
	size_t i;

	if (stream_open(&s, b->was.p, b->was.f, 0, false, e))
		return -1;
	if (stream_open(&t, b->now.p, b->now.f, 0, false, e)) {
		stream_close(&s);
		return -1;
	}
	b->was.s = &s;
	b->now.s = &t;
	*same = b->was.f->n == b->now.f->n;
	for (i = 0; *same && i < b->now.f->n; i++)
		*same = same_tensor(b, i);
	stream_close(&s);
	stream_close(&t);
	return 0;
}

static int judge(const struct delta *d, const struct plan *p, const struct plan_file *f,
	const struct plan *q, const struct plan_file *g, bool options, enum delta_file_is *is,
	struct err *e)
{
	struct both b = { .d = d, .was = { .p = p, .f = f }, .now = { .p = q, .f = g } };
	bool same;

	*is = DELTA_FILE_CHANGED;
	if (f->bytes != g->bytes || f->header_bytes != g->header_bytes)
		return 0;
	if (same_header(p, f, q, g, &same, e))
		return -1;
	if (!same)
		return 0;
	if (same_steps(&b, &same, e))
		return -1;
	if (same)
		*is = !partial_has(g, g->n)   ? DELTA_FILE_UNKNOWN
			: b.parts || !options ? DELTA_FILE_MADE
					      : DELTA_FILE_SAME;
	return 0;
}

static int add(struct delta *d, const struct plan *p, const struct plan_file *f,
	enum delta_file_is is, struct err *e)
{
	if (mem_grow(&d->files, &d->files_cap, d->n_files + 1, sizeof *d->files))
		return err_nomem(e);
	d->files[d->n_files++] = (struct delta_file){
		.folder = p->dir, .name = f->name, .bytes = f->bytes, .is = is
	};
	d->file_sum[is].n++;
	d->file_sum[is].bytes += f->bytes;
	return 0;
}

/* The folder of c that lies where p does; NULL: none. */
static const struct plan *folder_of(const struct conversion *c, const struct plan *p)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (!strcmp(c->folders[i].dir, p->dir))
			return &c->folders[i];
	return NULL;
}

/* The file of p that has the name; NULL: none. First that at place guess is looked at. */
static const struct plan_file *file_of(const struct plan *p, size_t guess, const char *name)
{
	size_t i;

	if (!p)
		return NULL;
	if (guess < p->n_files && !strcmp(p->files[guess].name, name))
		return &p->files[guess];
	for (i = 0; i < p->n_files; i++)
		if (!strcmp(p->files[i].name, name))
			return &p->files[i];
	return NULL;
}

/* Whether the manifests of both folders would tell the same options, without which run --base takes nothing. */
static int same_options(const struct plan *p, const struct plan *q, bool *same, struct err *e)
{
	struct text a = { 0 }, b = { 0 };
	int rc;

	options_put(p, &a);
	options_put(q, &b);
	rc = a.failed || b.failed ? err_nomem(e) : 0;
	*same = !rc && a.n == b.n && !memcmp(a.s, b.s, a.n);
	text_free(&a);
	text_free(&b);
	return rc;
}

/* p: the folder of the old conversion; NULL: it has none. */
static int compare_folder(struct delta *d, const struct plan *p, const struct plan *q,
	struct err *e)
{
	const struct plan_file *f, *g;
	enum delta_file_is is;
	bool options = false;
	size_t i;

	if (p && same_options(p, q, &options, e))
		return -1;
	for (i = 0; i < q->n_files; i++) {
		g = &q->files[i];
		f = file_of(p, i, g->name);
		is = DELTA_FILE_NEW;
		if ((f && judge(d, p, f, q, g, options, &is, e)) || add(d, q, g, is, e))
			return -1;
	}
	return 0;
}

int delta_files(struct delta *d, const struct conversion *was, const struct conversion *now,
	struct err *e)
{
	const struct plan *p;
	size_t i, k;

	d->has_files = true;
	for (i = 0; i < now->n; i++)
		if (compare_folder(d, folder_of(was, &now->folders[i]), &now->folders[i], e))
			return -1;
	for (i = 0; i < was->n; i++)
		for (p = &was->folders[i], k = 0; k < p->n_files; k++)
			if (!file_of(folder_of(now, p), k, p->files[k].name) &&
				add(d, p, &p->files[k], DELTA_FILE_GONE, e))
				return -1;
	return 0;
}
