/* SPDX-License-Identifier: MIT */
#include "convert/batch/stage.h"

#include "core/file.h"
#include "formats/conversion/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int stage_share(const struct conversion *c, const char *out, bool first, struct err *e)
{
	const struct plan *p;
	int top, rc = 0;
	size_t k;

	for (k = 0; !rc && k < c->n; k++) {
		p = &c->folders[k];
		if (p->n_files)
			rc = outdir_share(p, out, p->dir, first, e);
	}
	if (rc || !c->is_set || !first)
		return rc;
	if (file_open_dir(c->folders[0].ckpt->io, out, &top, e))
		return -1;
	rc = file_remove(c->folders[0].ckpt->io, top, MAN_NAME, e);
	(void)c->folders[0].ckpt->io->close(c->folders[0].ckpt->io,
		top); /* a folder has nothing to flush */
	return rc;
}

/* Whether a folder is one of an earlier process of the task than the number-th. */
static bool is_earlier(const char *name, uint32_t task, uint32_t number)
{
	unsigned t, n;

	return sscanf(name, "%u.%u", &t, &n) == 2 && t == task && n < number;
}

/* Removes folders of earlier processes of the task from OUT/.dsv4-work, which is work. One of a later process stays: this
 * one has been taken for dead then. */
static void remove_earlier(const struct stage *s, int work, uint32_t task, uint32_t number)
{
	char *names, *p;
	size_t n;

	if (s->io->list(s->io, work, &names, &n))
		return;
	for (p = names; n--; p += strlen(p) + 1)
		if (is_earlier(p, task, number))
			leftover_remove_tree(s->io, work, p, STAGE_DEPTH);
	free(names);
}

enum {
	NAMES = 100
}; /* of processes that all believe they are the number-th, which no file system lets happen often */

/* Makes a folder that no other process has: mkdir is the one call that file systems without exclusive open, too, let one
 * process win. */
static int make_own(struct stage *s, int work, uint32_t task, uint32_t number, struct err *e)
{
	char name[60];
	int i, rc = -1;

	for (i = 0; rc && i < NAMES && (!i || errno == EEXIST); i++) {
		snprintf(name, sizeof name, i ? "%u.%u.%d" : "%u.%u", task, number, i);
		rc = s->io->mkdir(s->io, work, name, 0777);
	}
	if (rc)
		return err_sys(e, "cannot make a folder in " STAGE_DIR);
	snprintf(s->name, sizeof s->name, STAGE_DIR "/%s", name);
	return 0;
}

int stage_open(struct stage *s, const struct io *io, const char *out, uint32_t task,
	uint32_t number, struct err *e)
{
	int fd, rc;

	*s = (struct stage){ .io = io, .out = -1 };
	if (file_open_dir(io, out, &s->out, e))
		return -1;
	rc = file_make_below(io, s->out, STAGE_DIR, &fd, e);
	if (!rc) {
		remove_earlier(s, fd, task, number);
		rc = make_own(s, fd, task, number, e);
		(void)io->close(io, fd); /* a folder has nothing to flush */
	}
	if (!rc) {
		snprintf(s->path, sizeof s->path, "%s/%s", out, s->name);
		return 0;
	}
	(void)io->close(io, s->out); /* a folder has nothing to flush */
	*s = (struct stage){ .out = -1 };
	return -1;
}

/* One file. The lock-step of names is: weights, what casts dropped, and last the sidecar that speaks of both. */
static int move_one(const struct stage *s, const char *dir, const char *name, struct err *e)
{
	char from[500], to[400];
	struct stat st;

	snprintf(to, sizeof to, "%s%s%s", dir, *dir ? "/" : "", name);
	snprintf(from, sizeof from, "%s/%s", s->name, to);
	if (s->io->lstat(s->io, s->out, from, &st) ||
		(s->io->replace(s->io, s->out, from, to) &&
			!file_was_moved(s->io, s->out, to, &st)))
		return err_sys(e, "cannot put %s in place", text_quote(to).s);
	return 0;
}

bool stage_is_gone(const struct stage *s)
{
	struct stat st;

	return s->io && s->out >= 0 && s->io->lstat(s->io, s->out, s->name, &st) && errno == ENOENT;
}

int stage_move(const struct stage *s, const char *dir, const char *name, const struct output *o,
	struct err *e)
{
	int fd, rc;

	if (file_open_below(s->io, s->out, dir, &fd, e))
		return -1;
	rc = move_one(s, dir, name, e) || (o->keep.bytes && move_one(s, dir, o->keep_name, e)) ||
			move_one(s, dir, o->side_name, e)
		? -1
		: 0;
	if (!rc && file_sync_dir(s->io, fd))
		rc = err_sys(e, "cannot sync the output folder");
	(void)s->io->close(s->io, fd); /* a folder has nothing to flush */
	return rc;
}

void stage_close(struct stage *s, bool all)
{
	if (!s->io || s->out < 0)
		return;
	leftover_remove_tree(s->io, s->out, all ? STAGE_DIR : s->name,
		all ? STAGE_DEPTH + 1 : STAGE_DEPTH);
	(void)s->io->rmdir(s->io, s->out, STAGE_DIR); /* if nobody else is there */
	(void)s->io->close(s->io, s->out);            /* a folder has nothing to flush */
	*s = (struct stage){ .out = -1 };
}
