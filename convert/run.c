/* run.c -- threads, each of which advances a few items in lockstep, a piece of each at a time:
 *
 *	read, transform, XXH3  (per item)  ->  SHA-256 (all items together)  ->  write (per item)
 *
 * An item is an output file that is made, an output file of an earlier run that is compared with
 * what would be made, or a source shard that is only digested. Items are taken from one list in
 * order; a thread that finishes one takes the next, so that its SHA-256 lanes stay full.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/run.h"

#include "convert/outdir.h"
#include "convert/publish.h"
#include "convert/stream.h"
#include "core/file.h"
#include "core/par.h"
#include "core/sha256.h"
#include "formats/manifest.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum kind { ITEM_SHARD, ITEM_MAKE, ITEM_COMPARE };

struct item {
	uint8_t is_shard;
	uint32_t i; /* of ckpt->shards or of plan->files */
};

struct lane {
	bool busy;
	enum kind kind;
	uint32_t i;
	uint64_t at, bytes;        /* done, all */
	size_t n;                  /* bytes in piece */
	uint8_t *piece, *old;      /* owns; old: what is there already, for a comparison */
	int old_fd;                /* owns while comparing */
	struct stream s;           /* not for shards */
	struct xxh *chunk;         /* owns */
	struct xxh_digest *chunks; /* owns */
	struct sha256 sha;
};

struct runner {
	const struct plan *p;
	const struct run_opts *o;
	struct publisher pub;
	struct stream_tools tools;
	struct sha256_kit sha;
	struct item *items; /* owns */
	size_t n_items;
	atomic_size_t next;
	_Atomic uint64_t made, kept, written;
};

/* --- a lane and its item --- */

static void drop(struct runner *r, struct lane *l)
{
	if (l->old_fd >= 0)
		(void)r->p->ckpt->io->close(r->p->ckpt->io, l->old_fd);
	l->old_fd = -1;
	stream_close(&l->s);
	sha256_free(&l->sha);
	free(l->chunks);
	l->chunks = NULL;
	l->busy = false;
}

static int begin_file(struct runner *r, struct lane *l, struct err *e)
{
	const struct plan_file *f = &r->p->files[l->i];
	struct publisher *u = &r->pub;
	struct stat st;

	l->at = 0;
	l->bytes = f->bytes;
	l->chunks = calloc(mem_ceil_div(f->bytes, MAN_CHUNK) + 1, sizeof *l->chunks);
	if (!l->chunks)
		return err_nomem(e);
	xxh_reset(l->chunk);
	if (stream_open(&l->s, r->p, f, &r->tools, e) || sha256_init(&l->sha, &r->sha, e))
		return -1;
	if (l->kind == ITEM_MAKE)
		return publisher_begin(u, l->i, e);
	return file_open(u->dir->io, u->dir->fd, f->name, &l->old_fd, &st, e);
}

static int begin(struct runner *r, struct lane *l, const struct item *it, struct err *e)
{
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
	return begin_file(r, l, e);
}

