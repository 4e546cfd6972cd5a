/* SPDX-License-Identifier: MIT */
#include "convert/out/claim.h"

#include "convert/out/partial.h"
#include "core/file.h"
#include "formats/conversion/bystander.h"
#include "formats/conversion/chain.h"
#include "formats/conversion/head.h"
#include "formats/conversion/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a name in the folder is to the plan. */
enum name_is {
	NAME_FOREIGN,
	NAME_PART,
	NAME_MARK,
	NAME_MANIFEST,
	NAME_SMALL,
	NAME_DATA,
	NAME_SIDECAR,
	NAME_DROPPED,
	NAME_SOURCE /* the folder, which is claimed by itself: no evidence for or against */
};

static enum name_is bare_name_is(const struct plan *p, const char *name)
{
	size_t i, k;

	if (!strcmp(name, CLAIM_NAME))
		return NAME_MARK;
	if (!strcmp(name, MAN_NAME))
		return NAME_MANIFEST;
	if (p->opts.back && !strcmp(name, SET_SOURCE))
		return NAME_SOURCE;
	for (i = 0; i < p->n_smalls; i++)
		if (!strcmp(name, p->smalls[i].name))
			return NAME_SMALL;
	for (i = 0; i < p->n_files; i++) {
		k = strlen(p->files[i].name);
		if (strncmp(name, p->files[i].name, k))
			continue;
		if (!name[k])
			return NAME_DATA;
		if (!strcmp(name + k, MAN_SIDECAR))
			return NAME_SIDECAR;
		if (p->opts.back && !strcmp(name + k, MAN_DROPPED))
			return NAME_DROPPED;
	}
	return NAME_FOREIGN;
}

static enum name_is name_is(const struct plan *p, const char *name)
{
	char bare[256];

	if (!file_is_part(name, bare))
		return bare_name_is(p, name);
	return bare_name_is(p, bare) == NAME_FOREIGN ? NAME_FOREIGN : NAME_PART;
}

bool claim_writes(const struct plan *p, const char *name)
{
	return name_is(p, name) != NAME_FOREIGN;
}

/* --- evidence --- */

/* 1 if the mark is of this plan, 0 if not, -1 if that could not be found out. The same for the next. */
static int is_mark(const struct claim *c, struct err *e)
{
	struct text t = { 0 };
	struct err why = { 0 };
	size_t n = strlen(c->p->hash);
	int rc;

	rc = !file_load(c->io, c->dir, CLAIM_NAME, 4096, &t, &why) && t.n == n + 1 &&
		!memcmp(t.s, c->p->hash, n) && t.s[n] == '\n';
	text_free(&t);
	return why.kind == ERR_SYSTEM ? err_move(e, &why) : rc;
}

/* Whether a manifest or sidecar says that it is of this plan: 1, 0, or -1 if that could not be found out. To be of
 * the plan is to be replaced by it: nothing else of the document is believed, and it may be damaged. */
static int is_of_plan(const struct claim *c, const char *name, struct err *e)
{
	struct err why = { 0 };
	char plan[65];

	if (head_plan(c->io, c->dir, name, plan, &why)) {
		if (why.kind != ERR_SYSTEM)
			return 0;
		err_set(e, ERR_SYSTEM, "%s: %s", text_quote(name).s, why.text);
		return -1;
	}
	return !strcmp(plan, c->p->hash);
}

/* --- looking --- */

struct found {
	const char *foreign; /* the first name that is not the plan's */
	const char *name;    /* the first that is */
	bool mark, manifest;
	size_t data, ours; /* data files, and those with a sidecar of this plan */
};

/* Bytes that a run will not have to find room for: those of a finished file, and what a file takes that is
 * removed before another one comes in its place. */
static void credit(struct claim *c, const char *name, const struct stat *st, bool has_side)
{
	uint64_t blocks = (uint64_t)st->st_blocks * 512;
	size_t i;

	for (i = 0; i < c->p->n_files && strcmp(c->p->files[i].name, name) != 0; i++)
		;
	if (i < c->p->n_files && has_side && (uint64_t)st->st_size == c->p->files[i].bytes)
		c->there += c->p->files[i].bytes;
	else
		c->there += blocks;
}

static int look_at_data(struct claim *c, const char *name, const struct stat *st, struct found *f,
	struct err *e)
{
	char side[300];
	struct stat ss;
	int ours;

