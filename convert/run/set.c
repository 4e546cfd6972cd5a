/* SPDX-License-Identifier: MIT */
#include "convert/run/set.h"

#include "convert/out/outdir.h"
#include "convert/plan/target.h"
#include "core/file.h"
#include "formats/conversion/bystander.h"
#include "core/hash/sha256.h"
#include "core/hash/xxh.h"
#include "formats/format_id.h"
#include "formats/json/jwrite.h"
#include "formats/conversion/joined.h"
#include "formats/conversion/manifest.h"
#include "formats/conversion/seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- making --- */

static void name_part(struct set_part *p, const struct share *h)
{
	int n = 0;

	if (h->stages > 1)
		n = snprintf(p->dir, sizeof p->dir, "pp-%llu-of-%llu/",
			(unsigned long long)h->stage, (unsigned long long)h->stages);
	snprintf(p->dir + n, sizeof p->dir - (size_t)n, "rank-%llu-of-%llu",
		(unsigned long long)h->rank, (unsigned long long)h->ranks);
}

/* The source comes first: its shards are digested there once, before anything is made of them. */
static int make_ranks(struct set *s, const struct audit *a, struct err *e)
{
	struct plan_opts o = s->opts;

	o.target = source_target.name;
	if (plan_make(&s->parts[s->n].plan, a, &o, e))
		return -1;
	snprintf(s->parts[s->n++].dir, sizeof s->parts->dir, "%s", SET_SOURCE);
	o.target = s->opts.target;
	for (o.share.stage = 0; o.share.stage < o.share.stages; o.share.stage++) {
		for (o.share.rank = 0; o.share.rank < o.share.ranks; o.share.rank++) {
			if (plan_make(&s->parts[s->n].plan, a, &o, e))
				return -1;
			name_part(&s->parts[s->n++], &o.share);
		}
	}
	return 0;
}

/* What becomes of each source tensor, wherever that is. */
static void sum_up(struct set *s)
{
	const struct ckpt *c = s->parts[0].plan.ckpt;
	uint8_t fate;
	size_t i, k;

	for (i = 0; i < c->n; i++) {
		fate = FATE_ELSEWHERE;
		for (k = 0; k < s->n && fate == FATE_ELSEWHERE; k++)
			fate = s->parts[k].plan.fate[i];
		if (fate == FATE_ELSEWHERE)
			fate = FATE_NONE;
		s->fate_n[fate]++;
		s->fate_bytes[fate] += c->tensors[i].end - c->tensors[i].begin;
	}
	for (k = 0; k < s->n; k++) {
		s->bytes += s->parts[k].plan.bytes;
		s->files += s->parts[k].plan.n_files;
	}
}

static int hash_set(struct set *s, struct err *e)
{
	struct text t = { 0 };
	uint8_t digest[32];
	size_t k;
	int rc;

	text_fmt(&t, FORMAT_SET_HASH "\n");
	for (k = 0; k < s->n; k++)
		text_fmt(&t, "%s %s\n", s->parts[k].dir, s->parts[k].plan.hash);
	rc = t.failed ? err_nomem(e) : sha256_of(t.s, t.n, digest, e);
	text_free(&t);
	if (!rc)
		hex_of(digest, sizeof digest, s->hash);
	return rc;
}

int set_make(struct set *s, const struct audit *a, const struct plan_opts *o, struct err *e)
{
	memset(s, 0, sizeof *s);
	s->opts = *o;
	s->parts = calloc(o->share.ranks * o->share.stages + 1, sizeof *s->parts);
	if (!s->parts)
		return err_nomem(e);
	if (make_ranks(s, a, e) || hash_set(s, e)) {
		set_free(s);
		return -1;
	}
	sum_up(s);
	return 0;
}

void set_free(struct set *s)
{
	size_t k;

	for (k = 0; k < s->n; k++)
		plan_free(&s->parts[k].plan);
	free(s->parts);
	memset(s, 0, sizeof *s);
}

int set_budget(const struct set *s, unsigned threads, uint64_t limit, struct budget *b,
	struct err *e)
{
	struct budget one;
	size_t k;

	for (k = 0; k < s->n; k++) {
		if (budget_make(&one, &s->parts[k].plan, threads, limit, e))
			return -1;
		if (!k || one.peak > b->peak)
			*b = one;
	}
	return 0;
}

/* --- the folder above --- */

static bool is_first_of(const char *dir, const char *name)
{
	size_t n = strlen(name);

	return !strncmp(dir, name, n) && (!dir[n] || dir[n] == '/');
}

/* Nothing may be in it but the folders of this set and its manifest. */
static int check_names(const struct set *s, const struct io *io, int dir, const char *out,
	bool *empty, struct err *e)
{
	char *names, *p;
	struct stat st;
	size_t n, i, k;
	int rc = 0;

	if (io->list(io, dir, &names, &n))
		return err_sys(e, "cannot list %s", text_quote(out).s);
	*empty = !n;
	for (i = 0, p = names; !rc && i < n; i++, p += strlen(p) + 1) {
		for (k = 0; k < s->n && !is_first_of(s->parts[k].dir, p); k++)
			;
		if (k == s->n && strcmp(p, MAN_NAME) && !io->lstat(io, dir, p, &st) &&
			bystander_of(p, st.st_mode) == BYSTANDER_MODEL)
			rc = err_rule(e, RULE_OUT_FOREIGN, ERR_NOPOS,
				"%s holds %s, which this plan does not write; take an empty folder",
				text_quote(out).s, text_quote(p).s);
	}
	free(names);
	return rc;
}

