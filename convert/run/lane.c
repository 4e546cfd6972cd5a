/* SPDX-License-Identifier: MIT */
#include "convert/run/lane.h"

#include "core/file.h"
#include "formats/conversion/manifest.h"

#include <stdlib.h>
#include <string.h>

static const struct ckpt *source_of(const struct lane *l)
{
	return l->r->folders->c->folders[0].ckpt;
}

/* A report about the item: where it lies, for one that no folder has. */
static int fail(const struct lane *l, struct err *e)
{
	return l->kind == ITEM_SHARD ? -1 : out_folder_err(l->folder, e);
}

/* Lets go of the item. */
static void drop(struct lane *l)
{
	const struct io *io = source_of(l)->io;

	if (l->old_fd >= 0)
		(void)io->close(io, l->old_fd); /* read only */
	l->old_fd = -1;
	stream_close(&l->s);
	sha256_free(&l->sha);
	partial_free(&l->known);
	free(l->chunks);
	l->chunks = NULL;
	l->item = NULL;
}

/* What casts drop is kept beside the file. */
static int begin_keep(struct lane *l, struct err *e)
{
	struct publisher *u = &l->folder->pub;
	struct output *o = &u->outputs[l->item->i];

	if (!l->folder->p->opts.back)
		return 0;
	keep_free(&o->keep);
	if (keep_begin(&o->keep, u->dir->io, u->dir->fd, o->keep_name, l->kind == ITEM_COMPARE, e))
		return -1;
	l->s.maker.keep = &o->keep;
	return 0;
}

static int begin_file(struct lane *l, struct err *e)
{
	struct lanes *r = l->r;
	struct publisher *u = &l->folder->pub;
	const char *why = NULL;
	struct stat st;

	l->bytes = l->file->bytes;
	l->chunks = calloc(mem_ceil_div(l->bytes, MAN_CHUNK) + 1, sizeof *l->chunks);
	if (!l->chunks)
		return err_nomem(e);
	xxh_reset(l->chunk);
	if (stream_open(&l->s, l->folder->p, l->file, r->o->features, l->folder->p->opts.lossy,
		    e) ||
		sha256_init(&l->sha, &r->sha, e))
		return -1;
	progress_say(r->o->progress, l->kind == ITEM_MAKE ? "converting" : "checking");
	if (l->kind == ITEM_MAKE && publisher_begin(u, l->item->i, &l->s, &l->known, &why, e))
		return -1;
	if (why)
		folders_anew(r->folders, l->folder, l->file->name, why);
	if (l->known.bytes)
		stream_skip(&l->s, l->known.steps);
	l->ahead = l->known.bytes;
	if (begin_keep(l, e))
		return -1;
	if (l->kind == ITEM_MAKE)
		return 0;
	return file_open(u->dir->io, u->dir->fd, l->file->name, &l->old_fd, &st, e);
}

int lane_begin(struct lane *l, const struct item *it, struct err *e)
{
	l->item = it;
	l->at = l->ahead = 0;
	memset(&l->s, 0, sizeof l->s);
	memset(&l->sha, 0, sizeof l->sha);
	if (it->is_shard) {
		l->kind = ITEM_SHARD;
		l->bytes = (uint64_t)source_of(l)->shards[it->i].st.st_size;
		return sha256_init(&l->sha, &l->r->sha, e);
	}
	l->folder = &l->r->folders->v[it->folder];
	l->file = &l->folder->p->files[it->i];
	l->kind = publisher_has(&l->folder->pub, it->i) ? ITEM_COMPARE : ITEM_MAKE;
	return begin_file(l, e) ? fail(l, e) : 0;
}

int lane_again(struct lane *l, struct err *e)
{
	const struct item *it = l->item;

	if (l->known.bytes)
		folders_anew(l->r->folders, l->folder, l->file->name,
			l->known.base ? "its bytes in the base are not those of its sidecar"
				      : "its bytes are not those that were written");
	drop(l);
	l->item = it;
	l->at = l->ahead = 0;
	l->kind = ITEM_MAKE;
	return begin_file(l, e) ? fail(l, e) : 0;
}

/* A file that was made of the same source, made once more, has other bytes. */
static int contradicts(const struct lane *l, struct err *e)
{
	struct err ignored = { 0 };

	err_rule(e, RULE_CKPT_CHANGED, ERR_NOPOS,
		"%s, made once more, has other bytes: the source was changed while it was read",
		l->file->name);
	(void)claim_take(&l->folder->dir.claim, &ignored); /* a manifest of it must not stand */
	return fail(l, e);
}

/* A rule that the source breaks speaks against what was made of it; a disk that does not answer does not. */
static int blame_source(struct err *e)
{
	return e->rule ? err_blame(e, BLAME_SOURCE) : -1;
}

static int make_shard(struct lane *l, uint8_t *p, size_t n, struct err *e)
{
	const struct ckpt *c = source_of(l);
	const struct shard *s = &c->shards[l->item->i];

	if (!file_read(c->io, s->fd, p, n, l->at, e))
		return 0;
	err_at(e, "%s", s->name);
	return blame_source(e);
}

