/* eckey.h -- ECDSA keys on the curves that OpenSSF Model Signing takes, and signatures with them.
 *
 *	P-256 with SHA-256, P-384 with SHA-384, P-521 with SHA-512; signatures in DER
 *
 * All arithmetic is OpenSSL's.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_SIGN_ECKEY_H
#define VERIFY_SIGN_ECKEY_H
#include "core/err.h"
#include "verify/sign/keyfile.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { ECKEY_SIG_MAX = 160, ECKEY_HINT = 64 };

struct eckey {
	void *pkey;                /* owns */
	const char *curve;         /* static */
	char hint[ECKEY_HINT + 1]; /* SHA-256 of the public key as PEM, in hex */
};
/* PEM. password NULL: there is none. */
int eckey_private(struct eckey *k, const struct keyfile *pem, const struct keyfile *password,
	struct err *e);
int eckey_public(struct eckey *k, const struct keyfile *pem, struct err *e);
void eckey_free(struct eckey *k);

/* Of head followed by body. */
struct eckey_text {
	const void *head, *body;
	size_t head_n, body_n;
};
int eckey_sign(const struct eckey *k, const struct eckey_text *t, uint8_t sig[ECKEY_SIG_MAX],
	size_t *n, struct err *e);
/* sig.wrong if it is not this key's signature of this text. */
int eckey_verify(const struct eckey *k, const struct eckey_text *t, const uint8_t *sig, size_t n,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
