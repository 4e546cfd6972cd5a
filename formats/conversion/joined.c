/* SPDX-License-Identifier: MIT */
#include "formats/conversion/joined.h"

#include "core/file.h"
#include "core/hash/sha256.h"
#include "formats/conversion/chain.h"
#include "formats/conversion/head.h"
#include "formats/conversion/implied.h"
#include "formats/conversion/manifest.h"
#include "formats/model/recipes.h"
#include "formats/conversion/vllm_form.h"
#include "formats/format_id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what is in the folders --- */

struct opener {
	struct joined *j;
	struct ckpt *c;
	const struct io *io;
	struct findings *f;
	bool has_source; /* the folder with the headers was found and opened */
};

/* Opens what the casts in a file dropped. */
static int open_kept(const struct chain_folder *d, const char *file, struct joined_file *jf,
	struct err *e)
{
	char name[300];
	uint64_t size;

	if (!jf->kept_bytes)
		return 0;
	snprintf(name, sizeof name, "%s" MAN_DROPPED, file);
	if (!chain_open(d, name, jf->kept_bytes, &jf->kept, &size, e))
		return 0;
	jf->kept = -1;
	return err_at(e, "%s", name);
}

/* The header of the file is the one that its sidecar tells of. */
static int check_header(const struct joined *j, const struct joined_file *jf,
	const struct chain_folder *d, const struct sidecar *s, struct err *e)
{
	struct arena arena = { 0 };
	struct st_header h;
	const char *tensor;
	int rc = chain_header(&h, &arena, d->io, jf->fd, s, j->o.header_cap, &tensor, e);

	if (rc != 0)
		err_at(e, "%s", jf->name);
	st_free(&h);
	arena_free(&arena);
	return rc;
}

/* The stage of a folder pp-S-of-P/rank-R-of-N; 0 where there are none. */
static uint32_t stage_of(const char *folder)
{
	unsigned stage = 0;

	return sscanf(folder, "pp-%9u-of-", &stage) == 1 ? stage : 0;
}

/* Numbers the folders that ranks lie in: each has one of its own, or all have one, and the names of files tell. */
static int number_rank(struct joined *j, struct joined_file *jf, const char *name, struct err *e)
{
	long rank;

	if (!rank_target(j->target))
		return 0;
	if (!strcmp(name, rank_kept_file(j->target))) {
		jf->folder = 0;
		return 0;
	}
	rank = vllm_rank_of(name);
	if (rank < 0 || rank >= MANIFEST_FOLDERS)
		return err_rule(e, RULE_SET_FORM, ERR_NOPOS,
			"%s: it is not called as a file of a rank", text_quote(name).s);
	jf->folder = (uint32_t)rank + 1;
	j->n_folders = jf->folder > j->n_folders ? jf->folder : j->n_folders;
	j->ranks = j->n_folders;
	return 0;
}

/* Opens one file of weights of a folder, and adds the pieces that its sidecar tells of. */
static int join_file(struct joined *j, const struct chain_folder *d, const struct manifest_file *f,
	struct err *e)
{
	struct joined_file *jf;
	struct sidecar s;
	char path[400];
	uint64_t size;
	int rc;

	if (mem_grow(&j->files, &j->files_cap, j->n_files + 1, sizeof *j->files))
		return err_nomem(e);
	jf = &j->files[j->n_files];
	snprintf(path, sizeof path, "%s%s%s", d->name, *d->name ? "/" : "", f->name);
	*jf = (struct joined_file){ .fd = -1,
		.kept = -1,
		.bytes = f->bytes,
		.name = strdup(path),
		.folder = j->n_folders,
		.stage = stage_of(d->name) };
	j->n_files++;
	if (!jf->name)
		return err_nomem(e);
	if (number_rank(j, jf, f->name, e))
		return -1;
	if (chain_open(d, f->name, f->bytes, &jf->fd, &size, e)) {
		jf->fd = -1;
		return err_at(e, "%s", path);
	}
	if (chain_sidecar(&s, d, f, e))
		return err_at(e, "%s" MAN_SIDECAR, path);
	rc = j->o.every ? check_header(j, jf, d, &s, e) : 0;
	if (!rc) {
		jf->kept_bytes = s.dropped_bytes;
		rc = open_kept(d, f->name, jf, e);
		rc = rc ? rc : joined_pieces(j, (uint32_t)j->n_files - 1, &s, e);
		if (rc)
			err_at(e, "%s", path);
	}
	sidecar_free(&s);
	return rc;
}

static int join_files(void *ctx, const struct chain_folder *d, struct err *e)
{
	struct opener *o = ctx;
	size_t i;

	o->j->n_folders++;
	o->j->part = o->j->part || d->m->layers[0];
	o->j->no_drafts = o->j->no_drafts || d->m->drafts == DRAFTS_DROP;
	for (i = 0; i < d->m->files.n; i++)
		if (d->m->files.v[i].side && join_file(o->j, d, &d->m->files.v[i], e))
			return -1;
	return 0;
}

