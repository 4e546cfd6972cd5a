/* SPDX-License-Identifier: MIT */
#include "verify/sign/minisign.h"

#include "verify/sign/base64.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNTRUSTED "untrusted comment: "
#define TRUSTED "trusted comment: "

/* A line of a text: its bytes, without the newline. */
struct line {
	const char *s;
	size_t n;
};

static bool next_line(const char **at, const char *end, struct line *l)
{
	const char *nl = *at < end ? memchr(*at, '\n', (size_t)(end - *at)) : NULL;

	if (*at >= end)
		return false;
	l->s = *at;
	l->n = (size_t)((nl ? nl : end) - *at);
	*at = nl ? nl + 1 : end;
	return true;
}

static bool begins(const struct line *l, const char *with)
{
	return l->n >= strlen(with) && !memcmp(l->s, with, strlen(with));
}

/* Just so many bytes in base64. */
static bool decode(const struct line *l, uint8_t *out, size_t bytes)
{
	size_t n;

	return l->n == (bytes + 2) / 3 * 4 && base64_decode(l->s, l->n, out, &n) && n == bytes;
}

/* --- keys --- */

/* The line that counts: the second where there is a comment. */
static bool key_line(const struct keyfile *f, struct line *l)
{
	const char *at = f->p, *end = f->p + f->n;
	struct line rest;

	if (!next_line(&at, end, l) || (begins(l, "untrusted comment:") && !next_line(&at, end, l)))
		return false;
	if (l->n && l->s[l->n - 1] == '\r')
		l->n--;
	while (next_line(&at, end, &rest))
		if (rest.n && !(rest.n == 1 && *rest.s == '\r'))
			return false;
	return true;
}

enum { PUBLIC = 42, PUBLIC_ROOM = 44, SECRET = 158, SECRET_ROOM = 160 };

int minisign_public(struct minisign_public *k, const struct keyfile *f, struct err *e)
{
	uint8_t b[PUBLIC_ROOM];
	struct line l;

	if (!key_line(f, &l) || !decode(&l, b, PUBLIC) || memcmp(b, "Ed", 2) != 0)
		return err_rule(e, RULE_KEY_FORM, ERR_NOPOS, "that is no public key of minisign");
	memcpy(k->id, b + 2, sizeof k->id);
	memcpy(k->key, b + 10, sizeof k->key);
	return 0;
}

struct text_number minisign_id(const struct minisign_public *k)
{
	struct text_number t;
	int i;

	for (i = 0; i < 8; i++)
		snprintf(t.s + 2 * i, 3, "%02X", k->id[7 - i]);
	return t;
}

