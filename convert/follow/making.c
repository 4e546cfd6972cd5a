/* SPDX-License-Identifier: MIT */
#include "convert/follow/making.h"

#include "convert/plan/plan_hash.h"
#include "core/cpu.h"
#include "core/file.h"
#include "formats/conversion/manifest.h"
#include "formats/model/changed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the hash --- */

static int hash_folder(const struct plan *p, char hex[65], struct err *e)
{
	struct plan_hash h = { .p = p };
	struct text header = { 0 };
	size_t i;
	int rc;

	sha256_kit_evp(&h.kit);
	rc = sha256_init(&h.sha, &h.kit, e);
	text_fmt(&h.t, "follow %s\n%s\n%d %d %d %d %d\n%s\n%s\n", p->dir, p->opts.target,
		p->opts.sha256, p->opts.lossy, p->opts.back, (int)p->opts.drafts,
		(int)p->opts.engram, p->opts.imatrix_sha256 ? p->opts.imatrix_sha256 : "",
		p->opts.shard_config ? p->opts.shard_config->text : "");
	if (p->opts.mix)
		text_put(&h.t, p->opts.mix->text.s, p->opts.mix->text.n);
	for (i = 0; !rc && i < p->n_files; i++) {
		header.n = 0;
		rc = plan_header(p, &p->files[i], &header, e) ||
				plan_hash_file(&h, &p->files[i], &header, e)
			? -1
			: 0;
	}
	text_free(&header);
	return plan_hash_end(&h, rc, hex, e);
}

int making_hash(const struct conversion *c, char hex[65], struct err *e)
{
	struct text t = { 0 };
	char one[65];
	uint8_t digest[32];
	int rc = 0;
	size_t k;

	for (k = 0; !rc && k < c->n; k++) {
		rc = hash_folder(&c->folders[k], one, e);
		text_fmt(&t, "%s\n", one);
	}
	if (!rc && t.failed)
		rc = err_nomem(e);
	rc = rc ? rc : sha256_of(t.s, t.n, digest, e);
	text_free(&t);
	if (!rc)
		hex_of(digest, sizeof digest, hex);
	return rc;
}

/* --- the plan --- */

static void forget(struct making *m)
{
	free(m->made);
	free(m->wanted);
	free(m->sha256);
	free(m->first);
	m->made = m->wanted = NULL;
	m->sha256 = NULL;
	m->first = NULL;
	m->n = m->n_made = 0;
	m->bytes = 0;
}

int making_plan(struct making *m, const struct job *j, bool *same, struct err *e)
{
	const struct conversion *c = &j->conversion;
	char hash[65];
	size_t k;

	if (making_hash(c, hash, e))
		return -1;
	*same = !m->hash[0] || !strcmp(m->hash, hash);
	if (m->hash[0] && *same)
		return 0;
	memcpy(m->hash, hash, sizeof m->hash);
	forget(m);
	m->first = calloc(c->n + 1, sizeof *m->first);
	if (!m->first)
		return err_nomem(e);
	for (k = 0; k < c->n; k++)
		m->first[k + 1] = m->first[k] + c->folders[k].n_files;
	m->n = m->first[c->n];
	m->made = calloc(m->n + 1, sizeof *m->made);
	m->wanted = calloc(m->n + 1, sizeof *m->wanted);
	m->sha256 = calloc(m->n + 1, sizeof *m->sha256);
	return m->made && m->wanted && m->sha256 ? 0 : err_nomem(e);
}

/* --- a round, as a run sees it (struct run_units) --- */

static bool mine(void *ctx, size_t folder, size_t file)
{
	const struct making *m = ctx;

	return m->wanted[m->first[folder] + file];
}

static int take(void *ctx, size_t folder, size_t file, bool *yes, struct err *e)
{
	(void)e;
	*yes = mine(ctx, folder, file);
	return 0;
}

static int done(void *ctx, size_t folder, size_t file, const struct output *o, struct err *e)
{
	(void)ctx, (void)folder, (void)file, (void)o, (void)e;
	return 0; /* it is made when the round has ended well */
}

/* Whether all shards that the file is made of are verified. */
static bool can_make(const struct plan *p, const struct plan_file *f, const struct arriving *a)
{
	const struct coming *c;
	uint32_t shard, last = UINT32_MAX;
	size_t k, s;

	for (k = 0; k < f->n; k++)
		for (s = 0; s < step_sources(&f->steps[k]); s++) {
			shard = p->ckpt->tensors[step_source(&f->steps[k], (uint32_t)s)].shard;
			if (shard == last)
				continue;
			last = shard;
			c = arriving_find(a, p->ckpt->shards[shard].name);
			if (!c || c->is != ARRIVAL_VERIFIED)
				return false;
		}
	return true;
}

