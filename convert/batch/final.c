/* SPDX-License-Identifier: MIT */
#include "convert/batch/final.h"

#include "convert/batch/receipt.h"
#include "convert/batch/stage.h"
#include "core/file.h"
#include "core/hash/hash_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct final {
	struct batch *b;
	const struct job *j;
	struct receipt *r; /* owns; [b->n] */
	int out;           /* owns; -1: not open */
	size_t at;         /* unit whose sidecar is looked at */
	struct sha256_kit sha;
};

/* Names the tasks that have files without a receipt. */
static int unfinished(const struct batch *b, const bool *missing, size_t n, struct err *e)
{
	bool *task = calloc(b->tasks, sizeof *task);
	struct text t = { 0 };
	size_t u, k, named = 0, tasks = 0;

	if (!task)
		return err_nomem(e);
	for (u = 0; u < b->n; u++)
		task[b->units[u].task] |= missing[u];
	for (k = 0; k < b->tasks; k++) {
		tasks += task[k];
		if (task[k] && named++ < 20)
			text_fmt(&t, " %zu", k);
	}
	err_rule(e, RULE_JOB_UNFINISHED, ERR_NOPOS,
		"%zu of %zu files have no receipt; run these tasks again, or one of them with --steal:%s%s",
		n, b->n, t.failed ? "" : t.s, tasks > 20 ? " ..." : "");
	text_free(&t);
	free(task);
	return -1;
}

static int read_receipts(struct final *f, struct err *e)
{
	bool *missing = calloc(f->b->n + 1, sizeof *missing);
	size_t u, n = 0;
	int rc = missing ? 0 : err_nomem(e), is;

	for (u = 0; !rc && u < f->b->n; u++) {
		is = receipt_read(&f->r[u], f->b, (uint32_t)u, e);
		rc = is < 0 ? -1 : 0;
		missing[u] = !is;
		n += !is;
	}
	if (!rc && n)
		rc = unfinished(f->b, missing, n, e);
	free(missing);
	return rc;
}

static int false_one(const struct final *f, size_t u, const char *what, struct err *e)
{
	return err_rule(e, RULE_JOB_OUTPUT, ERR_NOPOS,
		"%s %s; remove receipts/%06zu.json, run task %u again, then finalize",
		receipt_path(f->b, (uint32_t)u).s, what, u, f->b->units[u].task);
}

/* Holds the bytes of a file to its receipt. */
static int hold_bytes(struct final *f, size_t u, struct err *e)
{
	const struct io *io = f->b->io;
	const struct batch_unit *x = &f->b->units[u];
	uint8_t sha[32];
	struct stat st;
	int dir, fd, rc;

	if (!f->j->conversion.folders[x->folder].opts.sha256)
		return false_one(f, u,
			"has another time than its receipt says, which has no SHA-256", e);
	if (file_open_below(io, f->out, x->dir, &dir, e))
		return -1;
	rc = file_open(io, dir, x->name, &fd, &st, e);
	(void)io->close(io, dir); /* a folder has nothing to flush */
	if (rc)
		return -1;
	rc = (uint64_t)st.st_size == x->bytes ? hash_file(io, fd, x->bytes, &f->sha, sha, e) : 1;
	(void)io->close(io, fd); /* read only */
	if (rc > 0 || (!rc && memcmp(sha, f->r[u].known.sha256, 32)))
		return false_one(f, u, "has other bytes than its receipt says", e);
	return rc;
}

static int hold_file(struct final *f, size_t u, bool full, size_t *read, struct err *e)
{
	struct stat st;
	bool digest;

	if (f->j->has_expected && !f->r[u].verified)
		return false_one(f, u, "was made of a source that was not verified", e);
	if (f->b->io->lstat(f->b->io, f->out, receipt_path(f->b, (uint32_t)u).s, &st))
		return errno == ENOENT
			? false_one(f, u, "is not there, and has a receipt", e)
			: err_sys(e, "cannot look at %s", receipt_path(f->b, (uint32_t)u).s);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != f->b->units[u].bytes)
		return false_one(f, u, "has another size than its receipt says", e);
	digest = f->j->conversion.folders[f->b->units[u].folder].opts.sha256;
	/* Without a time and without a digest, nothing is known of a file but its size and its sidecar. */
	if (!full && receipt_fits(&f->r[u], f->b, (uint32_t)u, f->out) &&
		(receipt_timed(&f->r[u]) || !digest))
		return 0;
	++*read;
	return hold_bytes(f, u, e);
}

