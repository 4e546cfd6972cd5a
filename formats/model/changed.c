/* SPDX-License-Identifier: MIT */
#include "formats/model/changed.h"

#include "core/file.h"
#include "core/rule.h"

#include <errno.h>

/* Holds what name is now to what it was. sized, timed: size and times mean something. */
static int hold(const char *name, const struct stat *was, const struct stat *now, bool sized,
	bool timed, struct err *e)
{
	if (now->st_dev != was->st_dev || now->st_ino != was->st_ino ||
		(sized && now->st_size != was->st_size)) {
		err_rule(e, RULE_CKPT_CHANGED, ERR_NOPOS, "%s was changed while it was read",
			text_quote(name).s);
		return err_blame(e, BLAME_SOURCE);
	}
	/* A name that the file gets or loses moves the time of its inode, and is no change of what was read. */
	if (!timed ||
		(file_same_time(&now->st_mtim, &was->st_mtim) &&
			(file_same_time(&now->st_ctim, &was->st_ctim) ||
				now->st_nlink != was->st_nlink)))
		return 0;
	return err_rule(e, RULE_CKPT_TOUCHED, ERR_NOPOS,
		"%s was written to, or given another time, mode or owner, while it was read",
		text_quote(name).s);
}

bool ckpt_touched(const struct err *e)
{
	return e->rule == rules[RULE_CKPT_TOUCHED].id;
}

/* Keeps a report that a file was touched in *first and goes on; a change is told at once. */
static int go_on(int rc, struct err *why, struct err *first, struct err *e)
{
	if (!rc)
		return 0;
	if (!ckpt_touched(why))
		return err_move(e, why);
	if (!first->rule)
		*first = *why;
	*why = (struct err){ 0 };
	return 0;
}

/* Whether times of the folder's files say anything: where those of a shard do not (file_timeless), no other file's do. */
static bool timed(const struct ckpt *c)
{
	size_t i;

	for (i = 0; i < c->n_shards; i++)
		if (c->shards[i].timeless)
			return false;
	return true;
}

static int hold_name(const struct ckpt *c, const char *name, const char *actual,
	const struct stat *was, struct err *e)
{
	struct stat now;

	if (!c->io->lstat(c->io, c->dir, actual, &now))
		return hold(name, was, &now, true, timed(c), e);
	if (errno != ENOENT)
		return err_sys(e, "cannot look at %s", text_quote(name).s);
	err_rule(e, RULE_CKPT_CHANGED, ERR_NOPOS, "%s was removed while it was read",
		text_quote(name).s);
	return err_blame(e, BLAME_SOURCE);
}

int ckpt_file_unchanged(const struct ckpt *c, const char *name, const struct stat *st,
	struct err *e)
{
	char actual[CKPT_PATH];
	struct stat now;
	bool there;

	if (ckpt_file(c, name, actual, &now, &there, e))
		return -1;
	return hold_name(c, name, there ? actual : name, st, e);
}

int ckpt_unchanged(const struct ckpt *c, struct err *e)
{
	static const char *const names[CKPT_SEEN] = { "config.json", CKPT_INDEX };
	struct err first = { 0 }, why = { 0 };
	const struct shard *s;
	struct stat now;
	size_t i;

	for (i = 0; i < c->n_shards; i++) {
		s = &c->shards[i];
		if (s->fd < 0 || s->gone)
			continue;
		if (c->io->fstat(c->io, s->fd, &now))
			return err_sys(e, "cannot stat %s", s->name);
		if (go_on(hold(s->name, &s->st, &now, !c->headers, !s->timeless, &why), &why,
			    &first, e))
			return -1;
	}
	for (i = 0; i < CKPT_SEEN; i++)
		if (c->seen[i].actual[0] &&
			go_on(hold_name(c, names[i], c->seen[i].actual, &c->seen[i].st, &why), &why,
				&first, e))
			return -1;
	return first.rule ? err_move(e, &first) : 0;
}
