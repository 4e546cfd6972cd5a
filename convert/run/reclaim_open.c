/* reclaim_open.c -- what an earlier run has freed, and what must not be freed at all.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/run/reclaim.h"

#include "core/file.h"
#include "core/hash/hash_file.h"
#include "formats/archive/archive_io.h"
#include "formats/conversion/chain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_LEAST = 12 }; /* digits of a hash that name a plan, as plans are named elsewhere */

/* --- what is gone --- */

/* Holds the header that OUT/source has of a shard to the list. */
static int hold_header(const struct reclaim *r, const struct freed_shard *s, struct err *e)
{
	char name[300];
	struct err why = { 0 };
	struct stat st;
	uint8_t sha[32];
	int fd, rc;

	snprintf(name, sizeof name, "%s" CKPT_HEADER, s->name);
	if (file_open(r->io, r->gone.dir, name, &fd, &st, &why))
		return errno == ENOENT
			? err_rule(e, RULE_RECLAIM_LOST, ERR_NOPOS,
				  "%s/%s is not there, and %s was freed", SET_SOURCE, name, s->name)
			: err_move(e, &why);
	rc = hash_file(r->io, fd, (uint64_t)st.st_size, NULL, sha, e);
	(void)r->io->close(r->io, fd); /* read only */
	if (rc || !memcmp(sha, s->header_sha256, sizeof sha))
		return rc;
	return err_rule(e, RULE_RECLAIM_LOST, ERR_NOPOS, "%s/%s is not as it was when %s was freed",
		SET_SOURCE, name, s->name);
}

static int open_headers(struct reclaim *r, const char *out, struct err *e)
{
	struct err why = { 0 };
	int fd, rc;

	if (file_open_dir(r->io, out, &fd, &why)) {
		if (errno != ENOENT)
			return err_move(e, &why);
		return err_rule(e, RULE_RECLAIM_LOST, ERR_NOPOS,
			"%zu shards were freed, and %s, which they would have gone into, is not there",
			r->n_gone, text_quote(out).s);
	}
	rc = file_open_below(r->io, fd, SET_SOURCE, &r->gone.dir, &why);
	if (rc)
		r->gone.dir = -1;
	if (rc && errno == ENOENT)
		rc = err_rule(e, RULE_RECLAIM_LOST, ERR_NOPOS,
			"%zu shards were freed, and %s has no %s: they went into another folder",
			r->n_gone, text_quote(out).s, SET_SOURCE);
	else if (rc)
		err_move(e, &why);
	(void)r->io->close(r->io, fd); /* a folder has nothing to flush */
	return rc;
}

/* Takes the shards of the list that are not in DIR. */
static int take_gone(struct reclaim *r, const char *out, struct err *e)
{
	const char **names;
	struct stat st;
	size_t i;

	if (freed_gone(&r->list, r->io, r->dir, &r->n_gone, e))
		return -1;
	if (!r->n_gone)
		return 0; /* whatever was freed once is there again */
	if (open_headers(r, out, e))
		return -1;
	names = calloc(r->list.n_shards + 1, sizeof *names);
	if (!names)
		return err_nomem(e);
	r->gone.names = names;
	for (i = 0; i < r->list.n_shards; i++) {
		if (!r->io->lstat(r->io, r->dir, r->list.shards[i].name, &st))
			continue;
		if (hold_header(r, &r->list.shards[i], e))
			return -1;
		names[r->gone.n++] = r->list.shards[i].name;
	}
	return 0;
}

int reclaim_sweep(const struct io *io, int dir, const char *list, struct err *e)
{
	char *names, *s, name[256];
	size_t n;
	int rc = 0;

	if (io->list(io, dir, &names, &n))
		return err_sys(e, "cannot list the folder");
	for (s = names; !rc && n--; s += strlen(s) + 1)
		if (file_is_part(s, name) && !strcmp(name, list))
			rc = file_remove(io, dir, s, e);
	free(names);
	return rc;
}

/* Reads what OUT has of the list; out need not be there. */
static int read_kept(struct reclaim *r, const char *out, struct err *e)
{
	bool there;
	int fd, rc;

	if (file_open_dir(r->io, out, &fd, NULL))
		return 0; /* what is wrong with it is said where it is opened to be written */
	rc = freed_read(&r->kept, r->io, fd, FREED_KEPT, &there, e);
	(void)r->io->close(r->io, fd); /* a folder has nothing to flush */
	return rc ? err_at(e, "%s", text_quote(out).s) : 0;
}