/* A folder that is missing is remembered, and told to who asks for what it had. */
static int missing_or_stop(void *ctx, const char *path, struct err *why)
{
	char *s = ((struct opener *)ctx)->j->missing;
	size_t n = strlen(s);

	if (why->rule == rules[RULE_CHECK_MISSING].id && !strstr(path, MAN_NAME)) {
		snprintf(s + n, sizeof((struct joined *)0)->missing - n, "%s%s", n ? ", " : "",
			path);
		return 0;
	}
	err_at(why, "%s", path);
	return -1;
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

/* How the bytes of a piece are read, which the reader decides by the first piece of a tensor. */
enum way { ROWS, RECORDS, TAKEN_APART, WIDER };

static enum way way_of(const struct piece *p)
{
	if (p->stride)
		return RECORDS;
	if (p->tile || p->cast || p->has_xxh)
		return TAKEN_APART;
	return p->wide ? WIDER : ROWS;
}

/* The n pieces of a tensor can be read in one way. Sidecars that lie can say of one file that it has rows of a table as
 * records, and of the next that it has them one after the other. */
static int check_ways(const struct joined *j, const struct piece *p, size_t n, struct err *e)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (way_of(&p[i]) != way_of(&p[0]) || (i && p[i].wide != JOINED_AS_IT_IS))
			return err_rule(e, RULE_SET_FORM, ERR_NOPOS,
				"%s: a part of tensor %s lies there in another way than in %s",
				j->files[p[i].file].name,
				text_quote(j->c->tensors[p[i].tensor].name).s,
				j->files[p[0].file].name);
	return 0;
}

static bool same_place(const struct piece *a, const struct piece *b)
{
	return a->tensor == b->tensor && a->row == b->row && a->col == b->col;
}

/* Leaves one piece of each place; with o.every the others become its copies, which the way back does not need. */
static int part_copies(struct joined *j, struct err *e)
{
	size_t k, n = 0;

	if (j->n_pieces)
		qsort(j->pieces, j->n_pieces, sizeof *j->pieces, by_place);
	if (j->o.every) {
		j->copies = malloc((j->n_pieces + 1) * sizeof *j->copies);
		if (!j->copies)
			return err_nomem(e);
	}
	for (k = 0; k < j->n_pieces; k++) {
		if (!n || !same_place(&j->pieces[n - 1], &j->pieces[k])) {
			j->pieces[n] = j->pieces[k];
			j->pieces[n++].copy = j->n_copies;
		} else if (j->copies) {
			j->pieces[n - 1].copies++;
			j->copies[j->n_copies++] = j->pieces[k];
		}
	}
	j->n_pieces = n;
	return 0;
}

static int order(struct joined *j, struct err *e)
{
	size_t i, k;

	j->first = calloc(j->c->n + 1, sizeof *j->first);
	j->has = calloc(j->c->n + 1, sizeof *j->has);
	if (!j->first || !j->has)
		return err_nomem(e);
	if (part_copies(j, e))
		return -1;
	for (i = 0, k = 0; i < j->c->n; i++) {
		j->first[i] = k;
		while (k < j->n_pieces && j->pieces[k].tensor == i)
			k++;
		if (check_ways(j, j->pieces + j->first[i], k - j->first[i], e))
			return -1;
		j->has[i] = make_all(&j->c->tensors[i], j->pieces + j->first[i], k - j->first[i]);
	}
	j->first[j->c->n] = j->n_pieces;
	return j->o.every ? joined_ranks(j, e) : 0;
}

/* What was never made is not missing: no folder brings it. */
static int check_part(const struct opener *o, struct err *e)
{
	const struct joined *j = o->j;
	size_t i;

	for (i = 0; j->part && !j->missing[0] && i < j->c->n; i++)
		if (!j->has[i])
			return err_rule(e, RULE_KIND_PART, ERR_NOPOS,
				"the conversion is of some layers only (--layers), and tensor %s was in none of "
				"them",
				text_quote(j->c->tensors[i].name).s);
	return 0;
}

/* --- opening --- */

static bool is_source(void *ctx, const char *name)
{
	(void)ctx;
	return !strcmp(name, SET_SOURCE);
}

static bool is_no_source(void *ctx, const char *name)
{
	return !is_source(ctx, name);
}

static int note_target(void *ctx, const struct set_manifest *s, struct err *e)
{
	struct joined *j = ((struct opener *)ctx)->j;

	(void)e;
	snprintf(j->target, sizeof j->target, "%s", s->target);
	j->ranks = s->ranks;
	return 0;
}

/* Each file of the folder source is the one that its manifest names. */
static int check_source(const struct chain_folder *d, struct err *e)
{
	const struct manifest_file *f;
	struct text t = { 0 };
	uint8_t sha[32];
	size_t i;
	int rc = 0;

	for (i = 0; !rc && i < d->m->files.n; i++) {
		f = &d->m->files.v[i];
		t.n = 0;
		if (file_load(d->io, d->dir, f->name, f->bytes, &t, e) ||
			sha256_of(t.s, t.n, sha, e))
			rc = err_at(e, "%s", d->name);
		else if (!f->has_sha256 || memcmp(sha, f->sha256, 32))
			rc = err_rule(e, RULE_SET_MANIFEST, ERR_NOPOS,
				"%s/%s: its SHA-256 is another than the manifest beside it says: it "
				"was edited, or is of another conversion",
				d->name, text_quote(f->name).s);
	}
	text_free(&t);
	return rc;
}

