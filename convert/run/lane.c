/* SPDX-License-Identifier: MIT */
#include "convert/run/lane.h"

#include "core/file.h"
#include "formats/conversion/manifest.h"

#include <stdlib.h>
#include <string.h>

/* Lets go of the item. What the digester still works on is waited for. */
static void drop(struct lane *l)
{
	(void)digester_wait(l->d, NULL); /* who goes on has waited already and heard of errors */
	if (l->old_fd >= 0)
		(void)l->r->p->ckpt->io->close(l->r->p->ckpt->io, l->old_fd);
	l->old_fd = -1;
	stream_close(&l->s);
	sha256_free(&l->sha);
	free(l->chunks);
	l->chunks = NULL;
	l->busy = false;
}

static int begin_file(struct lane *l, struct err *e)
{
	struct shared *r = l->r;
	const struct plan_file *f = &r->p->files[l->i];
	struct publisher *u = &r->pub;
	struct stat st;

	l->at = 0;
	l->bytes = f->bytes;
	l->chunks = calloc(mem_ceil_div(f->bytes, MAN_CHUNK) + 1, sizeof *l->chunks);
	if (!l->chunks)
		return err_nomem(e);
	xxh_reset(l->chunk);
	if (stream_open(&l->s, r->p, f, r->o->features, r->p->opts.lossy, e) ||
		sha256_init(&l->sha, &r->sha, e))
		return -1;
	progress_say(r->o->progress, l->kind == ITEM_MAKE ? "converting" : "checking");
	if (l->kind == ITEM_MAKE && publisher_begin(u, l->i, e))
		return -1;
	if (r->p->opts.back) {
		keep_free(&u->outputs[l->i].keep);
		if (keep_begin(&u->outputs[l->i].keep, u->dir->io, u->dir->fd,
			    u->outputs[l->i].keep_name, l->kind == ITEM_COMPARE, e))
			return -1;
		l->s.maker.keep = &u->outputs[l->i].keep;
	}
	if (l->kind == ITEM_MAKE)
		return 0;
	return file_open(u->dir->io, u->dir->fd, f->name, &l->old_fd, &st, e);
}

int lane_begin(struct lane *l, const struct item *it, struct err *e)
{
	struct shared *r = l->r;

	l->busy = true;
	l->old_fd = -1;
	l->i = it->i;
	memset(&l->s, 0, sizeof l->s);
	memset(&l->sha, 0, sizeof l->sha);
	if (it->is_shard) {
		l->kind = ITEM_SHARD;
		l->at = 0;
		l->bytes = (uint64_t)r->p->ckpt->shards[it->i].st.st_size;
		return sha256_init(&l->sha, &r->sha, e);
	}
	l->kind = publisher_has(&r->pub, it->i) ? ITEM_COMPARE : ITEM_MAKE;
	return begin_file(l, e);
}

/* An old file that differs is made anew from its first byte. */
static int begin_again(struct lane *l, struct err *e)
{
	if (digester_wait(l->d, e))
		return -1;
	drop(l);
	l->busy = true;
	l->kind = ITEM_MAKE;
	return begin_file(l, e);
}

/* Digests the n bytes in piece, which begin at byte l->at, into the chunks they belong to. */
static void add_chunks(struct lane *l)
{
	const uint8_t *p = l->piece;
	uint64_t at = l->at, room;
	size_t left = l->n, take;

	while (left) {
		room = MAN_CHUNK - at % MAN_CHUNK;
		take = left < room ? left : (size_t)room;
		xxh_update(l->chunk, p, take);
		at += take;
		p += take;
		left -= take;
		if (at % MAN_CHUNK == 0 || at == l->bytes) {
			l->chunks[(at - 1) / MAN_CHUNK] = xxh_final(l->chunk);
			xxh_reset(l->chunk);
		}
	}
}

/* A rule that the source breaks speaks against what was made of it; a disk that does not answer does not. */
static int blame_source(struct err *e)
{
	return e->rule ? err_blame(e, BLAME_SOURCE) : -1;
}

