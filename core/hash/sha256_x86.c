/* sha256_x86.c -- SHA-NI, one to four streams in lockstep.
 *
 * sha256rnds2 does two rounds and has a latency of several cycles; with W streams side by side the
 * processor works on the others meanwhile. The state is kept as the instruction wants it, the
 * pairs ABEF and CDGH (Intel SDM, SHA256RNDS2). The body is written once, for W streams, and
 * instantiated four times.
 *
 * SPDX-License-Identifier: MIT */
#include "core/hash/sha256.h"

#include <immintrin.h>
#include <string.h>

struct pair {
	__m128i abef, cdgh;
};

__attribute__((target("sha,sse4.1"))) static inline struct pair load_state(const uint32_t *h)
{
	__m128i abcd = _mm_loadu_si128((const __m128i *)h);
	__m128i efgh = _mm_loadu_si128((const __m128i *)(h + 4));
	__m128i cdab = _mm_shuffle_epi32(abcd, 0xb1), hgfe = _mm_shuffle_epi32(efgh, 0x1b);
	struct pair s = { _mm_alignr_epi8(cdab, hgfe, 8), _mm_blend_epi16(hgfe, cdab, 0xf0) };

	return s;
}

__attribute__((target("sha,sse4.1"))) static inline void store_state(uint32_t *h, struct pair s)
{
	__m128i feba = _mm_shuffle_epi32(s.abef, 0x1b), dchg = _mm_shuffle_epi32(s.cdgh, 0xb1);

	_mm_storeu_si128((__m128i *)h, _mm_blend_epi16(feba, dchg, 0xf0));
	_mm_storeu_si128((__m128i *)(h + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* Rounds 4r..4r+3 of stream w, and the message words of round 4r+16.. while they are needed. */
#define ROUNDS(w, r)                                                                              \
	do {                                                                                      \
		x = _mm_add_epi32(m[w][(r)&3], k);                                                \
		s[w].cdgh = _mm_sha256rnds2_epu32(s[w].cdgh, s[w].abef, x);                       \
		s[w].abef =                                                                       \
			_mm_sha256rnds2_epu32(s[w].abef, s[w].cdgh, _mm_shuffle_epi32(x, 0x0e));  \
		if ((r) < 12) {                                                                   \
			x = _mm_alignr_epi8(m[w][((r) + 3) & 3], m[w][((r) + 2) & 3], 4);         \
			x = _mm_add_epi32(_mm_sha256msg1_epu32(m[w][(r)&3], m[w][((r) + 1) & 3]), \
				x);                                                               \
			m[w][(r)&3] = _mm_sha256msg2_epu32(x, m[w][((r) + 3) & 3]);               \
		}                                                                                 \
	} while (0)

/* One function per W: the loops over w and r are unrolled, the arrays become registers. */
#define BLOCKS(W)                                                                                  \
	__attribute__((target("sha,sse4.1"))) static void blocks_##W(uint32_t(*state)[8],          \
		const uint8_t *const *p, size_t nblocks)                                           \
	{                                                                                          \
		const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);       \
		struct pair s[W], old[W];                                                          \
		__m128i m[W][4], k, x;                                                             \
		size_t b;                                                                          \
		int w, r;                                                                          \
                                                                                                   \
		for (w = 0; w < W; w++)                                                            \
			s[w] = load_state(state[w]);                                               \
		for (b = 0; b < nblocks; b++) {                                                    \
			for (w = 0; w < W; w++) {                                                  \
				const __m128i *in = (const __m128i *)(p[w] + 64 * b);              \
                                                                                                   \
				old[w] = s[w];                                                     \
				for (r = 0; r < 4; r++)                                            \
					m[w][r] = _mm_shuffle_epi8(_mm_loadu_si128(in + r), swap); \
			}                                                                          \
			_Pragma("GCC unroll 16") for (r = 0; r < 16; r++)                          \
			{                                                                          \
				k = _mm_loadu_si128((const __m128i *)(sha256_k + 4 * r));          \
				_Pragma("GCC unroll 4") for (w = 0; w < W; w++) ROUNDS(w, r);      \
			}                                                                          \
			for (w = 0; w < W; w++) {                                                  \
				s[w].abef = _mm_add_epi32(s[w].abef, old[w].abef);                 \
				s[w].cdgh = _mm_add_epi32(s[w].cdgh, old[w].cdgh);                 \
			}                                                                          \
		}                                                                                  \
		for (w = 0; w < W; w++)                                                            \
			store_state(state[w], s[w]);                                               \
	}

BLOCKS(1)
BLOCKS(2)
BLOCKS(3)
BLOCKS(4)

void sha256_blocks_shani(uint32_t (*state)[8], const uint8_t *const *p, size_t nblocks, unsigned n)
{
	static void (*const by_lanes[])(uint32_t(*)[8], const uint8_t *const *,
		size_t) = { blocks_1, blocks_2, blocks_3, blocks_4 };

	by_lanes[n - 1](state, p, nblocks);
}
