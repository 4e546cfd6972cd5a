/* test_fmath.c -- the functions of fmath.h against libm in double, within the bounds that docs/numbers.md
 * states; roundings and scales against a search, and the test vectors of the specification.
 *
 * Every so many floats here; FMATH=n in the environment takes every n-th and prints what it finds; FMATH=1
 * is every float, about a quarter of an hour.
 *
 * SPDX-License-Identifier: MIT */
#include "kernels/fmath.h"
#include "tests/check.h"

#include <float.h>

static uint32_t stride(uint32_t usual)
{
	unsigned long n = getenv("FMATH") ? strtoul(getenv("FMATH"), NULL, 10) : usual;

	return n < 1 || n > 1 << 20 ? 1 : (uint32_t)n;
}

/* What one unit in the last place of a float near y is. */
static double ulp(double y)
{
	int e;

	frexp(fabs(y), &e);
	return ldexp(1, e - 24 < -149 ? -149 : e - 24);
}

static double ref_sigmoid(double x)
{
	return 1 / (1 + exp(-x));
}

static double ref_silu(double x)
{
	return x / (1 + exp(-x));
}

static double ref_softplus(double x)
{
	return x > 20 ? x : log1p(exp(x));
}

static double ref_rsqrt(double x)
{
	return 1 / sqrt(x);
}

struct function {
	const char *name;
	float (*f)(float);
	double (*ref)(double);
	float lo, hi;
	double bound; /* in ulp; docs/numbers.md */
};

/* All floats of lo..hi, or every so many of them from a start at random. */
static void measure(const struct function *f)
{
	uint32_t step = stride(3989);
	double worst = 0, want, err;
	float x, at = 0;
	uint64_t b;

	for (b = rnd(step); b <= UINT32_MAX; b += step) {
		x = num_f32((uint32_t)b);
		if (!(x >= f->lo && x <= f->hi))
			continue;
		want = f->ref(x);
		err = fabs(f->f(x) - want) / ulp(want);
		if (!(err <= worst)) {
			worst = err;
			at = x;
		}
	}
	if (getenv("FMATH"))
		printf("%s: %.4f ulp at %a\n", f->name, worst, (double)at);
	CHECK_IN(f->name, worst <= f->bound);
}

static void functions(void)
{
	static const struct function table[] = {
		{ "exp", fm_exp, exp, -103.97f, 88.72283f, 1.0 },
		{ "log1p", fm_log1p, log1p, 0.0f, FLT_MAX, 1.5 },
		{ "softplus", fm_softplus, ref_softplus, -103.97f, FLT_MAX, 1.75 },
		{ "sigmoid", fm_sigmoid, ref_sigmoid, -87.0f, FLT_MAX, 2.5 },
		{ "silu", fm_silu, ref_silu, -87.0f, FLT_MAX, 2.5 },
		{ "rsqrt", fm_rsqrt, ref_rsqrt, FLT_TRUE_MIN, FLT_MAX, 1.5 },
	};
	size_t i;

	for (i = 0; i < sizeof table / sizeof *table; i++)
		measure(&table[i]);
}

static bool is(float x, uint32_t bits)
{
	return num_bits(x) == bits;
}

