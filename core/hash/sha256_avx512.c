/* sha256_avx512.c -- one stream in each 32-bit lane: 8 streams in 256-bit vectors, 16 in 512-bit.
 *
 * The message words of a block are transposed so that word i of all streams is one vector; then a
 * round is the same few instructions for all of them, with VPTERNLOG for the Boolean functions of
 * FIPS 180-4, 4.1.2 (0x96: x^y^z, 0xca: Ch, 0xe8: Maj). Fewer streams than lanes: the others fold the
 * first one's data into states that nobody looks at.
 *
 * SPDX-License-Identifier: MIT */
#include "core/hash/sha256.h"

#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl")))

/* Rounds for the vectors a..h and w[16] of one width; P is the prefix of its intrinsics. */
#define XOR3(P, x, y, z) P##_ternarylogic_epi32(x, y, z, 0x96)
#define SUM(P, x, i, j, k) XOR3(P, P##_ror_epi32(x, i), P##_ror_epi32(x, j), P##_ror_epi32(x, k))
#define SIG(P, x, i, j, k) XOR3(P, P##_ror_epi32(x, i), P##_ror_epi32(x, j), P##_srli_epi32(x, k))
#define ADD(P, x, y) P##_add_epi32(x, y)
#define ROUND(P, a, b, c, d, e, f, g, h, i)                                                   \
	do {                                                                                  \
		t = ADD(P, w[(i)&15], P##_set1_epi32((int)sha256_k[i]));                      \
		t = ADD(P, t, P##_ternarylogic_epi32(e, f, g, 0xca));                         \
		t = ADD(P, t, ADD(P, h, SUM(P, e, 6, 11, 25)));                               \
		d = ADD(P, d, t);                                                             \
		h = ADD(P, t,                                                                 \
			ADD(P, SUM(P, a, 2, 13, 22), P##_ternarylogic_epi32(a, b, c, 0xe8))); \
		if ((i) < 48) {                                                               \
			t = ADD(P, SIG(P, w[((i) + 1) & 15], 7, 18, 3),                       \
				SIG(P, w[((i) + 14) & 15], 17, 19, 10));                      \
			w[(i)&15] = ADD(P, ADD(P, w[(i)&15], w[((i) + 9) & 15]), t);          \
		}                                                                             \
	} while (0)
#define ROUNDS8(P, i)                            \
	ROUND(P, a, b, c, d, e, f, g, h, i);     \
	ROUND(P, h, a, b, c, d, e, f, g, i + 1); \
	ROUND(P, g, h, a, b, c, d, e, f, i + 2); \
	ROUND(P, f, g, h, a, b, c, d, e, i + 3); \
	ROUND(P, e, f, g, h, a, b, c, d, i + 4); \
	ROUND(P, d, e, f, g, h, a, b, c, i + 5); \
	ROUND(P, c, d, e, f, g, h, a, b, i + 6); \
	ROUND(P, b, c, d, e, f, g, h, a, i + 7)
#define FOLD(P, V)                                                                                \
	do {                                                                                      \
		V a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7], \
		  t;                                                                              \
                                                                                                  \
		ROUNDS8(P, 0);                                                                    \
		ROUNDS8(P, 8);                                                                    \
		ROUNDS8(P, 16);                                                                   \
		ROUNDS8(P, 24);                                                                   \
		ROUNDS8(P, 32);                                                                   \
		ROUNDS8(P, 40);                                                                   \
		ROUNDS8(P, 48);                                                                   \
		ROUNDS8(P, 56);                                                                   \
		s[0] = ADD(P, s[0], a);                                                           \
		s[1] = ADD(P, s[1], b);                                                           \
		s[2] = ADD(P, s[2], c);                                                           \
		s[3] = ADD(P, s[3], d);                                                           \
		s[4] = ADD(P, s[4], e);                                                           \
		s[5] = ADD(P, s[5], f);                                                           \
		s[6] = ADD(P, s[6], g);                                                           \
		s[7] = ADD(P, s[7], h);                                                           \
	} while (0)

/* Big-endian words. */
#define SWAP _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3)

/* Eight words of eight streams, from byte at of each: w[i] holds word i of all. */
TARGET static inline void transpose8(__m256i *w, const uint8_t *const *p, size_t at)
{
	const __m256i swap = _mm256_broadcastsi128_si256(SWAP);
	__m256i r[8], q[8];
	int i;

	for (i = 0; i < 8; i++)
		r[i] = _mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i *)(const void *)(p[i] +
						   at)),
			swap);
	for (i = 0; i < 8; i += 4) { /* q[4j + k]: words k and 4+k of streams 4j..4j+3 */
		__m256i a = _mm256_unpacklo_epi32(r[i], r[i + 1]),
			b = _mm256_unpackhi_epi32(r[i], r[i + 1]);
		__m256i c = _mm256_unpacklo_epi32(r[i + 2], r[i + 3]);
		__m256i d = _mm256_unpackhi_epi32(r[i + 2], r[i + 3]);

		q[i] = _mm256_unpacklo_epi64(a, c);
		q[i + 1] = _mm256_unpackhi_epi64(a, c);
		q[i + 2] = _mm256_unpacklo_epi64(b, d);
		q[i + 3] = _mm256_unpackhi_epi64(b, d);
	}
	for (i = 0; i < 4; i++) {
		w[i] = _mm256_permute2x128_si256(q[i], q[i + 4], 0x20);
		w[i + 4] = _mm256_permute2x128_si256(q[i], q[i + 4], 0x31);
	}
}

