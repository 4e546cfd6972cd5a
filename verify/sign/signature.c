/* SPDX-License-Identifier: MIT */
#include "verify/sign/sign.h"

#include "core/file.h"
#include "formats/conversion/manifest.h"
#include "verify/sign/bundle.h"
#include "verify/sign/minisign.h"
#include "verify/sign/signdir.h"
#include "verify/sign/statement.h"

#include <string.h>

/* One of the two kinds of public key. */
struct checker {
	bool minisign;
	struct eckey ec;
	struct minisign_public ed;
};

static int checker_open(struct checker *c, const struct sign_opts *o, struct err *e)
{
	struct keyfile key = { 0 };
	int rc = -1;

	memset(c, 0, sizeof *c);
	if (keyfile_read(&key, o->io, &o->key, false, e))
		return err_at(e, "the key");
	c->minisign = key.n < 10 || memcmp(key.p, "-----BEGIN", 10) != 0;
	if (o->format && !strcmp(o->format, "minisign") != c->minisign)
		err_rule(e, RULE_KEY_FORM, ERR_NOPOS, "that is a key for %s, not for %s",
			c->minisign ? "minisign" : "model-signing", o->format);
	else
		rc = c->minisign ? minisign_public(&c->ed, &key, e) : eckey_public(&c->ec, &key, e);
	keyfile_free(&key);
	return rc;
}

/* What was signed, once it was found true. */
struct signed_files {
	struct tree *files; /* of the statement, or what manifest.json covers */
	struct statement st;
	char comment[MINISIGN_COMMENT + 1];
};

/* Verifies the bundle, and then reads what is in it. */
static int open_bundle(struct signed_files *s, struct signdir *f, const struct sign_opts *o,
	const struct checker *c, struct err *e)
{
	struct text t = { 0 };
	struct bundle b = { 0 };
	int rc = -1;

	if (!sigfile_load(&f->sig, o->io, BUNDLE_CAP, &t, e) && !bundle_read(&b, &t, e) &&
		!bundle_verify(&b, &c->ec, e) &&
		!statement_read(&s->st, b.payload, b.payload_n, f->sig.inside ? f->sig.name : NULL,
			e))
		rc = 0;
	bundle_free(&b);
	text_free(&t);
	s->files = &s->st.files;
	return rc ? err_at(e, "%s", text_quote(f->sig.name).s) : 0;
}

static int open_minisign(struct signed_files *s, struct signdir *f, const struct sign_opts *o,
	const struct checker *c, struct report *r, struct err *e)
{
	struct text t = { 0 };
	int rc = -1;

	if (sigfile_load(&f->sig, o->io, MINISIGN_CAP, &t, e))
		goto out;
	if (tree_load(o->io, f->dir, "manifest.json", MANIFEST_CAP, &f->manifest, e))
		goto out;
	if (minisign_verify(&c->ed, &t, f->manifest.s, f->manifest.n, s->comment, e)) {
		err_at(e, "%s", text_quote(f->sig.name).s);
		goto out;
	}
	if (lineage_read(&f->lineage, &f->should, o->io, f->dir, &f->manifest, r, e))
		goto out;
	rc = f->lineage.known
		? 0
		: err_rule(e, RULE_SIG_UNCOVERED, ERR_NOPOS,
			  "what was signed is no manifest of dsv4-convert, and covers no file");
out:
	text_free(&t);
	s->files = &f->should;
	return rc;
}

/* Files without a digest in the manifest: the signature says nothing of them. */
static void find_uncovered(const struct tree *files, struct report *r)
{
	size_t i;

	for (i = 0; i < files->n; i++)
		if (!files->v[i].hashed)
			report_add(r, RULE_SIG_UNCOVERED,
				&(struct report_place){ .file = files->v[i].name },
				"the manifest has no SHA-256 of %s",
				text_quote(files->v[i].name).s);
}

