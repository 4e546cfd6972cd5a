/* SPDX-License-Identifier: MIT */
#include "verify/compare/checksum.h"

#include "core/file.h"
#include "formats/conversion/presharded.h"
#include "formats/conversion/vllm_form.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool checksum_is(const struct walk_file *f)
{
	return !strcmp(f->d->m->target, SGLANG_TARGET) && !f->d->name[0] &&
		(!strcmp(f->f->name, SGLANG_CHECKSUM) || !strcmp(f->f->name, SGLANG_READY));
}

/* The sidecars of a folder, and what checksum.json has of them. */
struct files {
	struct sidecar *side; /* owns; [n] */
	struct presharded_file *v;
	struct presharded_tensor **tensors; /* owns; [n] */
	size_t n;
};

static void list(const struct sidecar *s, struct presharded_tensor *v)
{
	const struct sidecar_tensor *t = s->tensors;
	size_t i;

	for (i = 0; i < s->n; i++, t++)
		v[i] = (struct presharded_tensor){ .name = t->name,
			.dtype = (uint8_t)t->dtype,
			.rank = (uint8_t)t->rank,
			.dim = t->dim,
			.at = s->header_bytes + t->begin,
			.bytes = t->end - t->begin };
}

static int add(struct files *x, const struct walk_file *f, const struct manifest_file *m,
	struct err *e)
{
	long rank = m->side ? vllm_rank_of(m->name) : -1;
	struct sidecar *s = &x->side[x->n];

	if (rank < 0)
		return 0;
	if (chain_sidecar(s, f->d, m, e))
		return -1;
	x->tensors[x->n] = calloc(s->n + 1, sizeof **x->tensors);
	if (!x->tensors[x->n]) {
		sidecar_free(s);
		return err_nomem(e);
	}
	list(s, x->tensors[x->n]);
	x->v[x->n] = (struct presharded_file){ m->name, (uint64_t)rank, x->tensors[x->n], s->n };
	x->n++;
	return 0;
}

/* In the order in which they were made: by rank, then by part. */
static int by_part(const void *a, const void *b)
{
	const struct presharded_file *x = a, *y = b;
	size_t n = strlen(x->name), m = strlen(y->name);

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return n != m ? (n > m) - (n < m) : strcmp(x->name, y->name);
}

static int make(struct text *out, const struct io *io, const struct walk_file *f, const char *said,
	uint64_t ranks, struct err *e)
{
	const struct manifest_files *all = &f->d->m->files;
	struct files x = { .side = calloc(all->n + 1, sizeof *x.side),
		.v = calloc(all->n + 1, sizeof *x.v),
		.tensors = calloc(all->n + 1, sizeof *x.tensors) };
	int rc = x.side && x.v && x.tensors ? 0 : err_nomem(e);
	size_t i;

	for (i = 0; !rc && i < all->n; i++)
		rc = add(&x, f, &all->v[i], e);
	if (x.n)
		qsort(x.v, x.n, sizeof *x.v, by_part);
	rc = rc ? rc : presharded_put(out, io, f->d->dir, said, ranks, x.v, x.n, e);
	for (i = 0; i < x.n; i++) {
		sidecar_free(&x.side[i]);
		free(x.tensors[i]);
	}
	free(x.side);
	free(x.v);
	free(x.tensors);
	return rc;
}

/* What is wanted of the file, by the options that the manifest names. */
static int want(struct text *out, const struct io *io, const struct walk_file *f, struct err *e)
{
	json_t *o = json_loads(f->d->m->options ? f->d->m->options : "", 0, NULL);
	const char *said = json_string_value(json_object_get(o, "shard_config")),
		   *n = json_string_value(json_object_get(o, "ranks"));
	unsigned ranks = 0;
	int rc;

	if (!said || !n || sscanf(n, "%9u", &ranks) != 1 || !ranks || ranks > MANIFEST_FOLDERS)
		rc = err_rule(e, RULE_SET_FORM, ERR_NOPOS,
			"options of " MAN_NAME " have no shard_config or ranks");
	else if (!strcmp(f->f->name, SGLANG_READY)) {
		presharded_ready(out, ranks);
		rc = out->failed ? err_nomem(e) : 0;
	} else
		rc = make(out, io, f, said, ranks, e);
	json_decref(o);
	return rc;
}

void checksum_compare(const struct io *io, const struct walk_file *f, struct report *r)
{
	struct report_place at = { .file = f->path };
	struct text got = { 0 }, made = { 0 };
	struct err e = { 0 };

	if (file_load(io, f->d->dir, f->f->name, MANIFEST_CAP, &got, &e) || want(&made, io, f, &e))
		report_take(r, &at, &e);
	else if (got.n != made.n || memcmp(got.s, made.s, got.n) != 0)
		report_add(r, RULE_COMPARE_FILE, &at,
			"it is not what is made of the files beside it");
	else
		report_count(r, "compared", "small files, made of the files beside them", 1,
			f->f->bytes);
	text_free(&got);
	text_free(&made);
}
