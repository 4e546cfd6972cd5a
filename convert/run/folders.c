/* SPDX-License-Identifier: MIT */
#include "convert/run/folders.h"

#include "convert/out/leftover.h"
#include "convert/run/forecast.h"
#include "convert/run/top.h"
#include "core/file.h"
#include "formats/conversion/bystander.h"
#include "formats/conversion/freed.h"
#include "formats/conversion/head.h"
#include "formats/conversion/manifest.h"

#include <stdio.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int out_folder_err(const struct out_folder *d, struct err *e)
{
	return d->p->dir[0] ? err_at(e, "%s", d->p->dir) : -1;
}

/* --- the conversion that is replaced --- */

/* Whether the conversion writes dir/name. */
static bool stays(const void *conversion, const char *dir, const char *name, bool folder)
{
	const struct conversion *c = conversion;
	char path[4096];
	size_t n, k;

	n = (size_t)snprintf(path, sizeof path, "%s%s%s", dir, *dir ? "/" : "", name);
	for (k = 0; k < c->n; k++) {
		const char *mine = c->folders[k].dir;

		if (folder ? !strncmp(mine, path, n) && (!mine[n] || mine[n] == '/')
			   : !strcmp(mine, dir) && claim_writes(&c->folders[k], name))
			return true;
	}
	return false;
}

static struct owned_keep keep_of(const struct conversion *c)
{
	return (struct owned_keep){ .ctx = c, .stays = stays };
}

/* What a finished conversion at out says is its own; nothing where out is not there. */
static int read_old(struct owned *old, const struct conversion *c, const char *out, struct err *e)
{
	const struct io *io = c->folders[0].ckpt->io;
	int fd, rc;

	memset(old, 0, sizeof *old);
	if (file_open_dir(io, out, &fd, NULL))
		return 0; /* whatever is wrong, the run will say */
	rc = owned_read(old, io, fd, e);
	(void)io->close(io, fd); /* a folder has nothing to flush */
	return rc;
}

static int look(const struct conversion *c, const char *out, const struct owned *old,
	uint64_t *there, struct err *e)
{
	const struct owned_keep keep = keep_of(c);
	const struct plan *p;
	uint64_t one;
	size_t k;

	*there = 0;
	if (c->is_set && top_look(c, out, old, e))
		return -1;
	for (k = c->n; k--; *there += one) { /* OUT before what lies in it */
		p = &c->folders[k];
		if (outdir_look(p, out, p->dir, old, &one, e))
			return -1;
	}
	*there += old ? owned_blocks(old, &keep) : 0;
	return 0;
}

/* Opens OUT, or the folder dir below it, to see what may not be touched; *fd is -1 where it is not there, or cannot be opened for a reason
 * that the run meets too, and says. A reason that may be gone by then is an error. */
static int open_to_see(const struct io *io, const char *out, int top, const char *dir, int *fd,
	struct err *e)
{
	if (!(top < 0 ? file_open_dir(io, out, fd, NULL) : file_open_below(io, top, dir, fd, NULL)))
		return 0;
	*fd = -1;
	return errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EACCES ||
			errno == ENAMETOOLONG
		? 0
		: err_sys(e, "cannot open folder %s", text_quote(top < 0 ? out : dir).s);
}

/* Refuses OUT where it holds what was freed of a source; goes_on: not where that went into this conversion. */
static int hold_only_copy(const struct conversion *c, const char *out, bool goes_on, struct err *e)
{
	const struct io *io = c->folders[0].ckpt->io;
	struct freed kept;
	bool there = false, same = false;
	int fd, rc = 0;

	if (open_to_see(io, out, -1, NULL, &fd, e))
		return -1;
	if (fd < 0)
		return 0;
	if (goes_on && !freed_read(&kept, io, fd, FREED_KEPT, &there, NULL)) {
		same = there && !strcmp(kept.plan, c->hash);
		freed_free(&kept);
	}
	if (!same)
		rc = outdir_only_copy(io, fd, out, e);
	(void)io->close(io, fd); /* a folder has nothing to flush */
	return rc;
}

/* --- what speaks of the conversion that is replaced --- */

/* What is to be written into the folder OUT. */
struct coming {
	const struct io *io;
	const char *out;
	bool atlas; /* a new atlas.jsonl is part of it */
};

