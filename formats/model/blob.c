/* SPDX-License-Identifier: MIT */
#include "formats/model/blob.h"

#include "core/file.h"
#include "core/hash/xxh.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

enum { SHA1_HEX = 40, SHA256_HEX = 64, PIECE = 32 << 10 };

const char *blob_of(const char *link)
{
	static const char dir[] = "../../blobs/";
	const char *hash = link + sizeof dir - 1;
	size_t n;

	if (strncmp(link, dir, sizeof dir - 1))
		return NULL;
	n = strspn(hash, "0123456789abcdef");
	return (n == SHA1_HEX || n == SHA256_HEX) && !hash[n] ? hash : NULL;
}

bool blob_is_sha256(const char *hash)
{
	return strlen(hash) == SHA256_HEX;
}

/* The digest in hex, as the name of a blob has it. */
static int digest(EVP_MD_CTX *x, const struct io *io, int fd, uint64_t size, bool sha256,
	char hex[SHA256_HEX + 1], struct err *e)
{
	uint8_t piece[PIECE], d[EVP_MAX_MD_SIZE];
	char head[32];
	int head_n = snprintf(head, sizeof head, "blob %llu", (unsigned long long)size) + 1;
	unsigned len = 0;
	uint64_t at;
	size_t n;
	bool ok = EVP_DigestInit_ex(x, sha256 ? EVP_sha256() : EVP_sha1(), NULL);

	if (ok && !sha256)
		ok = EVP_DigestUpdate(x, head, (size_t)head_n);
	for (at = 0; ok && at < size; at += n) {
		n = size - at < PIECE ? (size_t)(size - at) : PIECE;
		if (file_read(io, fd, piece, n, at, e))
			return -1;
		ok = EVP_DigestUpdate(x, piece, n);
	}
	if (!ok || !EVP_DigestFinal_ex(x, d, &len) || len * 2 > SHA256_HEX)
		return err_set(e, ERR_SYSTEM, "OpenSSL computes no %s here",
			sha256 ? "SHA-256" : "SHA-1");
	hex_of(d, len, hex);
	return 0;
}

int blob_check(const struct io *io, int fd, uint64_t size, const char *hash, const char *name,
	struct err *e)
{
	EVP_MD_CTX *x = EVP_MD_CTX_new();
	char hex[SHA256_HEX + 1];
	int rc;

	if (!x)
		return err_nomem(e);
	rc = digest(x, io, fd, size, blob_is_sha256(hash), hex, e);
	EVP_MD_CTX_free(x);
	if (rc || !strcmp(hex, hash))
		return rc;
	return err_rule(e, RULE_SOURCE_BLOB, ERR_NOPOS,
		"%s: its blob is named %s, and its %s is %s", text_quote(name).s, hash,
		blob_is_sha256(hash) ? "SHA-256" : "git SHA-1", hex);
}
