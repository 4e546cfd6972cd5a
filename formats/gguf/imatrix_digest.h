/* imatrix_digest.h -- which file of importance it was: what a manifest has of it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_GGUF_IMATRIX_DIGEST_H
#define FORMATS_GGUF_IMATRIX_DIGEST_H
#include "formats/gguf/imatrix.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Writes the SHA-256 of the open file in hex. Returns 0, or -1 where it cannot be read. */
int imatrix_digest(const struct imatrix *m, char hex[65], struct err *e);

#ifdef __cplusplus
}
#endif
#endif