/* All sixteen words of a block of sixteen streams. */
TARGET static inline void transpose16(__m512i *w, const uint8_t *const *p, size_t at)
{
	const __m512i swap = _mm512_broadcast_i32x4(SWAP);
	__m512i r[16], q[16];
	int i;

	for (i = 0; i < 16; i++)
		r[i] = _mm512_shuffle_epi8(_mm512_loadu_si512(p[i] + at), swap);
	for (i = 0; i < 16; i += 4) { /* q[4j + k]: words k, 4+k, 8+k, 12+k of streams 4j..4j+3 */
		__m512i a = _mm512_unpacklo_epi32(r[i], r[i + 1]),
			b = _mm512_unpackhi_epi32(r[i], r[i + 1]);
		__m512i c = _mm512_unpacklo_epi32(r[i + 2], r[i + 3]);
		__m512i d = _mm512_unpackhi_epi32(r[i + 2], r[i + 3]);

		q[i] = _mm512_unpacklo_epi64(a, c);
		q[i + 1] = _mm512_unpackhi_epi64(a, c);
		q[i + 2] = _mm512_unpacklo_epi64(b, d);
		q[i + 3] = _mm512_unpackhi_epi64(b, d);
	}
	for (i = 0; i < 4; i++) {
		__m512i a = _mm512_shuffle_i32x4(q[i], q[4 + i],
			0x88); /* words i, 8+i of streams 0..7 */
		__m512i b = _mm512_shuffle_i32x4(q[i], q[4 + i], 0xdd);      /* words 4+i, 12+i */
		__m512i c = _mm512_shuffle_i32x4(q[8 + i], q[12 + i], 0x88); /* of streams 8..15 */
		__m512i d = _mm512_shuffle_i32x4(q[8 + i], q[12 + i], 0xdd);

		w[i] = _mm512_shuffle_i32x4(a, c, 0x88);
		w[8 + i] = _mm512_shuffle_i32x4(a, c, 0xdd);
		w[4 + i] = _mm512_shuffle_i32x4(b, d, 0x88);
		w[12 + i] = _mm512_shuffle_i32x4(b, d, 0xdd);
	}
}

/* Word i of all states side by side, and back; pointers for the lanes that have no stream. */
static void spread(uint32_t *flat, uint32_t (*state)[8], const uint8_t **q, const uint8_t *const *p,
	unsigned n, unsigned lanes)
{
	unsigned i, l;

	for (l = 0; l < lanes; l++) {
		q[l] = p[l < n ? l : 0];
		for (i = 0; i < 8; i++)
			flat[i * lanes + l] = state[l < n ? l : 0][i];
	}
}

static void gather(uint32_t (*state)[8], const uint32_t *flat, unsigned n, unsigned lanes)
{
	unsigned i, l;

	for (l = 0; l < n; l++)
		for (i = 0; i < 8; i++)
			state[l][i] = flat[i * lanes + l];
}

TARGET void sha256_blocks_x8(uint32_t (*state)[8], const uint8_t *const *p, size_t nblocks,
	unsigned n)
{
	uint32_t flat[8 * 8];
	const uint8_t *q[8];
	__m256i s[8], w[16];
	size_t at;

	spread(flat, state, q, p, n, 8);
	memcpy(s, flat, sizeof s);
	for (at = 0; at < 64 * nblocks; at += 64) {
		transpose8(w, q, at);
		transpose8(w + 8, q, at + 32);
		FOLD(_mm256, __m256i);
	}
	memcpy(flat, s, sizeof s);
	gather(state, flat, n, 8);
}

TARGET void sha256_blocks_x16(uint32_t (*state)[8], const uint8_t *const *p, size_t nblocks,
	unsigned n)
{
	uint32_t flat[16 * 8];
	const uint8_t *q[16];
	__m512i s[8], w[16];
	size_t at;

	spread(flat, state, q, p, n, 16);
	memcpy(s, flat, sizeof s);
	for (at = 0; at < 64 * nblocks; at += 64) {
		transpose16(w, q, at);
		FOLD(_mm512, __m512i);
	}
	memcpy(flat, s, sizeof s);
	gather(state, flat, n, 16);
}
