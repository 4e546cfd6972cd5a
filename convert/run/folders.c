/* SPDX-License-Identifier: MIT */
#include "convert/run/folders.h"

#include "convert/run/top.h"
#include "core/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int out_folder_err(const struct out_folder *d, struct err *e)
{
	return d->p->dir[0] ? err_at(e, "%s", d->p->dir) : -1;
}

int folders_look(const struct conversion *c, const char *out, bool overwrite, uint64_t *there,
	struct err *e)
{
	const struct plan *p;
	uint64_t one;
	size_t k;

	*there = 0;
	if (c->is_set && top_look(c, out, e))
		return -1;
	for (k = c->n; k--; *there += one) { /* OUT before what lies in it */
		p = &c->folders[k];
		if (outdir_look(p, out, p->dir, overwrite, &one, e))
			return -1;
	}
	return 0;
}

/* OUT, which the other folders lie in. */
static struct outdir *top_of(struct folders *f)
{
	return f->c->is_set ? &f->top : &f->v[f->c->n - 1].dir;
}

static int open_one(struct folders *f, struct out_folder *d, struct err *e)
{
	const struct run_opts *o = f->o;

	if (d->p->dir[0] ? outdir_open_below(&d->dir, top_of(f), d->p, d->p->dir, o->overwrite, e)
			 : outdir_open(&d->dir, d->p, o->out, o->overwrite, e))
		return -1;
	if (publisher_make(&d->pub, d->p, &d->dir, o->expected, o->tool, e)) {
		outdir_close(&d->dir);
		return -1;
	}
	d->open = true;
	return 0;
}

static int open_all(struct folders *f, struct err *e)
{
	const struct outdir *any = NULL;
	uint64_t need = 0;
	struct out_folder *d;

	for (d = f->v; d < f->v + f->c->n; d++) {
		if (!d->p->n_files)
			continue; /* it comes when all weights are there */
		if (open_one(f, d, e))
			return out_folder_err(d, e);
		need += outdir_missing(&d->dir);
		any = &d->dir;
	}
	return any ? outdir_room(any, need, e) : 0;
}

int folders_begin(struct folders *f, const struct conversion *c, const struct run_opts *o,
	struct err *e)
{
	uint64_t there;
	size_t k;

	*f = (struct folders){ .c = c, .o = o, .top.fd = -1 };
	pthread_mutex_init(&f->lock, NULL);
	f->v = calloc(c->n, sizeof *f->v);
	if (!f->v)
		return err_nomem(e);
	for (k = 0; k < c->n; k++)
		f->v[k].p = &c->folders[k];
	if (c->is_set &&
		(folders_look(c, o->out, o->overwrite, &there, e) ||
			top_open(&f->top, c, o->out, e)))
		return -1;
	if (open_all(f, e))
		return -1;
	/* It speaks for all folders, and must not while they are looked at. */
	return c->is_set ? file_remove(f->top.io, f->top.fd, MAN_NAME, e) : 0;
}

int folders_shard(struct folders *f, size_t i, const uint8_t sha256[32], struct err *e)
{
	struct out_folder *d;

	for (d = f->v; d < f->v + f->c->n; d++) {
		if (!d->open)
			continue;
		memcpy(d->pub.shard_sha256[i], sha256, 32);
		if (publisher_shard(&d->pub, i, e))
			return -1;
	}
	return 0;
}

void folders_finished(struct folders *f, size_t *files, uint64_t *bytes)
{
	struct out_folder *d;
	size_t i;

	*files = 0;
	*bytes = 0;
	for (d = f->v; d < f->v + f->c->n; d++) {
		if (!d->open)
			continue;
		pthread_mutex_lock(&d->pub.lock);
		for (i = 0; i < d->p->n_files; i++) {
			if (d->pub.outputs[i].state < OUTPUT_DONE)
				continue;
			++*files;
			*bytes += d->p->files[i].bytes;
		}
		pthread_mutex_unlock(&d->pub.lock);
	}
}

/* Opens a folder that gets no weights. */
static int open_late(struct folders *f, struct out_folder *d, struct err *e)
{
	if (open_one(f, d, e))
		return -1;
	if (f->o->expected)
		publisher_trust(&d->pub);
	return 0;
}

/* Finishes all folders; made[k] becomes the manifest of folder k. */
static int finish_each(struct folders *f, struct man_entry *made, struct err *e)
{
	struct out_folder *last = &f->v[f->c->n - 1], *d;

	for (d = f->v; d <= last; d++) {
		if (!d->open && open_late(f, d, e))
			return out_folder_err(d, e);
		if (!f->c->is_set && d == last && d > f->v)
			d->pub.restore = &made[0];
		if (publisher_finish(&d->pub, e))
			return out_folder_err(d, e);
		made[d - f->v] = (struct man_entry){ .name = d->p->dir,
			.bytes = d->pub.manifest_bytes,
			.sha256 = d->pub.manifest_sha256 };
	}
	return 0;
}

int folders_finish(struct folders *f, struct err *e)
{
	struct man_entry *made = calloc(f->c->n, sizeof *made);
	int rc = made ? finish_each(f, made, e) : err_nomem(e);

	if (!rc && f->c->is_set)
		rc = top_put(&f->top, f->c, made, f->o->tool, e);
	free(made);
	return rc;
}

void folders_end(struct folders *f, bool undo)
{
	struct out_folder *d;

	for (d = f->v; d && d < f->v + f->c->n; d++) {
		if (!d->open)
			continue;
		publisher_free(&d->pub, undo);
		outdir_close(&d->dir);
	}
	outdir_close(&f->top);
	free(f->v);
	pthread_mutex_destroy(&f->lock);
}