/* An old file that differs is made anew from its first byte. */
static int begin_again(struct runner *r, struct lane *l, struct err *e)
{
	drop(r, l);
	l->busy = true;
	l->kind = ITEM_MAKE;
	return begin_file(r, l, e);
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

/* Fills the piece of the lane. */
static int make_piece(struct runner *r, struct lane *l, struct err *e)
{
	const struct ckpt *c = r->p->ckpt;
	uint64_t left = l->bytes - l->at;

	l->n = left < r->o->budget.piece ? (size_t)left : r->o->budget.piece;
	if (l->kind == ITEM_SHARD) {
		if (file_read(c->io, c->shards[l->i].fd, l->piece, l->n, l->at, e))
			return err_at(e, "%s", c->shards[l->i].name);
		return 0;
	}
	if (stream_next(&l->s, l->piece, l->n, e))
		return -1;
	if (l->kind == ITEM_COMPARE &&
		(file_read(c->io, l->old_fd, l->old, l->n, l->at, NULL) ||
			memcmp(l->old, l->piece, l->n))) {
		if (begin_again(r, l, e))
			return -1;
		return make_piece(r, l, e); /* as ITEM_MAKE: not again */
	}
	add_chunks(l);
	return 0;
}

static int finish_file(struct runner *r, struct lane *l, struct err *e)
{
	struct publisher *u = &r->pub;
	bool kept = false;

	if (l->kind == ITEM_COMPARE) {
		if (publisher_keep(u, l->i, l->s.res, l->chunks, &kept, e))
			return -1;
		if (!kept)
			return begin_again(r, l, e);
		atomic_fetch_add(&r->kept, 1);
	} else {
		if (file_out_close(&u->outputs[l->i].data, e) ||
			publisher_ready(u, l->i, l->s.res, l->chunks, e))
			return -1;
		atomic_fetch_add(&r->made, 1);
		atomic_fetch_add(&r->written, l->bytes);
	}
	drop(r, l);
	return 0;
}

static int finish(struct runner *r, struct lane *l, struct err *e)
{
	uint8_t *digest =
		l->kind == ITEM_SHARD ? r->pub.shard_sha256[l->i] : r->pub.outputs[l->i].sha256;
	uint32_t i = l->i;

	if (sha256_final(&l->sha, digest, e))
		return -1;
	if (l->kind != ITEM_SHARD)
		return finish_file(r, l, e);
	drop(r, l);
	return publisher_shard(&r->pub, i, e);
}

/* --- a thread --- */

/* SHA-256 of the pieces of all lanes; those of one length go together. */
static int digest(struct runner *r, struct lane *lanes, unsigned n, struct err *e)
{
	struct sha256 *s[SHA256_LANES];
	const void *p[SHA256_LANES];
	bool done[SHA256_LANES] = { false };
	unsigned i, k, m;

	for (i = 0; i < n; i++) {
		if (done[i] || !lanes[i].busy ||
			(!r->p->opts.sha256 && lanes[i].kind != ITEM_SHARD))
			continue;
		for (m = 0, k = i; k < n; k++) {
			if (done[k] || !lanes[k].busy || lanes[k].n != lanes[i].n ||
				(!r->p->opts.sha256 && lanes[k].kind != ITEM_SHARD))
				continue;
			done[k] = true;
			s[m] = &lanes[k].sha;
			p[m++] = lanes[k].piece;
		}
		if (sha256_update(s, p, lanes[i].n, m, e))
			return -1;
	}
	return 0;
}

static int advance(struct runner *r, struct lane *lanes, unsigned n, struct err *e)
{
	struct publisher *u = &r->pub;
	unsigned i;

	for (i = 0; i < n; i++)
		if (lanes[i].busy && make_piece(r, &lanes[i], e))
			return -1;
	if (digest(r, lanes, n, e))
		return -1;
	for (i = 0; i < n; i++) {
		struct lane *l = &lanes[i];

		if (!l->busy)
			continue;
		if (l->kind == ITEM_MAKE &&
			file_write(u->dir->io, u->outputs[l->i].data.fd, l->piece, l->n, l->at, e))
			return err_at(e, "%s", r->p->files[l->i].name);
		l->at += l->n;
		progress_add(r->o->progress, l->n);
		if (l->at == l->bytes && finish(r, l, e))
			return -1;
	}
	return 0;
}

/* Gives idle lanes new items. Returns whether any lane is busy, or -1. */
static int refill(struct runner *r, struct lane *lanes, unsigned n, struct err *e)
{
	bool any = false;
	size_t at;
	unsigned i;

	for (i = 0; i < n; i++) {
		if (!lanes[i].busy) {
			at = atomic_fetch_add(&r->next, 1);
			if (at < r->n_items && begin(r, &lanes[i], &r->items[at], e))
				return -1;
		}
		any = any || lanes[i].busy;
	}
	return any;
}

static int work(struct par *par, unsigned me, struct err *e)
{
	struct runner *r = par_ctx(par);
	struct lane lanes[SHA256_LANES] = { 0 };
	unsigned n = r->o->budget.lanes, i;
	size_t share = mem_ceil_div(r->n_items, r->o->budget.threads);
	int rc = 0;

	(void)me;
	n = share < n ? (unsigned)share : n; /* leave some for the other threads */
	for (i = 0; i < n; i++) {
		lanes[i].piece = malloc(r->o->budget.piece);
		lanes[i].old = malloc(r->o->budget.piece);
		lanes[i].chunk = xxh_new();
		lanes[i].old_fd = -1;
		if (!lanes[i].piece || !lanes[i].old || !lanes[i].chunk)
			rc = err_nomem(e);
	}
	while (!rc && !par_stopping(par) && (rc = refill(r, lanes, n, e)) > 0) {
		rc = advance(r, lanes, n, e);
		if (!rc && r->o->stop && *r->o->stop)
			rc = err_set(e, ERR_SYSTEM,
				"interrupted; what is finished stays, the same call goes on from there");
	}
	for (i = 0; i < n; i++) {
		if (lanes[i].busy)
			drop(r, &lanes[i]);
		free(lanes[i].piece);
		free(lanes[i].old);
		xxh_free(lanes[i].chunk);
	}
	return rc < 0 ? -1 : 0;
}

/* --- the whole --- */

/* Every file, each after the shards that it is made of if those are to be digested. */
static int list_items(struct runner *r, struct err *e)
{
	const struct plan *p = r->p;
	bool *listed = calloc(p->ckpt->n_shards + 1, sizeof *listed);
	size_t i, k;
	unsigned s;
	uint32_t shard;

	r->items = calloc(p->n_files + p->ckpt->n_shards + 1, sizeof *r->items);
	if (!listed || !r->items) {
		free(listed);
		return err_nomem(e);
	}
	for (i = 0; i < p->n_files; i++) {
		for (k = 0; r->o->expected && k < p->files[i].n; k++) {
			for (s = 0; s < p->files[i].steps[k].n_src; s++) {
				shard = p->ckpt->tensors[p->files[i].steps[k].src[s]].shard;
				if (listed[shard])
					continue;
				listed[shard] = true;
				r->items[r->n_items++] = (struct item){ true, shard };
			}
		}
		r->items[r->n_items++] = (struct item){ false, (uint32_t)i };
	}
	for (i = 0; r->o->expected && i < p->ckpt->n_shards; i++)
		if (!listed[i])
			r->items[r->n_items++] = (struct item){ true, (uint32_t)i };
	free(listed);
	return 0;
}

uint64_t run_work(const struct plan *p, const struct run_opts *o)
{
	uint64_t n = p->bytes;
	size_t i;

	for (i = 0; o->expected && i < p->ckpt->n_shards; i++)
		n += (uint64_t)p->ckpt->shards[i].st.st_size;
	return n;
}

/* Bytes that are still to be written: what an earlier run left counts as written. */
static uint64_t missing(const struct runner *r)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < r->p->n_files; i++)
		if (!publisher_has(&r->pub, i))
			n += r->p->files[i].bytes;
	return n;
}