/* Reads the list in DIR, or takes that of OUT where there is none, or none that can be read. */
static int read_list(struct reclaim *r, const char *dir, const char *out, struct err *e)
{
	struct err why = { 0 };

	if (read_kept(r, out, e))
		return -1;
	if (freed_read(&r->list, r->io, r->dir, FREED_NAME, &r->there, &why) &&
		(!r->kept.n_shards || !why.rule)) {
		err_move(e, &why);
		return err_at(e, "%s", text_quote(dir).s);
	}
	if (r->list.n_shards || !r->kept.n_shards)
		return 0;
	r->there = true;
	return freed_copy(&r->list, &r->kept, e);
}

int reclaim_open(struct reclaim *r, const struct io *io, const char *dir, const char *out,
	struct err *e)
{
	*r = (struct reclaim){ .io = io, .dir = -1, .gone.dir = -1 };
	pthread_mutex_init(&r->lock, NULL);
	if (file_open_dir(io, dir, &r->dir, e)) {
		r->dir = -1;
		return -1;
	}
	if (io->lock(io, r->dir) && errno == EWOULDBLOCK)
		return err_rule(e, RULE_OUT_LOCKED, ERR_NOPOS,
			"another run frees shards of %s, or writes there", text_quote(dir).s);
	if (reclaim_sweep(io, r->dir, FREED_NAME, e))
		return err_at(e, "%s", text_quote(dir).s);
	if (read_list(r, dir, out, e))
		return -1;
	return r->there ? take_gone(r, out, e) : 0;
}

void reclaim_close(struct reclaim *r)
{
	if (!r->io)
		return;
	if (r->gone.dir >= 0)
		(void)r->io->close(r->io, r->gone.dir); /* folders have nothing to flush */
	if (r->dir >= 0)
		(void)r->io->close(r->io, r->dir);
	free((void *)(uintptr_t)r->gone.names);
	freed_free(&r->list);
	freed_free(&r->kept);
	forecast_free(&r->forecast);
	forecast_needs_free(&r->needs);
	free(r->files);
	free(r->shards);
	free(r->header);
	pthread_mutex_destroy(&r->lock);
	memset(r, 0, sizeof *r);
}

/* --- what must stay --- */

static int check_word(const struct conversion *c, const char *word, struct err *e)
{
	size_t n = strlen(word);

	if (n >= WORD_LEAST && n <= strlen(c->hash) && !strncmp(word, c->hash, n))
		return 0;
	return err_rule(e, RULE_RECLAIM_PLAN, ERR_NOPOS,
		"--reclaim %s: the plan of this call is %.12s; its shards are removed once that is said",
		text_quote(word).s, c->hash);
}

/* What was freed went into this conversion, by this version. */
static int check_list(struct reclaim *r, const struct conversion *c, const char *tool,
	struct err *e)
{
	const struct freed *l = &r->list;
	bool other = l->n_shards && strcmp(l->plan, c->hash) != 0;

	if (other && r->n_gone)
		return err_rule(e, RULE_RECLAIM_PLAN, ERR_NOPOS,
			"%zu shards were freed for plan %.12s, and this is plan %.12s: make that call again, with the "
			"same options and with the small files that the source had then (OUT/" SET_SOURCE
			" has them), and restore the source from its output",
			r->n_gone, l->plan, c->hash);
	if (r->kept.n_shards && strcmp(r->kept.plan, c->hash) != 0)
		return err_rule(e, RULE_RECLAIM_KEPT, ERR_NOPOS,
			"OUT holds what was freed for plan %.12s, and this is plan %.12s",
			r->kept.plan, c->hash);
	if (other) { /* it went elsewhere, and is there again; what OUT may be the only copy of stays listed */
		freed_free(&r->list);
		if (freed_copy(&r->list, &r->kept, e))
			return -1;
	}
	if (l->n_shards && strcmp(l->tool, tool) != 0)
		return err_rule(e, RULE_RECLAIM_PLAN, ERR_NOPOS,
			"%zu shards were freed by %s: only that version goes on with it",
			l->n_shards, text_quote(l->tool).s);
	return 0;
}

