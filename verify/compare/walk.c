/* SPDX-License-Identifier: MIT */
#include "verify/compare/walk.h"

#include "formats/conversion/head.h"

#include <stdio.h>
#include <string.h>

/* What is wrong goes to the report, and the walk goes on. */
static int tell(void *ctx, const char *path, struct err *why)
{
	const struct walk *w = ctx;

	report_take(w->r, &(struct report_place){ .file = path }, why);
	return 0;
}

/* Opens a file with its sidecar and header. */
static int open_file(const struct walk *w, struct walk_file *f, struct sidecar *s,
	struct st_header *h, struct arena *arena, struct err *e)
{
	const char *tensor;
	uint64_t size;

	if (chain_open(f->d, f->f->name, f->f->bytes, &f->fd, &size, e)) {
		f->fd = -1;
		return -1;
	}
	if (!f->f->side)
		return 0;
	if (chain_sidecar(s, f->d, f->f, e))
		return err_at(e, "%s", f->f->side);
	return chain_header(h, arena, w->io, f->fd, s, w->header_cap, &tensor, e);
}

/* A file with its sidecar and header. What is wrong with it is reported; -1 only from w->file. */
static int visit(const struct walk *w, struct walk_file *f, struct err *e)
{
	struct arena arena = { 0 };
	struct st_header h = { 0 };
	struct sidecar s = { 0 };
	struct err why = { 0 };
	int rc = open_file(w, f, &s, &h, &arena, &why);

	f->s = f->f->side ? &s : NULL;
	f->h = f->f->side ? &h : NULL;
	if (rc)
		rc = tell((void *)(uintptr_t)w, f->path, &why);
	else
		rc = w->file(w->ctx, f, e);
	if (f->fd >= 0)
		(void)w->io->close(w->io, f->fd); /* read only */
	sidecar_free(&s);
	st_free(&h);
	arena_free(&arena);
	return rc;
}

static int walk_folder(void *ctx, const struct chain_folder *d, struct err *e)
{
	const struct walk *w = ctx;
	struct walk_file f;
	size_t i;

	for (i = 0; i < d->m->files.n; i++) {
		f = (struct walk_file){ .d = d, .fd = -1, .f = &d->m->files.v[i] };
		snprintf(f.path, sizeof f.path, "%.99s%s%.255s", d->name, *d->name ? "/" : "",
			f.f->name);
		if (visit(w, &f, e))
			return -1;
	}
	return 0;
}

int walk_run(const struct walk *w, int dir, struct err *e)
{
	struct chain_walk chain = {
		.io = w->io, .ctx = (void *)(uintptr_t)w, .tell = tell, .folder = walk_folder
	};
	struct head h;
	int rc = head_read(&h, w->io, dir, e);

	if (!rc && (h.form == HEAD_ABSENT || h.form == HEAD_FOREIGN))
		rc = err_set(e, ERR_USAGE, "there is no " MAN_NAME " of a conversion");
	return rc ? rc : chain_walk(&chain, dir, e);
}
