/* results_run.c -- which call results are of: a digest of models, tokens and how they are computed.
 *
 * SPDX-License-Identifier: MIT */
#include "verify/run/results.h"

#include "core/file.h"
#include "core/hash/xxh.h"
#include "formats/gguf/gguf_set.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { DEEP = 4 }; /* folders in one another that are looked at */

static void put_file(struct text *t, const char *name, const struct stat *st)
{
	text_fmt(t, "%s %lld %lld %ld\n", name, (long long)st->st_size,
		(long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
}

/* Puts the file of that name and, where it is a link, the file that is read through it: a link stays as it is whatever
 * becomes of that. Returns false where there is none of that name. */
static bool put_name(struct text *t, const struct io *io, int dir, const char *name,
	struct stat *st)
{
	struct stat to;
	int fd;

	if (io->lstat(io, dir, name, st))
		return false;
	put_file(t, name, st);
	if (!S_ISLNK(st->st_mode))
		return true;
	fd = io->open(io, dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
	if (fd >= 0 && !io->fstat(io, fd, &to))
		put_file(t, "->", &to);
	if (fd >= 0)
		(void)io->close(io, fd); /* read only */
	return true;
}

static int walk(struct text *t, const struct io *io, int dir, unsigned depth, struct err *e)
{
	char *names = NULL;
	const char *s;
	struct stat st;
	size_t n, i;
	int sub, rc = 0;

	if (io->list(io, dir, &names, &n))
		return err_sys(e, "a folder cannot be listed");
	for (i = 0, s = names; !rc && i < n; i++, s += strlen(s) + 1) {
		text_fmt(t, "%u ", depth);
		if (!put_name(t, io, dir, s, &st))
			continue; /* gone meanwhile: who opens the model says so */
		if (!S_ISDIR(st.st_mode) || depth == DEEP)
			continue;
		rc = file_open_below(io, dir, s, &sub, e) || walk(t, io, sub, depth + 1, e) ? -1
											    : 0;
		if (!rc)
			(void)io->close(io, sub); /* a folder has nothing to flush */
	}
	free(names);
	return rc;
}

/* All parts of the GGUF that the file of that name is one of. */
static void look_parts(struct text *t, const struct io *io, int dir, const char *name)
{
	unsigned no, parts = 1;
	struct stat st;
	char part[256];
	size_t stem;

	if (!gguf_part_parse(name, &stem, &no, &parts) || parts == 1) {
		(void)put_name(t, io, dir, name, &st);
		return;
	}
	for (no = 0; no < parts && gguf_part_name(part, name, stem, no, parts); no++)
		(void)put_name(t, io, dir, part, &st);
}

/* Names, sizes and times of what lies at path: a folder, or a GGUF file. */
static int look(struct text *t, const struct io *io, const char *path, struct err *e)
{
	const char *name;
	int dir, rc = 0;

	if (!file_open_dir(io, path, &dir, &(struct err){ 0 })) {
		rc = walk(t, io, dir, 0, e);
	} else {
		if (file_open_above(io, path, &dir, &name, e))
			return -1;
		look_parts(t, io, dir, name);
	}
	(void)io->close(io, dir); /* a folder has nothing to flush */
	return rc;
}

int results_run(char run[33], const struct io *io, const char *const folder[2],
	const struct prompts *p, const char *how, struct err *e)
{
	struct text t = { 0 };
	struct xxh *x = xxh_new();
	struct xxh_digest d;
	int rc = x ? 0 : err_nomem(e);

	text_fmt(&t, "%s\n%zu\n", how, p->n);
	rc = rc ? rc : look(&t, io, folder[0], e);
	text_str(&t, "\n");
	rc = rc ? rc : look(&t, io, folder[1], e);
	if (!rc && t.failed)
		rc = err_nomem(e);
	if (!rc) {
		xxh_update(x, t.s, t.n);
		xxh_update(x, p->at, (p->n + 1) * sizeof *p->at);
		xxh_update(x, p->ids, p->at[p->n] * sizeof *p->ids);
		d = xxh_final(x);
		hex_of(d.b, sizeof d.b, run);
	}
	xxh_free(x);
	text_free(&t);
	return rc;
}