/* Looks at the names in the open folder, which is dir below OUT. */
static int find_words(const struct coming *n, int fd, const char *dir, struct err *e)
{
	char *names, *p;
	struct stat st;
	size_t count;
	int rc = 0;

	if (n->io->list(n->io, fd, &names, &count))
		return err_sys(e, "cannot list %s", text_quote(n->out).s);
	for (p = names; !rc && count--; p += strlen(p) + 1) {
		if (n->io->lstat(n->io, fd, p, &st)) {
			if (errno != ENOENT)
				rc = err_sys(e, "cannot look at %s", text_quote(p).s);
			continue;
		}
		if (!bystander_speaks(p, st.st_mode) ||
			(n->atlas && !*dir && !strcmp(p, BYSTANDER_ATLAS)))
			continue;
		rc = err_rule(e, RULE_OUT_STALE, ERR_NOPOS,
			"%s has %s%s%s, which is of the files that are to be replaced",
			text_quote(n->out).s, dir, *dir ? "/" : "", text_quote(p).s);
	}
	free(names);
	return rc;
}

/* The same, if the manifest in that folder is of another plan than hash. What this very plan has made comes out the same, so that what is
 * said of it stays true. */
static int hold_words_in(const struct coming *n, int out, const char *dir, const char *hash,
	struct err *e)
{
	char plan[65];
	int fd, rc;

	if (open_to_see(n->io, n->out, out, dir, &fd, e))
		return -1;
	if (fd < 0)
		return 0;
	rc = head_plan(n->io, fd, MAN_NAME, plan, e);
	if (!rc && *plan && strcmp(plan, hash) != 0)
		rc = find_words(n, fd, dir, e);
	(void)n->io->close(n->io, fd); /* a folder has nothing to flush */
	return rc;
}

/* Refuses to replace files that a signature, an attestation or an atlas in OUT speaks of. */
static int hold_words(const struct conversion *c, const char *out, bool atlas, struct err *e)
{
	const struct coming n = { .io = c->folders[0].ckpt->io, .out = out, .atlas = atlas };
	int fd, rc;
	size_t k;

	if (open_to_see(n.io, out, -1, NULL, &fd, e))
		return -1;
	if (fd < 0)
		return 0;
	rc = hold_words_in(&n, fd, "", c->is_set ? c->hash : c->folders[c->n - 1].hash, e);
	for (k = 0; !rc && k < c->n; k++)
		if (c->folders[k].dir[0])
			rc = hold_words_in(&n, fd, c->folders[k].dir, c->folders[k].hash, e);
	(void)n.io->close(n.io, fd); /* a folder has nothing to flush */
	return rc;
}

int folders_look(const struct conversion *c, const char *out, bool overwrite, bool atlas,
	uint64_t *there, struct err *e)
{
	struct owned old = { 0 };
	int rc = hold_only_copy(c, out, !overwrite, e);

	*there = 0;
	rc = rc || !overwrite ? rc : hold_words(c, out, atlas, e);
	rc = rc || !overwrite ? rc : read_old(&old, c, out, e);
	rc = rc ? rc : look(c, out, overwrite ? &old : NULL, there, e);
	*there += rc ? 0 : leftover_bytes_at(c->folders[0].ckpt->io, out);
	owned_free(&old);
	return rc;
}

struct outdir *folders_top(struct folders *f)
{
	return f->c->is_set ? &f->top : &f->v[f->c->n - 1].dir;
}

/* reclaim_plan has looked for a run that frees shards. */
static int hold_other_copy(const struct folders *f, struct err *e)
{
	return f->o->reclaim ? 0 : hold_only_copy(f->c, f->o->out, false, e);
}

/* What may be replaced; NULL: nothing. */
static const struct owned *old_of(const struct folders *f)
{
	return f->o->overwrite ? &f->old : NULL;
}

static int open_one(struct folders *f, struct out_folder *d, struct err *e)
{
	const struct run_opts *o = f->o;

	if (d->p->dir[0] ? outdir_open_below(&d->dir, folders_top(f), d->p, d->p->dir, old_of(f), e)
			 : outdir_open(&d->dir, d->p, o->out, old_of(f), e))
		return -1;
	if (publisher_make(&d->pub, d->p, &d->dir, o->expected, o->tool, e)) {
		outdir_close(&d->dir);
		return -1;
	}
	d->pub.base = o->base;
	d->pub.units = o->units;
	d->pub.folder = (size_t)(d - f->v);
	d->open = true;
	return 0;
}

/* Bytes of the files that the run makes of folder k, if it makes only some; *some: there is such a file. */
static uint64_t bytes_of(const struct folders *f, size_t k, bool *some)
{
	const struct run_units *u = f->o->units;
	const struct plan *p = &f->c->folders[k];
	uint64_t n = 0;
	size_t i;

	*some = false;
	for (i = 0; i < p->n_files; i++) {
		if (!u->mine(u->ctx, k, i))
			continue;
		*some = true;
		n += p->files[i].bytes;
	}
	return n;
}

