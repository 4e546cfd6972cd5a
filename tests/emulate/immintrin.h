/* immintrin.h -- stands in for the compiler's where AVX-512 is emulated (tests/emulate.sh): SIMDe's portable
 * versions under the names of the instructions, what its release in Debian 12 lacks written out, and no demand
 * for a processor that has them.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_EMULATE_IMMINTRIN_H
#define TESTS_EMULATE_IMMINTRIN_H
#include_next <immintrin.h> /* what SIMDe itself builds on */
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>

#include <stdint.h>
#include <string.h>

/* Each of n numbers made a wider one. */
#define EMULATED_WIDEN(name, from, narrow, wide, n) \
	static inline __m512i name(from v)          \
	{                                           \
		narrow a[n];                        \
		wide b[n];                          \
		__m512i r;                          \
		int i;                              \
                                                    \
		memcpy(&a, &v, sizeof a);           \
		for (i = 0; i < n; i++)             \
			b[i] = a[i];                \
		memcpy(&r, b, sizeof r);            \
		return r;                           \
	}
EMULATED_WIDEN(emulated_cvtepu16_epi32, __m256i, uint16_t, uint32_t, 16)
EMULATED_WIDEN(emulated_cvtepu8_epi16, __m256i, uint8_t, uint16_t, 32)
EMULATED_WIDEN(emulated_cvtepu8_epi32, __m128i, uint8_t, uint32_t, 16)
EMULATED_WIDEN(emulated_cvtepi8_epi32, __m128i, int8_t, int32_t, 16)

static inline __m512 emulated_cvtepi32_ps(__m512i v)
{
	int32_t a[16];
	float b[16];
	__m512 r;
	int i;

	memcpy(&a, &v, sizeof a);
	for (i = 0; i < 16; i++)
		b[i] = (float)a[i];
	memcpy(&r, b, sizeof r);
	return r;
}

static inline __m512 emulated_cvtph_ps(__m256i v)
{
	__m256 half[2] = { _mm256_cvtph_ps(_mm256_castsi256_si128(v)),
		_mm256_cvtph_ps(_mm256_extracti128_si256(v, 1)) };
	__m512 r;

	memcpy(&r, half, sizeof r);
	return r;
}

static inline __mmask32 emulated_cmpeq_epi8_mask(__m256i a, __m256i b)
{
	return (__mmask32)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, b));
}
#define _mm512_cvtepu16_epi32 emulated_cvtepu16_epi32
#define _mm512_cvtepu8_epi16 emulated_cvtepu8_epi16
#define _mm512_cvtepu8_epi32 emulated_cvtepu8_epi32
#define _mm512_cvtepi8_epi32 emulated_cvtepi8_epi32
#define _mm512_cvtepi32_ps emulated_cvtepi32_ps
#define _mm512_cvtph_ps emulated_cvtph_ps
#define _mm256_cmpeq_epi8_mask emulated_cmpeq_epi8_mask

#define target(features) /* of __attribute__ */
#endif
