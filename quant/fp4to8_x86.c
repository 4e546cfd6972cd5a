/* fp4to8_x86.c -- the cast by byte shuffles: 16 codes are 16 table entries, so the E4M3 bytes of a
 * group of 32 are two PSHUFB of one 16-byte row of the table, interleaved.
 *
 * SPDX-License-Identifier: MIT */
#include "quant/fp4to8.h"

#include <immintrin.h>

/* Row of the table for group g. */
static inline const __m128i *table_row(const struct fp4to8_table *table, const uint8_t *s,
	const uint8_t *t, size_t g, enum fp4to8_block b)
{
	return (const __m128i *)(const void *)table->row[FP4TO8_SHIFT + t[g >> b] - s[g]];
}

/* Groups from g on, fewer than an instruction takes, which rows of blocks of 32 end in. */
static void rest(const struct fp4to8_table *table, uint8_t *dst, const uint8_t *src,
	const uint8_t *s, const uint8_t *t, size_t k, size_t g, enum fp4to8_block b)
{
	if (g < k / FP4TO8_GROUP)
		fp4to8_row_table(table, dst, src, s + g, t + (g >> b), k - g * FP4TO8_GROUP, b);
}

__attribute__((target("avx2"))) void fp4to8_row_avx2(const struct fp4to8_table *table, uint8_t *dst,
	const uint8_t *src, const uint8_t *s, const uint8_t *t, size_t k, enum fp4to8_block b)
{
	const __m256i low = _mm256_set1_epi8(15);
	__m256i codes, row, even, odd, first, second;
	size_t g;

	for (g = 0; g + 2 <= k / FP4TO8_GROUP; g += 2, src += 32, dst += 64) {
		codes = _mm256_loadu_si256((const __m256i *)(const void *)src);
		row = _mm256_inserti128_si256(
			_mm256_castsi128_si256(_mm_loadu_si128(table_row(table, s, t, g, b))),
			_mm_loadu_si128(table_row(table, s, t, g + 1, b)), 1);
		even = _mm256_shuffle_epi8(row, _mm256_and_si256(codes, low));
		odd = _mm256_shuffle_epi8(row, _mm256_and_si256(_mm256_srli_epi16(codes, 4), low));
		first = _mm256_unpacklo_epi8(even, odd);  /* columns 0..15 of both groups */
		second = _mm256_unpackhi_epi8(even, odd); /* columns 16..31 */
		_mm256_storeu_si256((__m256i *)(void *)dst,
			_mm256_permute2x128_si256(first, second, 0x20));
		_mm256_storeu_si256((__m256i *)(void *)(dst + 32),
			_mm256_permute2x128_si256(first, second, 0x31));
	}
	rest(table, dst, src, s, t, k, g, b);
}

__attribute__((target("avx512f,avx512bw,avx512vl"))) void
fp4to8_row_avx512(const struct fp4to8_table *table, uint8_t *dst, const uint8_t *src,
	const uint8_t *s, const uint8_t *t, size_t k, enum fp4to8_block b)
{
	const __m512i low = _mm512_set1_epi8(15);
	/* 64-bit words of (first, second) in the order of the columns. */
	const __m512i lo = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
	const __m512i hi = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
	__m512i codes, row, even, odd, first, second;
	size_t g;

	for (g = 0; g + 4 <= k / FP4TO8_GROUP; g += 4, src += 64, dst += 128) {
		codes = _mm512_loadu_si512(src);
		row = _mm512_castsi128_si512(_mm_loadu_si128(table_row(table, s, t, g, b)));
		row = _mm512_inserti32x4(row, _mm_loadu_si128(table_row(table, s, t, g + 1, b)), 1);
		row = _mm512_inserti32x4(row, _mm_loadu_si128(table_row(table, s, t, g + 2, b)), 2);
		row = _mm512_inserti32x4(row, _mm_loadu_si128(table_row(table, s, t, g + 3, b)), 3);
		even = _mm512_shuffle_epi8(row, _mm512_and_si512(codes, low));
		odd = _mm512_shuffle_epi8(row, _mm512_and_si512(_mm512_srli_epi16(codes, 4), low));
		first = _mm512_unpacklo_epi8(even, odd);
		second = _mm512_unpackhi_epi8(even, odd);
		_mm512_storeu_si512(dst, _mm512_permutex2var_epi64(first, lo, second));
		_mm512_storeu_si512(dst + 64, _mm512_permutex2var_epi64(first, hi, second));
	}
	rest(table, dst, src, s, t, k, g, b);
}
