/* SPDX-License-Identifier: MIT */
#include "formats/conversion/copies.h"

#include "core/file.h"
#include "core/hash/sha256.h"
#include "formats/conversion/chain.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL = 64 << 20 }; /* bytes; the largest small file, tokenizer.json, has 6 MB */

struct hold {
	struct findings *f;
	struct err *e;
};

/* "rank-0-of-2/config.json". */
static void path_of(const struct chain_folder *d, const char *name, char path[600])
{
	snprintf(path, 600, "%.300s%s%.255s", d->name, *d->name ? "/" : "", name);
}

static int find(const struct hold *h, enum rule_id rule, const char *path, const char *what)
{
	return finding_add(h->f, rule, path, "%s: %s", text_quote(path).s, what) ? err_nomem(h->e)
										 : 0;
}

static int hold_copy(const struct hold *h, const struct chain_folder *d,
	const struct manifest_file *f)
{
	struct err why = { 0 };
	struct text t = { 0 };
	uint8_t sha[32];
	char path[600];
	int rc = 0;

	if (!f->has_sha256 || f->bytes > SMALL)
		return 0;
	path_of(d, f->name, path);
	if (file_load(d->io, d->dir, f->name, SMALL, &t, &why))
		rc = why.kind == ERR_SYSTEM && errno != ENOENT
			? err_move(h->e, &why)
			: find(h, RULE_CHECK_MISSING, path, "is not there, or is no plain file");
	else if (sha256_of(t.s ? t.s : "", t.n, sha, h->e))
		rc = -1;
	else if (memcmp(sha, f->sha256, sizeof sha) != 0)
		rc = find(h, RULE_CHECK_SHA256, path,
			"is not the file that was written: an engine that reads it computes something else");
	text_free(&t);
	return rc;
}

static bool is_named(const struct manifest *m, const char *name)
{
	size_t i;

	for (i = 0; i < m->files.n && strcmp(m->files.v[i].name, name) != 0; i++)
		;
	return i < m->files.n;
}

static int hold_names(const struct hold *h, const struct chain_folder *d)
{
	char *names, *s, path[600];
	size_t n;
	int rc = 0;

	if (d->io->list(d->io, d->dir, &names, &n))
		return err_sys(h->e, "cannot list the folder %s", text_quote(d->name).s);
	for (s = names; !rc && n--; s += strlen(s) + 1) {
		if (fnmatch("[!.]*.safetensors", s, 0) != 0 || is_named(d->m, s))
			continue;
		path_of(d, s, path);
		rc = find(h, RULE_CHECK_EXTRA, path,
			"are weights that the manifest does not name, and an engine may read them");
	}
	free(names);
	return rc;
}

static int folder(void *ctx, const struct chain_folder *d, struct err *e)
{
	struct hold *h = ctx;
	size_t i;

	h->e = e;
	for (i = 0; i < d->m->files.n; i++)
		if (!d->m->files.v[i].side && hold_copy(h, d, &d->m->files.v[i]))
			return -1;
	return hold_names(h, d);
}

static int pass_over(void *ctx, const char *path, struct err *why)
{
	(void)ctx, (void)path;
	return why->kind == ERR_SYSTEM ? -1 : 0;
}

int copies_hold(const struct io *io, int top, struct findings *f, struct err *e)
{
	struct hold h = { .f = f };
	struct chain_walk w = { .io = io, .ctx = &h, .tell = pass_over, .folder = folder };

	return chain_walk(&w, top, e);
}

/* Files of weights may be those of another run, or of another revision, with their sidecars: then the sidecar is not the one that
 * the manifest means. */
static int hold_sidecars(void *ctx, const struct chain_folder *d, struct err *e)
{
	struct hold *h = ctx;
	struct err why = { 0 };
	struct sidecar s;
	char path[600];
	size_t i;
	int rc = 0;

	for (i = 0; !rc && i < d->m->files.n; i++) {
		const struct manifest_file *x = &d->m->files.v[i];

		if (!x->side)
			continue;
		if (!chain_sidecar(&s, d, x, &why)) {
			sidecar_free(&s);
			continue;
		}
		path_of(d, x->name, path);
		if (why.kind == ERR_SYSTEM)
			return err_move(e, &why);
		if (!why.rule || strcmp(why.rule, rules[RULE_CHECK_MISSING].id) != 0)
			rc = finding_add(h->f, RULE_SET_MANIFEST, path,
				     "%s is not the file of this conversion: %s",
				     text_quote(path).s, why.text)
				? err_nomem(e)
				: 0;
		why = (struct err){ 0 };
	}
	return rc;
}

static bool wants_top(void *ctx, const char *name)
{
	(void)ctx;
	return !*name;
}

int copies_of_run(const struct io *io, int top, struct findings *f, struct err *e)
{
	struct hold h = { .f = f, .e = e };
	struct chain_walk w = {
		.io = io, .ctx = &h, .tell = pass_over, .wants = wants_top, .folder = hold_sidecars
	};

	return chain_walk(&w, top, e);
}
