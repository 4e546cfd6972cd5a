/* linear_fp4.c -- the table of FP4 codes times scales as BF16, worked out by the compiler.
 *
 * A BF16 is E2M1's with more exponent: a scale of 2^(e - 127) adds e - 127 to the exponent of a code that is
 * not zero. Rows below LINEAR_FP4_MIN and above LINEAR_FP4_MAX are not meant to be used.
 *
 * SPDX-License-Identifier: MIT */
#include "kernels/linear/linear_core.h"

/* Code of BF16 bits v at scale 1: its magnitude is not zero. */
#define SCALED(v, e) ((v) + (((e)-127) * 128))
#define HIGH(v, e) (uint8_t)(SCALED(v, e) >> 8 & 255)
#define LOW(v, e) (uint8_t)(SCALED(v, e) & 255)
/* 0 .5 1 1.5 2 3 4 6; the sign is the uppermost bit. */
#define EIGHT(f, z, s, e)                                                          \
	z, f(s + 0x3f00, e), f(s + 0x3f80, e), f(s + 0x3fc0, e), f(s + 0x4000, e), \
		f(s + 0x4040, e), f(s + 0x4080, e), f(s + 0x40c0, e)
#define ROW(e)                                                             \
	{                                                                  \
		{ EIGHT(HIGH, 0x00, 0, e), EIGHT(HIGH, 0x80, 0x8000, e) }, \
		{                                                          \
			EIGHT(LOW, 0, 0, e), EIGHT(LOW, 0, 0x8000, e)      \
		}                                                          \
	}
#define ROWS4(e) ROW(e), ROW((e) + 1), ROW((e) + 2), ROW((e) + 3)
#define ROWS16(e) ROWS4(e), ROWS4((e) + 4), ROWS4((e) + 8), ROWS4((e) + 12)
#define ROWS64(e) ROWS16(e), ROWS16((e) + 16), ROWS16((e) + 32), ROWS16((e) + 48)

_Alignas(64) const struct linear_fp4 linear_fp4 = { .byte = { ROWS64(0), ROWS64(64), ROWS64(128),
							    ROWS64(192) } };
