/* SPDX-License-Identifier: MIT */
#include "core/hash/hash_file.h"

#include "core/file.h"

#include <stdlib.h>

/* From 64 KiB on a read costs no less for each byte, and the piece stays in a core's cache. */
enum { PIECE = 64 << 10 };

int hash_file(const struct io *io, int fd, uint64_t size, const struct sha256_kit *kit,
	uint8_t sha[32], struct err *e)
{
	struct sha256 s = { 0 }, *one = &s;
	uint8_t *buf = malloc(PIECE);
	const void *p = buf;
	uint64_t at;
	size_t n;
	int rc = -1;

	if (!buf)
		return err_nomem(e);
	if (sha256_init(&s, kit, e))
		goto out;
	for (at = 0; at < size; at += n) {
		n = size - at < PIECE ? (size_t)(size - at) : PIECE;
		if (file_read(io, fd, buf, n, at, e) || sha256_update(&one, &p, n, 1, e))
			goto out;
	}
	rc = sha256_final(&s, sha, e);
out:
	sha256_free(&s);
	free(buf);
	return rc;
}
