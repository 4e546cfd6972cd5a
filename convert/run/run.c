/* run.c -- threads, each of which advances a few files in lockstep, a piece of each at a time:
 *
 *	read, transform, XXH3 (each lane)  ->  SHA-256 (all lanes together)  ->  write (each lane)
 *
 * Items are taken from one list in order; a thread that finishes one takes the next, so that its
 * SHA-256 lanes stay full. Where there are fewer items than threads, those that are left over digest
 * for the others (digester.h).
 *
 * SPDX-License-Identifier: MIT */
#include "convert/run/run.h"

#include "convert/run/lane.h"
#include "core/file.h"
#include "core/par.h"
#include "formats/conversion/joined.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct runner {
	struct shared shared;
	struct item *items; /* owns */
	size_t n_items;
	unsigned workers; /* threads with lanes; the rest of the budget's digest for them */
	atomic_size_t next;
	pthread_mutex_t lock; /* guards done */
	struct run_result done;
};

/* --- a thread --- */

struct worker {
	struct runner *r;
	struct lane lanes[SHA256_LANES];
	unsigned n;
	struct digester *d; /* owns */
	struct run_result done;
};

static int advance(struct worker *w, struct err *e)
{
	struct digest_job jobs[SHA256_LANES];
	struct lane *l;
	unsigned n = 0;

	for (l = w->lanes; l < w->lanes + w->n; l++)
		if (l->busy && lane_make(l, e))
			return -1;
	for (l = w->lanes; l < w->lanes + w->n; l++)
		if (lane_digests(l))
			jobs[n++] = (struct digest_job){ &l->sha, l->piece, l->n };
	if (digester_start(w->d, jobs, n, e))
		return -1;
	for (l = w->lanes; l < w->lanes + w->n; l++)
		if (l->busy && lane_write(l, &w->done, e))
			return -1;
	return 0;
}

/* Gives idle lanes new items. Returns whether any lane is busy, or -1. */
static int refill(struct worker *w, struct err *e)
{
	struct runner *r = w->r;
	struct lane *l;
	bool any = false;
	size_t at;

	for (l = w->lanes; l < w->lanes + w->n; l++) {
		if (!l->busy) {
			at = atomic_fetch_add(&r->next, 1);
			if (at < r->n_items && lane_begin(l, &r->items[at], e))
				return -1;
		}
		any = any || l->busy;
	}
	return any;
}

static int work_on(struct worker *w, struct par *par, struct err *e)
{
	const struct run_opts *o = w->r->shared.o;
	unsigned i;
	int any;

	for (i = 0; i < w->n; i++)
		if (lane_new(&w->lanes[i], &w->r->shared, w->d, e))
			return -1;
	while (!par_stopping(par)) {
		any = refill(w, e);
		if (any <= 0)
			return any;
		if (advance(w, e))
			return -1;
		if (o->stop && *o->stop)
			return err_set(e, ERR_SYSTEM,
				"interrupted; finished files stay, the same call checks them and makes the rest");
	}
	return 0;
}

static int work(struct par *par, unsigned me, struct err *e)
{
	struct runner *r = par_ctx(par);
	const struct budget *b = &r->shared.o->budget;
	struct worker *w = calloc(1, sizeof *w);
	size_t share = mem_ceil_div(r->n_items, r->workers);
	unsigned i;
	int rc;

	if (!w)
		return err_nomem(e);
	w->r = r;
	w->n = share < b->lanes ? (unsigned)share : b->lanes; /* leave some for the others */
	rc = digester_new(&w->d, me < b->threads - r->workers, e);
	rc = rc ? rc : work_on(w, par, e);
	for (i = 0; i < w->n; i++)
		lane_free(&w->lanes[i]);
	digester_free(w->d);
	pthread_mutex_lock(&r->lock);
	r->done.made += w->done.made;
	r->done.kept += w->done.kept;
	r->done.written += w->done.written;
	pthread_mutex_unlock(&r->lock);
	free(w);
	return rc;
}

/* --- the whole --- */

/* Every file, each after the shards that it is made of if those are to be digested. */
static int list_items(struct runner *r, struct err *e)
{
	const struct plan *p = r->shared.p;
	const struct expected *expected =
		r->shared.o->source_checked ? NULL : r->shared.o->expected;
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
		for (k = 0; expected && k < p->files[i].n; k++) {
			for (s = 0; s < step_sources(&p->files[i].steps[k]); s++) {
				shard = p->ckpt->tensors[step_source(&p->files[i].steps[k], s)]
						.shard;
				if (listed[shard])
					continue;
				listed[shard] = true;
				r->items[r->n_items++] = (struct item){ true, shard };
			}
		}
		r->items[r->n_items++] = (struct item){ false, (uint32_t)i };
	}
	for (i = 0; expected && i < p->ckpt->n_shards; i++)
		if (!listed[i])
			r->items[r->n_items++] = (struct item){ true, (uint32_t)i };
	free(listed);
	return 0;
}

