/* linear_avx512.c -- linears with AVX-512: 32 lanes are two vectors of 16.
 *
 * FP4: a permutation of 16 floats looks a nibble up, its sign too; columns come out even ones first. FP8: an
 * E4M3 code shifted is a half float 2^8 too small, subnormals too.
 *
 * SPDX-License-Identifier: MIT */
#include "kernels/linear/linear_core.h"
#include "quant/num.h"

#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx2,fma,f16c")))
#define FAST static inline TARGET __attribute__((always_inline))
/* Arrays of vectors become registers where loops over them are gone. */
#define UNROLL _Pragma("GCC unroll 8")

enum { W = 16, V = 2, SUM_R = 6, SUM_T = 4, PART_R = 2, PART_T = 8 };
#define VEC __m512
#define NANS __mmask32
#define NONE 0
#define ANY(n) ((n) != 0)
#define LOAD(p) _mm512_load_ps(p)
#define LOADU(p) _mm512_loadu_ps(p)
#define STORE(p, v) _mm512_store_ps(p, v)
#define SET1(x) _mm512_set1_ps(x)
#define ADD(a, b) _mm512_add_ps(a, b)
#define MUL(a, b) _mm512_mul_ps(a, b)
#define FMADD(a, b, c) _mm512_fmadd_ps(a, b, c)
#define BF16(p)                                                                                \
	_mm512_castsi512_ps(_mm512_slli_epi32(                                                 \
		_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(p))), \
		16))
#define NAME linear_avx512

static const float fp8_up = 256.0f; /* what a code made a half float is too small by */

FAST __m512 fp4_values(void)
{
	return _mm512_setr_ps(0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f, -0.0f, -0.5f, -1.0f,
		-1.5f, -2.0f, -3.0f, -4.0f, -6.0f);
}

FAST void fp4_block(__m512 out[V], const uint8_t *p, unsigned e8m0)
{
	__m128i raw = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m512i code = _mm512_cvtepu8_epi32(raw);
	__m512 table = _mm512_mul_ps(fp4_values(), _mm512_set1_ps(num_f32(e8m0 << 23)));

	out[0] = _mm512_permutexvar_ps(code, table); /* takes the low 4 bits */
	out[1] = _mm512_permutexvar_ps(_mm512_srli_epi32(code, 4), table);
}

/* Without the 2^8. *nan collects where a code is NaN. */
FAST void fp8_block(__m512 out[V], const uint8_t *p, __mmask32 *nan)
{
	const __m256i low = _mm256_set1_epi8(0x7f);
	__m256i raw = _mm256_loadu_si256((const __m256i *)(const void *)p);
	__m512i h = _mm512_slli_epi16(_mm512_cvtepu8_epi16(raw), 8);

	*nan |= _mm256_cmpeq_epi8_mask(_mm256_and_si256(raw, low), low);
	h = _mm512_and_si512(_mm512_srai_epi16(h, 1), _mm512_set1_epi16((short)0xbfff));
	out[0] = _mm512_cvtph_ps(_mm512_castsi512_si256(h));
	out[1] = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(h, 1));
}

/* Even columns and odd ones, from columns in their order; and back. */
FAST void fp4_order(__m512 v[V])
{
	const __m512i even =
		_mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
	__m512 a = v[0], b = v[1];

	v[0] = _mm512_permutex2var_ps(a, even, b);
	v[1] = _mm512_permutex2var_ps(a, _mm512_add_epi32(even, _mm512_set1_epi32(1)), b);
}

FAST void fp4_unorder(__m512 v[V])
{
	const __m512i first =
		_mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
	__m512 a = v[0], b = v[1];

	v[0] = _mm512_permutex2var_ps(a, first, b);
	v[1] = _mm512_permutex2var_ps(a, _mm512_add_epi32(first, _mm512_set1_epi32(8)), b);
}

/* Columns below 16 are the first half of both vectors. */
FAST void fp4_scale(__m512 v[V], float first, float second)
{
	const __m512 by =
		_mm512_mask_blend_ps(0xff00, _mm512_set1_ps(first), _mm512_set1_ps(second));

	v[0] = _mm512_mul_ps(v[0], by);
	v[1] = _mm512_mul_ps(v[1], by);
}

TARGET static float tree(enum linear_kind kind, const float *lanes)
{
	__m512 v[V] = { _mm512_load_ps(lanes), _mm512_load_ps(lanes + W) };
	__m256 a;
	__m128 c;

	if (linear_in_nibbles(kind))
		fp4_unorder(v);
	v[0] = _mm512_add_ps(v[0], v[1]);
	a = _mm256_add_ps(_mm512_castps512_ps256(v[0]),
		_mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v[0]), 1)));
	c = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
	c = _mm_add_ps(c, _mm_movehl_ps(c, c));
	c = _mm_add_ss(c, _mm_shuffle_ps(c, c, 1));
	return _mm_cvtss_f32(c);
}

#include "kernels/linear/linear_simd.inc"