	snprintf(side, sizeof side, "%s%s", name, MAN_SIDECAR);
	credit(c, name, st, !c->io->lstat(c->io, c->dir, side, &ss) && S_ISREG(ss.st_mode));
	ours = is_of_plan(c, side, e);
	f->data++;
	f->ours += ours > 0;
	return ours < 0 ? -1 : 0;
}

static int look_at(struct claim *c, const char *name, const struct owned *old, struct found *f,
	struct err *e)
{
	enum name_is is = name_is(c->p, name);
	struct stat st;

	c->listed = c->listed || is >= NAME_MARK;
	if (c->io->lstat(c->io, c->dir, name, &st))
		return errno == ENOENT ? 0 : err_sys(e, "cannot look at %s", text_quote(name).s);
	if (is == NAME_SOURCE && S_ISLNK(st.st_mode))
		return err_rule(e, RULE_OUT_LINK, ERR_NOPOS, "in the output folder, %s is a link",
			text_quote(name).s);
	if (is == NAME_FOREIGN && !f->foreign &&
		bystander_of(name, st.st_mode) == BYSTANDER_MODEL &&
		!owned_has(old, c->p->dir, name))
		f->foreign = name;
	if (is >= NAME_MARK && is != NAME_SOURCE && !f->name)
		f->name = name;
	f->mark = f->mark || is == NAME_MARK;
	f->manifest = f->manifest || is == NAME_MANIFEST;
	if (is == NAME_PART) {
		c->parts = true;
		credit(c, name, &st, false);
	}
	return is == NAME_DATA ? look_at_data(c, name, &st, f, e) : 0;
}

static int judge(struct claim *c, const struct found *f, const char *path, bool overwrite,
	struct err *e)
{
	int ours = 0;

	if (f->foreign)
		return err_rule(e, RULE_OUT_FOREIGN, ERR_NOPOS,
			"%s holds %s, which this plan does not write; take an empty folder%s",
			text_quote(path).s, text_quote(f->foreign).s,
			overwrite ? "" : ", or --overwrite if it is of a finished conversion");
	c->fresh = !f->name;
	if (f->mark)
		ours = is_mark(c, e);
	c->marked = ours > 0;
	if (!ours && f->manifest)
		ours = is_of_plan(c, MAN_NAME, e);
	if (!ours)
		ours = c->fresh || overwrite || !c->p->n_files || (f->data && f->ours == f->data);
	if (ours)
		return ours < 0 ? -1 : 0;
	return err_rule(e, RULE_OUT_OTHER, ERR_NOPOS,
		"%s holds %s, and nothing there says that this plan has made it; take an empty "
		"folder, or --overwrite to replace it",
		text_quote(path).s, text_quote(f->name).s);
}

int claim_look(struct claim *c, const struct plan *p, int dir, const char *path,
	const struct owned *old, struct err *e)
{
	struct found f = { 0 };
	char *names, *s;
	size_t n, i;
	int rc = 0;

	*c = (struct claim){ .io = p->ckpt->io,
		.dir = dir,
		.p = p,
		.lock = -1,
		.taking = PTHREAD_MUTEX_INITIALIZER };
	if (c->io->list(c->io, dir, &names, &n))
		return err_sys(e, "cannot list %s", text_quote(path).s);
	for (i = 0, s = names; !rc && i < n; i++, s += strlen(s) + 1)
		rc = look_at(c, s, old, &f, e);
	rc = rc ? rc : judge(c, &f, path, old != NULL, e);
	free(names);
	return rc;
}

/* --- taking --- */

/* True where a lock on a file is something that the file system does not have. */
static bool no_such_lock(int why)
{
	return why == EINVAL || why == ENOLCK || why == ENOSYS || why == EOPNOTSUPP ||
		why == EBADF || why == EPERM;
}

/* An error of that rule if the mark is not the file that was locked. */
static int hold_mark(const struct claim *c, enum rule_id rule, struct err *e)
{
	int is = file_is(c->io, c->dir, CLAIM_NAME, &c->mark);

	if (is < 0)
		return err_sys(e, "cannot look at %s", CLAIM_NAME);
	return is ? 0
		  : err_rule(e, rule, ERR_NOPOS, "another process has removed or replaced %s",
			    CLAIM_NAME);
}

