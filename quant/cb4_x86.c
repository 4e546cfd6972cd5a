/* cb4_x86.c -- blocks of 32 codes: the errors of the four scales are added in the lanes of a vector, and codes of E4M3, made whole numbers
 * of sign and magnitude, are in order, so that the new one is how many of fifteen edges the old one is above.
 *
 * SPDX-License-Identifier: MIT */
#include "quant/cb4.h"

#include <immintrin.h>

#include "quant/e4m3_block_x86.inc"
#include "quant/cb4_way.inc"

/* The least sum of errors, whose low bits are the number of its scale. */
__attribute__((target("avx2"))) static inline uint32_t least(const struct cb4 *t, unsigned a,
	const uint8_t *codes)
{
	const __m128i *look = (const __m128i *)(const void *)t->error[a];
	__m128i even = _mm_setr_epi32(0, 1, 2, 3), odd = _mm_setzero_si128();
	size_t i;

	for (i = 0; i < CB4_BLOCK; i += 2) {
		even = _mm_add_epi32(even, _mm_loadu_si128(look + codes[i]));
		odd = _mm_add_epi32(odd, _mm_loadu_si128(look + codes[i + 1]));
	}
	even = _mm_add_epi32(even, odd);
	even = _mm_min_epu32(even, _mm_shuffle_epi32(even, 0x4e));
	even = _mm_min_epu32(even, _mm_shuffle_epi32(even, 0xb1));
	return (uint32_t)_mm_cvtsi128_si32(even);
}

__attribute__((target("avx2"))) static inline unsigned block(const struct cb4 *t, unsigned a,
	const uint8_t *codes, uint8_t *to, uint32_t *error)
{
	const __m256i pairs = _mm256_set1_epi16(1 | 16 << 8), zero = _mm256_setzero_si256();
	__m256i v = _mm256_loadu_si256((const __m256i *)codes), sign = _mm256_cmpgt_epi8(zero, v),
		sum = zero;
	uint32_t best = least(t, a, codes);
	unsigned k = best % CB4_TRIES, i;
	const int8_t *edge = t->edge[a][k];

	*error = best / CB4_TRIES;
	v = _mm256_and_si256(v, _mm256_set1_epi8(E4M3_MAGNITUDE));
	v = _mm256_sub_epi8(_mm256_xor_si256(v, sign), sign);
	for (i = 1; i < CB4_LEVELS; i++) /* a comparison that holds is -1 */
		sum = _mm256_sub_epi8(sum, _mm256_cmpgt_epi8(v, _mm256_set1_epi8(edge[i])));
	/* two codes to a byte, and bytes out of both halves */
	sum = _mm256_maddubs_epi16(sum, pairs);
	sum = _mm256_permute4x64_epi64(_mm256_packus_epi16(sum, sum), 0x08);
	_mm_storeu_si128((__m128i *)to, _mm256_castsi256_si128(sum));
	return k;
}

__attribute__((target("avx2"))) size_t cb4_avx2(const struct cb4 *t, const uint8_t *codes,
	const uint8_t *scales, size_t cols, uint8_t *to, uint8_t *to_scales, bool *changed)
{
	return cb4_by(t, codes, scales, cols, to, to_scales, changed, e4m3_largest_avx2, block);
}
