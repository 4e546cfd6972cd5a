/* SPDX-License-Identifier: MIT */
#include "convert/out/publish.h"

#include "convert/out/account.h"
#include "convert/out/checksum.h"
#include "convert/out/copy.h"
#include "convert/out/options.h"
#include "core/hash/sha256.h"
#include "formats/model/changed.h"
#include "formats/conversion/manifest.h"
#include "formats/conversion/sidecar.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Finds the files that an earlier run was told to stop in. Of two for one name the second is removed. */
static int find_parts(struct publisher *u, struct err *e)
{
	const struct io *io = u->dir->io;
	char *names, *s, name[256];
	size_t n, i;
	int rc = 0;

	if (io->list(io, u->dir->fd, &names, &n))
		return err_sys(e, "cannot list the output folder");
	for (s = names; !rc && n--; s += strlen(s) + 1) {
		if (!file_is_part(s, name) || !partial_paired(io, u->dir->fd, s))
			continue;
		for (i = 0; i < u->p->n_files && strcmp(u->p->files[i].name, name) != 0; i++)
			;
		if (i < u->p->n_files && u->outputs[i].part[0])
			rc = partial_remove(io, u->dir->fd, s, e);
		else if (i < u->p->n_files)
			snprintf(u->outputs[i].part, sizeof u->outputs[i].part, "%s", s);
	}
	free(names);
	return rc;
}

int publisher_make(struct publisher *u, const struct plan *p, struct outdir *dir,
	const struct expected *x, const char *tool, struct err *e)
{
	size_t i;

	memset(u, 0, sizeof *u);
	u->p = p;
	u->dir = dir;
	u->expected = x;
	u->tool = tool;
	u->outputs = calloc(p->n_files + 1, sizeof *u->outputs);
	u->shard_sha256 = calloc(p->ckpt->n_shards + 1, sizeof *u->shard_sha256);
	u->shard_ok = calloc(p->ckpt->n_shards + 1, sizeof *u->shard_ok);
	if (!u->outputs || !u->shard_sha256 || !u->shard_ok) {
		free(u->outputs);
		free(u->shard_sha256);
		free(u->shard_ok);
		memset(u, 0, sizeof *u);
		return err_nomem(e);
	}
	pthread_mutex_init(&u->lock, NULL);
	for (i = 0; i < p->n_files; i++)
		snprintf(u->outputs[i].side_name, sizeof u->outputs[i].side_name, "%s%s",
			p->files[i].name, MAN_SIDECAR);
	for (i = 0; i < p->n_files; i++)
		snprintf(u->outputs[i].keep_name, sizeof u->outputs[i].keep_name, "%s%s",
			p->files[i].name, MAN_DROPPED);
	if (!dir->claim.parts || !find_parts(u, e))
		return 0;
	publisher_free(u, false);
	return -1;
}

void publisher_trust(struct publisher *u)
{
	size_t i;

	for (i = 0; i < u->p->ckpt->n_shards; i++) {
		u->shard_ok[i] = true;
		memcpy(u->shard_sha256[i], u->expected->sha256[i], 32);
	}
}

static void remove_names(const struct publisher *u, size_t i)
{
	(void)u->dir->io->unlink(u->dir->io, u->dir->fd, u->p->files[i].name);
	(void)u->dir->io->unlink(u->dir->io, u->dir->fd, u->outputs[i].side_name);
	if (u->p->opts.back)
		(void)u->dir->io->unlink(u->dir->io, u->dir->fd, u->outputs[i].keep_name);
}

/* What was not published is removed; but a file that an earlier run was told to stop in is still what its record
 * says. */
static void let_go(struct publisher *u, size_t i, bool undo)
{
	struct output *o = &u->outputs[i];

	if (o->part[0] && o->data.begun && !undo && o->data.fd < 0) {
		o->data.begun =
			false; /* it was synced and closed: the record has its first bytes */
		return;
	}
	if (o->part[0] && o->data.begun && !undo && !file_out_leave(&o->data, NULL))
		return;
	if (o->part[0] && o->data.begun)
		(void)partial_forget(u->dir->io, u->dir->fd, o->part, NULL);
	file_out_abandon(&o->data);
}

