/* fmath.h -- the functions that a forward pass needs beyond + - * / and sqrt, made of those and of fmaf
 * only, so that gcc, clang and nvcc give the same bits; for C, C++ and CUDA.
 *
 * Not a general library: each function says its domain. The one idea: every operation used here is
 * rounded correctly by IEEE 754, and none is left to the compiler to fuse (-ffp-contract=off, nvcc
 * -fmad=false -ftz=false -prec-div=true -prec-sqrt=true). docs/numbers.md states them as the contract;
 * tests/test_fmath.c measures the error bounds named below over all floats of a range.
 *
 * A NaN that comes out of one of these is 0x7fc00000, whatever went in.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_FMATH_H
#define KERNELS_FMATH_H
#include "quant/num.h"

#include <math.h>

#ifdef __CUDACC__
#define FM_FN static inline __host__ __device__
#else
#define FM_FN static inline
#endif

FM_FN float fm_nan(void)
{
	return num_f32(0x7fc00000u);
}

FM_FN float fm_inf(void)
{
	return num_f32(0x7f800000u);
}

/* Not fmaxf, which may order zeros and drop NaNs as it likes. */
FM_FN float fm_max(float a, float b)
{
	return a > b ? a : b;
}

FM_FN float fm_abs(float x)
{
	return num_f32(num_bits(x) & 0x7fffffffu);
}

/* Two roundings. */
FM_FN float fm_rsqrt(float x)
{
	return 1.0f / sqrtf(x);
}

/* Nearest BF16, ties to even; overflow gives infinity. */
FM_FN float fm_bf16(float x)
{
	return x != x ? fm_nan() : num_bf16(num_bf16_from(x));
}

/* As it is, but for NaN: what is stored where nothing is rounded. */
FM_FN float fm_float(float x)
{
	return x != x ? fm_nan() : x;
}

/* --- exp --- */

/* (e^r - 1 - r) / r^2 for |r| <= ln(2)/2; relative to e^r within 2^-33. Coefficients by weighted least
 * squares in double, rounded to float from the lowest on, the rest fitted again each time. */
FM_FN float fm_exp_tail(float r)
{
	float q = 0x1.a250a2p-13f;

	q = fmaf(q, r, 0x1.6d4cc8p-10f);
	q = fmaf(q, r, 0x1.110ffep-7f);
	q = fmaf(q, r, 0x1.5554e8p-5f);
	q = fmaf(q, r, 0x1.555556p-3f);
	return fmaf(q, r, 0.5f);
}

/* e^x for every x. Below 1 ulp where the result is normal, within 2^-149 where it is subnormal; exactly
 * 1 for 0; infinity above ln(FLT_MAX), 0 below ln(2^-150). */
FM_FN float fm_exp(float x)
{
	float n, r, y;
	int k, half;

	if (x != x)
		return fm_nan();
	if (x > 88.7228394f)
		return fm_inf();
	if (x < -103.972084f)
		return 0.0f;
	n = fmaf(x, 0x1.715476p+0f, 12582912.0f) - 12582912.0f; /* nearest integer to x / ln 2 */
	r = fmaf(n, -0x1.62e4p-1f, x);                          /* exact: 15 bits of ln 2, 8 of n */
	r = fmaf(n, -0x1.7f7d1cp-20f, r);
	y = 1.0f + fmaf(fm_exp_tail(r), r * r, r);
	k = (int)n;
	half = k / 2; /* 2^k may be out of range where the result is not */
	y *= num_f32((uint32_t)(half + 127) << 23);
	return y * num_f32((uint32_t)(k - half + 127) << 23);
}

/* 1 / (1 + e^-x). */
FM_FN float fm_sigmoid(float x)
{
	float y = 1.0f / (1.0f + fm_exp(-x));

	return y != y ? fm_nan() : y;
}

/* x / (1 + e^-x); NaN for -infinity. */
FM_FN float fm_silu(float x)
{
	float y = x / (1.0f + fm_exp(-x));

	return y != y ? fm_nan() : y;
}

/* --- log --- */

/* (log(1 + f) - f + f^2/2) / f^3 for 1 + f in [sqrt(1/2), sqrt(2)]; f^3 of it relative to log(1 + f)
 * within 2^-32. Coefficients as above. */
FM_FN float fm_log_tail(float f)
{
	float q = -0x1.e2d432p-5f;

	q = fmaf(q, f, 0x1.afef6ep-4f);
	q = fmaf(q, f, -0x1.bb0bf8p-4f);
	q = fmaf(q, f, 0x1.c4d88ap-4f);
	q = fmaf(q, f, -0x1.fd0712p-4f);
	q = fmaf(q, f, 0x1.248676p-3f);
	q = fmaf(q, f, -0x1.556256p-3f);
	q = fmaf(q, f, 0x1.999a6ap-3f);
	q = fmaf(q, f, -0x1.ffffdcp-3f);
	return fmaf(q, f, 0x1.555554p-2f);
}

