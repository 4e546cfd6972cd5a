/* SPDX-License-Identifier: MIT */
#include "quant/regain.h"

#include <math.h>
#include <string.h>

enum { GROUP = 32, BIAS = 127 }; /* columns of an MXFP4 scale; a test holds it to formats/codec.c */

/* The code of v over 2^k; 16 where E2M1 has no such number. */
static unsigned code_of(double v, int k)
{
	static const uint8_t code[13] = { 0, 1, 2, 3, 4, 16, 5, 16, 6, 16, 16, 16,
		7 }; /* of halves */
	double x = ldexp(fabs(v), 1 - k);

	if (!(x <= 12) || x != floor(x) || code[(int)x] > 7)
		return 16;
	return code[(int)x] | (signbit(v) ? 8u : 0);
}

/* Writes the codes of a group over 2^k. Returns false where one is not there. */
static bool put_group(const double *v, int k, uint8_t *to)
{
	unsigned i, low, high;

	for (i = 0; i < GROUP / 2; i++) {
		low = code_of(v[2 * i], k);
		high = code_of(v[2 * i + 1], k);
		if (low > 15 || high > 15)
			return false;
		to[i] = (uint8_t)(low | high << 4);
	}
	return true;
}

/* The exponent of the scale that the format itself has for a group, if it is one and E8M0 has it. */
static bool own_scale(enum codec from, const uint8_t *scales, double second, size_t group, int *k)
{
	size_t each = codecs[from].cols, n, i;
	double s;

	if (codecs[from].scale == DT_COUNT || codecs[from].rows > 1 || each > GROUP)
		return false;
	n = GROUP / each;
	s = codec_scale(from, scales, group * n);
	for (i = 1; i < n; i++)
		if (codec_scale(from, scales, group * n + i) != s)
			return false;
	if (!(s * second > 0) || frexp(s * second, k) != 0.5)
		return false;
	--*k;
	return *k >= -BIAS && *k <= BIAS;
}

/* The exponent of the smallest scale that has amax. */
static int least_scale(double amax)
{
	int k;

	if (amax <= 0)
		return -BIAS;
	(void)frexp(amax, &k);
	/* amax is in 2^(k-1) .. 2^k, and 6 * 2^(k-3) is three quarters of the upper end */
	k -= amax <= ldexp(6, k - 3) ? 3 : 2;
	return k < -BIAS ? -BIAS : k > BIAS ? BIAS : k;
}

static double largest(const double *v)
{
	double most = 0;
	unsigned i;

	for (i = 0; i < GROUP; i++)
		most = fabs(v[i]) > most ? fabs(v[i]) : most;
	return most;
}

size_t regain_row(enum codec from, const uint8_t *codes, const uint8_t *scales, double second,
	size_t cols, double *v, uint8_t *to, uint8_t *to_scales, struct regain *r)
{
	size_t g, i;
	int k;

	codec_ops[from].decode(codes, scales, second, cols, v);
	r->first = cols;
	for (i = 0; i < cols && isfinite(v[i]); i++)
		;
	if (i < cols)
		return i;
	for (g = 0; g < cols / GROUP; g++, v += GROUP, to += GROUP / 2) {
		r->blocks++;
		if (own_scale(from, scales, second, g, &k) && put_group(v, k, to)) {
			to_scales[g] = (uint8_t)(k + BIAS);
			continue;
		}
		k = least_scale(largest(v));
		to_scales[g] = (uint8_t)(k + BIAS);
		if (put_group(v, k, to))
			continue;
		codec_ops[CODEC_MXFP4].encode(v, &to_scales[g], 1, GROUP, to);
		r->inexact++;
		r->first = r->first == cols ? g * GROUP : r->first;
	}
	return cols;
}