static int data_fd(const struct lane *l)
{
	return l->kind == ITEM_MAKE ? l->folder->pub.outputs[l->item->i].data.fd : l->old_fd;
}

/* Makes the next n bytes, at most a piece, and writes them or compares them with the old file. */
static int advance(struct lane *l, uint8_t *p, size_t n, const struct desk *d, bool *differs,
	struct err *e)
{
	const struct io *io = l->folder->dir.io;

	if (stream_next(&l->s, l->stage ? l->stage : d->stage, p, n, e))
		return blame_source(e);
	if (l->kind == ITEM_COMPARE) {
		*differs =
			file_read(io, l->old_fd, d->old, n, l->ahead, NULL) || memcmp(d->old, p, n);
		if (*differs)
			return 0;
	} else if (file_write(io, data_fd(l), p, n, l->ahead, e)) {
		return err_at(e, "%s", l->file->name);
	}
	xxh_chunks(l->chunk, l->bytes, MAN_CHUNK, l->ahead, p, n, l->chunks);
	l->ahead += n;
	return 0;
}

/* Bytes of the file that an earlier run has made were read again; with the last of them all are held to what is
 * known. */
static bool as_known(struct lane *l, const uint8_t *p, size_t n)
{
	const struct partial *k = &l->known;
	size_t whole = (size_t)(k->bytes / MAN_CHUNK);
	struct xxh_digest tail;

	xxh_chunks(l->chunk, l->bytes, MAN_CHUNK, l->at, p, n, l->chunks);
	if (l->at + n < k->bytes)
		return true;
	if (k->bytes == l->bytes) /* the last chunk is ended, whole or not */
		return !memcmp(l->chunks, k->chunks,
			mem_ceil_div(k->bytes, MAN_CHUNK) * sizeof *k->chunks);
	tail = xxh_final(l->chunk);
	return !memcmp(l->chunks, k->chunks, whole * sizeof *k->chunks) &&
		(k->bytes % MAN_CHUNK == 0 || !memcmp(&tail, &k->chunks[whole], sizeof tail));
}

/* A piece of n bytes to p: what was made ahead is read back, the rest is made; and then whatever the stage is
 * needed for. */
static int make_file(struct lane *l, uint8_t *p, size_t n, const struct desk *d, bool *differs,
	struct err *e)
{
	const size_t piece = l->r->o->budget.piece;
	uint64_t there = l->ahead - l->at, rest;
	size_t have = there < n ? (size_t)there : n;

	if (have && file_read(l->folder->dir.io, data_fd(l), p, have, l->at, e))
		return err_at(e, "%s", l->file->name);
	*differs = l->at < l->known.bytes && !as_known(l, p, have);
	if (*differs)
		return 0;
	if (have < n && advance(l, p + have, n - have, d, differs, e))
		return -1;
	while (!*differs && !l->stage && (rest = stream_rest(&l->s)) > 0)
		if (advance(l, d->spare, rest < piece ? (size_t)rest : piece, d, differs, e))
			return -1;
	return 0;
}

int lane_make(struct lane *l, uint64_t k, const struct desk *d, bool *differs, struct err *e)
{
	const struct budget *b = &l->r->o->budget;
	uint64_t left = l->bytes - l->at;
	size_t slot = k % b->ring, n = left < b->piece ? (size_t)left : b->piece;
	uint8_t *p = l->ring + slot * b->piece;

	*differs = false;
	if (l->kind == ITEM_SHARD ? make_shard(l, p, n, e) : make_file(l, p, n, d, differs, e))
		return fail(l, e);
	if (*differs)
		return l->r->o->prove ? contradicts(l, e) : 0;
	l->len[slot] = n;
	l->at += n;
	progress_add(l->r->o->progress, n);
	return 0;
}

static int finish_file(struct lane *l, bool *differs, struct err *e)
{
	struct publisher *u = &l->folder->pub;
	struct output *o = &u->outputs[l->item->i];
	bool kept = l->kind == ITEM_COMPARE;

	if (sha256_final(&l->sha, o->sha256, e) || keep_end(&o->keep, e))
		return -1;
	if (kept) {
		*differs = l->s.maker.keep && !l->s.maker.keep->equal;
		if (!*differs && publisher_keep(u, l->item->i, &l->s, l->chunks, &kept, e))
			return -1;
		*differs = *differs || !kept;
		if (*differs)
			return 0;
	} else if (file_out_close(&o->data, e) ||
		publisher_ready(u, l->item->i, &l->s, l->chunks, e)) {
		return -1;
	}
	pthread_mutex_lock(&l->r->folders->lock);
	l->folder->kept += kept;
	l->folder->made += !kept;
	l->folder->written += kept ? 0 : l->bytes - l->known.bytes;
	if (l->known.base) {
		l->folder->linked++;
		l->folder->linked_bytes += l->known.bytes;
	} else {
		l->folder->went_on += l->known.bytes > 0;
		l->folder->went_on_bytes += l->known.bytes;
	}
	pthread_mutex_unlock(&l->r->folders->lock);
	return 0;
}

