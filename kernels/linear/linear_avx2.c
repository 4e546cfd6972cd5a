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
#define AVX2 static inline TARGET __attribute__((always_inline))
/* Arrays of vectors become registers where loops over them are gone. */
#define UNROLL _Pragma("GCC unroll 8")

enum { W = 8, V = 4 };

static const float fp8_up = 256.0f; /* what a code made a half float is too small by */

/* --- 32 columns to four vectors --- */

AVX2 void fp4_block(__m256 out[V], const uint8_t *p, const uint8_t byte[2][16])
{
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
AVX2 void fp8_block(__m256 out[V], const uint8_t *p, __m256i *nan)
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

AVX2 void bf16_block(__m256 out[V], const uint8_t *p)
{
	int i;

	UNROLL
	for (i = 0; i < V; i++) {
		__m128i h = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));

		out[i] = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
	}
}

AVX2 void f32_block(__m256 out[V], const uint8_t *p)
{
	int i;

	UNROLL
	for (i = 0; i < V; i++)
		out[i] = _mm256_castsi256_ps(_mm256_loadu_si256((const __m256i *)(const void *)(p +
			32 * i)));
}

AVX2 bool any(__m256i v)
{
	return !_mm256_testz_si256(v, v);
}

/* 16 columns into the order that fp4_block leaves. */
AVX2 void fp4_order(__m256 v[2])
{
	__m256 p = _mm256_permute2f128_ps(v[0], v[1], 0x20);     /* 0 1 2 3 | 8 9 10 11 */
	__m256 q = _mm256_permute2f128_ps(v[0], v[1], 0x31);     /* 4 5 6 7 | 12 13 14 15 */
	__m256d lo = _mm256_castps_pd(_mm256_unpacklo_ps(p, q)); /* 0 4 1 5 | 8 12 9 13 */
	__m256d hi = _mm256_castps_pd(_mm256_unpackhi_ps(p, q));

	v[0] = _mm256_castpd_ps(_mm256_permute4x64_pd(lo, 0xd8));
	v[1] = _mm256_castpd_ps(_mm256_permute4x64_pd(hi, 0xd8));
}

/* Block of columns col .. col + 32 of a weight, scaled. */
AVX2 void weight_block(__m256 out[V], enum linear_kind kind, const struct linear_line *line,
	uint32_t col, __m256i *nan)
{
	__m256 f;
	int i;

	switch (kind) {
	case LINEAR_FP4:
		fp4_block(out, line->codes + col / 2, linear_fp4.byte[line->e8m0[col / 32]]);
		break;
	case LINEAR_FP8:
		fp8_block(out, line->codes + col, nan);
		f = _mm256_set1_ps(line->scale[col / 128] * fp8_up);
		UNROLL
		for (i = 0; i < V; i++)
			out[i] = _mm256_mul_ps(out[i], f);
		break;
	case LINEAR_BF16:
		bf16_block(out, line->codes + 2 * (size_t)col);
		break;
	default:
		f32_block(out, line->codes + 4 * (size_t)col);
	}
}

TARGET static bool decode(enum linear_kind kind, const struct linear_line *line, uint32_t col,
	uint32_t n, float *out, size_t block, size_t lane)
{
	__m256i nan = _mm256_setzero_si256();
	__m256 v[V];
	uint32_t b, i;

	for (b = 0; b < n / 32; b++) {
		weight_block(v, kind, line, col + 32 * b, &nan);
		UNROLL
		for (i = 0; i < V; i++)
			_mm256_store_ps(out + b * block + i * lane, v[i]);
	}
	return !any(nan);
}

TARGET static bool act(enum linear_kind kind, const uint8_t *q, const float *s, const float *x,
	uint32_t col, uint32_t n, float *out, size_t block, size_t lane)
{
	__m256i nan = _mm256_setzero_si256();
	__m256 v[V], f;
	uint32_t b, i;

	for (b = 0; b < n / 32; b++, col += 32) {
		if (q) {
			fp8_block(v, q + col, &nan);
			f = _mm256_set1_ps(s[col / 128] * fp8_up);
		} else {
			f32_block(v, (const uint8_t *)(x + col));
		}
		UNROLL
		for (i = 0; i < V; i++)
			v[i] = q ? _mm256_mul_ps(v[i], f) : v[i];
		if (kind == LINEAR_FP4) {
			fp4_order(v);
			fp4_order(v + 2);
		}
		UNROLL
		for (i = 0; i < V; i++)
			_mm256_store_ps(out + b * block + i * lane, v[i]);
	}
	return !any(nan);
}

/* --- tiles --- */

enum { SUM_R = 3, SUM_T = 4, PART_T = 8 };

TARGET static void sum(float *acc, size_t acc_next, const float *w, size_t w_next, const float *x,
	size_t x_next, uint32_t blocks)
{
	__m256 a[SUM_R][SUM_T], y[SUM_R], v;
	uint32_t b;
	int r, t;

	UNROLL
	for (r = 0; r < SUM_R; r++)
		UNROLL
	for (t = 0; t < SUM_T; t++)
		a[r][t] = _mm256_load_ps(acc + (size_t)r * acc_next + t * LINEAR_LANES);
	for (b = 0; b < blocks; b++) {
		UNROLL
		for (r = 0; r < SUM_R; r++)
			y[r] = _mm256_load_ps(w + (size_t)r * w_next + (size_t)b * W);
		UNROLL
		for (t = 0; t < SUM_T; t++) {
			v = _mm256_load_ps(x + (size_t)t * x_next + (size_t)b * W);
			UNROLL
			for (r = 0; r < SUM_R; r++)
				a[r][t] = _mm256_fmadd_ps(v, y[r], a[r][t]);
		}
	}
	UNROLL
	for (r = 0; r < SUM_R; r++)
		UNROLL
	for (t = 0; t < SUM_T; t++)
		_mm256_store_ps(acc + (size_t)r * acc_next + t * LINEAR_LANES, a[r][t]);
}

