/* xxh.h -- running XXH3-128: fast, for finding damage and its place. Not for adversaries; that is
 * sha256.h. libxxhash does the work and picks its fastest code for the processor.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_HASH_XXH_H
#define CORE_HASH_XXH_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A digest in canonical (big-endian) order; printed as hex it is what xxhsum -H2 prints. */
struct xxh_digest {
	uint8_t b[16];
};
struct xxh; /* a running digest */

struct xxh *xxh_new(void); /* NULL when memory is out; reset already */
void xxh_free(struct xxh *x);
void xxh_reset(struct xxh *x);
void xxh_update(struct xxh *x, const void *p, size_t n);
struct xxh_digest xxh_final(const struct xxh *x); /* x may go on */
struct xxh_digest xxh_of(const void *p, size_t n);

/* A file of total bytes in chunks of chunk bytes, the last one shorter: takes n of its bytes, which begin at byte at and
 * follow those of the last call, and writes the digest of each chunk that ends in them to out[its number]. x is reset at
 * the beginning of a chunk. */
void xxh_chunks(struct xxh *x, uint64_t total, uint64_t chunk, uint64_t at, const void *p, size_t n,
	struct xxh_digest *out);

/* n bytes as 2n lower-case hex digits and a NUL. */
void hex_of(const uint8_t *p, size_t n, char *out);
/* The other way; false unless s begins with 2n hex digits of either case. */
bool hex_to(const char *s, uint8_t *out, size_t n);

#ifdef __cplusplus
}
#endif
#endif
