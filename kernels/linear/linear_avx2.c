/* linear_avx2.c -- linears with AVX2, FMA and F16C: 32 lanes are four vectors of 8.
 *
 * FP4: a byte shuffle looks the upper and the lower byte of a BF16 up, with the block's scale already in
 * it; one half of a pair of these and the other are floats. That leaves every 16 columns in the order
 * 0 4 8 12 1 5 9 13 2 6 10 14 3 7 11 15, and activations are put in the same. FP8: an E4M3 code shifted is a half float 2^8 too small,
 * subnormals too.
 *
 * SPDX-License-Identifier: MIT */
#include "kernels/linear/linear_core.h"
#include "quant/num.h"

#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx2,fma,f16c")))
#define FAST static inline TARGET __attribute__((always_inline))
/* Arrays of vectors become registers where loops over them are gone. */
#define UNROLL _Pragma("GCC unroll 8")

enum { W = 8, V = 4, SUM_R = 3, SUM_T = 4, PART_R = 1, PART_T = 8 };
#define VEC __m256
#define NANS __m256i
#define NONE _mm256_setzero_si256()
#define ANY(n) (!_mm256_testz_si256(n, n))
#define LOAD(p) _mm256_load_ps(p)
#define LOADU(p) _mm256_loadu_ps(p)
#define STORE(p, v) _mm256_store_ps(p, v)
#define SET1(x) _mm256_set1_ps(x)
#define ADD(a, b) _mm256_add_ps(a, b)
#define MUL(a, b) _mm256_mul_ps(a, b)
#define FMADD(a, b, c) _mm256_fmadd_ps(a, b, c)
#define BF16(p)                                                                                    \
	_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i \
							      *)(const void *)(p))),               \
		16))
#define NAME linear_avx2

static const float fp8_up = 256.0f; /* what a code made a half float is too small by */

FAST void fp4_block(__m256 out[V], const uint8_t *p, unsigned e8m0)
{
	const uint8_t(*byte)[16] = linear_fp4.byte[e8m0];
	const __m256i shift = _mm256_setr_epi64x(0, 0, 4, 4);
	const __m256i upper = _mm256_set1_epi32((int)0xffff0000);
	__m128i raw = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m256i code, hi, lo, a, b;

	code = _mm256_and_si256(_mm256_srlv_epi64(_mm256_broadcastsi128_si256(raw), shift),
		_mm256_set1_epi8(15)); /* even columns | odd columns */
	hi = _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)(const void *)byte[0]));
	lo = _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)(const void *)byte[1]));
	hi = _mm256_shuffle_epi8(hi, code);
	lo = _mm256_shuffle_epi8(lo, code);
	a = _mm256_unpacklo_epi8(lo, hi); /* 0 2 4 .. 14 | 1 3 5 .. 15 */
	b = _mm256_unpackhi_epi8(lo, hi); /* and 16 on */
	out[0] = _mm256_castsi256_ps(_mm256_slli_epi32(a, 16));
	out[1] = _mm256_castsi256_ps(_mm256_and_si256(a, upper));
	out[2] = _mm256_castsi256_ps(_mm256_slli_epi32(b, 16));
	out[3] = _mm256_castsi256_ps(_mm256_and_si256(b, upper));
}

/* Without the 2^8. *nan collects what is all ones where a code is NaN. */
FAST void fp8_block(__m256 out[V], const uint8_t *p, __m256i *nan)
{
	const __m256i zero = _mm256_setzero_si256(), keep = _mm256_set1_epi16((short)0xbfff);
	const __m256i low = _mm256_set1_epi8(0x7f);
	__m256i raw = _mm256_loadu_si256((const __m256i *)(const void *)p), a, b;

	*nan = _mm256_or_si256(*nan, _mm256_cmpeq_epi8(_mm256_and_si256(raw, low), low));
	a = _mm256_unpacklo_epi8(zero, raw); /* 0-7 | 16-23 */
	b = _mm256_unpackhi_epi8(zero, raw); /* 8-15 | 24-31 */
	a = _mm256_and_si256(_mm256_srai_epi16(a, 1), keep);
	b = _mm256_and_si256(_mm256_srai_epi16(b, 1), keep);
	out[0] = _mm256_cvtph_ps(_mm256_castsi256_si128(a));
	out[1] = _mm256_cvtph_ps(_mm256_castsi256_si128(b));
	out[2] = _mm256_cvtph_ps(_mm256_extracti128_si256(a, 1));
	out[3] = _mm256_cvtph_ps(_mm256_extracti128_si256(b, 1));
}

/* 16 columns into the order that fp4_block leaves. */
FAST void fp4_order_half(__m256 v[2])
{
	__m256 p = _mm256_permute2f128_ps(v[0], v[1], 0x20);     /* 0 1 2 3 | 8 9 10 11 */
	__m256 q = _mm256_permute2f128_ps(v[0], v[1], 0x31);     /* 4 5 6 7 | 12 13 14 15 */
	__m256d lo = _mm256_castps_pd(_mm256_unpacklo_ps(p, q)); /* 0 4 1 5 | 8 12 9 13 */
	__m256d hi = _mm256_castps_pd(_mm256_unpackhi_ps(p, q));

	v[0] = _mm256_castpd_ps(_mm256_permute4x64_pd(lo, 0xd8));
	v[1] = _mm256_castpd_ps(_mm256_permute4x64_pd(hi, 0xd8));
}

FAST void fp4_order(__m256 v[V])
{
	fp4_order_half(v);
	fp4_order_half(v + 2);
}

FAST void fp4_scale(__m256 v[V], float first, float second)
{
	v[0] = _mm256_mul_ps(v[0], _mm256_set1_ps(first));
	v[1] = _mm256_mul_ps(v[1], _mm256_set1_ps(first));
	v[2] = _mm256_mul_ps(v[2], _mm256_set1_ps(second));
	v[3] = _mm256_mul_ps(v[3], _mm256_set1_ps(second));
}

/* Steps 16, 8, 4, 2, 1; in the order of FP4 8 and 4 are inside a half, 2 is between vectors. */
TARGET static float tree(enum linear_kind kind, const float *lanes)
{
	__m256 a = _mm256_add_ps(_mm256_load_ps(lanes), _mm256_load_ps(lanes + 16));
	__m256 b = _mm256_add_ps(_mm256_load_ps(lanes + 8), _mm256_load_ps(lanes + 24));
	__m128 c;

	if (linear_in_nibbles(kind)) {
		a = _mm256_add_ps(a, _mm256_permute_ps(a, 0x4e));
		b = _mm256_add_ps(b, _mm256_permute_ps(b, 0x4e));
		a = _mm256_add_ps(a, _mm256_permute_ps(a, 0xb1));
		b = _mm256_add_ps(b, _mm256_permute_ps(b, 0xb1));
		a = _mm256_add_ps(a, b);
		c = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
		return _mm_cvtss_f32(c);
	}
	a = _mm256_add_ps(a, b);
	c = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
	c = _mm_add_ps(c, _mm_movehl_ps(c, c));
	c = _mm_add_ss(c, _mm_shuffle_ps(c, c, 1));
	return _mm_cvtss_f32(c);
}

#include "kernels/linear/linear_simd.inc"
