/* base64.h -- base64 with the standard alphabet, as signatures have it, read in one way only.
 *
 * Decoders that skip white space, take missing padding or drop stray bits give several texts for one
 * signature; here every text but the canonical one is refused.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_SIGN_BASE64_H
#define VERIFY_SIGN_BASE64_H
#include "core/text.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that n characters decode to at most. */
#define BASE64_ROOM(n) ((n) / 4 * 3)

/* out has BASE64_ROOM(n) bytes. False if s is not the one encoding of what it decodes to. */
bool base64_decode(const char *s, size_t n, uint8_t *out, size_t *bytes);
void base64_put(struct text *t, const void *p, size_t n);

#ifdef __cplusplus
}
#endif
#endif
