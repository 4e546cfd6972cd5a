/* check_packed.c -- the files of an archive as they are stored: dsv4-archive.json has the SHA-256 of each NAME.zst beside that
 * of the NAME that it restores. Whoever stores or sends the archive holds its files to that; here it is done once NAME was
 * found right, as one whose bytes are damaged was told with its frame and tensor.
 *
 * SPDX-License-Identifier: MIT */
#include "verify/check/check.h"

#include "core/file.h"
#include "core/hash/xxh.h"
#include "formats/archive/archive_io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct packs {
	const struct listed **v; /* owns; beside jobs */
	struct pass_job *jobs;   /* owns; their names are in arena */
	size_t n, cap, jobs_cap;
	const char **
		told; /* owns; files that were found false or could not be read, in the order of their bytes */
	size_t n_told;
	struct arena arena;
};

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int note_told(struct packs *p, const struct report *r, struct err *e)
{
	size_t i;

	p->told = calloc(r->n + 1, sizeof *p->told);
	if (!p->told)
		return err_nomem(e);
	for (i = 0; i < r->n; i++)
		if (r->findings[i].at.file && r->findings[i].kind != ERR_NONE)
			p->told[p->n_told++] = r->findings[i].at.file;
	qsort(p->told, p->n_told, sizeof *p->told, by_text);
	return 0;
}

/* Adds the file of the archive that restores f, unless that was told of or lies there unpacked. */
static int add(struct packs *p, const struct check *c, const struct listed *f, struct err *e)
{
	const struct io *io = archive_io_base(c->o->io);
	char path[LISTED_NAME];
	const char *folder, *name;
	struct stat st;
	size_t above;
	int dir, rc;

	if (bsearch(&f->name, p->told, p->n_told, sizeof *p->told, by_text))
		return 0;
	listed_packed_name(f, path);
	name = strrchr(path, '/');
	above = name ? (size_t)(name - path) : 0;
	folder = arena_strndup(&p->arena, path, above);
	name = arena_strndup(&p->arena, path + (name ? above + 1 : 0),
		strlen(path) - (name ? above + 1 : 0));
	if (!folder || !name || mem_grow(&p->v, &p->cap, p->n + 1, sizeof *p->v) ||
		mem_grow(&p->jobs, &p->jobs_cap, p->n + 1, sizeof *p->jobs))
		return err_nomem(e);
	if (file_open_below(io, c->top, folder, &dir, e))
		return -1;
	rc = io->lstat(io, dir, name, &st);
	if (rc && errno != ENOENT)
		err_sys(e, "cannot look at %s", text_quote(path).s);
	(void)io->close(io, dir); /* a folder has nothing to flush */
	if (rc)
		return e->kind ? -1 : 0;
	p->v[p->n] = f;
	p->jobs[p->n++] = (struct pass_job){ .dir = c->top,
		.fd = -1,
		.folder = folder,
		.name = name,
		.bytes = (uint64_t)st.st_size,
		.sha = true };
	return 0;
}

/* All files of the list; of a rank, or where one file is asked for, only those of the pass. */
static int add_all(struct packs *p, const struct check *c, const struct listing *l, struct err *e)
{
	const struct listed *f;
	size_t i;

	if (note_told(p, c->r, e))
		return -1;
	if (!c->only && !c->o->rank) {
		for (i = 0; i < l->n; i++)
			if (add(p, c, &l->files[i], e))
				return -1;
		return 0;
	}
	for (i = 0; i < c->n; i++) {
		f = listing_find(l, check_path(c->items[i].folder, c->items[i].name).s);
		if (f && add(p, c, f, e))
			return -1;
	}
	return 0;
}

static void tell(struct check *c, const struct listed *f, struct pass_job *j)
{
	char path[LISTED_NAME], got[65], want[65];
	struct report_place at = { .file = path };

	listed_packed_name(f, path);
	if (j->err.kind) {
		report_take(c->r, &at, &j->err);
		return;
	}
	if (!memcmp(j->sha256, f->packed_sha256, 32)) {
		report_count(c->r, "checked", "files of the archive as stored", 1, j->bytes);
		return;
	}
	hex_of(j->sha256, 32, got);
	hex_of(f->packed_sha256, 32, want);
	report_add(c->r, RULE_ARCHIVE_STORED, &at, "its SHA-256 is %s, " LISTING_NAME " says %s",
		got, want);
}

int check_packed(struct check *c)
{
	const struct listing *l = archive_io_listing(c->o->io, c->top);
	struct pass_opts po = { .io = archive_io_base(c->o->io),
		.threads = c->o->threads,
		.features = c->o->features,
		.max_memory = c->o->max_memory };
	struct packs p = { 0 };
	size_t i;
	int rc;

	if (!l || c->o->quick)
		return 0;
	rc = add_all(&p, c, l, c->e);
	if (!rc && c->o->started)
		po.progress = c->o->started(pass_bytes(p.jobs, p.n));
	rc = rc ? rc : pass_run(p.jobs, p.n, &po, c->e);
	progress_stop(po.progress);
	for (i = 0; !rc && i < p.n; i++)
		tell(c, p.v[i], &p.jobs[i]);
	pass_free(p.jobs, p.n);
	arena_free(&p.arena);
	free(p.told);
	free(p.jobs);
	free(p.v);
	return rc;
}