static int execute(struct runner *r, struct err *e)
{
	struct publisher *u = &r->pub;
	size_t i;

	if (outdir_room(u->dir, missing(r), e) || list_items(r, e) ||
		par_run(r->o->budget.threads, work, r, e) || ckpt_unchanged(r->p->ckpt, e))
		return -1;
	for (i = 0; i < r->p->n_files; i++)
		if (u->outputs[i].state < OUTPUT_DONE)
			return err_set(e, ERR_SYSTEM, "%s was not finished", r->p->files[i].name);
	return publisher_finish(u, e);
}

int run_plan(const struct plan *p, const struct run_opts *o, struct run_result *res, struct err *e)
{
	struct runner r = { .p = p, .o = o };
	struct outdir dir;
	size_t i;
	int rc;

	memset(res, 0, sizeof *res);
	res->sha256 = calloc(p->n_files + 1, sizeof *res->sha256);
	if (!res->sha256)
		return err_nomem(e);
	sha256_kit_best(&r.sha, o->features);
	stream_tools_make(&r.tools, o->features, p->opts.lossy);
	if (outdir_open(&dir, p, o->out, e))
		return -1;
	rc = publisher_make(&r.pub, p, &dir, o->expected, o->tool, e);
	if (!rc) {
		rc = execute(&r, e);
		res->made = (size_t)r.made;
		res->kept = (size_t)r.kept;
		res->written = r.written;
		for (i = 0; i < p->n_files; i++) {
			memcpy(res->sha256[i], r.pub.outputs[i].sha256, 32);
			res->blocks += r.pub.outputs[i].blocks;
			res->inexact += r.pub.outputs[i].inexact;
		}
		/* A rule that was broken means that the source is not to be trusted. */
		publisher_free(&r.pub,
			rc && e->rule && e->kind != ERR_USAGE && strcmp(e->rule, "out.no-space"));
	}
	free(r.items);
	outdir_close(&dir);
	return rc;
}

void run_result_free(struct run_result *r)
{
	free(r->sha256);
	memset(r, 0, sizeof *r);
}