uint64_t run_work(const struct plan *p, const struct run_opts *o)
{
	uint64_t n = p->bytes;
	size_t i;

	for (i = 0; o->expected && !o->source_checked && i < p->ckpt->n_shards; i++)
		n += (uint64_t)p->ckpt->shards[i].st.st_size;
	return n;
}

/* OUT/source. Its shards, if they were digested, were so by this run. */
static int run_back(const struct runner *r, struct man_entry *restore, uint8_t sha[32],
	struct err *e)
{
	const struct io *io = r->shared.p->ckpt->io;
	struct outdir *top = r->shared.pub.dir;
	struct run_opts o = *r->shared.o;
	struct run_result res;
	struct text t = { 0 };
	int dir, rc;

	o.top = top;
	o.below = SET_SOURCE;
	o.back = NULL;
	o.source_checked = true;
	rc = run_plan(r->shared.o->back, &o, &res, e);
	run_result_free(&res);
	if (rc || file_open_below(io, top->fd, SET_SOURCE, &dir, e))
		return err_at(e, "%s", SET_SOURCE);
	rc = file_load(io, dir, MAN_NAME, UINT32_MAX, &t, e);
	rc = rc ? rc : sha256_of(t.s, t.n, sha, e);
	*restore = (struct man_entry){ .name = SET_SOURCE, .bytes = t.n, .sha256 = sha };
	text_free(&t);
	(void)io->close(io, dir); /* a folder has nothing to flush */
	return rc;
}

static int finish(struct runner *r, struct err *e)
{
	struct publisher *u = &r->shared.pub;
	struct man_entry restore;
	uint8_t sha[32];

	if (r->shared.o->back) {
		if (run_back(r, &restore, sha, e))
			return -1;
		u->restore = &restore;
	}
	return publisher_finish(u, e);
}

static int execute(struct runner *r, struct err *e)
{
	const struct plan *p = r->shared.p;
	struct publisher *u = &r->shared.pub;
	unsigned threads = r->shared.o->budget.threads;
	size_t i;

	if (outdir_room(u->dir, outdir_missing(u->dir), e) || list_items(r, e))
		return -1;
	r->workers = r->n_items < threads ? (unsigned)r->n_items : threads;
	if (r->workers && par_run(r->workers, work, r, e))
		return -1;
	if (ckpt_unchanged(p->ckpt, e))
		return e->rule ? err_blame(e, BLAME_SOURCE) : -1;
	for (i = 0; i < p->n_files; i++)
		if (u->outputs[i].state < OUTPUT_DONE)
			return err_set(e, ERR_SYSTEM, "%s was not finished", p->files[i].name);
	return finish(r, e);
}

static int run_in(struct runner *r, struct run_result *res, struct err *e)
{
	const struct publisher *u = &r->shared.pub;
	size_t i, k, n = r->shared.p->n_files;
	int rc = execute(r, e);

	res->made = r->done.made;
	res->kept = r->done.kept;
	res->written = r->done.written;
	for (i = 0; i < n; i++) {
		memcpy(res->sha256[i], u->outputs[i].sha256, 32);
		res->blocks += u->outputs[i].blocks;
		res->inexact += u->outputs[i].inexact;
		for (k = 0; k < 3; k++)
			res->scales[k] += u->outputs[i].scales[k];
	}
	publisher_free(&r->shared.pub, rc && e->blame == BLAME_SOURCE);
	free(r->items);
	return rc;
}

int run_plan(const struct plan *p, const struct run_opts *o, struct run_result *res, struct err *e)
{
	struct runner r = { .shared = { .p = p, .o = o } };
	struct outdir dir;
	int rc;

	memset(res, 0, sizeof *res);
	res->sha256 = calloc(p->n_files + 1, sizeof *res->sha256);
	if (!res->sha256)
		return err_nomem(e);
	sha256_kit_best(&r.shared.sha, o->features);
	if (o->top ? outdir_open_below(&dir, o->top, p, o->below, o->overwrite, e)
		   : outdir_open(&dir, p, o->out, o->overwrite, e))
		return -1;
	pthread_mutex_init(&r.lock, NULL);
	rc = publisher_make(&r.shared.pub, p, &dir, o->expected, o->tool, e);
	if (!rc && o->expected && o->source_checked)
		publisher_trust(&r.shared.pub);
	rc = rc ? rc : run_in(&r, res, e);
	pthread_mutex_destroy(&r.lock);
	outdir_close(&dir);
	return rc;
}

void run_result_free(struct run_result *r)
{
	free(r->sha256);
	memset(r, 0, sizeof *r);
}
