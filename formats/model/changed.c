/* SPDX-License-Identifier: MIT */
#include "formats/model/changed.h"

#include "core/file.h"

#include <errno.h>

/* Holds what name is now to what it was. sized, timed: size and times mean something. */
static int hold(const char *name, const struct stat *was, const struct stat *now, bool sized,
	bool timed, struct err *e)
{
	bool other = now->st_dev != was->st_dev || now->st_ino != was->st_ino ||
		(sized && now->st_size != was->st_size) ||
		(timed && !file_same_time(&now->st_mtim, &was->st_mtim));

	/* A name that the file gets or loses moves that time, and is no change of what was read. */
	if (!other &&
		(!timed || file_same_time(&now->st_ctim, &was->st_ctim) ||
			now->st_nlink != was->st_nlink))
		return 0;
	err_rule(e, RULE_CKPT_CHANGED, ERR_NOPOS,
		other ? "%s was changed while it was read"
		      : "%s was written to, or given another mode, while it was read",
		text_quote(name).s);
	return err_blame(e, BLAME_SOURCE);
}

static int hold_name(const struct ckpt *c, const char *name, const char *actual,
	const struct stat *was, struct err *e)
{
	struct stat now;

	if (!c->io->lstat(c->io, c->dir, actual, &now))
		return hold(name, was, &now, true, true, e);
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
	const struct shard *s;
	struct stat now;
	size_t i;

	for (i = 0; i < c->n_shards; i++) {
		s = &c->shards[i];
		if (s->fd < 0)
			continue;
		if (c->io->fstat(c->io, s->fd, &now))
			return err_sys(e, "cannot stat %s", s->name);
		if (hold(s->name, &s->st, &now, !c->headers, !s->timeless, e))
			return -1;
	}
	for (i = 0; i < CKPT_SEEN; i++)
		if (c->seen[i].actual[0] &&
			hold_name(c, names[i], c->seen[i].actual, &c->seen[i].st, e))
			return -1;
	return 0;
}
