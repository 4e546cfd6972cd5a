/* SPDX-License-Identifier: MIT */
#include "quant/unscale.h"

#include "quant/num.h"

#include <math.h>

enum {
	SIGN = 0x8000,
	INFINITE = 0x7f80, /* and NaN above it */
	MANTISSA = 7,      /* bits of a BF16's */
	APART = 120,       /* exponents of BF16 are so much more than those of E4M3 */
	LEAST = -2,        /* the exponent, as E4M3 counts them, of its smallest subnormal 2^-9 */
	E4M3_MOST = 0x7e
};

static unsigned bits_at(const uint8_t *p, size_t i)
{
	return (unsigned)p[2 * i] | (unsigned)p[2 * i + 1] << 8;
}

uint16_t unscale_top(const uint8_t *bf16, size_t n)
{
	unsigned top = 0, m;
	size_t i;

	for (i = 0; i < n; i++) {
		m = bits_at(bf16, i) & (SIGN - 1);
		top = m > top ? m : top;
	}
	return (uint16_t)top;
}

/* The code without its sign of a magnitude that is not zero, as bits; above E4M3_MOST where there is none. */
static unsigned fp8_code(unsigned m, int k)
{
	int e = (int)(m >> MANTISSA) - APART - k;
	unsigned three = m >> 4 & 7, shift;

	if (m & 15 || e < LEAST || e > 15)
		return E4M3_MOST + 1;
	if (e > 0)
		return (unsigned)e << 3 | three;
	shift = (unsigned)(1 - e);
	three |= 8;
	return three & ((1u << shift) - 1) ? E4M3_MOST + 1 : three >> shift;
}

bool unscale_fp8(uint8_t *codes, const uint8_t *bf16, size_t n, int k)
{
	unsigned h, c, bad = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		h = bits_at(bf16, i);
		c = h & (SIGN - 1) ? fp8_code(h & (SIGN - 1), k) : 0;
		bad |= c > E4M3_MOST;
		codes[i] = (uint8_t)(c | (h & SIGN) >> 8);
	}
	return !bad;
}

/* The E2M1 code of a BF16, as bits. Of .5 1 1.5 2 3 4 6 times the scale, the exponent and the first bit of the mantissa
 * are 0, 2, 3, 4, 5, 6, 7 more than those of .5 times the scale, and nothing follows them. */
static unsigned fp4_code(unsigned h, unsigned half, unsigned *bad)
{
	unsigned m = h & (SIGN - 1), code = (m >> 6) - half;

	if (!m)
		return h >> 12;
	*bad |= m & 63 || code > 7 || code == 1 || m >= INFINITE;
	return (code ? code : 1) | h >> 15 << 3;
}

bool unscale_fp4(uint8_t *codes, const uint8_t *bf16, unsigned scale)
{
	unsigned half = (scale - 1) << 1, bad = 0, lo, hi;
	size_t i;

	for (i = 0; i < ROW_GROUP_BYTES; i++) {
		lo = fp4_code(bits_at(bf16, 2 * i), half, &bad);
		hi = fp4_code(bits_at(bf16, 2 * i + 1), half, &bad);
		codes[i] = (uint8_t)((lo & 15) | hi << 4);
	}
	return !bad;
}

bool unscale_narrow(uint8_t *codes, const uint8_t *e4m3, size_t n)
{
	enum { NONE = 0x80 };
	uint8_t of[256];
	unsigned c, lo, hi, bad = 0;
	size_t i;

	memset(of, NONE, sizeof of);
	for (c = 0; c < 16; c++)
		of[num_e4m3_from(num_e2m1(c))] = (uint8_t)c;
	for (i = 0; i < n / 2; i++) {
		lo = of[e4m3[2 * i]];
		hi = of[e4m3[2 * i + 1]];
		bad |= lo | hi;
		codes[i] = (uint8_t)((lo & 15) | hi << 4);
	}
	return !(bad & NONE);
}

bool unscale_power(float f, int *k)
{
	int e;

	if (!isfinite(f) || frexpf(f, &e) != 0.5f)
		return false;
	*k = e - 1;
	return *k >= ROW_BF16_MIN && *k <= ROW_BF16_MAX;
}
