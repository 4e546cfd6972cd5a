/* ggml_floats_avx2.c -- quant/ggml_floats.inc with AVX2: eight values at a time.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/gguf/ggml_type.h"
#include "quant/ggml_floats.h"
#include "quant/ggml_lowbit.h"
#include "quant/num.h"

#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx2")))
#define FAST static inline TARGET __attribute__((always_inline))
#define ROWS ggml_floats_avx2

FAST float f16(const uint8_t *p)
{
	return num_f16((uint16_t)(p[0] | p[1] << 8));
}

/* Eight signed bytes, the lowest ones, as numbers. */
FAST __m256 numbers(__m128i bytes)
{
	return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}

/* Writes scale code - min for 16 signed codes. */
FAST void affine16(float *v, __m128i codes, float scale, float min)
{
	const __m256 s = _mm256_set1_ps(scale), m = _mm256_set1_ps(min);

	_mm256_storeu_ps(v, numbers(codes) * s - m);
	_mm256_storeu_ps(v + 8, numbers(_mm_srli_si128(codes, 8)) * s - m);
}

/* Writes scale code for 16 signed codes. */
FAST void scaled16(float *v, __m128i codes, float scale)
{
	const __m256 s = _mm256_set1_ps(scale);

	_mm256_storeu_ps(v, numbers(codes) * s);
	_mm256_storeu_ps(v + 8, numbers(_mm_srli_si128(codes, 8)) * s);
}

/* Writes scale code - min for 16 bytes of two codes: for the low half of byte i to v[i], for the high half, which has the second
 * scale and min, to v[32 + i]. */
FAST void affine_nibbles(float *v, __m128i bytes, const float scale[2], const float min[2])
{
	const __m128i mask = _mm_set1_epi8(15);

	affine16(v, _mm_and_si128(bytes, mask), scale[0], min[0]);
	affine16(v + 32, _mm_and_si128(_mm_srli_epi16(bytes, 4), mask), scale[1], min[1]);
}

#include "quant/ggml_floats.inc"