int set_look(const struct set *s, const char *out, bool overwrite, struct err *e)
{
	const struct io *io = s->parts[0].plan.ckpt->io;
	uint64_t one;
	size_t k;
	bool empty;
	int fd, rc;

	if (outdir_nested(&s->parts[0].plan, out, e))
		return -1;
	if (file_open_dir(io, out, &fd, NULL))
		return 0; /* not there yet; whatever else is wrong, run will say */
	rc = check_names(s, io, fd, out, &empty, e);
	(void)io->close(io, fd);
	for (k = 0; !rc && k < s->n; k++)
		rc = outdir_look(&s->parts[k].plan, out, s->parts[k].dir, overwrite, &one, e);
	return rc;
}

/* --- running --- */

/* The digest of a folder's manifest. */
static int digest_of(const struct io *io, int top, const char *path, uint64_t *bytes,
	uint8_t sha[32], struct err *e)
{
	struct text t = { 0 };
	int dir, rc;

	if (file_open_below(io, top, path, &dir, e))
		return -1;
	rc = file_load(io, dir, MAN_NAME, UINT32_MAX, &t, e);
	rc = rc ? rc : sha256_of(t.s, t.n, sha, e);
	*bytes = t.n;
	text_free(&t);
	(void)io->close(io, dir);
	return rc;
}

static int put_folders(const struct set *s, int top, struct jwrite *j, struct err *e)
{
	uint8_t sha[32];
	uint64_t bytes;
	size_t k;

	jwrite_open(j, "folders", '[');
	for (k = 0; k < s->n; k++) {
		if (digest_of(s->parts[k].plan.ckpt->io, top, s->parts[k].dir, &bytes, sha, e))
			return -1;
		jwrite_open(j, NULL, '{');
		jwrite_u64(j, "bytes", bytes);
		jwrite_str(j, "name", s->parts[k].dir);
		jwrite_str(j, "plan", s->parts[k].plan.hash);
		jwrite_hex(j, "sha256", sha, sizeof sha);
		jwrite_close(j, '}');
	}
	jwrite_close(j, ']');
	return 0;
}

static int put_manifest(const struct set *s, const struct run_opts *o, int dir, struct err *e)
{
	const struct share *h = &s->opts.share;
	struct text t = { 0 };
	struct jwrite j;
	int rc;

	jwrite_begin(&j, &t, 2);
	jwrite_open(&j, NULL, '{');
	rc = put_folders(s, dir, &j, e);
	jwrite_str(&j, "format", FORMAT_SET);
	jwrite_open(&j, "options", '{');
	jwrite_str(&j, "attention", h->attention_tp ? "tp" : "replicate");
	jwrite_str(&j, "experts_by", h->experts_tp ? "tp" : "ep");
	jwrite_u64(&j, "ranks", h->ranks);
	jwrite_u64(&j, "stages", h->stages);
	jwrite_close(&j, '}');
	jwrite_str(&j, "plan", s->hash);
	jwrite_str(&j, "target", s->opts.target);
	jwrite_str(&j, "tool", o->tool);
	seal_put(&j);
	jwrite_close(&j, '}');
	if (!rc && t.failed)
		rc = err_nomem(e);
	rc = rc ? rc : file_put(s->parts[0].plan.ckpt->io, dir, MAN_NAME, t.s, t.n, e);
	text_free(&t);
	return rc;
}

static int run_part(const struct set_part *p, const struct set_run *r, struct outdir *top,
	struct err *e)
{
	struct run_opts o = *r->o;
	struct run_result res;
	int rc;

	if (budget_make(&o.budget, &p->plan, r->threads, r->limit, e))
		return -1;
	o.top = top;
	o.below = p->dir;
	o.source_checked = p->plan.n_files > 0; /* by the first part, which has no files */
	rc = run_plan(&p->plan, &o, &res, e);
	if (!rc && r->done)
		r->done(r->ctx, p, &res);
	run_result_free(&res);
	return rc ? err_at(e, "%s", p->dir) : 0;
}

static int run_parts(const struct set *s, const struct set_run *r, struct outdir *top,
	struct err *e)
{
	bool empty;
	size_t k;

	if (check_names(s, top->io, top->fd, r->o->out, &empty, e) ||
		(empty && outdir_room(top, s->bytes, e)))
		return -1;
	/* It speaks for all folders, and is not to while one of them is looked at. */
	if (file_remove(top->io, top->fd, MAN_NAME, e))
		return -1;
	for (k = 0; k < s->n; k++)
		if (run_part(&s->parts[k], r, top, e))
			return -1;
	return put_manifest(s, r->o, top->fd, e);
}

int set_run(const struct set *s, const struct set_run *r, struct err *e)
{
	struct outdir top;
	int rc;

	if (set_look(s, r->o->out, r->o->overwrite, e) ||
		outdir_open_any(&top, &s->parts[0].plan, r->o->out, e))
		return -1;
	rc = run_parts(s, r, &top, e);
	outdir_close(&top);
	return rc;
}
