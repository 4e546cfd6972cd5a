/* row_avx512.c -- rows with AVX-512: see row_simd.inc.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "quant/num.h"
#include "quant/row.h"

#include <immintrin.h>
#include <math.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl")))
#define FAST static inline TARGET __attribute__((always_inline))
#define VEC __m512i
#define V(op) _mm512_##op
#define LOAD(p) _mm512_loadu_si512(p)
#define STORE(p, v) _mm512_storeu_si512(p, v)
#define AND(a, b) _mm512_and_si512(a, b)
#define OR(a, b) _mm512_or_si512(a, b)
#define ANDNOT(a, b) _mm512_andnot_si512(a, b)
#define BROADCAST(v) _mm512_broadcast_i32x4(v)
#define WAY row_avx512
#define NAME "avx-512"
enum { LANES = 4, NEED = CPU_AVX512 };

FAST void put_pair(uint8_t *dst, __m512i lo, __m512i hi)
{
	/* 64-bit words of (lo, hi) in the order of the lanes. */
	const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
	const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);

	STORE(dst, _mm512_permutex2var_epi64(lo, first, hi));
	STORE(dst + 64, _mm512_permutex2var_epi64(lo, second, hi));
}

FAST uint64_t nan_bits(__m512i v)
{
	const __m512i nan = _mm512_set1_epi8(NUM_E4M3_NAN);

	return _mm512_cmpeq_epi8_mask(AND(v, nan), nan);
}

FAST bool has_bits(__m512i v)
{
	return _mm512_cmpeq_epi64_mask(v, _mm512_setzero_si512()) != 0xff;
}

/* What lies in lane i comes to lie i + 1 bytes behind it. It is turned by so many bytes within its lane: then what leaves
 * the lane is where it lies in the next one, and its scale lies between the two.
 * By place of a vector: the byte of the lane that comes to lie there; the scale of the lane; whether this lane's bytes or
 * those of the lane before lie there. */
static const uint8_t turn[64] = { 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, /* by 1 */
	14, 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,                           /* by 2 */
	13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,                           /* by 3 */
	12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 };
static const uint8_t scale_place[64] = { [0] = 0, [17] = 1, [34] = 2, [51] = 3 };
static const __mmask64 scale_here = 1ull | 1ull << 17 | 1ull << 34 | 1ull << 51;
static const __mmask64 lane_before = 1ull << 16 | 3ull << 32 | 7ull << 48;

FAST void put_groups(uint8_t *dst, const uint8_t *scales, __m512i v)
{
	int s, end;

	memcpy(&s, scales, sizeof s);
	v = _mm512_shuffle_epi8(v, LOAD(turn));
	end = _mm_cvtsi128_si32(_mm512_extracti32x4_epi32(v, 3));
	v = _mm512_mask_mov_epi8(v, lane_before,
		_mm512_permutexvar_epi64(_mm512_setr_epi64(0, 0, 0, 1, 2, 3, 4, 5), v));
	v = _mm512_mask_shuffle_epi8(v, scale_here, _mm512_set1_epi32(s), LOAD(scale_place));
	STORE(dst, v);
	memcpy(dst + 64, &end, sizeof end);
}

FAST __m512i halves_apart(__m512i v)
{
	return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), v);
}

FAST __m512i where_zero(__m512i v, __m512i e, __m512i table, __m512i m)
{
	return _mm512_mask_shuffle_epi8(v, _mm512_cmpeq_epi8_mask(e, _mm512_setzero_si512()), table,
		m);
}

/* A byte in 32 bits, and its upper half moved to the upper 16: their low four bits are two codes. The index of a word
 * of the table has a bit more, which is of the byte's upper half; so the table is there twice. */
FAST void bf16_group(uint8_t *dst, const uint8_t *src, const struct row_bf16 *t, unsigned scale)
{
	__m512i v = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)src)),
		table = _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)t->of[scale]));

	STORE(dst, _mm512_permutexvar_epi16(OR(v, _mm512_slli_epi32(v, 12)), table));
}

#include "quant/row_simd.inc"