static uint64_t le64(const uint8_t *p)
{
	uint64_t v = 0;
	int i;

	for (i = 7; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

/* N and p of scrypt for these limits, r being 8: the rule of libsodium's
 * crypto_pwhash_scryptsalsa208sha256, which minisign calls. */
static bool scrypt_cost(uint64_t ops, uint64_t mem, uint64_t *n, uint64_t *p)
{
	uint64_t max_n, max_rp;

	ops = ops < 32768 ? 32768 : ops;
	*p = 1;
	max_n = ops < mem / 32 ? ops / 32 : mem / 1024;
	for (*n = 2; *n <= max_n / 2 && *n < (uint64_t)1 << 32; *n *= 2)
		;
	if (ops >= mem / 32) {
		max_rp = ops / 4 / *n;
		*p = (max_rp > 0x3fffffff ? 0x3fffffff : max_rp) / 8;
	}
	return *p >= 1 && *p <= 64 && *n <= 1 << 20; /* 1 GiB, what minisign asks for */
}

/* b: the file's bytes; what the password hides begins at 54. */
static int open_secret(uint8_t b[SECRET_ROOM], const struct keyfile *password, struct err *e)
{
	uint8_t stream[104];
	uint64_t n, p;
	int i;

	if (!password)
		return err_rule(e, RULE_KEY_PASSWORD, ERR_NOPOS,
			"the key is encrypted and no password was given");
	if (!scrypt_cost(le64(b + 38), le64(b + 46), &n, &p))
		return err_rule(e, RULE_KEY_FORM, ERR_NOPOS,
			"the key asks for more work or memory than minisign ever does");
	if (EVP_PBE_scrypt(password->p, password->n, b + 6, 32, n, 8, p, 1100u << 20, stream,
		    sizeof stream) != 1) {
		ERR_clear_error();
		return err_set(e, ERR_SYSTEM, "scrypt with %llu MiB could not be computed",
			(unsigned long long)(n >> 10));
	}
	for (i = 0; i < 104; i++)
		b[54 + i] ^= stream[i];
	OPENSSL_cleanse(stream, sizeof stream);
	return 0;
}

static EVP_PKEY *private_of(const uint8_t seed[32])
{
	return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
}

int minisign_secret(struct minisign_secret *k, const struct keyfile *f,
	const struct keyfile *password, struct err *e)
{
	static const uint8_t plain[2] = { 0 };
	uint8_t b[SECRET_ROOM], public[32];
	size_t n = sizeof public;
	EVP_PKEY *p = NULL;
	struct line l;
	bool hidden;
	int rc = -1;

	memset(k, 0, sizeof *k);
	if (!key_line(f, &l) || !decode(&l, b, SECRET) || memcmp(b, "Ed", 2) != 0 ||
		memcmp(b + 4, "B2", 2) != 0 ||
		(memcmp(b + 2, "Sc", 2) != 0 && memcmp(b + 2, plain, 2) != 0)) {
		err_rule(e, RULE_KEY_FORM, ERR_NOPOS, "that is no secret key of minisign");
		goto out;
	}
	hidden = b[2] == 'S';
	if (hidden && open_secret(b, password, e))
		goto out;
	p = private_of(b + 62);
	if (!p || EVP_PKEY_get_raw_public_key(p, public, &n) != 1) {
		err_nomem(e);
		goto out;
	}
	if (memcmp(public, b + 94, 32) != 0) {
		err_rule(e, hidden ? RULE_KEY_PASSWORD : RULE_KEY_FORM, ERR_NOPOS,
			hidden ? "the password does not open the key"
			       : "the two halves of the key do not belong together");
		goto out;
	}
	memcpy(k->pub.id, b + 54, 8);
	memcpy(k->pub.key, public, 32);
	memcpy(k->seed, b + 62, 32);
	rc = 0;
out:
	OPENSSL_cleanse(b, sizeof b);
	EVP_PKEY_free(p);
	return rc;
}

void minisign_secret_free(struct minisign_secret *k)
{
	OPENSSL_cleanse(k, sizeof *k);
}

/* --- signatures --- */

/* The signature and the comment that the second signature is of. */
struct global {
	uint8_t b[64 + MINISIGN_COMMENT];
	size_t n;
};

static void global_of(struct global *g, const uint8_t sig[64], const char *comment, size_t n)
{
	memcpy(g->b, sig, 64);
	memcpy(g->b + 64, comment, n);
	g->n = 64 + n;
}

static bool sign(EVP_PKEY *k, const void *p, size_t n, uint8_t sig[64])
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	size_t got = 64;
	bool ok = c && EVP_DigestSignInit(c, NULL, NULL, NULL, k) == 1 &&
		EVP_DigestSign(c, sig, &got, p, n) == 1 && got == 64;

	EVP_MD_CTX_free(c);
	return ok;
}

static bool verify(EVP_PKEY *k, const void *p, size_t n, const uint8_t sig[64])
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	bool ok = c && EVP_DigestVerifyInit(c, NULL, NULL, NULL, k) == 1 &&
		EVP_DigestVerify(c, sig, 64, p, n) == 1;

	EVP_MD_CTX_free(c);
	ERR_clear_error();
	return ok;
}

static bool blake2b(const void *p, size_t n, uint8_t out[64])
{
	return EVP_Digest(p, n, out, NULL, EVP_blake2b512(), NULL) == 1;
}

