/* SPDX-License-Identifier: MIT */
#include "formats/conversion/tensor_digest.h"

#include "core/file.h"
#include "formats/conversion/chain.h"
#include "formats/conversion/head.h"

#include <stdlib.h>
#include <string.h>

static int by_tensor(const void *a, const void *b)
{
	const struct tensor *x = ((const struct tensor_digest *)a)->t,
			    *y = ((const struct tensor_digest *)b)->t;

	return x < y ? -1 : x > y;
}

/* Takes the digests of the tensors of a shard. */
static int take_tensors(struct tensor_digests *d, uint32_t shard, const struct sidecar *s,
	struct err *e)
{
	const struct tensor *t;
	size_t i;

	if (mem_grow(&d->v, &d->cap, d->n + s->n, sizeof *d->v))
		return err_nomem(e);
	for (i = 0; i < s->n; i++) {
		t = ckpt_find(d->c, s->tensors[i].name);
		if (t && t->shard == shard)
			d->v[d->n++] = (struct tensor_digest){ t, s->tensors[i].xxh };
	}
	return 0;
}

/* Holds the shard, which is open, to its sidecar: the header is that of the bytes that the sidecar has digests of. */
static int take_shard(struct tensor_digests *d, uint32_t shard, const struct chain_folder *f,
	const struct manifest_file *file, struct err *e)
{
	const struct shard *is = &d->c->shards[shard];
	struct arena arena = { 0 };
	struct st_header h = { 0 };
	const char *tensor;
	struct sidecar s;
	int rc;

	if ((uint64_t)is->st.st_size != file->bytes)
		return err_rule(e, RULE_SET_SIZE, ERR_NOPOS,
			"it has %lld bytes, %llu are said above", (long long)is->st.st_size,
			(unsigned long long)file->bytes);
	if (chain_sidecar(&s, f, file, e))
		return -1;
	rc = chain_header(&h, &arena, f->io, is->fd, &s, 0, &tensor, e) ||
			take_tensors(d, shard, &s, e)
		? -1
		: 0;
	st_free(&h);
	arena_free(&arena);
	sidecar_free(&s);
	return rc;
}

static int take_folder(void *ctx, const struct chain_folder *f, struct err *e)
{
	struct tensor_digests *d = ctx;
	const struct manifest_file *file;
	uint32_t i;

	d->inexact = f->m->inexact;
	for (i = 0; i < d->c->n_shards; i++) {
		file = manifest_find(&f->m->files, d->c->shards[i].name);
		if (file && file->side && d->c->shards[i].fd >= 0 && take_shard(d, i, f, file, e))
			return err_at(e, "%s", text_quote(file->name).s);
	}
	return 0;
}

static bool is_top(void *ctx, const char *name)
{
	(void)ctx;
	return !*name;
}

int tensor_digests_read(struct tensor_digests *d, const struct ckpt *c, struct err *e)
{
	struct chain_walk w = { .io = c->io, .ctx = d, .wants = is_top, .folder = take_folder };
	struct text t = { 0 };
	struct head h;
	int rc = 0;

	*d = (struct tensor_digests){ .c = c };
	if (head_read(&h, c->io, c->dir, e))
		return -1;
	if (h.form != HEAD_FOLDER)
		return 0;
	d->ours = true;
	rc = file_load(c->io, c->dir, MAN_NAME, MANIFEST_CAP, &t, e) ||
			chain_walk_text(&w, c->dir, &t, e)
		? -1
		: 0;
	text_free(&t);
	if (rc)
		tensor_digests_free(d);
	else if (d->n)
		qsort(d->v, d->n, sizeof *d->v, by_tensor);
	return rc;
}

void tensor_digests_free(struct tensor_digests *d)
{
	free(d->v);
	memset(d, 0, sizeof *d);
}

int tensor_digests_check(const struct tensor_digests *d, const struct tensor *t,
	struct xxh_digest xxh, struct err *e)
{
	struct tensor_digest key = { .t = t }, *is;

	if (!d->ours)
		return 0;
	is = d->n ? bsearch(&key, d->v, d->n, sizeof *d->v, by_tensor) : NULL;
	if (!is)
		return err_rule(e, RULE_CHECK_EXTRA, ERR_NOPOS,
			"%s: tensor %s lies there, and no sidecar of manifest.json has it",
			d->c->shards[t->shard].name, text_quote(t->name).s);
	if (!memcmp(&is->xxh, &xxh, sizeof xxh))
		return 0;
	return err_rule(e, RULE_SET_DIGEST, ERR_NOPOS,
		"%s: tensor %s has not the digest that its sidecar has of it: it was damaged since",
		d->c->shards[t->shard].name, text_quote(t->name).s);
}

int tensor_digests_check_bytes(const struct tensor_digests *d, const struct tensor *t,
	const void *p, size_t n, struct err *e)
{
	return d->ours ? tensor_digests_check(d, t, xxh_of(p, n), e) : 0;
}
