/* SPDX-License-Identifier: MIT */
#include "verify/sign/sign.h"

#include "core/hash/sha256.h"
#include "core/hash/xxh.h"
#include "verify/sign/bundle.h"
#include "verify/sign/minisign.h"
#include "verify/sign/provenance.h"
#include "verify/sign/signdir.h"
#include "verify/sign/statement.h"

#include <stdio.h>
#include <string.h>

/* What the folder is called, for people: the last part of the path; nothing is proved by it. */
static void subject_of(const char *path, char name[256])
{
	size_t n = strlen(path), from;

	while (n > 1 && path[n - 1] == '/')
		n--;
	for (from = n; from > 0 && path[from - 1] != '/'; from--)
		;
	snprintf(name, 256, "%.*s", (int)(n - from < 200 ? n - from : 200), path + from);
	if (!tree_plain(name, strlen(name)) || strchr(name, '/'))
		snprintf(name, 256, "model");
}

/* One of the two kinds of secret. */
struct signer {
	bool minisign;
	struct eckey ec;
	struct minisign_secret ed;
};

static bool looks_minisign(const struct keyfile *k)
{
	return k->n < 10 || memcmp(k->p, "-----BEGIN", 10) != 0;
}

/* Of attest: whether the statement is SLSA provenance. */
static bool is_slsa(const struct sign_opts *o)
{
	return o->format && !strcmp(o->format, "slsa");
}

static int choose(const struct sign_opts *o, bool minisign, struct err *e)
{
	bool statement = o->format && (is_slsa(o) || !strcmp(o->format, "conversion"));

	if (o->format && !statement && !strcmp(o->format, "minisign") != minisign)
		return err_rule(e, RULE_KEY_FORM, ERR_NOPOS, "that is a key for %s, not for %s",
			minisign ? "minisign" : "model-signing", o->format);
	return 0;
}

static int signer_open(struct signer *s, const struct sign_opts *o, struct err *e)
{
	struct keyfile key = { 0 }, password = { 0 };
	bool has = o->password.path || o->password.fd >= 0;
	int rc = -1;

	memset(s, 0, sizeof *s);
	if (keyfile_read(&key, o->io, &o->key, true, e))
		return err_at(e, "the key");
	if (has && keyfile_read(&password, o->io, &o->password, true, e)) {
		err_at(e, "the password");
		goto out;
	}
	if (has)
		keyfile_first_line(&password);
	s->minisign = looks_minisign(&key);
	if (choose(o, s->minisign, e))
		goto out;
	rc = s->minisign ? minisign_secret(&s->ed, &key, has ? &password : NULL, e)
			 : eckey_private(&s->ec, &key, has ? &password : NULL, e);
out:
	keyfile_free(&key);
	keyfile_free(&password);
	return rc;
}

static void signer_close(struct signer *s)
{
	eckey_free(&s->ec);
	minisign_secret_free(&s->ed);
}

/* The trusted comment has no time in it: the same folder gets the same signature again. */
static int put_minisign(struct text *out, const struct signdir *f, const struct signer *s,
	struct err *e)
{
	char comment[MINISIGN_COMMENT + 1], hex[65];
	uint8_t sha256[32];

	if (sha256_of(f->manifest.s, f->manifest.n, sha256, e))
		return -1;
	hex_of(sha256, sizeof sha256, hex);
	snprintf(comment, sizeof comment, "dsv4 manifest sha256:%s target:%s plan:%s", hex,
		text_quote(f->lineage.target).s, text_quote(f->lineage.plan).s);
	return minisign_sign(out, &s->ed, f->manifest.s, f->manifest.n, comment, e);
}

static int put_bundle(struct text *out, const struct signdir *f, const struct sign_opts *o,
	const struct signer *s, struct err *e)
{
	struct text payload = { 0 };
	char subject[256];
	int rc;

	subject_of(o->dir, subject);
	rc = statement_put_signing(&payload, subject, &f->there, f->sig.inside ? f->sig.name : NULL,
		     e) ||
		bundle_put(out, &payload, &s->ec, e);
	text_free(&payload);
	return rc ? -1 : 0;
}