int minisign_sign(struct text *out, const struct minisign_secret *k, const void *p, size_t n,
	const char *comment, struct err *e)
{
	uint8_t hash[64], blob[74], last[64];
	size_t len = strnlen(comment, MINISIGN_COMMENT);
	EVP_PKEY *key = private_of(k->seed);
	struct global g;
	bool ok = key && blake2b(p, n, hash) && sign(key, hash, sizeof hash, blob + 10);

	if (ok) {
		global_of(&g, blob + 10, comment, len);
		ok = sign(key, g.b, g.n, last);
	}
	EVP_PKEY_free(key);
	if (!ok)
		return err_set(e, ERR_SYSTEM, "the signature could not be computed");
	memcpy(blob, "ED", 2);
	memcpy(blob + 2, k->pub.id, 8);
	text_fmt(out, UNTRUSTED "signature by minisign key %s\n", minisign_id(&k->pub).s);
	base64_put(out, blob, sizeof blob);
	text_fmt(out, "\n" TRUSTED "%.*s\n", (int)len, comment);
	base64_put(out, last, sizeof last);
	text_str(out, "\n");
	return out->failed ? err_nomem(e) : 0;
}

/* The four lines, taken apart. */
struct parts {
	uint8_t blob[76], last[66];
	struct line comment;
};

static int take_apart(struct parts *t, const struct text *sig, struct err *e)
{
	const char *at = sig->s, *end = sig->s + sig->n;
	struct line l[5];
	int n = 0;

	while (n < 5 && next_line(&at, end, &l[n]))
		n++;
	if (n != 4 || !begins(&l[0], UNTRUSTED) || !begins(&l[2], TRUSTED))
		return err_rule(e, RULE_SIG_FORM, ERR_NOPOS,
			"that is not the four lines of a signature by minisign");
	if (!decode(&l[1], t->blob, 74) || !decode(&l[3], t->last, 64))
		return err_rule(e, RULE_SIG_BASE64, ERR_NOPOS, "line %d is no signature in base64",
			decode(&l[1], t->blob, 74) ? 4 : 2);
	t->comment.s = l[2].s + sizeof TRUSTED - 1;
	t->comment.n = l[2].n - (sizeof TRUSTED - 1);
	if (t->comment.n > MINISIGN_COMMENT || memchr(t->comment.s, 0, t->comment.n))
		return err_rule(e, RULE_SIG_FORM, ERR_NOPOS,
			"the trusted comment is too long, or has a NUL in it");
	if (!memcmp(t->blob, "Ed", 2))
		return err_rule(e, RULE_SIG_LEGACY, ERR_NOPOS,
			"a signature of minisign's old form, which does not hash first");
	if (memcmp(t->blob, "ED", 2) != 0)
		return err_rule(e, RULE_SIG_FORM, ERR_NOPOS,
			"a signature of a kind that minisign does not have");
	return 0;
}

int minisign_verify(const struct minisign_public *k, const struct text *sig, const void *p,
	size_t n, char *comment, struct err *e)
{
	uint8_t hash[64];
	struct parts t;
	struct global g;
	EVP_PKEY *key;
	bool main_, last;

	if (take_apart(&t, sig, e))
		return -1;
	if (memcmp(t.blob + 2, k->id, 8) != 0) {
		struct minisign_public other = { { 0 }, { 0 } };

		memcpy(other.id, t.blob + 2, 8);
		return err_rule(e, RULE_SIG_OTHER_KEY, ERR_NOPOS,
			"signed with key %s, the key given is %s", minisign_id(&other).s,
			minisign_id(k).s);
	}
	key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, k->key, 32);
	if (!key || !blake2b(p, n, hash)) {
		EVP_PKEY_free(key);
		return err_nomem(e);
	}
	global_of(&g, t.blob + 10, t.comment.s, t.comment.n);
	main_ = verify(key, hash, sizeof hash, t.blob + 10);
	last = main_ && verify(key, g.b, g.n, t.last);
	EVP_PKEY_free(key);
	if (!main_)
		return err_rule(e, RULE_SIG_WRONG, ERR_NOPOS,
			"the signature is not one of this key over this text");
	if (!last)
		return err_rule(e, RULE_SIG_COMMENT, ERR_NOPOS,
			"the trusted comment is not the one that was signed");
	memcpy(comment, t.comment.s, t.comment.n);
	comment[t.comment.n] = 0;
	return 0;
}
