/* SPDX-License-Identifier: MIT */
#include "formats/blob.h"

#include "core/file.h"
#include "core/hash/hash_file.h"
#include "core/hash/xxh.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

enum { SHA1 = 20, SHA256 = 32, SHA1_HEX = 2 * SHA1, SHA256_HEX = 2 * SHA256, PIECE = 32 << 10 };

const char *blob_of(const char *link, unsigned depth)
{
	static const char up[] = "../", blobs[] = "blobs/";
	size_t n;

	for (depth += 2; depth; depth--, link += sizeof up - 1)
		if (strncmp(link, up, sizeof up - 1))
			return NULL;
	if (strncmp(link, blobs, sizeof blobs - 1))
		return NULL;
	link += sizeof blobs - 1;
	n = strspn(link, "0123456789abcdef");
	return (n == SHA1_HEX || n == SHA256_HEX) && !link[n] ? link : NULL;
}

bool blob_is_sha256(const char *hash)
{
	return strlen(hash) == SHA256_HEX;
}

/* git's digest of a file. */
static int sha1(EVP_MD_CTX *x, const struct io *io, int fd, uint64_t size, uint8_t d[SHA1],
	struct err *e)
{
	uint8_t piece[PIECE];
	char head[32];
	int head_n = snprintf(head, sizeof head, "blob %llu", (unsigned long long)size) + 1;
	uint64_t at;
	size_t n;
	bool ok = EVP_DigestInit_ex(x, EVP_sha1(), NULL) &&
		EVP_DigestUpdate(x, head, (size_t)head_n); /* with its NUL */

	for (at = 0; ok && at < size; at += n) {
		n = size - at < PIECE ? (size_t)(size - at) : PIECE;
		if (file_read(io, fd, piece, n, at, e))
			return -1;
		ok = EVP_DigestUpdate(x, piece, n);
	}
	if (!ok || !EVP_DigestFinal_ex(x, d, NULL))
		return err_set(e, ERR_SYSTEM, "OpenSSL computes no SHA-1 here");
	return 0;
}

/* The digest in hex, as the name of a blob has it. */
static int digest(const struct io *io, int fd, uint64_t size, bool sha256, char hex[SHA256_HEX + 1],
	struct err *e)
{
	uint8_t d[SHA256];
	EVP_MD_CTX *x;
	int rc;

	if (sha256) {
		rc = hash_file(io, fd, size, NULL, d, e);
	} else {
		x = EVP_MD_CTX_new();
		rc = x ? sha1(x, io, fd, size, d, e) : err_nomem(e);
		EVP_MD_CTX_free(x);
	}
	if (!rc)
		hex_of(d, sha256 ? SHA256 : SHA1, hex);
	return rc;
}

int blob_check(const struct io *io, int fd, uint64_t size, const char *hash, const char *name,
	struct err *e)
{
	char hex[SHA256_HEX + 1];

	if (digest(io, fd, size, blob_is_sha256(hash), hex, e))
		return -1;
	if (!strcmp(hex, hash))
		return 0;
	return err_rule(e, RULE_SOURCE_BLOB, ERR_NOPOS,
		"%s: its blob is named %s, and its %s is %s", text_quote(name).s, hash,
		blob_is_sha256(hash) ? "SHA-256" : "git SHA-1", hex);
}