/* Locks our mark, so that runs on other machines, which flock does not reach, see that we are here. */
static int lock_mark(struct claim *c, struct err *e)
{
	int fd = c->io->open(c->io, c->dir, CLAIM_NAME,
		    O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0),
	    rc;

	if (fd < 0)
		return errno == EACCES ? 0 : err_sys(e, "cannot open %s", CLAIM_NAME);
	rc = c->io->lock_file(c->io, fd);
	if (rc && no_such_lock(errno))
		rc = 0;
	else if (rc && errno == EWOULDBLOCK)
		err_rule(e, RULE_OUT_LOCKED, ERR_NOPOS, "another run holds the lock on %s",
			CLAIM_NAME);
	else if (rc)
		err_sys(e, "cannot lock %s", CLAIM_NAME);
	if (!rc && c->io->fstat(c->io, fd, &c->mark))
		rc = err_sys(e, "cannot stat %s", CLAIM_NAME);
	if (!rc)
		rc = hold_mark(c, RULE_OUT_LOCKED, e);
	if (rc) {
		(void)c->io->close(c->io, fd); /* nothing was written */
		return -1;
	}
	c->lock = fd;
	return 0;
}

static void unlock_mark(struct claim *c)
{
	if (c->lock >= 0)
		(void)c->io->close(c->io, c->lock); /* nothing was written */
	c->lock = -1;
}

/* Temporary files of this plan that a killed run left; but for those that it was told to stop in. */
static int sweep(struct claim *c, struct err *e)
{
	char *names, *s;
	struct stat st;
	size_t n;
	int rc = 0;

	if (c->io->list(c->io, c->dir, &names, &n))
		return err_sys(e, "cannot list the output folder");
	for (s = names; !rc && n--; s += strlen(s) + 1) {
		if (name_is(c->p, s) != NAME_PART || partial_paired(c->io, c->dir, s))
			continue;
		rc = c->io->lstat(c->io, c->dir, s, &st)
			? err_sys(e, "cannot look at %s", text_quote(s).s)
			: file_remove(c->io, c->dir, s, e);
		if (!rc)
			c->there -= (uint64_t)st.st_blocks * 512;
	}
	free(names);
	return rc;
}

int claim_begin(struct claim *c, struct err *e)
{
	if (c->marked && lock_mark(c, e))
		return -1;
	return c->parts ? sweep(c, e) : 0;
}

static int put_mark(struct claim *c, struct err *e)
{
	char line[80];
	struct err why = { 0 };
	int n = snprintf(line, sizeof line, "%s\n", c->p->hash);

	if (file_remove(c->io, c->dir, CLAIM_NAME, e) ||
		file_put(c->io, c->dir, CLAIM_NAME, line, (size_t)n, e))
		return -1;
	if (lock_mark(c, &why)) {
		if (!why.rule) /* else it is another run's */
			(void)c->io->unlink(c->io, c->dir, CLAIM_NAME);
		return err_move(e, &why);
	}
	c->marked = true;
	return 0;
}

int claim_share(struct claim *c, bool first, struct err *e)
{
	char line[80];
	struct err why = { 0 };
	int n = snprintf(line, sizeof line, "%s\n", c->p->hash), is;

	if (!c->marked && (first || !c->listed) &&
		file_put(c->io, c->dir, CLAIM_NAME, line, (size_t)n, &why)) {
		is = is_mark(c, NULL); /* another process may have been quicker */
		if (is <= 0)
			return err_move(e, &why);
	}
	return first ? file_remove(c->io, c->dir, MAN_NAME, e) : 0;
}

/* The claim's mutex is held. */
static int take(struct claim *c, struct err *e)
{
	if (c->taken)
		return 0;
	if (c->above && claim_take(c->above, e))
		return -1;
	if (!c->marked && put_mark(c, e))
		return -1;
	if (file_remove(c->io, c->dir, MAN_NAME, e)) {
		(void)c->io->unlink(c->io, c->dir, CLAIM_NAME); /* nothing has changed */
		unlock_mark(c); /* another thread may take it again before it hears of this */
		c->marked = false;
		return -1;
	}
	c->taken = true;
	return 0;
}

int claim_take(struct claim *c, struct err *e)
{
	int rc;

	pthread_mutex_lock(&c->taking);
	rc = take(c, e);
	pthread_mutex_unlock(&c->taking);
	return rc;
}

int claim_release(struct claim *c, struct err *e)
{
	if (c->lock >= 0 && hold_mark(c, RULE_OUT_RACE, e))
		return -1;
	if (c->marked && file_remove(c->io, c->dir, CLAIM_NAME, e))
		return -1;
	c->marked = false;
	unlock_mark(c);
	return 0;
}

void claim_undo(struct claim *c)
{
	if (c->fresh && c->marked)
		(void)c->io->unlink(c->io, c->dir, CLAIM_NAME);
}

void claim_end(struct claim *c)
{
	if (c->io)
		unlock_mark(c);
}