/* Chooses the files of a round. Returns how many, and *bytes of them. */
static size_t choose(struct making *m, const struct conversion *c, const struct arriving *a,
	uint64_t *bytes)
{
	size_t k, i, u, n = 0;

	*bytes = 0;
	for (k = 0; k < c->n; k++)
		for (i = 0; i < c->folders[k].n_files; i++) {
			u = m->first[k] + i;
			m->wanted[u] =
				!m->made[u] && can_make(&c->folders[k], &c->folders[k].files[i], a);
			n += m->wanted[u];
			*bytes += m->wanted[u] ? c->folders[k].files[i].bytes : 0;
		}
	return n;
}

/* Opens OUT and the folder in it that files are made in, if that is not done. */
static int open_stage(struct making *m, const struct job *j, struct err *e)
{
	const struct io *io = m->o->io;
	int fd;

	if (!m->top.io && outdir_open_any(&m->top, &j->conversion.folders[0], m->o->out, e)) {
		m->top.io = NULL;
		return -1;
	}
	m->top.io = io; /* that of the job ends with it */
	if (m->stage.out < 0) {
		m->stage = (struct stage){ .io = io, .out = -1 };
		if (file_open_dir(io, m->o->out, &m->stage.out, e))
			return -1;
	}
	snprintf(m->stage.name, sizeof m->stage.name, STAGE_DIR "/" STAGE_FOLLOW "%.16s", m->hash);
	snprintf(m->stage.path, sizeof m->stage.path, "%s/%s", m->o->out, m->stage.name);
	if (file_make_below(io, m->stage.out, m->stage.name, &fd, e))
		return -1;
	(void)io->close(io, fd); /* a folder has nothing to flush */
	return 0;
}

/* Takes what a round has made. */
static void take_made(struct making *m, const struct conversion *c, const struct run_result *r)
{
	size_t k, i, u;

	for (k = 0; k < c->n; k++)
		for (i = 0; i < c->folders[k].n_files; i++) {
			u = m->first[k] + i;
			if (!m->wanted[u])
				continue;
			m->made[u] = true;
			memcpy(m->sha256[u], r->folders[k].sha256[i], 32);
			m->n_made++;
			m->bytes += c->folders[k].files[i].bytes;
		}
}

size_t making_needs_all(const struct conversion *c)
{
	const struct ckpt *k = c->folders[0].ckpt;
	bool *seen = calloc(k->n_shards + 1, sizeof *seen);
	const struct plan_file *f;
	size_t i, d, s, t, n = 0, shards;

	for (d = 0; seen && d < c->n; d++)
		for (i = 0; i < c->folders[d].n_files; i++) {
			f = &c->folders[d].files[i];
			memset(seen, 0, k->n_shards);
			for (s = 0, shards = 0; s < f->n; s++)
				for (t = 0; t < step_sources(&f->steps[s]); t++) {
					bool *at = &seen[k->tensors[step_source(&f->steps[s],
									    (uint32_t)t)]
								 .shard];

					shards += !*at;
					*at = true;
				}
			n += shards == k->n_shards;
		}
	free(seen);
	return n;
}

int making_round(struct making *m, struct job *j, const struct arriving *a, struct err *e)
{
	const struct run_units units = { m, mine, take, done };
	struct run_opts ro = { .tool = m->o->tool,
		.budget = j->b,
		.features = cpu_features(),
		.stop = m->o->stop,
		.units = &units };
	struct run_result r;
	uint64_t bytes;
	size_t k;
	int rc;

	if (!choose(m, &j->conversion, a, &bytes))
		return 0;
	if (open_stage(m, j, e))
		return -1;
	for (k = 0; k < j->conversion.n; k++)
		memcpy(j->conversion.folders[k].hash, m->hash, sizeof m->hash);
	ro.out = m->stage.path;
	ro.progress = progress_start(m->o->watch, "converting", bytes);
	rc = run_conversion(&j->conversion, &ro, &r, e);
	progress_stop(ro.progress);
	if (!rc)
		take_made(m, &j->conversion, &r);
	run_result_free(&r);
	return rc;
}

/* --- the end --- */

