/* SPDX-License-Identifier: MIT */
#include "verify/sign/eckey.h"

#include "core/hash/sha256.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

struct curve {
	const char *openssl, *name, *digest;
};
static const struct curve curves[] = {
	{ "prime256v1", "P-256", "SHA256" },
	{ "secp384r1", "P-384", "SHA384" },
	{ "secp521r1", "P-521", "SHA512" },
};

static const struct curve *curve_of(EVP_PKEY *p)
{
	char group[64];
	size_t i, n;

	if (EVP_PKEY_get_base_id(p) != EVP_PKEY_EC ||
		!EVP_PKEY_get_group_name(p, group, sizeof group, &n))
		return NULL;
	for (i = 0; i < sizeof curves / sizeof *curves; i++)
		if (!strcmp(group, curves[i].openssl))
			return &curves[i];
	return NULL;
}

/* The hint is of the text, not of the DER, with the point uncompressed and the curve by name. */
static int make_hint(struct eckey *k, struct err *e)
{
	static const char hex[] = "0123456789abcdef";
	BIO *b = BIO_new(BIO_s_mem());
	uint8_t sha256[32];
	char *p;
	long n;
	int i, rc = -1;

	if (!b ||
		!EVP_PKEY_set_utf8_string_param(k->pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
			"uncompressed") ||
		!EVP_PKEY_set_utf8_string_param(k->pkey, OSSL_PKEY_PARAM_EC_ENCODING,
			OSSL_PKEY_EC_ENCODING_GROUP) ||
		!PEM_write_bio_PUBKEY(b, k->pkey) || (n = BIO_get_mem_data(b, &p)) <= 0) {
		err_nomem(e);
	} else {
		rc = sha256_of(p, (size_t)n, sha256, e);
		for (i = 0; i < 32; i++) {
			k->hint[2 * i] = hex[sha256[i] >> 4];
			k->hint[2 * i + 1] = hex[sha256[i] & 15];
		}
		k->hint[ECKEY_HINT] = 0;
	}
	BIO_free(b);
	return rc;
}

struct asked {
	const struct keyfile *password;
	bool was;
};

/* OpenSSL asks for the password; without one it would ask the terminal. */
static int give_password(char *buf, int room, int writing, void *ctx)
{
	struct asked *a = ctx;

	(void)writing;
	a->was = true;
	if (!a->password || room < 0 || a->password->n > (size_t)room)
		return -1;
	memcpy(buf, a->password->p, a->password->n);
	return (int)a->password->n;
}

static int finish(struct eckey *k, struct err *e)
{
	const struct curve *c = curve_of(k->pkey);

	if (!c) {
		err_rule(e, RULE_KEY_CURVE, ERR_NOPOS,
			"the key is not on one of the curves P-256, P-384 and P-521");
		eckey_free(k);
		return -1;
	}
	k->curve = c->name;
	if (make_hint(k, e)) {
		eckey_free(k);
		return -1;
	}
	return 0;
}

static int read_pem(struct eckey *k, const struct keyfile *pem, struct asked *a, bool private,
	struct err *e)
{
	BIO *b = BIO_new_mem_buf(pem->p, (int)pem->n);

	memset(k, 0, sizeof *k);
	if (!b)
		return err_nomem(e);
	k->pkey = private ? PEM_read_bio_PrivateKey(b, NULL, give_password, a)
			  : PEM_read_bio_PUBKEY(b, NULL, give_password, a);
	BIO_free(b);
	ERR_clear_error();
	if (k->pkey)
		return finish(k, e);
	if (a->was)
		return err_rule(e, RULE_KEY_PASSWORD, ERR_NOPOS,
			a->password ? "the password does not open the key"
				    : "the key is encrypted and no password was given");
	return err_rule(e, RULE_KEY_FORM, ERR_NOPOS, "that is no %s key in PEM",
		private ? "private" : "public");
}

int eckey_private(struct eckey *k, const struct keyfile *pem, const struct keyfile *password,
	struct err *e)
{
	struct asked a = { .password = password };

	return read_pem(k, pem, &a, true, e);
}

int eckey_public(struct eckey *k, const struct keyfile *pem, struct err *e)
{
	struct asked a = { 0 };

	return read_pem(k, pem, &a, false, e);
}

void eckey_free(struct eckey *k)
{
	EVP_PKEY_free(k->pkey);
	memset(k, 0, sizeof *k);
}

int eckey_sign(const struct eckey *k, const struct eckey_text *t, uint8_t sig[ECKEY_SIG_MAX],
	size_t *n, struct err *e)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	const char *digest = curve_of(k->pkey)->digest;
	int ok;

	*n = ECKEY_SIG_MAX;
	ok = c && EVP_DigestSignInit_ex(c, NULL, digest, NULL, NULL, k->pkey, NULL) == 1 &&
		EVP_DigestSignUpdate(c, t->head, t->head_n) == 1 &&
		EVP_DigestSignUpdate(c, t->body, t->body_n) == 1 &&
		EVP_DigestSignFinal(c, sig, n) == 1;
	EVP_MD_CTX_free(c);
	ERR_clear_error();
	return ok ? 0 : err_set(e, ERR_SYSTEM, "the signature could not be computed");
}

int eckey_verify(const struct eckey *k, const struct eckey_text *t, const uint8_t *sig, size_t n,
	struct err *e)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	const char *digest = curve_of(k->pkey)->digest;
	bool begun = c &&
		EVP_DigestVerifyInit_ex(c, NULL, digest, NULL, NULL, k->pkey, NULL) == 1 &&
		EVP_DigestVerifyUpdate(c, t->head, t->head_n) == 1 &&
		EVP_DigestVerifyUpdate(c, t->body, t->body_n) == 1;
	bool true_ = begun && EVP_DigestVerifyFinal(c, sig, n) == 1;

	EVP_MD_CTX_free(c);
	ERR_clear_error();
	if (!begun)
		return err_nomem(e);
	if (!true_)
		return err_rule(e, RULE_SIG_WRONG, ERR_NOPOS,
			"the signature is not one of this key over this text");
	return 0;
}
