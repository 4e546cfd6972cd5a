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
#define AVX512 static inline TARGET __attribute__((always_inline))
/* Arrays of vectors become registers where loops over them are gone. */
#define UNROLL _Pragma("GCC unroll 8")

enum { W = 16, V = 2 };

static const float fp8_up = 256.0f; /* what a code made a half float is too small by */

/* --- 32 columns to two vectors --- */

AVX512 __m512 fp4_values(void)
{
	return _mm512_setr_ps(0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f, -0.0f, -0.5f, -1.0f,
		-1.5f, -2.0f, -3.0f, -4.0f, -6.0f);
}

AVX512 void fp4_block(__m512 out[V], const uint8_t *p, unsigned e8m0)
{
	__m128i raw = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m512i code = _mm512_cvtepu8_epi32(raw);
	__m512 table = _mm512_mul_ps(fp4_values(), _mm512_set1_ps(num_f32(e8m0 << 23)));

	out[0] = _mm512_permutexvar_ps(code, table); /* takes the low 4 bits */
	out[1] = _mm512_permutexvar_ps(_mm512_srli_epi32(code, 4), table);
}

/* Without the 2^8. *nan collects where a code is NaN. */
AVX512 void fp8_block(__m512 out[V], const uint8_t *p, __mmask32 *nan)
{
	const __m256i low = _mm256_set1_epi8(0x7f);
	__m256i raw = _mm256_loadu_si256((const __m256i *)(const void *)p);
	__m512i h = _mm512_slli_epi16(_mm512_cvtepu8_epi16(raw), 8);

	*nan |= _mm256_cmpeq_epi8_mask(_mm256_and_si256(raw, low), low);
	h = _mm512_and_si512(_mm512_srai_epi16(h, 1), _mm512_set1_epi16((short)0xbfff));
	out[0] = _mm512_cvtph_ps(_mm512_castsi512_si256(h));
	out[1] = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(h, 1));
}

AVX512 void bf16_block(__m512 out[V], const uint8_t *p)
{
	int i;

	UNROLL
	for (i = 0; i < V; i++) {
		__m256i h = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32 * i));

		out[i] = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
	}
}

AVX512 void f32_block(__m512 out[V], const uint8_t *p)
{
	out[0] = _mm512_castsi512_ps(_mm512_loadu_si512(p));
	out[1] = _mm512_castsi512_ps(_mm512_loadu_si512(p + 64));
}

/* Even columns and odd ones, from columns in their order; and back. */
AVX512 void fp4_order(__m512 v[V])
{
	const __m512i even =
		_mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
	__m512 a = v[0], b = v[1];

	v[0] = _mm512_permutex2var_ps(a, even, b);
	v[1] = _mm512_permutex2var_ps(a, _mm512_add_epi32(even, _mm512_set1_epi32(1)), b);
}

AVX512 void fp4_unorder(__m512 v[V])
{
	const __m512i first =
		_mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
	__m512 a = v[0], b = v[1];

	v[0] = _mm512_permutex2var_ps(a, first, b);
	v[1] = _mm512_permutex2var_ps(a, _mm512_add_epi32(first, _mm512_set1_epi32(8)), b);
}

