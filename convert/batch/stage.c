/* SPDX-License-Identifier: MIT */
#include "convert/batch/stage.h"

#include "core/file.h"
#include "formats/conversion/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int stage_share(const struct conversion *c, const char *out, struct err *e)
{
	const struct plan *p;
	int top, rc = 0;
	size_t k;

	for (k = 0; !rc && k < c->n; k++) {
		p = &c->folders[k];
		if (p->n_files)
			rc = outdir_share(p, out, p->dir, e);
	}
	if (rc || !c->is_set)
		return rc;
	if (file_open_dir(c->folders[0].ckpt->io, out, &top, e))
		return -1;
	rc = file_remove(c->folders[0].ckpt->io, top, MAN_NAME, e);
	(void)c->folders[0].ckpt->io->close(c->folders[0].ckpt->io,
		top); /* a folder has nothing to flush */
	return rc;
}

/* Removes a folder and what is in it, as far as that goes. It follows no link. */
static void remove_tree(const struct io *io, int dir, const char *name, unsigned depth)
{
	char *names, *s;
	struct stat st;
	size_t n;
	int fd = io->open(io, dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (depth && !io->list(io, fd, &names, &n)) {
		for (s = names; n--; s += strlen(s) + 1) {
			if (io->lstat(io, fd, s, &st))
				continue;
			if (S_ISDIR(st.st_mode))
				remove_tree(io, fd, s, depth - 1);
			else
				(void)io->unlink(io, fd, s);
		}
		free(names);
	}
	(void)io->close(io, fd); /* a folder has nothing to flush */
	(void)io->rmdir(io, dir, name);
}

enum { DEPTH = 4 }; /* of a stage: pp-S-of-P/rank-R-of-N/file */

/* Removes folders of the task below OUT/.dsv4-work. */
static void remove_of(const struct stage *s, uint32_t task)
{
	char *names, *p, prefix[24];
	size_t n;
	int fd;

	snprintf(prefix, sizeof prefix, "%u.", task);
	if (file_open_below(s->io, s->out, STAGE_DIR, &fd, NULL))
		return;
	if (!s->io->list(s->io, fd, &names, &n)) {
		for (p = names; n--; p += strlen(p) + 1)
			if (!strncmp(p, prefix, strlen(prefix)))
				remove_tree(s->io, fd, p, DEPTH);
		free(names);
	}
	(void)s->io->close(s->io, fd); /* a folder has nothing to flush */
}

int stage_open(struct stage *s, const struct io *io, const char *out, uint32_t task,
	uint32_t number, struct err *e)
{
	int fd, rc;

	*s = (struct stage){ .io = io, .out = -1 };
	snprintf(s->name, sizeof s->name, STAGE_DIR "/%u.%u", task, number);
	snprintf(s->path, sizeof s->path, "%s/%s", out, s->name);
	if (file_open_dir(io, out, &s->out, e))
		return -1;
	remove_of(s, task);
	rc = file_make_below(io, s->out, s->name, &fd, e);
	if (!rc) {
		(void)io->close(io, fd); /* a folder has nothing to flush */
		return 0;
	}
	(void)io->close(io, s->out); /* a folder has nothing to flush */
	s->out = -1;
	return -1;
}

/* One file. The lock-step of names is: weights, what casts dropped, and last the sidecar that speaks of both. */
static int move_one(const struct stage *s, const char *dir, const char *name, struct err *e)
{
	char from[500], to[400];

	snprintf(to, sizeof to, "%s%s%s", dir, *dir ? "/" : "", name);
	snprintf(from, sizeof from, "%s/%s", s->name, to);
	return s->io->replace(s->io, s->out, from, to)
		? err_sys(e, "cannot put %s in place", text_quote(to).s)
		: 0;
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
	remove_tree(s->io, s->out, all ? STAGE_DIR : s->name, all ? DEPTH + 1 : DEPTH);
	(void)s->io->rmdir(s->io, s->out, STAGE_DIR); /* if nobody else is there */
	(void)s->io->close(s->io, s->out);            /* a folder has nothing to flush */
	*s = (struct stage){ .out = -1 };
}