/* What the shards were verified to be when they were converted, for who makes them again. */
static int note_shards(struct joined *j, struct ckpt *c, const struct manifest *m, struct err *e)
{
	const struct manifest_file *f;
	size_t i;

	j->shard_sha256 = calloc(c->n_shards + 1, sizeof *j->shard_sha256);
	if (!j->shard_sha256)
		return err_nomem(e);
	for (i = 0; i < c->n_shards; i++) {
		f = manifest_find(&m->shards, c->shards[i].name);
		if (!f)
			return err_rule(e, RULE_SET_FORM, ERR_NOPOS,
				SET_SOURCE "/" MAN_NAME
					   ": it does not list the shard %s, whose header "
					   "lies beside it",
				text_quote(c->shards[i].name).s);
		if (!f->has_sha256)
			continue;
		memcpy(j->shard_sha256[i], f->sha256, 32);
		c->shards[i].sha256 = j->shard_sha256[i];
	}
	return 0;
}

/* Room for what is known of each tensor of the source. */
static int make_room(struct opener *o, struct err *e)
{
	size_t n = o->c->n + 1;

	o->j->has_xxh = calloc(n, sizeof *o->j->has_xxh);
	o->j->xxh = calloc(n, sizeof *o->j->xxh);
	o->j->cast_of = calloc(n, sizeof *o->j->cast_of);
	return o->j->has_xxh && o->j->xxh && o->j->cast_of ? 0 : err_nomem(e);
}

/* What was not kept of the source is taken from the sidecars by who computes with the model as it lies there. */
static int imply_source(struct opener *o, int top, enum head_form form, struct err *e)
{
	if (!o->j->o.lies || form != HEAD_FOLDER || !recipe_find(o->j->target))
		return err_rule(e, RULE_SET_NOT_KEPT, ERR_NOPOS,
			MAN_NAME
			": it names no folder " SET_SOURCE ": what the way back needs was "
			"not kept (target official, a GGUF or a table that was rounded, a name that rounds, --experts-from, or --no-restore)");
	if (implied_open(o->c, o->io, top, o->j->o.header_cap, o->f, e))
		return -1;
	o->has_source = true;
	return make_room(o, e);
}

/* Opens the headers of the source as the checkpoint that is joined. */
static int open_source(void *ctx, const struct chain_folder *d, struct err *e)
{
	struct opener *o = ctx;
	struct ckpt_opts co = { .headers = true, .header_cap = o->j->o.header_cap };

	if (check_source(d, e) || ckpt_open_at(o->c, o->io, d->dir, &co, o->f, e))
		return -1;
	o->has_source = true;
	return note_shards(o->j, o->c, d->m, e) || make_room(o, e) ? -1 : 0;
}

/* Twice over the folders: first to the one with the headers, which says what there can be in the others. */
static int open_all(struct opener *o, int top, struct err *e)
{
	struct chain_walk w = { .io = o->io,
		.ctx = o,
		.wants = is_source,
		.tell = missing_or_stop,
		.set = note_target,
		.folder = open_source };
	struct head h;

	if (head_read(&h, o->io, top, e))
		return -1;
	if (h.form == HEAD_ABSENT || h.form == HEAD_FOREIGN)
		return err_rule(e, RULE_SET_FORM, ERR_NOPOS,
			"there is no " MAN_NAME " of a conversion (" FORMAT_SET ", " FORMAT_MANIFEST
			"), or it is not finished");
	snprintf(o->j->target, sizeof o->j->target, "%s", h.target);
	if (chain_walk(&w, top, e))
		return -1;
	if (!o->has_source && o->j->missing[0])
		return err_rule(e, RULE_CHECK_MISSING, ERR_NOPOS,
			"the folder " SET_SOURCE " with what the way back needs is not there");
	if (!o->has_source && imply_source(o, top, h.form, e))
		return -1;
	w.wants = is_no_source;
	w.folder = join_files;
	return chain_walk(&w, top, e) || order(o->j, e) || check_part(o, e) ? -1 : 0;
}

int joined_open(struct joined *j, struct ckpt *c, const struct io *io, int dir,
	const struct joined_opts *opts, struct findings *f, struct err *e)
{
	struct opener o = { .j = j, .c = c, .io = io, .f = f };
	int rc;

	memset(j, 0, sizeof *j);
	memset(c, 0, sizeof *c);
	j->c = c;
	j->o = *opts;
	j->ranks = 1;
	rc = open_all(&o, dir, e);
	j->payload = joined_payload(j);
	c->payload = &j->payload;
	if (rc) {
		joined_close(j);
		ckpt_close(c);
	}
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
	free(j->copies);
	free(j->casts);
	free(j->cast_of);
	free(j->first);
	free(j->has);
	free(j->has_xxh);
	free(j->shard_sha256);
	free(j->xxh);
	memset(j, 0, sizeof *j);
}
