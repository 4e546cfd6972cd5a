/* SPDX-License-Identifier: MIT */
#include "convert/pack/folders.h"

#include "convert/out/outdir.h"
#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Makes o->out, whose parent is there, and opens it. *made: it was not there. */
static int open_out(struct pack_folders *f, bool *made, struct err *e)
{
	const struct io *io = f->o->io;

	*made = !io->mkdir(io, AT_FDCWD, f->o->out, 0777);
	if (!*made && errno != EEXIST)
		return err_sys(e, "cannot make folder %s", text_quote(f->o->out).s);
	return file_open_dir(io, f->o->out, &f->to, e);
}

/* Neither folder is the other one, or lies in it. */
static int check_apart(const struct pack_folders *f, struct err *e)
{
	const struct io *io = f->o->io;
	struct stat a, b, st;
	size_t i;
	int fd;

	if (io->fstat(io, f->from, &a) || io->fstat(io, f->to, &b))
		return err_sys(e, "cannot look at the folders");
	if (a.st_dev == b.st_dev && a.st_ino == b.st_ino)
		return err_set(e, ERR_USAGE, "%s is the folder that is read; name another one",
			text_quote(f->o->out).s);
	for (i = 0; i < f->in.n; i++) {
		if (!f->in.v[i].folder)
			continue;
		if (file_open_below(io, f->from, f->in.v[i].path, &fd, e))
			return -1;
		if (io->fstat(io, fd, &st))
			st.st_ino = 0; /* it is no folder of ours then */
		(void)io->close(io, fd);
		if (st.st_dev == b.st_dev && st.st_ino == b.st_ino)
			return err_set(e, ERR_USAGE,
				"%s lies in the folder that is read; name another one",
				text_quote(f->o->out).s);
	}
	return 0;
}

int pack_folders_open(struct pack_folders *f, const struct pack_opts *o, struct err *e)
{
	const struct io *io = o->io;
	bool made = false;

	memset(f, 0, sizeof *f);
	f->o = o;
	f->from = f->to = -1;
	if (file_open_dir(io, o->dir, &f->from, e) || open_out(f, &made, e))
		goto fail;
	if (scan_below(&f->in, io, f->from, e)) {
		err_at(e, "%s", text_quote(o->dir).s);
		goto fail;
	}
	if (io->lock(io, f->to)) {
		err_sys(e, "%s: somebody else writes to it", text_quote(o->out).s);
		goto fail;
	}
	if (check_apart(f, e))
		goto fail;
	if (!scan_below(&f->out, io, f->to, e))
		return 0;
	err_at(e, "%s", text_quote(o->out).s);
fail:
	if (made)
		(void)io->rmdir(io, AT_FDCWD, o->out); /* a folder that stays is empty */
	pack_folders_close(f);
	return -1;
}

void pack_folders_close(struct pack_folders *f)
{
	if (f->from >= 0)
		(void)f->o->io->close(f->o->io, f->from); /* folders have nothing to flush */
	if (f->to >= 0)
		(void)f->o->io->close(f->o->io, f->to);
	scan_free(&f->in);
	scan_free(&f->out);
	f->from = f->to = -1;
}

/* The path that an unfinished file was to get. */
static void real_path(const char *part, char path[1280])
{
	const char *slash = strrchr(part, '/');
	size_t n = slash ? (size_t)(slash + 1 - part) : 0;

	memcpy(path, part, n);
	if (!file_is_part(part + n, path + n))
		path[0] = 0;
}

static int remove_part(const struct pack_folders *f, const char *path, struct err *e)
{
	const char *name;
	int in, rc;

	if (scan_open_parent(f->o->io, f->to, path, false, &in, &name, e))
		return -1;
	rc = file_remove(f->o->io, in, name, e);
	(void)f->o->io->close(f->o->io,
		in); /* a name that comes back after a crash is removed again */
	return rc;
}

int pack_folders_clean(const struct pack_folders *f,
	bool (*wanted)(const void *ctx, const char *path, bool folder), const void *ctx,
	struct err *e)
{
	char real[1280];
	size_t i;

	for (i = 0; i < f->out.n; i++) {
		const struct scanned *x = &f->out.v[i];

		if (x->part)
			real_path(x->path, real);
		if (wanted(ctx, x->part ? real : x->path, x->folder))
			continue;
		/* Nobody is told to remove what may be the only copy of a source. */
		return outdir_only_copy(f->o->io, f->to, f->o->out, e)
			? -1
			: err_rule(e, RULE_ARCHIVE_OTHER, ERR_NOPOS,
				  "%s: %s is there, which this call would not write: name an empty folder, or "
				  "remove it",
				  text_quote(f->o->out).s, text_quote(x->path).s);
	}
	for (i = 0; i < f->out.n; i++)
		if (f->out.v[i].part && remove_part(f, f->out.v[i].path, e))
			return -1;
	return 0;
}