void publisher_free(struct publisher *u, bool undo)
{
	bool left = false;
	size_t i;

	if (!u->outputs)
		return;
	for (i = 0; i < u->p->n_files; i++) {
		let_go(u, i, undo);
		file_out_abandon(&u->outputs[i].side);
		keep_free(&u->outputs[i].keep);
		free(u->outputs[i].lossy.v);
		if (undo && u->outputs[i].state == OUTPUT_DONE && !u->outputs[i].fixed)
			remove_names(u, i);
		else
			left = left || u->outputs[i].state >= OUTPUT_DONE || u->outputs[i].stays ||
				u->outputs[i].part[0];
	}
	if (!left && !u->smalls)
		claim_undo(&u->dir->claim);
	pthread_mutex_destroy(&u->lock);
	block_roles_free(&u->tally);
	free(u->outputs);
	free(u->shard_sha256);
	free(u->shard_ok);
	memset(u, 0, sizeof *u);
}

bool publisher_has(const struct publisher *u, size_t i)
{
	const struct io *io = u->dir->io;
	struct stat data, side;

	return !io->lstat(io, u->dir->fd, u->p->files[i].name, &data) && S_ISREG(data.st_mode) &&
		(uint64_t)data.st_size == u->p->files[i].bytes &&
		!io->lstat(io, u->dir->fd, u->outputs[i].side_name, &side) && S_ISREG(side.st_mode);
}

/* Takes up what an earlier run has left of file i. */
static int take_up(struct publisher *u, size_t i, struct stream *s, struct partial *k,
	const char **why, struct err *e)
{
	const struct outdir *d = u->dir;
	struct output *o = &u->outputs[i];
	bool usable = false;

	if (!partial_load(k, d->io, d->fd, o->part, u->p, &u->p->files[i], u->tool, s, why, e) &&
		(!k->bytes ||
			!file_out_again(&o->data, d->io, d->fd, o->part, u->p->files[i].bytes,
				&usable, e))) {
		if (usable)
			return 0;
		if (k->bytes) {
			*why = "it is not the file that was left";
			stream_forget(s);
		}
		partial_free(k);
		return partial_remove(d->io, d->fd, o->part, e);
	}
	partial_free(k);
	return -1;
}

int publisher_begin(struct publisher *u, size_t i, struct stream *s, struct partial *k,
	const char **why, struct err *e)
{
	const struct outdir *d = u->dir;
	struct output *o = &u->outputs[i];
	bool again = o->data.begun;

	*k = (struct partial){ 0 };
	*why = NULL;
	file_out_abandon(&o->data);
	if (again && o->part[0] && partial_forget(d->io, d->fd, o->part, e))
		return -1;
	if (again)
		o->part[0] = 0;
	if (claim_take(&u->dir->claim, e) || checksum_unmark(u->p, u->dir, e) ||
		file_remove(d->io, d->fd, u->outputs[i].side_name, e) ||
		file_remove(d->io, d->fd, u->p->files[i].name, e) ||
		(u->p->opts.back && file_remove(d->io, d->fd, u->outputs[i].keep_name, e)))
		return -1;
	if (o->part[0] && take_up(u, i, s, k, why, e))
		return -1;
	if (o->data.begun)
		return 0;
	o->part[0] = 0;
	if (u->base && !again &&
		base_offer(u->base, u->p, &u->p->files[i], d->fd, s, k, &o->data, e))
		return -1;
	if (o->data.begun)
		return 0;
	return file_out_begin(&o->data, d->io, d->fd, u->p->files[i].name, u->p->files[i].bytes, e);
}

int publisher_save(struct publisher *u, size_t i, const struct account *a, struct err *e)
{
	struct output *o = &u->outputs[i];

	if (file_out_leave(&o->data, e))
		return -1;
	if (a && partial_save(&o->data, a, e)) {
		o->data.begun = true; /* to be removed */
		return -1;
	}
	o->stays = true;
	return 0;
}

/* --- sidecars --- */

static int put_sidecar(struct publisher *u, size_t i, const struct stream *st,
	const struct xxh_digest *chunks, struct account_sink *k, struct err *e)
{
	struct output *o = &u->outputs[i];
	const struct plan_file *f = &u->p->files[i];
	struct account a = { .p = u->p,
		.f = f,
		.s = st,
		.tool = u->tool,
		.sha256 = u->p->opts.sha256 ? o->sha256 : NULL,
		.keep = &o->keep,
		.chunks = chunks,
		.bytes = f->bytes,
		.steps = f->n };
	size_t s, b;

	k->io = u->dir->io;
	if (account_put(&a, k, e))
		return -1;
	o->side_bytes = k->at;
	o->blocks = o->inexact = 0;
	memset(o->scales, 0, sizeof o->scales);
	for (s = 0; s < f->n; s++) {
		for (b = 0; b < 3; b++)
			o->scales[b] += st->res[s].scales[b];
		o->blocks += st->res[s].blocks;
		o->inexact += st->res[s].inexact;
	}
	return tally_places_of(&o->lossy, st, e) || sha256_final(&k->sha, o->side_sha256, e) ? -1
											     : 0;
}