int lane_finish(struct lane *l, bool *differs, struct err *e)
{
	uint8_t sha[32];
	int rc;

	*differs = false;
	if (l->kind == ITEM_SHARD)
		rc = sha256_final(&l->sha, sha, e) ||
				folders_shard(l->r->folders, l->item->i, sha, e)
			? -1
			: 0;
	else
		rc = finish_file(l, differs, e)      ? fail(l, e)
			: *differs && l->r->o->prove ? contradicts(l, e)
						     : 0;
	if (!rc && !*differs)
		drop(l);
	return rc;
}

/* Digests of the chunks of the first bytes of the file: of the last one from what was written. The caller frees them. */
static struct xxh_digest *first_chunks(struct lane *l, uint64_t bytes, struct err *e)
{
	const struct budget *b = &l->r->o->budget;
	uint64_t at = bytes / MAN_CHUNK * MAN_CHUNK, n_chunks = mem_ceil_div(bytes, MAN_CHUNK);
	struct xxh_digest *v = malloc((n_chunks + 1) * sizeof *v);
	size_t n;

	if (!v) {
		err_nomem(e);
		return NULL;
	}
	memcpy(v, l->chunks, n_chunks * sizeof *v);
	xxh_reset(l->chunk);
	for (; at < bytes; at += n) {
		n = bytes - at < b->piece ? (size_t)(bytes - at) : b->piece;
		if (file_read(l->folder->dir.io, data_fd(l), l->ring, n, at, e)) {
			free(v);
			return NULL;
		}
		xxh_update(l->chunk, l->ring, n);
	}
	if (bytes % MAN_CHUNK)
		v[n_chunks - 1] = xxh_final(l->chunk);
	return v;
}

/* Bytes of the file that are worth keeping: up to the end of a tensor. What casts drop lies in a file of its own, and
 * blocks that lost something are listed: such files begin anew. */
static uint64_t worth(const struct lane *l)
{
	const struct output *o = &l->folder->pub.outputs[l->item->i];

	if (source_of(l)->payload || o->keep.bytes || l->s.maker.n_lost ||
		!partial_has(l->file, l->s.step))
		return 0;
	return stream_bytes(l->file, l->s.step);
}

int lane_save(struct lane *l, uint64_t *kept, struct err *e)
{
	struct xxh_digest *chunks;
	struct account a;
	int rc;

	*kept = 0;
	if (!l->item || l->kind != ITEM_MAKE || l->known.base)
		return 0;
	if (l->at < l->known.bytes) { /* not yet looked at: it stays as it is, with its record */
		*kept = l->known.bytes;
		return publisher_save(&l->folder->pub, l->item->i, NULL, e);
	}
	a = (struct account){ .p = l->folder->p,
		.f = l->file,
		.s = &l->s,
		.tool = l->r->o->tool,
		.bytes = worth(l),
		.steps = l->s.step };
	if (!a.bytes)
		return 0;
	chunks = first_chunks(l, a.bytes, e);
	if (!chunks)
		return -1;
	a.chunks = chunks;
	rc = publisher_save(&l->folder->pub, l->item->i, &a, e);
	free(chunks);
	*kept = rc ? 0 : a.bytes;
	return rc;
}

uint8_t *lane_piece(const struct lane *l, uint64_t k, size_t *n)
{
	const struct budget *b = &l->r->o->budget;

	*n = l->len[k % b->ring];
	return l->ring + k % b->ring * b->piece;
}

bool lane_digests(const struct lane *l)
{
	return l->kind == ITEM_SHARD || l->folder->p->opts.sha256;
}

int lane_new(struct lane *l, struct lanes *r, struct err *e)
{
	const struct budget *b = &r->o->budget;

	*l = (struct lane){ .r = r, .old_fd = -1 };
	l->ring = malloc(b->ring * b->piece);
	l->len = calloc(b->ring, sizeof *l->len);
	l->chunk = xxh_new();
	l->stage = b->own ? malloc(b->stage + 1) : NULL;
	return l->ring && l->len && l->chunk && (l->stage || !b->own) ? 0 : err_nomem(e);
}

void lane_free(struct lane *l)
{
	if (!l->r)
		return;
	if (l->item)
		drop(l);
	free(l->ring);
	free(l->len);
	free(l->stage);
	xxh_free(l->chunk);
	memset(l, 0, sizeof *l);
}

int desk_new(struct desk *d, const struct budget *b, struct err *e)
{
	*d = (struct desk){ .old = malloc(b->piece), .spare = malloc(b->piece) };
	d->stage = b->own ? NULL : malloc(b->stage + 1);
	return d->old && d->spare && (d->stage || b->own) ? 0 : err_nomem(e);
}

void desk_free(struct desk *d)
{
	free(d->old);
	free(d->spare);
	free(d->stage);
}
