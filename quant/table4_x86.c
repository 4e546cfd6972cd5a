/* table4_x86.c -- blocks of 32 codes at once. Magnitudes of E4M3 are in order as bytes, so that the new one is how many of seven
 * borders the old one is above.
 *
 * SPDX-License-Identifier: MIT */
#include "quant/table4.h"

#include <immintrin.h>
#include <string.h>

#include "quant/e4m3_block_x86.inc"
#include "quant/table4_way.inc"

__attribute__((target("avx2"))) static inline bool block(const struct table4 *t, unsigned k,
	const uint8_t *codes, uint8_t *to)
{
	const __m256i pairs = _mm256_set1_epi16(1 | 16 << 8);
	__m256i v = _mm256_loadu_si256((const __m256i *)codes), sum = _mm256_setzero_si256(), mag,
		is;
	__m128i same = _mm_loadu_si128((const __m128i *)t->same[k]);
	unsigned i;

	mag = _mm256_and_si256(v, _mm256_set1_epi8(E4M3_MAGNITUDE));
	for (i = 0; i < 7; i++) /* a comparison that holds is -1 */
		sum = _mm256_sub_epi8(sum,
			_mm256_cmpgt_epi8(mag, _mm256_set1_epi8((char)t->over[k][i])));
	is = _mm256_cmpeq_epi8(mag, _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(same), sum));
	/* the sign to bit 3, then two codes to a byte, and bytes out of both halves */
	sum = _mm256_or_si256(sum, _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(8)));
	sum = _mm256_maddubs_epi16(sum, pairs);
	sum = _mm256_permute4x64_epi64(_mm256_packus_epi16(sum, sum), 0x08);
	_mm_storeu_si128((__m128i *)to, _mm256_castsi256_si128(sum));
	return _mm256_movemask_epi8(is) != -1;
}

__attribute__((target("avx2"))) struct table4_row table4_avx2(const struct table4 *t,
	const uint8_t *codes, const uint8_t *scales, size_t cols, uint8_t *to, uint8_t *to_scales,
	bool *changed)
{
	return table4_by(t, codes, scales, cols, to, to_scales, changed, e4m3_largest_avx2, block);
}