/* The sidecar of file f, which has the hash of the files once, gets the hash of the plan p. */
static int restamp(const struct making *m, const struct plan *p, const struct plan_file *f,
	struct known *known, struct err *e)
{
	const struct io *io = m->o->io;
	char below[300], name[300], *at;
	struct text t = { 0 };
	int fd, rc;

	snprintf(below, sizeof below, "%s%s%s", m->stage.name, p->dir[0] ? "/" : "", p->dir);
	snprintf(name, sizeof name, "%s%s", f->name, MAN_SIDECAR);
	if (file_open_below(io, m->stage.out, below, &fd, e))
		return err_at(e, "%s", below);
	rc = file_load(io, fd, name, UINT64_MAX / 2, &t, e);
	at = rc ? NULL : strstr(t.s, m->hash);
	if (!rc && (!at || strstr(at + 64, m->hash)))
		rc = err_rule(e, RULE_OUT_RACE, ERR_NOPOS, "%s is not as it was written", name);
	if (!rc) {
		memcpy(at, p->hash, 64);
		known->side_bytes = t.n;
		rc = sha256_of(t.s, t.n, known->side_sha256, e) ||
				file_replace(io, fd, name, t.s, t.n, e)
			? -1
			: 0;
	}
	text_free(&t);
	(void)io->close(io, fd); /* a folder has nothing to flush */
	return rc;
}

/* Whether casts dropped something of the file. */
static bool has_dropped(const struct making *m, const struct plan *p, const struct output *o)
{
	char path[600];
	struct stat st;

	snprintf(path, sizeof path, "%s%s%s/%s", m->stage.name, p->dir[0] ? "/" : "", p->dir,
		o->keep_name);
	return !m->o->io->lstat(m->o->io, m->stage.out, path, &st);
}

static int place(const struct making *m, const struct plan *p, const struct plan_file *f,
	struct known *known, struct err *e)
{
	struct output o = { 0 };

	snprintf(o.side_name, sizeof o.side_name, "%s%s", f->name, MAN_SIDECAR);
	snprintf(o.keep_name, sizeof o.keep_name, "%s%s", f->name, MAN_DROPPED);
	o.keep.bytes =
		has_dropped(m, p, &o); /* all that stage_move asks is whether there are some */
	return restamp(m, p, f, known, e) || stage_move(&m->stage, p->dir, f->name, &o, e)
		? err_at(e, "%s", f->name)
		: 0;
}

struct placed {
	const struct making *m;
	struct known *v; /* [m->n] */
};

static int known_of(void *ctx, size_t k, size_t i, struct known *known, struct err *e)
{
	const struct placed *d = ctx;

	(void)e;
	*known = d->v[d->m->first[k] + i];
	return 0;
}

static int place_all(const struct making *m, const struct conversion *c, struct known *v,
	struct err *e)
{
	size_t k, i, u;

	for (k = 0; k < c->n; k++)
		for (i = 0; i < c->folders[k].n_files; i++) {
			u = m->first[k] + i;
			if (c->folders[k].opts.sha256)
				memcpy(v[u].sha256, m->sha256[u], 32);
			if (place(m, &c->folders[k], &c->folders[k].files[i], &v[u], e))
				return -1;
		}
	return 0;
}

int making_finish(struct making *m, const struct job *j, struct run_result *r, struct err *e)
{
	const struct run_opts ro = { .out = m->o->out,
		.tool = m->o->tool,
		.budget = j->b,
		.features = cpu_features(),
		.expected = &j->expected,
		.stop = m->o->stop };
	struct placed d = { m, calloc(m->n + 1, sizeof *d.v) };
	int rc = d.v ? 0 : err_nomem(e);

	*r = (struct run_result){ 0 };
	outdir_close(&m->top); /* run_finish locks it by itself */
	m->top.io = NULL;
	rc = rc ? rc : run_unchanged(&j->conversion, e);
	rc = rc ? rc : stage_share(&j->conversion, m->o->out, true, e);
	rc = rc ? rc : place_all(m, &j->conversion, d.v, e);
	if (!rc) {
		rc = run_finish(&j->conversion, &ro, known_of, &d, r, e);
		r->sum.made = m->n_made;
		r->sum.kept = 0;
		r->sum.written = m->bytes;
	}
	free(d.v);
	if (!rc)
		stage_close(&m->stage, true);
	return rc;
}

void making_free(struct making *m)
{
	if (m->top.io)
		outdir_close(&m->top);
	if (m->stage.out >= 0)
		(void)m->o->io->close(m->o->io, m->stage.out); /* a folder has nothing to flush */
	forget(m);
}
