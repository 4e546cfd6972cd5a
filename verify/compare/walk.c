/* SPDX-License-Identifier: MIT */
#include "verify/compare/walk.h"

#include "core/file.h"
#include "core/hash/hash_file.h"
#include "formats/conversion/manifest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reports what e says of the file. */
static void tell(const struct walk *w, const char *path, struct err *e)
{
	report_take(w->r, &(struct report_place){ .file = path }, e);
}

static int by_offset(const void *a, const void *b)
{
	const struct tensor *x = a, *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	if (x->end != y->end)
		return x->end < y->end ? -1 : 1;
	return strcmp(x->name, y->name);
}

static bool same_tensor(const struct tensor *t, const struct account_tensor *a)
{
	return !strcmp(t->name, a->name) && t->dtype == a->dtype && t->rank == a->rank &&
		t->begin == a->begin && t->end == a->end &&
		(!t->rank || !memcmp(t->dim, a->dim, t->rank * sizeof *t->dim));
}

/* The header of the file has just the tensors of its sidecar. */
static int same_header(const struct st_header *h, const struct account *a, struct err *e)
{
	size_t i;

	if (h->n)
		qsort(h->tensors, h->n, sizeof *h->tensors, by_offset);
	for (i = 0; i < h->n && i < a->n; i++)
		if (!same_tensor(&h->tensors[i], &a->tensors[i]))
			return err_rule(e, RULE_CHECK_HEADER, ERR_NOPOS,
				"its header has tensor %s, its sidecar another, or with other type, "
				"shape or place",
				text_quote(h->tensors[i].name).s);
	if (h->n != a->n || h->data_at != a->header_bytes)
		return err_rule(e, RULE_CHECK_HEADER, ERR_NOPOS,
			"its header has %zu tensors, its sidecar %zu", h->n, a->n);
	return 0;
}

static int read_account(const struct walk *w, const struct walk_file *f, struct account *a,
	struct err *e)
{
	struct stat st;
	uint8_t sha[32];
	int fd, rc;

	if (file_open(w->io, f->dir, f->f->side, &fd, &st, e))
		return -1;
	rc = hash_file(w->io, fd, (uint64_t)st.st_size, NULL, sha, e);
	if (!rc && memcmp(sha, f->f->side_sha256, 32))
		rc = err_rule(e, RULE_SET_MANIFEST, ERR_NOPOS,
			"the SHA-256 of its sidecar is another than manifest.json says");
	rc = rc ? rc : account_read(a, w->io, fd, (uint64_t)st.st_size, e);
	(void)w->io->close(w->io, fd); /* read only */
	return rc;
}

/* A file with its sidecar and header. What is wrong with it is reported; -1 only from w->file. */
static int visit(const struct walk *w, struct walk_file *f, struct err *e)
{
	struct arena arena = { 0 };
	struct st_header h = { 0 };
	struct account a = { 0 };
	struct err why = { 0 };
	struct stat st;
	int rc;

	rc = file_open(w->io, f->dir, f->f->name, &f->fd, &st, &why);
	if (rc && !why.rule && errno == ENOENT) {
		why.kind = rules[RULE_CHECK_MISSING].kind;
		why.rule = rules[RULE_CHECK_MISSING].id;
	}
	if (!rc && (uint64_t)st.st_size != f->f->bytes)
		rc = err_rule(&why, RULE_SET_SIZE, ERR_NOPOS,
			"it has %llu bytes, manifest.json says %llu",
			(unsigned long long)st.st_size, (unsigned long long)f->f->bytes);
	if (!rc && f->f->side)
		rc = read_account(w, f, &a, &why) ||
				st_read(&h, w->io, f->fd, f->f->bytes,
					w->header_cap ? w->header_cap : ST_HEADER_CAP, &arena,
					&why) ||
				same_header(&h, &a, &why)
			? -1
			: 0;
	f->a = f->f->side ? &a : NULL;
	f->h = f->f->side ? &h : NULL;
	if (rc)
		tell(w, f->path, &why);
	else
		rc = w->file(w->ctx, f, e);
	if (f->fd >= 0)
		(void)w->io->close(w->io, f->fd); /* read only */
	account_free(&a);
	st_free(&h);
	arena_free(&arena);
	return e->kind == ERR_NONE ? 0 : -1;
}

static int walk_folder(const struct walk *w, int dir, const char *folder, const struct toc *c,
	struct err *e)
{
	struct walk_file f;
	size_t i;

	for (i = 0; i < c->files.n; i++) {
		f = (struct walk_file){
			.folder = folder, .dir = dir, .fd = -1, .toc = c, .f = &c->files.v[i]
		};
		snprintf(f.path, sizeof f.path, "%.99s%s%.255s", folder, *folder ? "/" : "",
			f.f->name);
		if (visit(w, &f, e))
			return -1;
	}
	return 0;
}

static int walk_below(const struct walk *w, int top, const struct toc_folder *d, struct err *e)
{
	struct text t = { 0 };
	struct err why = { 0 };
	struct toc c = { .sealed = false };
	uint8_t sha[32];
	int dir, rc = 0;

	if (file_open_below(w->io, top, d->name, &dir, &why)) {
		tell(w, d->name, &why);
		return 0;
	}
	if (file_load(w->io, dir, MAN_NAME, TOC_CAP, &t, &why) || sha256_of(t.s, t.n, sha, &why)) {
		tell(w, d->name, &why);
	} else if (memcmp(sha, d->sha256, 32)) {
		report_add(w->r, RULE_SET_MANIFEST, &(struct report_place){ .file = d->name },
			"its manifest is not the one that the manifest above names");
	} else if (toc_read(&c, &t, &why)) {
		tell(w, d->name, &why);
	} else {
		rc = walk_folder(w, dir, d->name, &c, e);
	}
	toc_free(&c);
	text_free(&t);
	(void)w->io->close(w->io, dir); /* a folder has nothing to flush */
	return rc;
}

static int walk_set(const struct walk *w, int top, const struct text *t, struct err *e)
{
	struct toc_set s;
	struct err why = { 0 };
	size_t i;
	int rc = 0;

	if (toc_set_read(&s, t, &why)) {
		tell(w, MAN_NAME, &why);
		return 0;
	}
	for (i = 0; !rc && i < s.n; i++)
		rc = walk_below(w, top, &s.v[i], e);
	toc_set_free(&s);
	return rc;
}

static int walk_one(const struct walk *w, int top, const struct text *t, struct err *e)
{
	struct toc c;
	struct err why = { 0 };
	int rc;

	if (toc_read(&c, t, &why)) {
		tell(w, MAN_NAME, &why);
		return 0;
	}
	rc = walk_folder(w, top, "", &c, e);
	if (!rc && c.restore.name[0])
		rc = walk_below(w, top, &c.restore, e);
	toc_free(&c);
	return rc;
}

int walk_run(const struct walk *w, const char *path, struct err *e)
{
	struct text t = { 0 };
	int top, rc;

	if (file_open_dir(w->io, path, &top, e))
		return -1;
	if (file_load(w->io, top, MAN_NAME, TOC_CAP, &t, e))
		rc = err_at(e, "%s is no finished conversion", text_quote(path).s);
	else
		rc = (toc_kind(&t) == TOC_SET ? walk_set : walk_one)(w, top, &t, e);
	text_free(&t);
	(void)w->io->close(w->io, top); /* a folder has nothing to flush */
	return rc;
}