/* Whether what is freed of the source gives the folder room. */
static bool frees_beside(const struct conversion *c, const struct outdir *any)
{
	struct stat out, in;

	return !any->io->fstat(any->io, any->fd, &out) &&
		!any->io->fstat(any->io, c->folders[0].ckpt->dir, &in) && out.st_dev == in.st_dev;
}

static int open_all(struct folders *f, struct err *e)
{
	const struct owned_keep keep = keep_of(f->c);
	const struct outdir *any = NULL;
	uint64_t need = 0, back = owned_blocks(&f->old, &keep), mine = 0;
	uint64_t linked;
	struct out_folder *d;
	bool some = true;

	for (d = f->v; d < f->v + f->c->n; d++) {
		if (f->o->units)
			mine = bytes_of(f, (size_t)(d - f->v), &some);
		if (!d->p->n_files || !some)
			continue; /* it comes when all weights are there, or from another process */
		if (open_one(f, d, e))
			return out_folder_err(d, e);
		need += f->o->units ? mine : outdir_missing(&d->dir);
		if (f->o->base && base_bytes(f->o->base, d->p, &linked, e))
			return out_folder_err(d, e);
		back += f->o->base ? linked : 0; /* they take no room where they can be linked */
		any = &d->dir;
	}
	if (any && !f->o->units)
		back += leftover_bytes(any->io, folders_top(f)->fd);
	need = need > back ? need - back : 0;
	if (f->o->forecast && f->o->forecast->peak < need && any && frees_beside(f->c, any))
		need = f->o->forecast->peak;
	return any ? outdir_room(any, need, e) : 0;
}

/* Removes what only the conversion that was there has, as it is now that OUT is locked. */
static int remove_old(struct folders *f, struct err *e)
{
	const struct owned_keep keep = keep_of(f->c);
	const struct outdir *top = folders_top(f);

	if (!f->old.n)
		return 0;
	owned_free(&f->old);
	if (owned_read(&f->old, top->io, top->fd, e))
		return -1;
	return owned_remove(&f->old, top->io, top->fd, &keep, e);
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
	if (hold_other_copy(f, e) ||
		(o->overwrite &&
			(hold_words(c, o->out, o->atlas, e) || read_old(&f->old, c, o->out, e))))
		return -1;
	if (c->is_set &&
		(look(c, o->out, old_of(f), &there, e) ||
			top_open(&f->top, c, o->out, old_of(f),
				o->units || o->forecast ? 0 : c->bytes, e)))
		return -1;
	/* Once more, now that OUT is locked. */
	if (open_all(f, e) || hold_other_copy(f, e) || remove_old(f, e))
		return -1;
	if (!o->units)
		leftover_sweep(folders_top(f)->io, folders_top(f)->fd);
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

void folders_anew(struct folders *f, const struct out_folder *d, const char *name, const char *why)
{
	pthread_mutex_lock(&f->lock);
	if (!f->anew.n++) {
		snprintf(f->anew.name, sizeof f->anew.name, "%s%s%.200s", d->p->dir,
			d->p->dir[0] ? "/" : "", name);
		f->anew.why = why;
	}
	pthread_mutex_unlock(&f->lock);
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

int folders_open_early(struct folders *f, size_t k, struct err *e)
{
	return f->v[k].open || !open_one(f, &f->v[k], e) ? 0 : out_folder_err(&f->v[k], e);
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

/* What the document above says of a folder that is finished. */
static void describe(const struct out_folder *d, struct manifest_folder *m)
{
	snprintf(m->name, sizeof m->name, "%s", d->p->dir);
	snprintf(m->plan, sizeof m->plan, "%s", d->p->hash);
	m->bytes = d->pub.manifest_bytes;
	memcpy(m->sha256, d->pub.manifest_sha256, sizeof m->sha256);
}

/* Finishes all folders; made[k] becomes the manifest of folder k. */
static int finish_each(struct folders *f, struct manifest_folder *made, struct err *e)
{
	struct out_folder *last = &f->v[f->c->n - 1], *d;

	for (d = f->v; d <= last; d++) {
		if (!d->open && open_late(f, d, e))
			return out_folder_err(d, e);
		if (!f->c->is_set && d == last && d > f->v)
			d->pub.restore = &made[0];
		if (publisher_finish(&d->pub, e))
			return out_folder_err(d, e);
		describe(d, &made[d - f->v]);
	}
	return 0;
}

int folders_finish(struct folders *f, struct err *e)
{
	struct manifest_folder *made = calloc(f->c->n, sizeof *made);
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
	owned_free(&f->old);
	free(f->v);
	pthread_mutex_destroy(&f->lock);
}
