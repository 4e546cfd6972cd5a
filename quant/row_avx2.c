/* row_avx2.c -- rows with AVX2: see row_simd.inc.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "quant/num.h"
#include "quant/row.h"

#include <immintrin.h>
#include <math.h>

#define TARGET __attribute__((target("avx2")))
#define FAST static inline TARGET __attribute__((always_inline))
#define VEC __m256i
#define V(op) _mm256_##op
#define LOAD(p) _mm256_loadu_si256((const void *)(p))
#define STORE(p, v) _mm256_storeu_si256((void *)(p), v)
#define AND(a, b) _mm256_and_si256(a, b)
#define OR(a, b) _mm256_or_si256(a, b)
#define ANDNOT(a, b) _mm256_andnot_si256(a, b)
#define BROADCAST(v) _mm256_broadcastsi128_si256(v)
#define WAY row_avx2
#define NAME "avx2"
enum { LANES = 2, NEED = CPU_AVX2 };

FAST void put_pair(uint8_t *dst, __m256i lo, __m256i hi)
{
	STORE(dst, _mm256_permute2x128_si256(lo, hi, 0x20));
	STORE(dst + 32, _mm256_permute2x128_si256(lo, hi, 0x31));
}

FAST uint64_t nan_bits(__m256i v)
{
	const __m256i nan = _mm256_set1_epi8(NUM_E4M3_NAN);

	return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(AND(v, nan), nan));
}

FAST bool has_bits(__m256i v)
{
	return !_mm256_testz_si256(v, v);
}

FAST void put_groups(uint8_t *dst, const uint8_t *scales, __m256i v)
{
	dst[0] = scales[0];
	_mm_storeu_si128((void *)(dst + 1), _mm256_castsi256_si128(v));
	dst[17] = scales[1];
	_mm_storeu_si128((void *)(dst + 18), _mm256_extracti128_si256(v, 1));
}

FAST __m256i halves_apart(__m256i v)
{
	return _mm256_permute4x64_epi64(v, 0xd8);
}

FAST __m256i where_zero(__m256i v, __m256i e, __m256i table, __m256i m)
{
	return _mm256_blendv_epi8(v, _mm256_shuffle_epi8(table, m),
		_mm256_cmpeq_epi8(e, _mm256_setzero_si256()));
}

/* Codes 0-7 and 16-23 in the first lane, so that bytes unpacked within lanes come in order. */
FAST void bf16_group(uint8_t *dst, const uint8_t *src, const struct row_bf16 *t, unsigned scale)
{
	const __m128i low = _mm_set1_epi8(15), v = _mm_loadu_si128((const void *)src),
		      even = _mm_and_si128(v, low), odd = _mm_and_si128(_mm_srli_epi16(v, 4), low);
	const __m256i codes = _mm256_permute4x64_epi64(
		_mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi8(even, odd)),
			_mm_unpackhi_epi8(even, odd), 1),
		0xd8);
	__m256i lo = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const void
							 *)t->half[scale][0])),
		codes);
	__m256i hi = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const void
							 *)t->half[scale][1])),
		codes);

	STORE(dst, _mm256_unpacklo_epi8(lo, hi));
	STORE(dst + 32, _mm256_unpackhi_epi8(lo, hi));
}

#include "quant/row_simd.inc"
