/* SPDX-License-Identifier: MIT */
#include "verify/compare/tensors.h"

#include "core/file.h"
#include "formats/folder/folder.h"
#include "formats/model/vllm_name.h"
#include "verify/compare/walk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int add_file(struct tensors *t, int fd, const char *path, struct err *e)
{
	struct tensors_file f = { .fd = fd, .path = arena_strndup(&t->arena, path, strlen(path)) };

	if (!f.path || mem_grow(&t->files, &t->files_cap, t->n_files + 1, sizeof f))
		return err_nomem(e);
	t->files[t->n_files++] = f;
	return 0;
}

/* prefix "": the name alone is the key. */
static int add(struct tensors *t, const char *prefix, const struct tensors_entry *v,
	const char *name, struct err *e)
{
	size_t n = strlen(prefix), m = strlen(name);
	char *key = arena_alloc(&t->arena, n + m + 2);
	uint64_t *dim = arena_alloc(&t->arena, (v->rank + 1u) * sizeof *dim);

	if (!key || !dim || mem_grow(&t->v, &t->cap, t->n + 1, sizeof *t->v))
		return err_nomem(e);
	snprintf(key, n + m + 2, "%s%s%s", prefix, n ? "/" : "", name);
	if (v->rank)
		memcpy(dim, v->dim, v->rank * sizeof *dim);
	t->v[t->n] = *v;
	t->v[t->n].key = key;
	t->v[t->n].name = key + n + (n ? 1 : 0);
	t->v[t->n++].dim = dim;
	return 0;
}

/* --- a converted folder --- */

static int take_file(void *ctx, const struct walk_file *f, struct err *e)
{
	struct tensors *t = ctx;
	bool ranks = !strcmp(f->d->m->target, "official") || !strcmp(f->d->m->target, VLLM_TARGET);
	const char *prefix = f->d->name[0] ? f->d->name : ranks ? f->f->name : "";
	int fd;
	size_t i;

	if (!f->s)
		return 0;
	fd = t->io->open(t->io, f->d->dir, f->f->name,
		O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	if (fd < 0)
		return err_sys(e, "cannot open %s", text_quote(f->path).s);
	if (add_file(t, fd, f->path, e)) {
		(void)t->io->close(t->io, fd); /* read only */
		return -1;
	}
	for (i = 0; i < f->s->n; i++) {
		const struct sidecar_tensor *a = &f->s->tensors[i];
		struct tensors_entry v = { .dim = a->dim,
			.at = f->s->header_bytes + a->begin,
			.bytes = a->end - a->begin,
			.file = (uint32_t)t->n_files - 1,
			.dtype = a->dtype,
			.rank = a->rank,
			.has_xxh = true,
			.xxh = a->xxh };

		if (add(t, prefix, &v, a->name, e))
			return -1;
	}
	return 0;
}

/* --- a checkpoint --- */

static int take_ckpt(struct tensors *t, struct folder *at, struct report *r, struct err *e)
{
	size_t i;
	int rc = 0;

	folder_take(at, &t->ckpt);
	report_findings(r, &at->found);
	for (i = 0; !rc && i < t->ckpt.n_shards; i++)
		rc = add_file(t, t->ckpt.shards[i].fd, t->ckpt.shards[i].name, e);
	for (i = 0; !rc && i < t->ckpt.n; i++) {
		const struct tensor *s = &t->ckpt.tensors[i];
		struct tensors_entry v = { .key = s->name, /* the checkpoint keeps both */
			.name = s->name,
			.dim = s->dim,
			.at = t->ckpt.shards[s->shard].data_at + s->begin,
			.bytes = s->end - s->begin,
			.file = s->shard,
			.dtype = s->dtype,
			.rank = s->rank };

		rc = mem_grow(&t->v, &t->cap, t->n + 1, sizeof *t->v) ? err_nomem(e) : 0;
		if (!rc)
			t->v[t->n++] = v;
	}
	return rc;
}

static int by_key(const void *a, const void *b)
{
	const struct tensors_entry *x = a, *y = b;
	int c = strcmp(x->key, y->key);

	return c ? c : (x->file > y->file) - (x->file < y->file);
}

int tensors_open(struct tensors *t, const char *path, const struct tensors_opts *o,
	struct report *r, struct err *e)
{
	struct walk w = {
		.io = o->io, .r = r, .header_cap = o->header_cap, .file = take_file, .ctx = t
	};
	struct ckpt_opts co = {
		.header_cap = o->header_cap, .follow_links = o->follow_links, .as_declared = true
	};
	struct folder at;
	size_t i, n = 0;
	int rc;

	memset(t, 0, sizeof *t);
	t->io = o->io;
	if (folder_open(&at, o->io, path, USE_DIFF, &co, e))
		return -1;
	rc = at.has_ckpt ? take_ckpt(t, &at, r, e) : walk_run(&w, at.dir, e);
	folder_close(&at);
	if (rc) {
		tensors_close(t);
		return -1;
	}
	if (t->n)
		qsort(t->v, t->n, sizeof *t->v, by_key);
	for (i = 0; i < t->n; i++) /* a name twice was reported */
		if (!n || strcmp(t->v[n - 1].key, t->v[i].key) != 0)
			t->v[n++] = t->v[i];
	t->n = n;
	return 0;
}

void tensors_close(struct tensors *t)
{
	size_t i;

	for (i = 0; !t->ckpt.io && i < t->n_files; i++)
		(void)t->io->close(t->io, t->files[i].fd); /* read only */
	ckpt_close(&t->ckpt);
	free(t->v);
	free(t->files);
	arena_free(&t->arena);
	memset(t, 0, sizeof *t);
}

int tensors_read(const struct tensors *t, const struct tensors_entry *v, uint64_t off, void *dst,
	size_t n, struct err *e)
{
	if (file_read(t->io, t->files[v->file].fd, dst, n, v->at + off, e))
		return err_at(e, "%s: tensor %s", t->files[v->file].path, text_quote(v->name).s);
	return 0;
}
