/* sha256.h -- running SHA-256 of several streams at once.
 *
 * One SHA-256 is a chain: each step waits for the one before, so a core with SHA instructions
 * idles. Several streams in lockstep fill the gaps. OpenSSL (EVP) is the meaning and the fallback;
 * each other row of the table is tested equal to it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_SHA256_H
#define CORE_SHA256_H
#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SHA256_LANES = 4 };

/* A way to compute it. Ends with a NULL name; the first usable row is the one to take. */
struct sha256_impl {
	const char *name;
	unsigned need; /* bits of enum cpu_feature */
	/* Folds nblocks blocks of 64 bytes from each p[i] into state[i], i < lanes <= SHA256_LANES.
	 * NULL: through EVP, stream by stream. */
	void (*blocks)(uint32_t (*state)[8], const uint8_t *const *p, size_t nblocks,
		unsigned lanes);
};
extern const struct sha256_impl sha256_impls[];
/* The first row that a processor with these features can run. */
const struct sha256_impl *sha256_best(unsigned features);

struct sha256 {
	const struct sha256_impl *impl;
	void *evp; /* owns, NULL unless impl goes through EVP */
	uint32_t h[8];
	uint64_t bytes;
	uint8_t tail[64]; /* bytes % 64 of them wait for the rest of their block */
};
/* Zeroed = none. A failed init leaves none. */
int sha256_init(struct sha256 *s, const struct sha256_impl *impl, struct err *e);
/* n bytes of data[i] into s[i], for i < lanes (any number). Fast where all streams are at a
 * multiple of 64 bytes, right in any case. All streams have the same impl. */
int sha256_update(struct sha256 *const *s, const void *const *data, size_t n, unsigned lanes,
	struct err *e);
/* Ends the stream and frees what it owns. */
int sha256_final(struct sha256 *s, uint8_t out[32], struct err *e);
void sha256_free(struct sha256 *s);
/* One buffer, through EVP. */
int sha256_of(const void *p, size_t n, uint8_t out[32], struct err *e);

/* SHA-NI (sha256_x86.c) or NULL rows (sha256_none.c). */
void sha256_blocks_shani(uint32_t (*state)[8], const uint8_t *const *p, size_t nblocks,
	unsigned lanes);

#ifdef __cplusplus
}
#endif
#endif