static void show(const struct checker *c, const struct signed_files *s, const struct signdir *f,
	struct report *r)
{
	report_row(r, "signature", "format", 0, 0,
		c->minisign                ? "minisign"
			: s->st.conversion ? "in-toto statement of a conversion"
					   : "OpenSSF Model Signing v1.0");
	report_row(r, "signature", "key", 0, 0, c->minisign ? minisign_id(&c->ed).s : c->ec.hint);
	if (c->minisign)
		report_row(r, "signature", "trusted comment", 0, 0, text_quote(s->comment).s);
	if (s->st.subject[0])
		report_row(r, "signature", "signed as", 0, 0, text_quote(s->st.subject).s);
	signdir_show(&f->there, r);
	lineage_show(&f->lineage, r);
}

/* The download that the folder says it was made of: does it have the digests that were signed? */
static int hold_source(const struct signdir *f, const struct sign_opts *o, struct report *r,
	struct err *e)
{
	const struct tree *l = &f->lineage.shards;
	struct ckpt_opts co = { 0 };
	struct tree is = { 0 };
	struct folder at;
	size_t i;
	int rc = -1;

	if (!f->lineage.known || !l->n) {
		report_add(r, RULE_SIG_NO_SOURCE, NULL,
			"what was signed does not say what the folder was made of");
		return 0;
	}
	if (folder_open(&at, o->io, o->source, USE_SIGNATURE_SOURCE, &co, e))
		return -1;
	for (i = 0; i < l->n; i++)
		if (!l->v[i].hashed)
			report_add(r, RULE_SIG_NO_SOURCE,
				&(struct report_place){ .file = l->v[i].name },
				"the manifest has no SHA-256 of the shard %s: it was converted without "
				"--source-sha256",
				text_quote(l->v[i].name).s);
		else if (tree_add(&is, l->v[i].name, strlen(l->v[i].name),
				 &(struct tree_file){ .want = true }, e))
			goto out;
	if (tree_hash(&is, o->io, at.dir, o->threads, o->features, r, e))
		goto out;
	for (i = 0; i < is.n; i++)
		if (is.v[i].hashed &&
			memcmp(is.v[i].sha256, tree_find(l, is.v[i].name)->sha256, 32) != 0)
			report_add(r, RULE_SIG_SOURCE,
				&(struct report_place){ .file = is.v[i].name },
				"the shard %s is not the one that the folder was made of",
				text_quote(is.v[i].name).s);
	rc = 0;
out:
	tree_free(&is);
	folder_close(&at);
	return rc;
}

/* After the signature was found true. */
static int hold_files(struct signed_files *s, struct signdir *f, const struct checker *c,
	const struct sign_opts *o, struct report *r, struct err *e)
{
	const struct tree_file *m;

	if (signdir_scan(f, o, c->minisign ? NULL : s->st.ignored, r, e))
		return -1;
	if (c->minisign &&
		lineage_read_sidecars(s->files, &f->there, o->io, f->dir, o->threads, o->features,
			r, e))
		return -1;
	find_uncovered(s->files, r);
	if (tree_compare(&f->there, s->files, !c->minisign, o->io, f->dir, o->threads, o->features,
		    r, e))
		return -1;
	m = c->minisign ? NULL : tree_find(s->files, "manifest.json");
	/* Its lineage is signed only if it is the file that was signed. */
	if (m && !r->errors && !r->unknown && signdir_manifest(f, o, m->sha256, r, e))
		return -1;
	if (o->source && !r->errors && hold_source(f, o, r, e))
		return -1;
	return 0;
}

int sign_check(const struct sign_opts *o, struct report *r, struct err *e)
{
	struct signdir f = { 0 };
	struct signed_files s = { 0 };
	struct checker c;
	struct err why = { 0 };
	int rc = -1;

	if (checker_open(&c, o, e))
		return -1;
	if (signdir_open(&f, o, USE_SIGNATURE, c.minisign ? SIGN_MINISIGN : SIGN_BUNDLE, e))
		goto out;
	if (c.minisign ? open_minisign(&s, &f, o, &c, r, &why) : open_bundle(&s, &f, o, &c, &why)) {
		report_take(r, &(struct report_place){ .file = f.sig.name }, &why);
		rc = 0;
		goto out;
	}
	if (hold_files(&s, &f, &c, o, r, e))
		goto out;
	show(&c, &s, &f, r);
	rc = 0;
out:
	statement_free(&s.st);
	signdir_close(&f, o->io);
	eckey_free(&c.ec);
	return rc;
}