/* Shards that no file is made of are verified here: no task has read them. */
static int verify_rest(const struct final *f, struct err *e)
{
	const struct ckpt *c = &f->j->c;
	bool *used = calloc(c->n_shards + 1, sizeof *used);
	const struct plan *p;
	const struct step *s;
	uint8_t sha[32];
	size_t k, i, n;
	uint32_t q;
	int rc = used ? 0 : err_nomem(e);

	for (k = 0; !rc && k < f->j->conversion.n; k++) {
		p = &f->j->conversion.folders[k];
		for (i = 0; i < p->n_files; i++)
			for (n = 0; n < p->files[i].n; n++) {
				s = &p->files[i].steps[n];
				for (q = 0; q < step_sources(s); q++)
					used[c->tensors[step_source(s, q)].shard] = true;
			}
	}
	for (i = 0; !rc && i < c->n_shards; i++) {
		if (used[i])
			continue;
		rc = hash_file(c->io, c->shards[i].fd, (uint64_t)c->shards[i].st.st_size, &f->sha,
			sha, e);
		if (!rc && memcmp(sha, f->j->expected.sha256[i], 32))
			rc = err_rule(e, RULE_SOURCE_SHA256, ERR_NOPOS,
				"%s has another SHA-256 than was published", c->shards[i].name);
	}
	free(used);
	return rc;
}

static int known(void *ctx, size_t k, size_t i, struct known *is, struct err *e)
{
	struct final *f = ctx;

	(void)e;
	f->at = f->b->first[k] + i;
	*is = f->r[f->at].known;
	return 0;
}

static int begin(struct final *f, unsigned features, struct err *e)
{
	sha256_kit_best(&f->sha, features);
	f->r = calloc(f->b->n + 1, sizeof *f->r);
	return f->r ? 0 : err_nomem(e);
}

/* Holds everything to the receipts before anything is changed. */
static int hold_all(struct final *f, bool full, size_t *read, struct err *e)
{
	size_t u;

	if (read_receipts(f, e) || file_open_dir(f->b->io, f->b->out, &f->out, e))
		return -1;
	for (u = 0; u < f->b->n; u++)
		if (hold_file(f, u, full, read, e))
			return -1;
	return f->j->has_expected ? verify_rest(f, e) : 0;
}

/* What a sidecar contradicts is said of the receipt. */
static int finish(struct final *f, const struct run_opts *o, struct run_result *r, struct err *e)
{
	struct run_opts ro = *o;
	struct err why = { 0 };

	ro.out = f->b->out;
	ro.overwrite = false;
	ro.units = NULL;
	if (!run_finish(&f->j->conversion, &ro, known, f, r, &why))
		return 0;
	if (!why.rule || (strncmp(why.rule, "set.", 4) && strncmp(why.rule, "check.", 6)))
		return err_move(e, &why);
	return err_rule(e, RULE_JOB_OUTPUT, ERR_NOPOS,
		"%s; remove receipts/%06zu.json, run task %u again, then finalize", why.text, f->at,
		f->b->units[f->at].task);
}

int final_run(struct batch *b, const struct job *j, const struct run_opts *o, bool full,
	size_t *read, struct run_result *r, struct err *e)
{
	struct final f = { .b = b, .j = j, .out = -1 };
	struct stage s = { .io = b->io, .out = -1 };
	int rc;

	*r = (struct run_result){ 0 };
	*read = 0;
	if (full && !j->conversion.opts.sha256)
		return err_set(e, ERR_USAGE,
			"--full: the job was planned with --no-sha256, and its receipts have no digest of a file; dsv4-verify "
			"check reads every file after finalize");
	rc = begin(&f, o->features, e) || hold_all(&f, full, read, e) || finish(&f, o, r, e) ? -1
											     : 0;
	if (!rc) {
		s.out = f.out;
		f.out = -1;
		stage_close(&s, true);
	}
	if (f.out >= 0)
		(void)b->io->close(b->io, f.out); /* a folder has nothing to flush */
	free(f.r);
	return rc;
}
