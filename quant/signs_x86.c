/* signs_x86.c -- zeros gathered without a chain of bytes. With AVX2: how many zeros each byte has is summed up for all
 * eight at once by a product, then each byte's bits are moved to their place and all are combined. With PEXT, which all
 * processors with AVX-512 have, and quick: the signs are taken from where the zeros are.
 *
 * SPDX-License-Identifier: MIT */
#include "quant/signs.h"

#include <immintrin.h>

__attribute__((target("avx2"))) static inline unsigned of_avx2(const uint8_t zeros[256], uint64_t w,
	uint64_t *bits)
{
	const __m128i low = _mm_set1_epi8(15),
		      is_zero = _mm_setr_epi8(1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0),
		      is_eight = _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0);
	__m128i x = _mm_cvtsi64_si128((long long)w), first = _mm_and_si128(x, low),
		second = _mm_and_si128(_mm_srli_epi16(x, 4), low), z1, e1, e2, b, o;
	__m256i v;
	uint64_t n, sum;

	(void)zeros;
	z1 = _mm_shuffle_epi8(is_zero, first);
	e1 = _mm_shuffle_epi8(is_eight, first);
	e2 = _mm_shuffle_epi8(is_eight, second);
	n = (uint64_t)_mm_cvtsi128_si64(_mm_add_epi8(z1, _mm_shuffle_epi8(is_zero, second)));
	sum = n * 0x0101010101010101u; /* byte i: zeros in bytes 0..i */
	/* the second code's bit lies behind the first's, if that is a zero */
	b = _mm_add_epi8(e1, _mm_add_epi8(e2, _mm_and_si128(e2, z1)));
	v = _mm256_sllv_epi32(_mm256_cvtepu8_epi32(b),
		_mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)(sum - n))));
	o = _mm_or_si128(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
	o = _mm_or_si128(o, _mm_srli_si128(o, 8));
	o = _mm_or_si128(o, _mm_srli_si128(o, 4));
	*bits = (uint32_t)_mm_cvtsi128_si32(o);
	return (unsigned)(sum >> 56);
}

__attribute__((target("avx2"))) void signs_add_avx2(struct signs *s, const uint8_t *src, size_t n)
{
	signs_add(s, src, n, of_avx2);
}

/* Zeros are the nibbles without the lower three bits. */
__attribute__((target("bmi2,popcnt"))) static inline unsigned of_bmi2(const uint8_t zeros[256],
	uint64_t w, uint64_t *bits)
{
	uint64_t z = ~((w & NIBBLES(7)) + NIBBLES(7)) & NIBBLES(8);

	(void)zeros;
	*bits = _pext_u64(w, z);
	return (unsigned)__builtin_popcountll(z);
}

__attribute__((target("bmi2,popcnt"))) void signs_add_bmi2(struct signs *s, const uint8_t *src,
	size_t n)
{
	signs_add(s, src, n, of_bmi2);
}
