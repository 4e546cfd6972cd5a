/* sha256.h -- running SHA-256 of several streams at once.
 *
 * One SHA-256 is a chain: each step waits for the one before, so a core idles. Several streams in
 * lockstep fill the gaps, with SHA instructions (up to 4 streams) or one stream in each 32-bit lane
 * of a vector (8 or 16). Which is fastest for how many streams differs between processors, so a kit
 * measures it once, in half a millisecond, among the ways that give known answers on this processor.
 * OpenSSL (EVP) is the meaning and the fallback; every way is tested equal to it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_HASH_SHA256_H
#define CORE_HASH_SHA256_H
#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SHA256_LANES = 16 };

/* A way to compute it; the table ends with a NULL name. */
struct sha256_way {
	const char *name;
	unsigned need;  /* bits of enum cpu_feature */
	unsigned lanes; /* most streams at a time */
	/* Folds nblocks blocks of 64 bytes from each p[i] into state[i], 1 <= n <= lanes streams. */
	void (*blocks)(uint32_t (*state)[8], const uint8_t *const *p, size_t nblocks, unsigned n);
};
extern const struct sha256_way sha256_ways[];

/* What to use when n streams are to be advanced; NULL: EVP, stream by stream. Read-only once made. */
struct sha256_kit {
	const struct sha256_way *way[SHA256_LANES + 1];
};
/* Makes a kit that does everything through EVP. */
void sha256_kit_evp(struct sha256_kit *k);
/* Makes a kit that does everything in one way. */
void sha256_kit_only(struct sha256_kit *k, const struct sha256_way *w);
/* Makes a kit of the fastest way for each number of streams among those that are right and need no more features. */
void sha256_kit_best(struct sha256_kit *k, unsigned features);
/* Does the same with another table, for tests. */
void sha256_kit_choose(struct sha256_kit *k, const struct sha256_way *ways, unsigned features);
/* Whether a way gives the known answers, for each number of streams that it takes, whichever of them differs. */
bool sha256_way_right(const struct sha256_way *w);

struct sha256 {
	const struct sha256_kit *kit; /* borrows */
	void *evp;                    /* owns, NULL unless the kit is EVP */
	uint32_t h[8];
	uint64_t bytes;
	uint8_t tail[64]; /* bytes % 64 of them wait for the rest of their block */
};
/* Zeroed = none. A failed init leaves none. kit may be NULL: the stream goes through EVP. */
int sha256_init(struct sha256 *s, const struct sha256_kit *kit, struct err *e);
/* Digests n bytes of data[i] into s[i], for i < lanes <= SHA256_LANES. Fast where all streams are at a
 * multiple of 64 bytes, right in any case. All streams have the same kit. */
int sha256_update(struct sha256 *const *s, const void *const *data, size_t n, unsigned lanes,
	struct err *e);
/* A piece of one stream. */
struct sha256_piece {
	struct sha256 *s;
	const void *p;
	size_t n;
};
/* Digests n <= SHA256_LANES pieces of as many streams, in lockstep as far as each of them reaches. All streams have the
 * same kit. */
int sha256_pieces(const struct sha256_piece *pieces, unsigned n, struct err *e);
/* Ends the stream and frees what it owns. */
int sha256_final(struct sha256 *s, uint8_t out[32], struct err *e);
void sha256_free(struct sha256 *s);
/* Digests one buffer, through EVP. */
int sha256_of(const void *p, size_t n, uint8_t out[32], struct err *e);

/* FIPS 180-4, 4.2.2. */
extern const uint32_t sha256_k[64];
/* sha256_x86.c and sha256_avx512.c, or sha256_none.c. */
void sha256_blocks_shani(uint32_t (*state)[8], const uint8_t *const *p, size_t nblocks, unsigned n);
void sha256_blocks_x8(uint32_t (*state)[8], const uint8_t *const *p, size_t nblocks, unsigned n);
void sha256_blocks_x16(uint32_t (*state)[8], const uint8_t *const *p, size_t nblocks, unsigned n);

#ifdef __cplusplus
}
#endif
#endif