TARGET static void part(float *acc, size_t acc_next, const float *w, size_t w_next, const float *x,
	size_t x_next, uint32_t blocks)
{
	__m256 a[PART_T], y[4], p;
	const float *from[PART_T];
	size_t at;
	int t, i;

	(void)acc_next, (void)w_next;
	UNROLL
	for (t = 0; t < PART_T; t++) {
		a[t] = _mm256_load_ps(acc + t * LINEAR_LANES);
		from[t] = x + (size_t)t * x_next;
	}
	for (at = 0; at < (size_t)blocks * W; at += 4 * W) {
		UNROLL
		for (i = 0; i < 4; i++)
			y[i] = _mm256_load_ps(w + at + i * W);
		UNROLL
		for (t = 0; t < PART_T; t++) {
			p = _mm256_mul_ps(y[0], _mm256_load_ps(from[t] + at));
			p = _mm256_fmadd_ps(y[1], _mm256_load_ps(from[t] + at + W), p);
			p = _mm256_fmadd_ps(y[2], _mm256_load_ps(from[t] + at + 2 * W), p);
			p = _mm256_fmadd_ps(y[3], _mm256_load_ps(from[t] + at + 3 * W), p);
			a[t] = _mm256_add_ps(a[t], p);
		}
	}
	UNROLL
	for (t = 0; t < PART_T; t++)
		_mm256_store_ps(acc + t * LINEAR_LANES, a[t]);
}

/* --- one token --- */

AVX2 void store_pair(float *lanes, const __m256 a[2][V])
{
	int r, i;

	UNROLL
	for (r = 0; r < 2; r++)
		UNROLL
	for (i = 0; i < V; i++)
		_mm256_store_ps(lanes + r * LINEAR_LANES + i * W, a[r][i]);
}

AVX2 bool pair_sum(enum linear_kind kind, const struct linear_line *line, uint32_t cols,
	const float *x, float *lanes)
{
	__m256i nan = _mm256_setzero_si256();
	__m256 a[2][V] = { 0 }, v[V];
	uint32_t col;
	int r, i;

	for (col = 0; col < cols; col += 32)
		UNROLL
	for (r = 0; r < 2; r++) {
		weight_block(v, kind, &line[r], col, &nan);
		UNROLL
		for (i = 0; i < V; i++)
			a[r][i] = _mm256_fmadd_ps(v[i], _mm256_load_ps(x + col + i * W), a[r][i]);
	}
	store_pair(lanes, a);
	return !any(nan);
}

/* The partial is of codes as they come; its scale comes with the sum. */
AVX2 bool pair_part(const struct linear_line *line, uint32_t cols, const float *x, float *lanes)
{
	__m256i nan = _mm256_setzero_si256();
	__m256 a[2][V] = { 0 }, p[V], v[V], f;
	uint32_t col, k;
	int r, i;

	for (col = 0; col < cols; col += 128)
		UNROLL
	for (r = 0; r < 2; r++) {
		UNROLL
		for (i = 0; i < V; i++)
			p[i] = _mm256_setzero_ps();
		UNROLL
		for (k = col; k < col + 128; k += 32) {
			fp8_block(v, line[r].codes + k, &nan);
			UNROLL
			for (i = 0; i < V; i++)
				p[i] = _mm256_fmadd_ps(v[i], _mm256_load_ps(x + k + i * W), p[i]);
		}
		f = _mm256_set1_ps(line[r].scale[col / 128] * fp8_up);
		UNROLL
		for (i = 0; i < V; i++)
			a[r][i] = _mm256_fmadd_ps(p[i], f, a[r][i]);
	}
	store_pair(lanes, a);
	return !any(nan);
}

TARGET static bool pair(enum linear_kind kind, bool partial, const struct linear_line *line,
	uint32_t cols, const float *x, float *lanes)
{
	if (partial)
		return pair_part(line, cols, x, lanes);
	switch (kind) { /* each of them compiled apart */
	case LINEAR_FP4:
		return pair_sum(LINEAR_FP4, line, cols, x, lanes);
	case LINEAR_FP8:
		return pair_sum(LINEAR_FP8, line, cols, x, lanes);
	case LINEAR_BF16:
		return pair_sum(LINEAR_BF16, line, cols, x, lanes);
	default:
		return pair_sum(LINEAR_F32, line, cols, x, lanes);
	}
}

/* Steps 16, 8, 4, 2, 1; in the order of FP4 8 and 4 are inside a half, 2 is between vectors. */
TARGET static float tree(enum linear_kind kind, const float *lanes)
{
	__m256 a = _mm256_add_ps(_mm256_load_ps(lanes), _mm256_load_ps(lanes + 16));
	__m256 b = _mm256_add_ps(_mm256_load_ps(lanes + 8), _mm256_load_ps(lanes + 24));
	__m128 c;

	if (kind == LINEAR_FP4) {
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

const struct linear_core linear_avx2 = { .width = W,
	.sum_rows = SUM_R,
	.sum_tokens = SUM_T,
	.part_rows = 1,
	.part_tokens = PART_T,
	.decode = decode,
	.act = act,
	.sum = sum,
	.part = part,
	.pair = pair,
	.tree = tree };