int lane_make(struct lane *l, struct err *e)
{
	const struct shared *r = l->r;
	const struct ckpt *c = r->p->ckpt;
	uint64_t left = l->bytes - l->at;

	l->n = left < r->o->budget.piece ? (size_t)left : r->o->budget.piece;
	if (l->kind == ITEM_SHARD) {
		if (file_read(c->io, c->shards[l->i].fd, l->piece, l->n, l->at, e))
			return err_at(e, "%s", c->shards[l->i].name), blame_source(e);
		return 0;
	}
	if (stream_next(&l->s, l->piece, l->n, e))
		return blame_source(e);
	if (l->kind == ITEM_COMPARE &&
		(file_read(c->io, l->old_fd, l->old, l->n, l->at, NULL) ||
			memcmp(l->old, l->piece, l->n))) {
		if (begin_again(l, e))
			return -1;
		return lane_make(l, e); /* as ITEM_MAKE: not again */
	}
	add_chunks(l);
	return 0;
}

static int finish_file(struct lane *l, struct run_result *done, struct err *e)
{
	struct publisher *u = &l->r->pub;
	bool kept = false;

	if (keep_end(&u->outputs[l->i].keep, e))
		return -1;
	if (l->kind == ITEM_COMPARE) {
		if (l->s.maker.keep && !l->s.maker.keep->equal)
			return begin_again(l, e);
		if (publisher_keep(u, l->i, &l->s, l->chunks, &kept, e))
			return -1;
		if (!kept)
			return begin_again(l, e);
		done->kept++;
	} else {
		if (file_out_close(&u->outputs[l->i].data, e) ||
			publisher_ready(u, l->i, &l->s, l->chunks, e))
			return -1;
		done->made++;
		done->written += l->bytes;
	}
	drop(l);
	return 0;
}

static int finish(struct lane *l, struct run_result *done, struct err *e)
{
	struct publisher *u = &l->r->pub;
	uint8_t *digest = l->kind == ITEM_SHARD ? u->shard_sha256[l->i] : u->outputs[l->i].sha256;
	uint32_t i = l->i;

	if (digester_wait(l->d, e) || sha256_final(&l->sha, digest, e))
		return -1;
	if (l->kind != ITEM_SHARD)
		return finish_file(l, done, e);
	drop(l);
	return publisher_shard(u, i, e);
}

bool lane_digests(const struct lane *l)
{
	return l->busy && (l->r->p->opts.sha256 || l->kind == ITEM_SHARD);
}

int lane_write(struct lane *l, struct run_result *done, struct err *e)
{
	struct publisher *u = &l->r->pub;

	if (l->kind == ITEM_MAKE &&
		file_write(u->dir->io, u->outputs[l->i].data.fd, l->piece, l->n, l->at, e))
		return err_at(e, "%s", l->r->p->files[l->i].name);
	l->at += l->n;
	l->piece = l->piece == l->bufs[0] ? l->bufs[1] : l->bufs[0];
	progress_add(l->r->o->progress, l->n);
	return l->at == l->bytes ? finish(l, done, e) : 0;
}

int lane_new(struct lane *l, struct shared *r, struct digester *d, struct err *e)
{
	l->r = r;
	l->d = d;
	l->old_fd = -1;
	l->bufs[0] = malloc(r->o->budget.piece);
	l->bufs[1] = malloc(r->o->budget.piece);
	l->old = malloc(r->o->budget.piece);
	l->chunk = xxh_new();
	l->piece = l->bufs[0];
	return l->bufs[0] && l->bufs[1] && l->old && l->chunk ? 0 : err_nomem(e);
}

void lane_free(struct lane *l)
{
	if (l->busy)
		drop(l);
	free(l->bufs[0]);
	free(l->bufs[1]);
	free(l->old);
	xxh_free(l->chunk);
	memset(l, 0, sizeof *l);
}