static void ends(void)
{
	const uint32_t nan = 0x7fc00000, inf = 0x7f800000, bad = 0xffa12345;
	float x;

	CHECK(is(fm_exp(0.0f), 0x3f800000) && is(fm_exp(-0.0f), 0x3f800000));
	CHECK(is(fm_exp(fm_inf()), inf) && is(fm_exp(-fm_inf()), 0));
	CHECK(is(fm_exp(88.73f), inf) && is(fm_exp(-103.98f), 0) && is(fm_exp(-103.9f), 1));
	CHECK(is(fm_exp(num_f32(bad)), nan));
	CHECK(is(fm_log1p(0.0f), 0) && is(fm_log1p(-0.0f), 0x80000000));
	CHECK(is(fm_log1p(fm_inf()), inf) && is(fm_log1p(-1e-30f), nan));
	CHECK(is(fm_log1p(num_f32(bad)), nan) && is(fm_log1p(num_f32(1)), 1));
	CHECK(is(fm_softplus(-fm_inf()), 0) && is(fm_softplus(fm_inf()), inf));
	CHECK(is(fm_softplus(num_f32(bad)), nan) && fm_softplus(20.5f) == 20.5f);
	CHECK(is(fm_sigmoid(0.0f), 0x3f000000) && is(fm_sigmoid(fm_inf()), 0x3f800000));
	CHECK(is(fm_sigmoid(-fm_inf()), 0) && is(fm_sigmoid(num_f32(bad)), nan));
	CHECK(is(fm_silu(0.0f), 0) && is(fm_silu(-fm_inf()), nan) && is(fm_silu(fm_inf()), inf));
	CHECK(is(fm_max(-0.0f, 0.0f), 0) && is(fm_max(0.0f, -0.0f), 0x80000000));
	for (x = -87.0f; x > -200.0f; x -= 0.125f) /* where sigmoid has no bits left to be near */
		CHECK(fm_sigmoid(x) <= 0x1p-125f && fm_sigmoid(x) >= 0.0f);
}

/* --- roundings --- */

static void bf16(void)
{
	uint32_t step = stride(4099);
	double x, y, lo, hi;
	uint64_t b;
	float f;

	for (b = rnd(step); b <= UINT32_MAX; b += step) {
		f = fm_bf16(num_f32((uint32_t)b));
		if ((b & 0x7fffffff) > 0x7f800000) {
			CHECK(is(f, 0x7fc00000));
			continue;
		}
		if ((b & 0x7fffffff) >= 0x7f7f8000)
			continue; /* to infinity, or it already */
		x = num_f32((uint32_t)b);
		y = f;
		lo = num_f32((uint32_t)b & 0xffff0000);
		hi = num_f32(((uint32_t)b & 0xffff0000) + 0x10000);
		CHECK((num_bits(f) & 0xffff) == 0);
		CHECK(fabs(x - y) <= fabs(x - lo) && fabs(x - y) <= fabs(x - hi));
		if (fabs(x - lo) == fabs(x - hi) && x != lo)
			CHECK((num_bits(f) >> 16 & 1) == 0);
	}
	CHECK(is(fm_bf16(num_f32(0x7f7f8000)), 0x7f800000));
}

/* The nearest of the values of all codes, of two the even code. */
static unsigned nearest(double v, float (*value)(unsigned), unsigned codes, unsigned skip)
{
	unsigned best = 0, c;

	for (c = 1; c < codes; c++)
		if (c != skip &&
			(fabs(value(c) - v) < fabs(value(best) - v) ||
				(fabs(value(c) - v) == fabs(value(best) - v) && c % 2 == 0)))
			best = c;
	return best;
}

static void small(void)
{
	static const float fours[][2] = { { 0.75f, 1 }, { 0.25f, 0 }, { 2.5f, 2 }, { 3.5f, 4 },
		{ 5, 4 }, { 0.26f, 0.5f }, { 1.75f, 2 }, { 100, 6 } };
	uint32_t k, e;
	float x;

	for (k = 0; k < 0x8000; k++) { /* every BF16, and between two of them */
		for (e = 0; e < 0x10000; e += 0x8000) {
			x = num_f32(k << 16 | e);
			if (!(x < 7.0f))
				continue;
			CHECK(fm_e2m1(x) == num_e2m1(nearest(x, num_e2m1, 8, 8)));
			CHECK(is(fm_e2m1(-x), num_bits(-fm_e2m1(x))));
		}
		x = num_f32(k << 16);
		if (k % 64 < 8 && x <= 448.0f)
			CHECK(fm_e4m3(x, 1.0f) == nearest(x, num_e4m3, 0x7f, 0x7f));
	}
	for (k = 0; k < sizeof fours / sizeof *fours; k++)
		CHECK(fm_e2m1(fours[k][0]) == fours[k][1]);
	CHECK(is(fm_e2m1(-0.1f), 0x80000000) && is(fm_e2m1(num_f32(0xffffffff)), 0x7fc00000));
	CHECK(fm_e4m3(1e30f, 1.0f) == 0x7e && fm_e4m3(-1e30f, 1.0f) == 0xfe);
	CHECK(fm_e4m3(-0.0f, 1.0f) == 0x80 && num_e4m3_is_nan(fm_e4m3(fm_nan(), 1.0f)));
	CHECK(fm_e4m3(3.0f, 0.25f) == num_e4m3_from(12.0f));
}