/* The shards that OUT may be the only copy of are those of this source. */
static int check_kept(const struct reclaim *r, const struct job *j, struct err *e)
{
	const struct freed_shard *was;
	size_t i;

	for (i = 0; i < j->c.n_shards; i++) {
		was = freed_shard_of(&r->kept, j->c.shards[i].name);
		if (was && memcmp(was->sha256, j->expected.sha256[i], 32) != 0)
			return err_rule(e, RULE_RECLAIM_KEPT, ERR_NOPOS,
				"%s was freed for OUT with another SHA-256 than --source-sha256 says: OUT is of another source",
				text_quote(was->name).s);
	}
	return 0;
}

static int refuse(const char *name, const char *why, struct err *e)
{
	return err_rule(e, RULE_RECLAIM_SOURCE, ERR_NOPOS, "--reclaim: %s %s", text_quote(name).s,
		why);
}

static int check_shard(const struct reclaim *r, const struct ckpt *k, size_t i,
	const struct expected *x, struct err *e)
{
	const struct shard *s = &k->shards[i];
	const struct freed_shard *was = freed_shard_of(&r->list, s->name);
	struct stat st;

	if (was && memcmp(was->sha256, x->sha256[i], 32) != 0)
		return refuse(s->name, "was freed with another SHA-256 than --source-sha256 says",
			e);
	if (s->gone)
		return 0;
	if (k->io->lstat(k->io, k->dir, s->name, &st))
		return err_sys(e, "cannot look at %s", s->name);
	if (!S_ISREG(st.st_mode) || s->blob)
		return refuse(s->name, "is a link, and what it leads to may be others' too", e);
	if (st.st_nlink != 1)
		return refuse(s->name,
			"has another name (a hard link): removing one of them frees nothing", e);
	if (st.st_dev != s->st.st_dev || st.st_ino != s->st.st_ino)
		return refuse(s->name, "is another file than was opened", e);
	if (s->timeless)
		return refuse(s->name, "lies where files have no times: a change would not be seen",
			e);
	return 0;
}

static int check_source(const struct reclaim *r, const struct job *j, struct err *e)
{
	const struct ckpt *k = &j->c;
	struct stat st;
	size_t i;

	if (archive_io_listing(k->io, k->dir))
		return refuse("DIR", "is an archive, which is read in place", e);
	if (!k->io->lstat(k->io, k->dir, MAN_NAME, &st))
		return refuse(MAN_NAME, "lies in DIR: its files are those of a conversion", e);
	if (!j->has_expected)
		return refuse("DIR", "has shards whose SHA-256 nobody says: give --source-sha256",
			e);
	for (i = 0; i < k->n_shards; i++)
		if (check_shard(r, k, i, &j->expected, e))
			return -1;
	if (file_try(r->io, r->dir, FREED_NAME, e))
		return -1;
	return file_sync_dir(r->io, r->dir) ? err_sys(e, "cannot sync the folder of the source")
					    : 0;
}

int reclaim_plan(struct reclaim *r, struct job *j, const char *out, const char *word,
	const char *tool, struct err *e)
{
	const struct conversion *c = &j->conversion;
	const char *why = forecast_refuses(c);

	if (check_list(r, c, tool, e) || check_word(c, word, e))
		return -1;
	if (why)
		return err_rule(e, RULE_RECLAIM_FORM, ERR_NOPOS,
			"--reclaim, target %s: %s, so the source could not be had back",
			c->opts.target, why);
	if ((j->has_expected && check_kept(r, j, e)) || check_source(r, j, e))
		return -1;
	r->ckpt = &j->c;
	r->c = c;
	r->tool = tool;
	budget_apart(&j->b);
	if (forecast_make(&r->forecast, c, out, j->b.teams * j->b.lanes, e) ||
		forecast_needs(&r->needs, c, e))
		return -1;
	r->files = calloc(r->needs.n + 1, 1);
	r->shards = calloc(r->needs.n_shards + 1, 1);
	r->header = calloc(r->needs.n_shards + 1, sizeof *r->header);
	if (!r->files || !r->shards || !r->header)
		return err_nomem(e);
	snprintf(r->list.plan, sizeof r->list.plan, "%s", c->hash);
	snprintf(r->list.target, sizeof r->list.target, "%s", c->opts.target);
	snprintf(r->list.tool, sizeof r->list.tool, "%s", tool);
	return 0;
}
