/* SPDX-License-Identifier: MIT */
#include "verify/sign/sigfile.h"

#include "core/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Opens the folder part of a path that the user typed. */
static int open_folder(struct sigfile *s, const struct io *io, const char *path, size_t n,
	struct err *e)
{
	char folder[4096];

	if (snprintf(folder, sizeof folder, "%.*s", (int)n, n ? path : ".") >= (int)sizeof folder ||
		n >= sizeof folder)
		return err_set(e, ERR_USAGE, "the path %s is too long", text_quote(path).s);
	if (!n)
		snprintf(folder, sizeof folder, ".");
	if (file_open_dir(io, folder, &s->dir, e))
		return -1;
	s->own_dir = true;
	return 0;
}

int sigfile_at(struct sigfile *s, const struct io *io, int about, const char *path,
	const char *usual, struct err *e)
{
	const char *slash = path ? strrchr(path, '/') : NULL, *name = path ? path : usual;
	struct stat a, b;

	memset(s, 0, sizeof *s);
	s->dir = about;
	s->inside = true;
	name = slash ? slash + 1 : name;
	if (!*name || !strcmp(name, ".") || !strcmp(name, "..") ||
		snprintf(s->name, sizeof s->name, "%s", name) >= (int)sizeof s->name)
		return err_set(e, ERR_USAGE, "%s is no name for a file", text_quote(path).s);
	if (!path)
		return 0;
	if (open_folder(s, io, path, slash ? (size_t)(slash - path) + 1 : 0, e))
		return -1;
	if (io->fstat(io, about, &a) || io->fstat(io, s->dir, &b)) {
		err_sys(e, "cannot stat the folder of %s", text_quote(path).s);
		sigfile_close(s, io);
		return -1;
	}
	s->inside = a.st_dev == b.st_dev && a.st_ino == b.st_ino;
	return 0;
}

void sigfile_close(struct sigfile *s, const struct io *io)
{
	if (s->own_dir)
		(void)io->close(io, s->dir);
	memset(s, 0, sizeof *s);
}

int sigfile_load(const struct sigfile *s, const struct io *io, uint64_t cap, struct text *out,
	struct err *e)
{
	struct stat st;

	if (io->lstat(io, s->dir, s->name, &st) && errno == ENOENT)
		return err_rule(e, RULE_SIG_MISSING, ERR_NOPOS, "there is no signature %s",
			text_quote(s->name).s);
	return file_load(io, s->dir, s->name, cap, out, e);
}

int sigfile_try(const struct sigfile *s, const struct io *io, bool overwrite, struct err *e)
{
	struct stat st;

	if (!io->lstat(io, s->dir, s->name, &st)) {
		if (!overwrite)
			return err_rule(e, RULE_SIG_EXISTS, ERR_NOPOS,
				"%s is there already; --overwrite replaces it",
				text_quote(s->name).s);
		if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
			return err_set(e, ERR_USAGE, "%s is no file that could be replaced",
				text_quote(s->name).s);
	}
	return file_try(io, s->dir, s->name, e);
}

int sigfile_put(const struct sigfile *s, const struct io *io, const struct text *t, bool overwrite,
	struct err *e)
{
	return (overwrite ? file_replace : file_put)(io, s->dir, s->name, t->s, t->n, e);
}