/* n of the least 2^n that is not below amax / m. */
static int exponent(double amax, double m)
{
	int n = -140;

	while (ldexp(m, n) < amax)
		n++;
	return n;
}

static void scales(void)
{
	uint32_t k;
	float a;

	for (k = 0; k < 0x7f80; k++) { /* every finite BF16 */
		a = num_f32(k << 16);
		CHECK(fm_scale_fp8(a) == ldexp(1, exponent(a > 1e-4f ? a : 1e-4f, 448)));
		CHECK(fm_scale_fp4(a) == ldexp(1, exponent(a > 0x1.8p-124 ? a : 0x1.8p-124, 6)));
	}
	CHECK(fm_scale_fp8(0.0f) == num_e8m0(105) && fm_scale_fp8(1.0f) == num_e8m0(119));
	CHECK(fm_scale_fp8(448.0f) == num_e8m0(127) && fm_scale_fp8(450.0f) == num_e8m0(128));
	CHECK(fm_scale_fp4(6.0f) == num_e8m0(127) && fm_scale_fp4(6.03125f) == num_e8m0(128));
	CHECK(fm_scale_fp4(0.0f) == num_e8m0(1));
	CHECK(is(fm_scale_fp8(fm_inf()), 0x7fc00000));
	CHECK(fm_fake_fp8(-3.0f, 0.0078125f) == -3.0f && fm_fake_fp4(0.7f, 0.25f) == 0.75f);
	CHECK(is(fm_pow2_above(1.5f), 0x40000000) && is(fm_pow2_above(2.0f), 0x40000000));
	CHECK(is(fm_pow2_above(0x1.8p+127f), 0x7f800000) &&
		is(fm_pow2_above(fm_nan()), 0x7fc00000));
}

/* --- lanes --- */

/* The tree as a warp does it: every lane adds what the lane with one bit flipped had. */
static void lanes(void)
{
	float a[300], b[300], v[32], w[32];
	uint32_t i, n, bit;

	for (n = 0; n < 300; n++) {
		for (i = 0; i < n; i++) {
			a[i] = (float)rnd(1 << 20) * 1e-4f - 50.0f;
			b[i] = (float)rnd(1 << 20) * 1e-5f - 5.0f;
		}
		for (i = 0; i < 32; i++)
			v[i] = 0.0f;
		for (i = 0; i < n; i++)
			v[i & 31] = fmaf(a[i], b[i], v[i & 31]);
		for (bit = 16; bit; bit >>= 1) {
			for (i = 0; i < 32; i++)
				w[i] = v[i] + v[i ^ bit];
			memcpy(v, w, sizeof v);
		}
		for (i = 1; i < 32; i++)
			CHECK(is(v[i], num_bits(v[0])));
		CHECK(is(fm_dot(a, b, n), num_bits(v[0])));
	}
}

static const struct test tests[] = {
	{ "fmath_functions", functions },
	{ "fmath_ends", ends },
	{ "fmath_bf16", bf16 },
	{ "fmath_small", small },
	{ "fmath_scales", scales },
	{ "fmath_lanes", lanes },
	{ NULL, NULL },
};
TEST_MAIN(tests)
