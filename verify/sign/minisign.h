/* minisign.h -- minisign's keys and signatures: Ed25519 over BLAKE2b-512 of the text, and over the trusted
 * comment.
 *
 *	untrusted comment: ...
 *	base64("ED" key id[8] signature[64])             of BLAKE2b-512(text)
 *	trusted comment: ...
 *	base64(signature[64])                            of the signature above and the trusted comment
 *
 * A secret key lies in its file as it is, or under a stream that scrypt makes of a password. All arithmetic
 * is OpenSSL's. Whether a password was right is seen by deriving the public half of what it opened; the
 * checksum in the file (BLAKE2b-256, which OpenSSL 3.0 lacks) is not looked at.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_SIGN_MINISIGN_H
#define VERIFY_SIGN_MINISIGN_H
#include "core/err.h"
#include "core/text.h"
#include "verify/sign/keyfile.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { MINISIGN_CAP = 16 << 10, MINISIGN_COMMENT = 1024 };

struct minisign_public {
	uint8_t id[8], key[32];
};
struct minisign_secret {
	struct minisign_public pub;
	uint8_t seed[32];
};
/* A file of two lines, or the second line alone. */
int minisign_public(struct minisign_public *k, const struct keyfile *f, struct err *e);
/* password NULL: there is none. */
int minisign_secret(struct minisign_secret *k, const struct keyfile *f,
	const struct keyfile *password, struct err *e);
void minisign_secret_free(struct minisign_secret *k);
/* The key id as minisign prints it. */
struct text_number minisign_id(const struct minisign_public *k);

/* Puts the signature of n bytes. The comment is one line of at most MINISIGN_COMMENT bytes. */
int minisign_sign(struct text *out, const struct minisign_secret *k, const void *p, size_t n,
	const char *comment, struct err *e);
/* comment has MINISIGN_COMMENT + 1 bytes and gets the trusted comment once it was found true. */
int minisign_verify(const struct minisign_public *k, const struct text *sig, const void *p,
	size_t n, char *comment, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
