/* sha1.h -- SHA-1 of a few bytes, for names that others make with it. It protects nothing.
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

/* Returns -1 where the library of digests has none (reported). */
int sha1_of(const void *p, size_t n, uint8_t out[20], struct err *e);

#ifdef __cplusplus
}
#endif
#endif