/* Block of columns col .. col + 32 of a weight, scaled. */
AVX512 void weight_block(__m512 out[V], enum linear_kind kind, const struct linear_line *line,
	uint32_t col, __mmask32 *nan)
{
	__m512 f;

	switch (kind) {
	case LINEAR_FP4:
		fp4_block(out, line->codes + col / 2, line->e8m0[col / 32]);
		break;
	case LINEAR_FP8:
		fp8_block(out, line->codes + col, nan);
		f = _mm512_set1_ps(line->scale[col / 128] * fp8_up);
		out[0] = _mm512_mul_ps(out[0], f);
		out[1] = _mm512_mul_ps(out[1], f);
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
	__mmask32 nan = 0;
	__m512 v[V];
	uint32_t b;

	for (b = 0; b < n / 32; b++) {
		weight_block(v, kind, line, col + 32 * b, &nan);
		_mm512_store_ps(out + b * block, v[0]);
		_mm512_store_ps(out + b * block + lane, v[1]);
	}
	return !nan;
}

TARGET static bool act(enum linear_kind kind, const uint8_t *q, const float *s, const float *x,
	uint32_t col, uint32_t n, float *out, size_t block, size_t lane)
{
	__mmask32 nan = 0;
	__m512 v[V], f;
	uint32_t b;

	for (b = 0; b < n / 32; b++, col += 32) {
		if (q) {
			fp8_block(v, q + col, &nan);
			f = _mm512_set1_ps(s[col / 128] * fp8_up);
			v[0] = _mm512_mul_ps(v[0], f);
			v[1] = _mm512_mul_ps(v[1], f);
		} else {
			f32_block(v, (const uint8_t *)(x + col));
		}
		if (kind == LINEAR_FP4)
			fp4_order(v);
		_mm512_store_ps(out + b * block, v[0]);
		_mm512_store_ps(out + b * block + lane, v[1]);
	}
	return !nan;
}

/* --- tiles --- */

enum { SUM_R = 6, SUM_T = 4, PART_R = 2, PART_T = 8 };

TARGET static void sum(float *acc, size_t acc_next, const float *w, size_t w_next, const float *x,
	size_t x_next, uint32_t blocks)
{
	__m512 a[SUM_R][SUM_T], y[SUM_T], v;
	uint32_t b;
	int r, t;

	UNROLL
	for (r = 0; r < SUM_R; r++)
		UNROLL
	for (t = 0; t < SUM_T; t++)
		a[r][t] = _mm512_load_ps(acc + (size_t)r * acc_next + t * LINEAR_LANES);
	for (b = 0; b < blocks; b++) {
		UNROLL
		for (t = 0; t < SUM_T; t++)
			y[t] = _mm512_load_ps(x + (size_t)t * x_next + (size_t)b * W);
		UNROLL
		for (r = 0; r < SUM_R; r++) {
			v = _mm512_load_ps(w + (size_t)r * w_next + (size_t)b * W);
			UNROLL
			for (t = 0; t < SUM_T; t++)
				a[r][t] = _mm512_fmadd_ps(v, y[t], a[r][t]);
		}
	}
	UNROLL
	for (r = 0; r < SUM_R; r++)
		UNROLL
	for (t = 0; t < SUM_T; t++)
		_mm512_store_ps(acc + (size_t)r * acc_next + t * LINEAR_LANES, a[r][t]);
}

TARGET static void part(float *acc, size_t acc_next, const float *w, size_t w_next, const float *x,
	size_t x_next, uint32_t blocks)
{
	__m512 a[PART_R][PART_T], y[PART_R][4], p[PART_R], v;
	uint32_t b;
	int r, t, i;

	UNROLL
	for (r = 0; r < PART_R; r++)
		UNROLL
	for (t = 0; t < PART_T; t++)
		a[r][t] = _mm512_load_ps(acc + (size_t)r * acc_next + t * LINEAR_LANES);
	for (b = 0; b < blocks; b += 4) {
		UNROLL
		for (r = 0; r < PART_R; r++)
			UNROLL
		for (i = 0; i < 4; i++)
			y[r][i] = _mm512_load_ps(w + (size_t)r * w_next +
				(size_t)(b + (uint32_t)i) * W);
		UNROLL
		for (t = 0; t < PART_T; t++) {
			const float *at = x + (size_t)t * x_next + (size_t)b * W;

			v = _mm512_load_ps(at);
			UNROLL
			for (r = 0; r < PART_R; r++)
				p[r] = _mm512_mul_ps(y[r][0], v);
			UNROLL
			for (i = 1; i < 4; i++) {
				v = _mm512_load_ps(at + i * W);
				UNROLL
				for (r = 0; r < PART_R; r++)
					p[r] = _mm512_fmadd_ps(y[r][i], v, p[r]);
			}
			UNROLL
			for (r = 0; r < PART_R; r++)
				a[r][t] = _mm512_add_ps(a[r][t], p[r]);
		}
	}
	UNROLL
	for (r = 0; r < PART_R; r++)
		UNROLL
	for (t = 0; t < PART_T; t++)
		_mm512_store_ps(acc + (size_t)r * acc_next + t * LINEAR_LANES, a[r][t]);
}

/* --- one token --- */

AVX512 void store_pair(float *lanes, const __m512 a[2][V])
{
	int r, i;

	UNROLL
	for (r = 0; r < 2; r++)
		UNROLL
	for (i = 0; i < V; i++)
		_mm512_store_ps(lanes + r * LINEAR_LANES + i * W, a[r][i]);
}

AVX512 bool pair_sum(enum linear_kind kind, const struct linear_line *line, uint32_t cols,
	const float *x, float *lanes)
{
	__mmask32 nan = 0;
	__m512 a[2][V], v[V];
	uint32_t col;
	int r, i;

	UNROLL
	for (r = 0; r < 2; r++)
		UNROLL
	for (i = 0; i < V; i++)
		a[r][i] = _mm512_setzero_ps();
	for (col = 0; col < cols; col += 32)
		UNROLL
	for (r = 0; r < 2; r++) {
		weight_block(v, kind, &line[r], col, &nan);
		UNROLL
		for (i = 0; i < V; i++)
			a[r][i] = _mm512_fmadd_ps(v[i], _mm512_load_ps(x + col + i * W), a[r][i]);
	}
	store_pair(lanes, a);
	return !nan;
}

/* The partial is of codes as they come; its scale comes with the sum. */
AVX512 bool pair_part(const struct linear_line *line, uint32_t cols, const float *x, float *lanes)
{
	__mmask32 nan = 0;
	__m512 a[2][V], p[V], v[V], f;
	uint32_t col, k;
	int r, i;

	UNROLL
	for (r = 0; r < 2; r++)
		UNROLL
	for (i = 0; i < V; i++)
		a[r][i] = _mm512_setzero_ps();
	for (col = 0; col < cols; col += 128)
		UNROLL
	for (r = 0; r < 2; r++) {
		UNROLL
		for (i = 0; i < V; i++)
			p[i] = _mm512_setzero_ps();
		UNROLL
		for (k = col; k < col + 128; k += 32) {
			fp8_block(v, line[r].codes + k, &nan);
			UNROLL
			for (i = 0; i < V; i++)
				p[i] = _mm512_fmadd_ps(v[i], _mm512_load_ps(x + k + i * W), p[i]);
		}
		f = _mm512_set1_ps(line[r].scale[col / 128] * fp8_up);
		UNROLL
		for (i = 0; i < V; i++)
			a[r][i] = _mm512_fmadd_ps(p[i], f, a[r][i]);
	}
	store_pair(lanes, a);
	return !nan;
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

TARGET static float tree(enum linear_kind kind, const float *lanes)
{
	__m512 v[V] = { _mm512_load_ps(lanes), _mm512_load_ps(lanes + W) };
	__m256 a;
	__m128 c;

	if (kind == LINEAR_FP4)
		fp4_unorder(v);
	v[0] = _mm512_add_ps(v[0], v[1]);
	a = _mm256_add_ps(_mm512_castps512_ps256(v[0]),
		_mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v[0]), 1)));
	c = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
	c = _mm_add_ps(c, _mm_movehl_ps(c, c));
	c = _mm_add_ss(c, _mm_shuffle_ps(c, c, 1));
	return _mm_cvtss_f32(c);
}

const struct linear_core linear_avx512 = { .width = W,
	.sum_rows = SUM_R,
	.sum_tokens = SUM_T,
	.part_rows = PART_R,
	.part_tokens = PART_T,
	.decode = decode,
	.act = act,
	.sum = sum,
	.part = part,
	.pair = pair,
	.tree = tree };