/* --- publishing --- */

/* Every shard that file i was made of is as expected. */
static bool trusted(const struct publisher *u, size_t i)
{
	const struct plan_file *f = &u->p->files[i];
	size_t s;
	uint32_t k;

	if (!u->expected)
		return true;
	for (s = 0; s < f->n; s++)
		for (k = 0; k < step_sources(&f->steps[s]); k++)
			if (!u->shard_ok[u->p->ckpt->tensors[step_source(&f->steps[s], k)].shard])
				return false;
	return true;
}

/* The lock is held. */
static int publish(struct publisher *u, size_t i, struct err *e)
{
	struct output *o = &u->outputs[i];

	if (file_out_publish(&o->data, e))
		return -1;
	o->state = OUTPUT_DONE;
	/* The record of a file that was gone on in goes after its name is there: until then it is what keeps the bytes. */
	if ((!o->part[0] || !partial_forget(u->dir->io, u->dir->fd, o->part, e)) &&
		(!o->keep.out.begun || !file_out_publish(&o->keep.out, e)) &&
		!file_out_publish(&o->side, e)) {
		o->part[0] = 0;
		return u->units ? u->units->done(u->units->ctx, u->folder, i, o, e) : 0;
	}
	o->part[0] = 0;
	remove_names(u, i); /* a file without a sidecar is not finished */
	o->state = OUTPUT_TODO;
	return -1;
}

static int publish_trusted(struct publisher *u, struct err *e)
{
	size_t i;

	for (i = 0; i < u->p->n_files; i++)
		if (u->outputs[i].state == OUTPUT_READY && trusted(u, i) && publish(u, i, e))
			return -1;
	return 0;
}

/* A file that is made again must be the one that it once was. */
static int is_as_said(const struct publisher *u, size_t i, struct err *e)
{
	const struct plan_file *f = &u->p->files[i];
	char is[65], said[65];

	if (!f->sha256 || !u->p->opts.sha256 || !memcmp(f->sha256, u->outputs[i].sha256, 32))
		return 0;
	hex_of(u->outputs[i].sha256, 32, is);
	hex_of(f->sha256, 32, said);
	return err_rule(e, RULE_SET_DIGEST, ERR_NOPOS,
		"%s: its SHA-256 would be %s, and the shard that was converted had %s", f->name, is,
		said);
}

int publisher_ready(struct publisher *u, size_t i, const struct stream *s,
	const struct xxh_digest *chunks, struct err *e)
{
	struct output *o = &u->outputs[i];
	struct account_sink k = { .compare = false };
	int rc;

	if (is_as_said(u, i, e))
		return -1;
	if (file_out_begin(&o->side, u->dir->io, u->dir->fd, o->side_name, 0, e))
		return -1;
	k.fd = o->side.fd;
	if (put_sidecar(u, i, s, chunks, &k, e))
		return err_at(e, "%s", o->side_name);
	o->side.size = k.at;
	if (file_out_close(&o->side, e))
		return -1;
	pthread_mutex_lock(&u->lock);
	o->state = OUTPUT_READY;
	rc = tally_add(&u->tally, s, e) || publish_trusted(u, e) ? -1 : 0;
	pthread_mutex_unlock(&u->lock);
	return rc;
}

int publisher_keep(struct publisher *u, size_t i, const struct stream *s,
	const struct xxh_digest *chunks, bool *kept, struct err *e)
{
	struct account_sink k = { .compare = true, .equal = true };
	struct stat st;
	int rc;

	if (is_as_said(u, i, e))
		return -1;
	if (file_open(u->dir->io, u->dir->fd, u->outputs[i].side_name, &k.fd, &st, e))
		return -1;
	rc = put_sidecar(u, i, s, chunks, &k, e);
	free(k.old);
	(void)u->dir->io->close(u->dir->io, k.fd);
	*kept = !rc && k.equal && k.at == (uint64_t)st.st_size;
	if (!*kept)
		return rc;
	if (u->dir->io->lstat(u->dir->io, u->dir->fd, u->p->files[i].name, &u->outputs[i].data.st))
		return err_sys(e, "cannot stat %s", u->p->files[i].name);
	if (u->outputs[i].part[0] && partial_remove(u->dir->io, u->dir->fd, u->outputs[i].part, e))
		return -1;
	pthread_mutex_lock(&u->lock);
	u->outputs[i].part[0] = 0;
	u->outputs[i].state = OUTPUT_KEPT;
	rc = tally_add(&u->tally, s, e);
	pthread_mutex_unlock(&u->lock);
	return rc;
}

