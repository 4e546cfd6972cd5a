/* ggml_floats_avx512.c -- quant/ggml_floats.inc with AVX-512: sixteen values at a time.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/gguf/ggml_type.h"
#include "quant/ggml_floats.h"
#include "quant/ggml_lowbit.h"
#include "quant/num.h"

#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx2,avx512f,avx512bw,avx512vl")))
#define FAST static inline TARGET __attribute__((always_inline))
#define ROWS ggml_floats_avx512

/* As num_f16() has it; a NaN becomes a quiet one, as it does in a product. */
FAST float f16(const uint8_t *p)
{
	__m128i h = _mm_cvtsi32_si128(p[0] | p[1] << 8);

	return _mm_cvtss_f32(_mm512_castps512_ps128(_mm512_cvtph_ps(_mm256_castsi128_si256(h))));
}

/* 16 signed bytes as numbers. */
FAST __m512 numbers(__m128i bytes)
{
	return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
}

/* Writes scale code - min for 16 signed codes. */
FAST void affine16(float *v, __m128i codes, float scale, float min)
{
	_mm512_storeu_ps(v, numbers(codes) * _mm512_set1_ps(scale) - _mm512_set1_ps(min));
}

/* Writes scale code for 16 signed codes. */
FAST void scaled16(float *v, __m128i codes, float scale)
{
	_mm512_storeu_ps(v, numbers(codes) * _mm512_set1_ps(scale));
}

/* Writes scale code - min for 16 bytes of two codes: for the low half of byte i to v[i], for the high half, which has the second
 * scale and min, to v[32 + i]. The 16 numbers of a scale are made once, and picked by the lowest four bits of an index. */
FAST void affine_nibbles(float *v, __m128i bytes, const float scale[2], const float min[2])
{
	const __m512 all = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	__m512i at = _mm512_cvtepu8_epi32(bytes);

	_mm512_storeu_ps(v,
		_mm512_permutexvar_ps(at, all * _mm512_set1_ps(scale[0]) - _mm512_set1_ps(min[0])));
	_mm512_storeu_ps(v + 32,
		_mm512_permutexvar_ps(_mm512_srli_epi32(at, 4),
			all * _mm512_set1_ps(scale[1]) - _mm512_set1_ps(min[1])));
}

#include "quant/ggml_floats.inc"
