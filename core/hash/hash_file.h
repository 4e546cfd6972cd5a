/* hash_file.h -- SHA-256 of an open file.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_HASH_HASH_FILE_H
#define CORE_HASH_HASH_FILE_H
#include "core/hash/sha256.h"
#include "core/io.h"

#ifdef __cplusplus
extern "C" {
#endif

/* SHA-256 of the first size bytes of fd. kit may be NULL: the stream goes through EVP. Returns -1 if the file has
 * fewer bytes or cannot be read. */
int hash_file(const struct io *io, int fd, uint64_t size, const struct sha256_kit *kit,
	uint8_t sha[32], struct err *e);

#ifdef __cplusplus
}
#endif
#endif