int publisher_shard(struct publisher *u, size_t i, struct err *e)
{
	char is[65], said[65];
	int rc;

	if (memcmp(u->shard_sha256[i], u->expected->sha256[i], 32)) {
		hex_of(u->shard_sha256[i], 32, is);
		hex_of(u->expected->sha256[i], 32, said);
		err_rule(e, RULE_SOURCE_SHA256, ERR_NOPOS, "%s: its SHA-256 is %s, expected %s",
			u->p->ckpt->shards[i].name, is, said);
		return err_blame(e, BLAME_SOURCE);
	}
	pthread_mutex_lock(&u->lock);
	u->shard_ok[i] = true;
	rc = publish_trusted(u, e);
	pthread_mutex_unlock(&u->lock);
	return rc;
}

/* --- the end --- */

/* True if the folder has name with just these bytes. */
static bool has_text(const struct publisher *u, const char *name, const struct text *t)
{
	struct text old = { 0 };
	bool equal;

	equal = !file_load(u->dir->io, u->dir->fd, name, t->n, &old, NULL) && old.n == t->n &&
		!memcmp(old.s, t->s, t->n);
	text_free(&old);
	return equal;
}

static int put_text(struct publisher *u, const char *name, const struct text *t, struct err *e)
{
	if (has_text(u, name, t))
		return 0;
	if (claim_take(&u->dir->claim, e) || checksum_unmark(u->p, u->dir, e) ||
		file_remove(u->dir->io, u->dir->fd, name, e))
		return -1;
	return file_put(u->dir->io, u->dir->fd, name, t->s, t->n, e);
}

/* The manifest: what was marked as unfinished is not any more. */
static int put_last(struct publisher *u, const struct text *t, struct err *e)
{
	const struct outdir *d = u->dir;

	if (!has_text(u, MAN_NAME, t)) {
		if (claim_take(&u->dir->claim, e) || claim_release(&u->dir->claim, e))
			return -1;
		return file_put(d->io, d->fd, MAN_NAME, t->s, t->n, e);
	}
	return claim_release(&u->dir->claim, e);
}

/* What this run has made or kept has its name still: no other process has removed or replaced it meanwhile. */
static int hold_names(const struct publisher *u, struct err *e)
{
	const struct outdir *d = u->dir;
	size_t i;
	int is;

	for (i = 0; i < u->p->n_files; i++) {
		is = file_is(d->io, d->fd, u->p->files[i].name, &u->outputs[i].data.st);
		if (is < 0)
			return err_sys(e, "cannot look at %s", u->p->files[i].name);
		if (!is)
			return err_rule(e, RULE_OUT_RACE, ERR_NOPOS,
				"another process has removed or replaced %s", u->p->files[i].name);
	}
	return 0;
}

/* What all this was made of is what it was when the plan was made. */
static int hold_source(const struct publisher *u, struct err *e)
{
	const struct plan_small *s = u->p->smalls, *end = s + u->p->n_smalls;

	for (; s < end; s++)
		if (s->kind == SMALL_COPY && ckpt_file_unchanged(u->p->ckpt, s->name, &s->st, e))
			return -1;
	return ckpt_unchanged(u->p->ckpt, e);
}

int publisher_small(struct publisher *u, size_t i, struct manifest_file *m, struct err *e)
{
	const struct plan_small *s = &u->p->smalls[i];
	struct text t = { 0 };
	int rc;

	u->smalls = true;
	*m = (struct manifest_file){ .name = s->name, .has_sha256 = true };
	if (s->kind == SMALL_COPY) {
		rc = copy_file(u->p->ckpt, u->dir, s->name, &m->bytes, m->sha256, e);
	} else {
		rc = s->kind == SMALL_CHECKSUM ? checksum_put(&t, u->p, u->dir, e)
					       : plan_small_text(u->p, s, &t, e);
		rc = rc ? rc : sha256_of(t.s, t.n, m->sha256, e);
		rc = rc ? rc : put_text(u, s->name, &t, e);
		m->bytes = t.n;
	}
	text_free(&t);
	return rc;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct manifest_file *)a)->name,
		((const struct manifest_file *)b)->name);
}