static void show_signer(const struct signer *s, struct report *r)
{
	report_row(r, "signature", "format", 0, 0,
		s->minisign ? "minisign" : "OpenSSF Model Signing v1.0");
	report_row(r, "signature", "key", 0, 0,
		s->minisign ? minisign_id(&s->ed.pub).s : s->ec.hint);
}

int sign_make(const struct sign_opts *o, struct report *r, struct err *e)
{
	struct signdir f = { 0 };
	struct text out = { 0 };
	struct signer s;
	int rc = -1;

	if (signer_open(&s, o, e))
		return -1;
	if (signdir_open(&f, o, USE_SIGN, s.minisign ? SIGN_MINISIGN : SIGN_BUNDLE, e) ||
		sigfile_try(&f.sig, o->io, o->overwrite, e) ||
		signdir_take(&f, o, s.minisign, r, e))
		goto out;
	if (r->errors || r->unknown) {
		rc = 0;
		goto out;
	}
	if (s.minisign ? put_minisign(&out, &f, &s, e) : put_bundle(&out, &f, o, &s, e))
		goto out;
	if (sigfile_put(&f.sig, o->io, &out, o->overwrite, e))
		goto out;
	report_row(r, "signature", "written", 0, out.n, text_quote(f.sig.name).s);
	show_signer(&s, r);
	signdir_show(&f.there, r);
	lineage_show(&f.lineage, r);
	rc = 0;
out:
	signdir_close(&f, o->io);
	signer_close(&s);
	text_free(&out);
	return rc;
}

/* The statement that was asked for. */
static int put_statement(struct text *out, const struct signdir *f, const struct sign_opts *o,
	bool slsa, struct err *e)
{
	char subject[256];

	subject_of(o->dir, subject);
	return slsa ? provenance_put(out, subject, &f->there, &f->lineage, e)
		    : statement_put_conversion(out, &f->there, &f->lineage, e);
}

int sign_attest(const struct sign_opts *o, struct report *r, struct err *e)
{
	bool signs = o->key.path || o->key.fd >= 0, slsa = is_slsa(o);
	struct signdir f = { 0 };
	struct text out = { 0 }, payload = { 0 };
	struct signer s = { 0 };
	int rc = -1;

	if (signs && signer_open(&s, o, e))
		return -1;
	if (s.minisign) {
		err_rule(e, RULE_KEY_FORM, ERR_NOPOS,
			"a statement is signed with a PEM key on an elliptic curve");
		goto out;
	}
	if (signdir_open(&f, o, USE_ATTEST, "", e) || sigfile_try(&f.sig, o->io, o->overwrite, e) ||
		signdir_take(&f, o, !slsa, r, e))
		goto out;
	if (!f.lineage.known && !r->errors && !r->unknown)
		report_add(r, RULE_SIG_UNCOVERED, NULL,
			"there is no manifest.json of dsv4-convert, which would say what it was made of");
	if (r->errors || r->unknown) {
		rc = 0;
		goto out;
	}
	if (put_statement(&payload, &f, o, slsa, e))
		goto out;
	if (signs && bundle_put(&out, &payload, &s.ec, e))
		goto out;
	if (sigfile_put(&f.sig, o->io, signs ? &out : &payload, o->overwrite, e))
		goto out;
	report_row(r, "signature", "written", 0, signs ? out.n : payload.n,
		text_quote(f.sig.name).s);
	if (signs)
		show_signer(&s, r);
	signdir_show(&f.there, r);
	lineage_show(&f.lineage, r);
	rc = 0;
out:
	signdir_close(&f, o->io);
	signer_close(&s);
	text_free(&out);
	text_free(&payload);
	return rc;
}
