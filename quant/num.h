/* num.h -- the small number formats, value by value, for C and CUDA.
 *
 *	E2M1 (FP4)  s e e m       0 .5 1 1.5 2 3 4 6 and negatives; no NaN, no infinity
 *	E4M3 (FP8)  s e e e e m m m   bias 7, subnormals m * 2^-9, 0x7f and 0xff NaN, largest 448
 *	E8M0        e (8 bits)    2^(e-127); 255 is NaN; no zero, no sign
 *	E5M3        e e e e e m m m   no sign; bias 15, subnormals m * 2^-17, no NaN, no infinity, largest 1.875 * 2^16 = 122880
 *	BF16        the upper half of an FP32
 *
 * Decoding is exact. Encoding rounds to nearest, ties to even. Sources: OCP Microscaling Formats
 * 1.0 (2023), section 5; OCP 8-bit Floating Point 1.0.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_NUM_H
#define QUANT_NUM_H
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define NUM_FN static inline __host__ __device__
#else
#define NUM_FN static inline
#endif

enum { NUM_E8M0_NAN = 255, NUM_E4M3_NAN = 0x7f };

NUM_FN float num_f32(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof f);
	return f;
}

NUM_FN uint32_t num_bits(float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof bits);
	return bits;
}

/* Code 0..15; code 8 is -0. */
NUM_FN float num_e2m1(unsigned code)
{
	unsigned e = code >> 1 & 3, m = code & 1;
	float v = e ? (float)(2 + m) * (float)(1u << e) * 0.25f : (float)m * 0.5f;

	return code & 8 ? -v : v;
}

/* The code nearest to x, a tie to the code that is even; beyond 6 gives 6, a zero keeps its sign. x must not
 * be NaN. Between neighbours 0 .5 1 1.5 2 3 4 6 the ties are .25 .75 1.25 1.75 2.5 3.5 5. */
NUM_FN uint8_t num_e2m1_from(double x)
{
	double a = x < 0 ? -x : x;
	unsigned code = a > 0.25, sign;
	uint64_t bits;

	code += a >= 0.75; /* to code 2 */
	code += a > 1.25;
	code += a >= 1.75; /* to code 4 */
	code += a > 2.5;
	code += a >= 3.5; /* to code 6 */
	code += a > 5;
	memcpy(&bits, &x, sizeof bits);
	sign = (unsigned)(bits >> 63);
	return (uint8_t)(sign << 3 | code);
}

/* 2^(byte-127): byte 0 is an FP32 subnormal, byte 255 a NaN. */
NUM_FN float num_e8m0(unsigned byte)
{
	return num_f32(byte == 0 ? 0x00400000u : byte == NUM_E8M0_NAN ? 0x7fc00000u : byte << 23);
}

NUM_FN bool num_e4m3_is_nan(unsigned byte)
{
	return (byte & 0x7f) == NUM_E4M3_NAN;
}

NUM_FN float num_e4m3(unsigned byte)
{
	unsigned e = byte >> 3 & 15, m = byte & 7;
	float v = e ? num_f32((e + 120) << 23 | m << 20) : (float)m * 0.001953125f;

	if (num_e4m3_is_nan(byte))
		v = num_f32(0x7fc00000u);
	return byte & 0x80 ? -v : v;
}

/* Nearest, ties to even; the sign of zero is kept; beyond 448 (after rounding) and NaN give NaN, as
 * torch does. No value that this program encodes comes near. */
NUM_FN uint8_t num_e4m3_from(float f)
{
	uint32_t b = num_bits(f), sign = b >> 24 & 0x80, a = b & 0x7fffffff, r;

	if (a > 0x43e80000u) /* 464: halfway between 448 and the 480 that is not there */
		return (uint8_t)(sign | NUM_E4M3_NAN);
	if (a < 0x3c800000u) {                      /* below 2^-6: multiples of 2^-9 */
		float scaled = num_f32(a) * 512.0f; /* exact, < 8 */
		uint32_t n = (uint32_t)scaled;
		float rest = scaled - (float)n;

		n += rest > 0.5f || (rest == 0.5f && (n & 1));
		return (uint8_t)(sign | n);
	}
	r = a + 0x7ffff + (a >> 20 & 1); /* round the 20 bits that go */
	r = (r >> 20) - (120u << 3);
	return (uint8_t)(sign | (r > 0x7e ? 0x7e : r));
}

/* (1 + m/8) * 2^(e-15), and with e 0 m * 2^-17: a scale of a layout of this project (docs/layouts.md), in no standard. */
NUM_FN float num_e5m3(unsigned byte)
{
	unsigned e = byte >> 3 & 31, m = byte & 7;

	return e ? num_f32((e + 112) << 23 | m << 20) : (float)m * 0x1p-17f;
}

/* Nearest, ties to even. NaN stays NaN (quiet, its sign kept). */
NUM_FN uint16_t num_bf16_from(float f)
{
	uint32_t b = num_bits(f);

	if ((b & 0x7fffffff) > 0x7f800000)
		return (uint16_t)(b >> 16 | 0x40);
	return (uint16_t)((b + 0x7fff + (b >> 16 & 1)) >> 16);
}

NUM_FN float num_bf16(uint16_t h)
{
	return num_f32((uint32_t)h << 16);
}

/* A number of FP16: 1 bit of sign, 5 of exponent with bias 15, 10 of mantissa. FP32 has all of them. */
NUM_FN float num_f16(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31u, m = h & 0x3ffu;
	float small = (float)m * 0x1p-24f;

	if (!e)
		return sign ? -small : small;
	return num_f32(sign | (e == 31 ? 255 : e + 112) << 23 | m << 13);
}

/* FP16 of a number, to nearest, ties to even; infinity where it is too large. It must not be NaN. */
NUM_FN uint16_t num_f16_from(float f)
{
	uint32_t b = num_bits(f), sign = b >> 16 & 0x8000, a = b & 0x7fffffff;

	if (a >= 0x477ff000u) /* 65520: rounds to infinity */
		return (uint16_t)(sign | 0x7c00);
	if (a < 0x38800000u) /* below 2^-14: multiples of 2^-24; a sum with 0.5 has them as its ulp */
		return (uint16_t)(sign | (num_bits(num_f32(a) + 0.5f) - 0x3f000000u));
	return (uint16_t)(sign | (((a + 0xfff + (a >> 13 & 1)) >> 13) - (112u << 10)));
}

#endif