/* The files of weights, before the small ones, and what their casts lost. */
static void list_files(const struct publisher *u, struct manifest *m)
{
	const struct output *o;
	struct manifest_file *f;
	size_t i;

	for (i = 0; i < u->p->n_files; i++) {
		o = &u->outputs[i];
		f = &m->files.v[i];
		*f = (struct manifest_file){ .name = u->p->files[i].name,
			.bytes = u->p->files[i].bytes,
			.side = o->side_name,
			.side_bytes = o->side_bytes,
			.has_sha256 = u->p->opts.sha256 };
		memcpy(f->sha256, o->sha256, sizeof f->sha256);
		memcpy(f->side_sha256, o->side_sha256, sizeof f->side_sha256);
		m->blocks += o->blocks;
		m->inexact += o->inexact;
	}
	qsort(m->files.v, m->files.n, sizeof *m->files.v, by_name);
}

static void list_shards(const struct publisher *u, struct manifest *m)
{
	const struct ckpt *c = u->p->ckpt;
	struct manifest_file *f;
	size_t i;

	for (i = 0; i < c->n_shards; i++) {
		f = &m->shards.v[i];
		*f = (struct manifest_file){ .name = c->shards[i].name,
			.bytes = (uint64_t)c->shards[i].st.st_size,
			.has_sha256 = m->verified };
		memcpy(f->sha256, u->shard_sha256[i], sizeof f->sha256);
	}
}

/* The first rounded blocks, in the order of the plan. */
static int list_lossy(const struct publisher *u, struct manifest *m, struct err *e)
{
	const struct tally_places *l;
	size_t i, k;

	m->lossy = malloc(MANIFEST_PLACES * sizeof *m->lossy);
	if (!m->lossy)
		return err_nomem(e);
	for (i = 0; i < u->p->n_files; i++) {
		l = &u->outputs[i].lossy;
		for (k = 0; k < l->n && m->n_lossy < MANIFEST_PLACES; k++)
			m->lossy[m->n_lossy++] = l->v[k];
	}
	return 0;
}

/* m->files has the small files already. */
static int put_manifest(struct publisher *u, struct manifest *m, struct err *e)
{
	const struct plan *p = u->p;
	struct text t = { 0 }, options = { 0 };
	int rc = -1;

	m->verified = u->expected != NULL; /* what an earlier manifest says of it is not believed */
	list_files(u, m);
	list_shards(u, m);
	if (list_lossy(u, m, e))
		return -1;
	block_roles_sort(&u->tally);
	m->roles = u->tally.v; /* borrows */
	m->n_roles = u->tally.n;
	if (u->restore)
		m->restore = *u->restore;
	m->restore.plan[0] = 0; /* a set says it, and a folder beside others does not */
	snprintf(m->target, sizeof m->target, "%s", p->opts.target);
	snprintf(m->plan, sizeof m->plan, "%s", p->hash);
	snprintf(m->tool, sizeof m->tool, "%s", u->tool);
	m->source_tensors = p->ckpt->n;
	m->source_bytes = p->ckpt->bytes;
	options_put(p, &options);
	m->options = options.s;
	if (!options.failed)
		manifest_put(&t, m);
	u->manifest_bytes = t.n;
	if (options.failed || t.failed)
		err_nomem(e);
	else
		rc = sha256_of(t.s, t.n, u->manifest_sha256, e) || put_last(u, &t, e) ? -1 : 0;
	m->roles = NULL;
	text_free(&options);
	text_free(&t);
	return rc;
}

int publisher_finish(struct publisher *u, struct err *e)
{
	const struct plan *p = u->p;
	struct manifest m = { .files.n = p->n_files + p->n_smalls, .shards.n = p->ckpt->n_shards };
	size_t i;
	int rc, last;

	m.files.v = calloc(m.files.n + 1, sizeof *m.files.v);
	m.shards.v = calloc(m.shards.n + 1, sizeof *m.shards.v);
	rc = m.files.v && m.shards.v ? 0 : err_nomem(e);
	rc = rc || hold_names(u, e) || hold_source(u, e) ? -1 : 0;
	for (last = 0; last < 2; last++)
		for (i = 0; !rc && i < p->n_smalls; i++)
			if (last == checksum_is_mark(p, &p->smalls[i]))
				rc = publisher_small(u, i, &m.files.v[p->n_files + i], e);
	rc = rc ? rc : hold_source(u, e);
	rc = rc ? rc : put_manifest(u, &m, e);
	manifest_free(&m);
	return rc;
}
