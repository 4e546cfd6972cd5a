/* SPDX-License-Identifier: MIT */
#include "verify/sign/signdir.h"

#include "core/file.h"
#include "core/hash/sha256.h"
#include "formats/conversion/manifest.h"
#include "verify/sign/statement.h"

#include <string.h>

void signdir_close(struct signdir *f, const struct io *io)
{
	sigfile_close(&f->sig, io);
	if (f->open)
		(void)io->close(io, f->dir);
	tree_free(&f->there);
	tree_free(&f->should);
	text_free(&f->manifest);
	lineage_free(&f->lineage);
}

int signdir_open(struct signdir *f, const struct sign_opts *o, enum use use, const char *usual,
	struct err *e)
{
	struct ckpt_opts co = { 0 };
	struct folder at;
	int rc;

	if (folder_open(&at, o->io, o->dir, use, &co, e))
		return -1;
	rc = file_open_below(o->io, at.dir, "", &f->dir, e);
	f->kind = at.kind;
	folder_close(&at);
	if (rc)
		return -1;
	f->open = true;
	return sigfile_at(&f->sig, o->io, f->dir, o->file, usual, e);
}

int signdir_scan(struct signdir *f, const struct sign_opts *o, const char *const *left_out,
	struct report *r, struct err *e)
{
	const char *skip[STATEMENT_IGNORED_MAX + 4] = { SIGN_BUNDLE, SIGN_MINISIGN };
	unsigned quiet = 2, n, i;

	if (f->sig.inside)
		skip[quiet++] = f->sig.name;
	for (n = quiet, i = 0; left_out && left_out[i]; i++)
		skip[n++] = left_out[i];
	skip[n] = NULL;
	if (tree_scan(&f->there, o->io, f->dir, skip, quiet, r, e))
		return -1;
	tree_sort(&f->there, "the folder", r, e);
	return e->kind == ERR_NONE ? 0 : -1;
}

int signdir_manifest(struct signdir *f, const struct sign_opts *o, const uint8_t *want,
	struct report *r, struct err *e)
{
	uint8_t sha256[32];

	if (tree_load(o->io, f->dir, MAN_NAME, MANIFEST_CAP, &f->manifest, e) ||
		sha256_of(f->manifest.s, f->manifest.n, sha256, e))
		return -1;
	if (want && memcmp(sha256, want, 32) != 0)
		return err_rule(e, RULE_CKPT_CHANGED, ERR_NOPOS,
			MAN_NAME " was changed while it was read");
	return lineage_read(&f->lineage, &f->should, o->io, f->dir, &f->manifest, r, e);
}

/* What the manifests say of the files that are there: a signature over a broken folder helps nobody.
 * all: they must cover every file. */
static void hold_to_manifests(struct signdir *f, bool all, struct report *r)
{
	const struct tree_file *is, *must;
	size_t i;

	for (i = 0; i < f->should.n; i++) {
		struct report_place at = { .file = f->should.v[i].name };

		must = &f->should.v[i];
		is = tree_find(&f->there, must->name);
		if (!is)
			report_add(r, RULE_SIG_GONE, &at, "%s is in the manifest and not there",
				text_quote(must->name).s);
		else if ((must->sized && is->bytes != must->bytes) ||
			(must->hashed && memcmp(is->sha256, must->sha256, 32) != 0))
			report_add(r, RULE_SIG_CHANGED, &at, "%s is not what the manifest says",
				text_quote(must->name).s);
		else if (all && !must->hashed)
			report_add(r, RULE_SIG_UNCOVERED, &at, "the manifest has no SHA-256 of %s",
				text_quote(must->name).s);
	}
	for (i = 0; all && i < f->there.n; i++)
		if (!tree_find(&f->should, f->there.v[i].name))
			tree_say_extra(f->there.v[i].name, false, r);
}

/* A mark of a run in any folder, or what a conversion leaves without the document above it. */
static void find_unfinished(const struct signdir *f, struct report *r)
{
	const char *name, *slash;
	size_t i;

	if (f->kind == KIND_UNFINISHED || f->kind == KIND_BARE) {
		report_add(r, RULE_SIG_UNFINISHED, NULL,
			"there are files of a conversion, and no " MAN_NAME " above them");
		return;
	}
	for (i = 0; i < f->there.n; i++) {
		name = f->there.v[i].name;
		slash = strrchr(name, '/');
		if (strcmp(slash ? slash + 1 : name, MAN_MARK))
			continue;
		report_add(r, RULE_SIG_UNFINISHED, &(struct report_place){ .file = name },
			"a conversion into this folder is not finished");
		return;
	}
}

int signdir_take(struct signdir *f, const struct sign_opts *o, bool all, struct report *r,
	struct err *e)
{
	const struct tree_file *m;
	size_t i;

	if (signdir_scan(f, o, all ? NULL : statement_ignored, r, e))
		return -1;
	find_unfinished(f, r);
	if (!f->there.n)
		report_add(r, RULE_SIG_UNCOVERED, NULL, "there are no files");
	if (r->errors || r->unknown)
		return 0;
	for (i = 0; i < f->there.n; i++)
		f->there.v[i].want = true;
	if (tree_hash(&f->there, o->io, f->dir, o->threads, o->features, r, e))
		return -1;
	if (r->errors || r->unknown) /* something could not be read */
		return 0;
	m = tree_find(&f->there, MAN_NAME);
	if (m && m->hashed && signdir_manifest(f, o, m->sha256, r, e))
		return -1;
	if (lineage_read_sidecars(&f->should, &f->there, o->io, f->dir, o->threads, o->features, r,
		    e))
		return -1;
	if (all && !f->lineage.known && !r->errors) {
		report_add(r, RULE_SIG_UNCOVERED, NULL,
			"there is no manifest.json of dsv4-convert, which would cover the files");
		return 0;
	}
	hold_to_manifests(f, all, r);
	return 0;
}

void signdir_show(const struct tree *files, struct report *r)
{
	uint64_t bytes = 0;
	size_t i;

	for (i = 0; i < files->n; i++)
		bytes += files->v[i].bytes;
	report_row(r, "signature", "files", files->n, bytes, NULL);
}