/* log(1 + f), same domain. */
FM_FN float fm_log_near(float f)
{
	return fmaf(fmaf(f, fm_log_tail(f), -0.5f), f * f, f);
}

/* log(1 + x) for x >= 0; NaN for less. */
FM_FN float fm_log1p(float x)
{
	float u, f, rest, n;
	uint32_t b;
	int k;

	if (!(x >= 0.0f))
		return fm_nan();
	if (x < 0x1.a827fap-2f) /* sqrt(2) - 1 */
		return fm_log_near(x);
	if (x > 0x1.fffffep+127f)
		return x;
	u = 1.0f + x;
	rest = x < 1.0f ? x - (u - 1.0f) : 1.0f - (u - x); /* what u has lost, exactly */
	b = num_bits(u) - 0x3f3504f3u;                     /* m = u / 2^k in [sqrt(1/2), sqrt(2)) */
	k = (int)(b >> 23);
	f = num_f32((b & 0x7fffffu) + 0x3f3504f3u) - 1.0f;
	if (k < 26)
		f += rest * num_f32((uint32_t)(127 - k) << 23);
	n = (float)k;
	return fmaf(n, 0x1.62e4p-1f, fmaf(n, 0x1.7f7d1cp-20f, fm_log_near(f)));
}

/* log(1 + e^x); x itself above 20, as the reference has it. */
FM_FN float fm_softplus(float x)
{
	if (x != x)
		return fm_nan();
	return x > 20.0f ? x : fm_log1p(fm_exp(x));
}

/* --- scales and small formats --- */

/* The least power of two that is not below t, for normal t > 0; NaN for infinity and NaN, infinity
 * above 2^127. From the bits: exact. */
FM_FN float fm_pow2_above(float t)
{
	uint32_t b = num_bits(t);

	if (b >= 0x7f800000u)
		return fm_nan();
	return num_f32((b + 0x7fffffu) & 0x7f800000u);
}

FM_FN float fm_clamp(float x, float limit)
{
	return x > limit ? limit : x < -limit ? -limit : x;
}

/* The E4M3 code of x / s, s a power of two: an activation whose block has scale s. A NaN gives a NaN
 * code. */
FM_FN uint8_t fm_e4m3(float x, float s)
{
	return num_e4m3_from(fm_clamp(x / s, 448.0f));
}

/* The E2M1 value nearest to v, ties to the even code; above 5 it is 6. The sign of zero is kept. */
FM_FN float fm_e2m1(float v)
{
	float a = fm_abs(v), r;

	if (v != v)
		return fm_nan();
	r = a <= 0.25f       ? 0.0f
		: a < 0.75f  ? 0.5f
		: a <= 1.25f ? 1.0f
		: a < 1.75f  ? 1.5f
		: a <= 2.5f  ? 2.0f
		: a < 3.5f   ? 3.0f
		: a <= 5.0f  ? 4.0f
			     : 6.0f;
	return num_f32(num_bits(r) | (num_bits(v) & 0x80000000u));
}

/* Scale of a block of activations whose greatest magnitude is amax: FP8 in blocks of 128 (linears) or 64
 * (entries of the cache), FP4 in blocks of 32 (indexer). */
FM_FN float fm_scale_fp8(float amax)
{
	return fm_pow2_above(fm_max(amax, 1e-4f) * num_f32(0x3b124925u)); /* f32(1/448) */
}

FM_FN float fm_scale_fp4(float amax)
{
	return fm_pow2_above(fm_max(amax, 0x1.8p-124f) * num_f32(0x3e2aaaabu)); /* f32(1/6) */
}

/* There and back, one value. */
FM_FN float fm_fake_fp8(float x, float s)
{
	return fm_bf16(num_e4m3(fm_e4m3(x, s)) * s);
}

FM_FN float fm_fake_fp4(float x, float s)
{
	return fm_bf16(fm_e2m1(fm_clamp(x / s, 6.0f)) * s);
}

/* --- 32 lanes --- */

/* The xor tree 16, 8, 4, 2, 1 over 32 lanes as lane 0 sees it (every lane ends with the same value, for
 * a + b is b + a). */
FM_FN float fm_tree32(const float *lane)
{
	float v[16];
	int step, i;

	for (i = 0; i < 16; i++)
		v[i] = lane[i] + lane[i + 16];
	for (step = 8; step; step /= 2)
		for (i = 0; i < step; i++)
			v[i] = v[i] + v[i + step];
	return v[0];
}

/* The dot product of everything here: element k to lane k mod 32, fmaf, ascending. */
FM_FN float fm_dot(const float *a, const float *b, uint32_t n)
{
	float lane[32];
	uint32_t k;

	for (k = 0; k < 32; k++)
		lane[k] = 0.0f;
	for (k = 0; k < n; k++)
		lane[k % 32] = fmaf(a[k], b[k], lane[k % 32]);
	return fm_tree32(lane);
}

#endif
