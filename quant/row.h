/* row.h -- the steps that rows in new number formats are made by, once for each instruction set.
 *
 * The last way of the table, "plain", is the meaning of each step: C, value by value. All other ways write the same
 * bytes; tests/test_row.c compares them on all codes, scales and exponents. A way does whole vectors and leaves the
 * rest of a row to the plain one, so that rows may have any length that their format has.
 *
 * A group is 32 codes of MXFP4: 16 bytes, two codes in each, the first in the low half. Sources and destinations do
 * not overlap and need no alignment.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_ROW_H
#define QUANT_ROW_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
	ROW_GROUP = 32, /* codes of a group */
	ROW_GROUP_BYTES = 16,
	ROW_GGML_BYTES =
		17, /* of a group as ggml has it: its scale byte, then codes j and j + 16 in byte j */
	ROW_SHIFTS = 6, /* distances of struct row_shift */
	ROW_BF16_MIN =
		-117, /* exponents of scales with which every E4M3 is a normal BF16 and exactly the product: */
	ROW_BF16_MAX = 119 /* 2^-9 * 2^-117 = 2^-126, 1.75 * 2^8 * 2^119 < 2^128 */
};

/* What E2M1 codes become when they are divided by 2^d, in row d - 1. From d = ROW_SHIFTS on nothing but zeros stays
 * what it is, and nothing but zeros comes out. */
struct row_shift {
	uint8_t code[ROW_SHIFTS][16];
	uint8_t lossy[ROW_SHIFTS][16]; /* 1: the value is another one */
};

/* E2M1 codes times E8M0 scales as BF16: of[scale][code]; and the same as low and high bytes. Scale 255 has zeros. */
struct row_bf16 {
	uint16_t of[256][16];
	uint8_t half[256][2][16];
};

/* The bytes of E4M3 codes times 2^k as BF16, without signs: upper by the exponent of the code, lower by its low four bits;
 * small_upper and small_lower by its mantissa where the exponent is 0. */
struct row_fp8 {
	uint8_t upper[16], lower[16], small_upper[16], small_lower[16];
};

/* What happened to the two halves of a group that was divided: bit 0 and 1. */
struct row_halves {
	uint8_t any;   /* not all its codes are zeros */
	uint8_t lossy; /* a value is another one */
};

struct row_way {
	const char *name;
	unsigned need; /* bits of enum cpu_feature */

	/* n bytes of E2M1 codes; minus zeros become zeros. */
	void (*unsign)(uint8_t *dst, const uint8_t *src, size_t n);
	/* n bytes of E2M1 codes to 2n E4M3 codes of the same values; zeros keep their sign. */
	void (*widen)(uint8_t *dst, const uint8_t *src, size_t n);
	/* A group divided by 2^d, d from 1 to ROW_SHIFTS. */
	struct row_halves (*shift)(uint8_t *dst, const uint8_t *src, const struct row_shift *t,
		unsigned d);
	/* Groups times their scales, none of them 255, to 32 BF16 each. */
	void (*fp4_bf16)(uint8_t *dst, const uint8_t *src, const uint8_t *scales, size_t groups,
		const struct row_bf16 *t);
	/* Groups and their scales in the block format of ggml, ROW_GGML_BYTES each. */
	void (*ggml_mxfp4)(uint8_t *dst, const uint8_t *src, const uint8_t *scales, size_t groups);
	/* Two E4M3 scales for each of so many E8M0 scales: those become 2^-9 where they are at most `least`, 2^-8 where
	 * they are one more and so on, up to 2^8. least: -16 to 254. */
	void (*nvfp4_scales)(uint8_t *dst, const uint8_t *scales, size_t groups, int least);
	/* How far scales lie below least, as bytes that are added to least modulo 256; 0 where they do not. Returns
	 * whether any does. dst may be NULL. */
	bool (*nvfp4_below)(uint8_t *dst, const uint8_t *scales, size_t groups, int least);
	/* Returns the index of the first of n E4M3 codes that is NaN, n if there is none. */
	size_t (*nan)(const uint8_t *src, size_t n);
	/* n E4M3 codes times the power of two that t is of, to BF16. Returns whether any code is NaN; what is written for
	 * such a code is not said. */
	bool (*fp8_bf16)(uint8_t *dst, const uint8_t *src, size_t n, const struct row_fp8 *t);
};
extern const struct row_way row_plain;
/* Returns way i, the best first, the plain one last; NULL behind it. */
const struct row_way *row_way(unsigned i);
/* Returns the best of those that features, bits of enum cpu_feature, allow. */
const struct row_way *row_best(unsigned features);

/* Returns the largest of n bytes, of each only the bits of mask; 0 of none. */
uint8_t row_largest(const uint8_t *p, size_t n, uint8_t mask);

/* Fill tables. signs: zeros keep their sign where codes are divided. */
void row_shift_make(struct row_shift *t, bool signs);
void row_bf16_make(struct row_bf16 *t);
/* k: from ROW_BF16_MIN to ROW_BF16_MAX. */
void row_fp8_make(struct row_fp8 *t, int k);

/* row_avx2.c and row_avx512.c; row_none.c has nothing that may be called. */
extern const struct row_way row_avx2, row_avx512;

#ifdef __cplusplus
}
#endif
#endif
