/* SPDX-License-Identifier: MIT */
#include "verify/compare/tensors.h"

#include "core/file.h"
#include "formats/conversion/gguf_header.h"
#include "formats/folder/folder.h"
#include "formats/gguf/ggml_type.h"
#include "formats/model/gguf_folder.h"
#include "formats/model/gguf_name.h"
#include "formats/model/sglang_name.h"
#include "verify/compare/walk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In front of the names of a file: the folder, the file where each rank has one of its own, the kind of draft. */
static const char *prefix_of(const struct walk_file *f)
{
	bool ranks = !strcmp(f->d->m->target, "official") || rank_target(f->d->m->target);
	enum gguf_file_of of = gguf_of_file(f->f->name);

	if (f->d->name[0])
		return f->d->name;
	if (gguf_named(f->f->name) && of != GGUF_OF_MODEL)
		return gguf_stems[of];
	return ranks ? f->f->name : "";
}

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

/* --- a GGUF --- */

/* Where the keys of a file go. */
struct keys {
	struct tensors *t;
	const char *prefix;
};

/* Lists the value of a key like a tensor of bytes, so that it is compared like one. What a part says of parts is of the file
 * and not of the model. */
static int add_key(void *ctx, struct gguf *g, const struct gguf_value *v, struct err *e)
{
	const struct keys *k = ctx;
	char name[400];
	struct gguf_value item;
	unsigned type = v->type, kind = v->type == GGUF_ARRAY ? v->item : 0;
	uint64_t pos = v->pos, bytes, depth = v->type == GGUF_ARRAY;
	struct tensors_entry x;
	int more;

	if (!strncmp(g->key.s, "split.", 6))
		return 0;
	snprintf(name, sizeof name, "key %.300s (type %u.%u)", g->key.s, type, kind);
	while (depth) {
		more = gguf_item(g, &item);
		if (more < 0)
			return -1;
		depth += more ? item.type == GGUF_ARRAY : UINT64_MAX;
	}
	bytes = gguf_pos(g) - pos;
	x = (struct tensors_entry){ .dim = &bytes,
		.at = pos,
		.bytes = bytes,
		.file = (uint32_t)k->t->n_files - 1,
		.dtype = DT_U8,
		.rank = 1 };
	return add(k->t, k->prefix, &x, name, e);
}

/* The types of the tensors of a file of a conversion, by its header: its sidecar has bytes. Its keys are listed. */
static int find_types(struct tensors *t, const struct walk_file *f, int fd, uint32_t *type,
	struct err *e)
{
	struct keys keys = { t, prefix_of(f) };
	struct arena arena = { 0 };
	struct gguf_file g;
	size_t i;
	int rc = gguf_file_read(&g, t->io, fd, f->s->bytes, add_key, &keys, &arena, e);

	for (i = 0; !rc && i < g.n && i < f->s->n; i++)
		type[i] = g.tensors[i].type;
	if (!rc)
		gguf_file_free(&g);
	arena_free(&arena);
	return rc ? err_at(e, "%s", text_quote(f->path).s) : 0;
}

static int add_part(struct tensors *t, const struct gguf_part *p, const char *prefix, struct err *e)
{
	struct tensors_entry v;
	size_t i;
	int rc = 0;

	for (i = 0; !rc && i < p->file.n; i++) {
		const struct gguf_tensor *g = &p->file.tensors[i];
		uint64_t dim[GGUF_RANK_MAX];

		v = (struct tensors_entry){ .dim = dim,
			.at = p->file.data_at + g->at,
			.bytes = g->bytes,
			.file = (uint32_t)t->n_files - 1,
			.rank = g->rank };
		v.dtype = (uint8_t)gguf_header_type(g, dim);
		v.ggml = v.dtype == DT_U8 ? g->type : 0;
		rc = add(t, prefix, &v, g->name, e);
	}
	return rc;
}

/* In front of the names of a set: nothing for the model, where there is one. */
static const char *prefix_in(const struct gguf_folder *g, const struct gguf_in *x)
{
	return x->is == GGUF_IS_MODEL && gguf_folder_find(g, GGUF_IS_MODEL) == x ? ""
		: x->is == GGUF_IS_MTP    ? gguf_stems[GGUF_OF_MTP]
		: x->is == GGUF_IS_DSPARK ? gguf_stems[GGUF_OF_DSPARK]
					  : x->name;
}

/* The keys of an open file, which was added last. */
static int list_keys(struct tensors *t, int fd, uint64_t size, const char *prefix, struct err *e)
{
	struct keys keys = { t, prefix };
	struct arena arena = { 0 };
	struct gguf_file g;
	int rc = gguf_file_read(&g, t->io, fd, size, add_key, &keys, &arena, e);

	if (!rc)
		gguf_file_free(&g);
	arena_free(&arena);
	return rc;
}

static int take_set(struct tensors *t, const struct folder *at, const struct gguf_folder *g,
	const struct gguf_in *x, struct err *e)
{
	struct stat st;
	char blob[65];
	size_t i;
	int fd;

	for (i = 0; i < x->set.n; i++) {
		if (gguf_part_open(t->io, at->dir, x->set.parts[i].name, &fd, &st, blob, e))
			return -1;
		if (add_file(t, fd, x->set.parts[i].name, e)) {
			(void)t->io->close(t->io, fd); /* read only */
			return -1;
		}
		if (list_keys(t, fd, (uint64_t)st.st_size, prefix_in(g, x), e) ||
			add_part(t, &x->set.parts[i], prefix_in(g, x), e))
			return -1;
	}
	return 0;
}

static int take_gguf(struct tensors *t, const struct folder *at, struct report *r, struct err *e)
{
	struct gguf_folder g;
	size_t i;
	int rc = gguf_folder_read(&g, t->io, at->dir, at->gguf, e);

	for (i = 0; !rc && i < g.n; i++) {
		if (g.v[i].err.kind != ERR_NONE)
			report_take(r, &(struct report_place){ .file = g.v[i].name }, &g.v[i].err);
		else
			rc = take_set(t, at, &g, &g.v[i], e);
	}
	gguf_folder_free(&g);
	return rc;
}

/* --- a converted folder --- */

static int take_tensors(struct tensors *t, const struct walk_file *f, const uint32_t *type,
	struct err *e)
{
	size_t i;

	for (i = 0; i < f->s->n; i++) {
		const struct sidecar_tensor *a = &f->s->tensors[i];
		struct tensors_entry v = { .dim = a->dim,
			.at = f->s->header_bytes + a->begin,
			.bytes = a->end - a->begin,
			.file = (uint32_t)t->n_files - 1,
			.dtype = a->dtype,
			.rank = a->rank,
			.ggml = a->dtype == DT_U8 ? type[i] : 0,
			.has_xxh = true,
			.xxh = a->xxh };

		if (add(t, prefix_of(f), &v, a->name, e))
			return -1;
	}
	return 0;
}

static int take_file(void *ctx, const struct walk_file *f, struct err *e)
{
	struct tensors *t = ctx;
	uint32_t *type;
	int fd, rc;

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
	type = calloc(f->s->n + 1, sizeof *type);
	rc = type ? 0 : err_nomem(e);
	if (!rc && gguf_named(f->f->name))
		rc = find_types(t, f, fd, type, e);
	rc = rc ? rc : take_tensors(t, f, type, e);
	free(type);
	return rc;
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
	rc = at.has_ckpt               ? take_ckpt(t, &at, r, e)
		: at.kind == KIND_GGUF ? take_gguf(t, &at, r, e)
				       : walk_run(&w, at.dir, e);
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
