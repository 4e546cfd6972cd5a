/* sha1.h -- SHA-1 of OpenSSL, for names that other programs make with it. It protects nothing.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_HASH_SHA1_H
#define CORE_HASH_SHA1_H
#include "core/err.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes the digest of the n bytes at p to out. Returns 0, or -1 where libcrypto does not offer SHA-1 (ERR_UNSUPPORTED). */
int sha1_of(const void *p, size_t n, uint8_t out[20], struct err *e);

#ifdef __cplusplus
}
#endif
#endif
