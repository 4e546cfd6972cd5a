/* fp4to8.h -- the cast of MXFP4 experts to FP8 with one scale for 128 x 128, or for 32 x 32, and when it is exact.
 *
 * A block of 128 rows and 128 columns has 512 source scales, one of 32 x 32 has 32. With S the largest of them the new
 * scale is T = S/64 and a value x * s becomes the E4M3 nearest to x * (s/T). Since x is 1 or 3 times
 * a power of two and s/T is 2^(6-d), d = log2(S/s), nothing is lost while the smallest bit stays
 * above 2^-9: always for d <= 14, and beyond that as long as no small code is met.
 * Source: DeepSeek-V4 inference/convert.py (SHA-256 912acfc2...), its FP4 to FP8 cast; code 8
 * (minus zero) becomes plus zero there and here. That of V4.1 does the same in blocks of 32.
 *
 * Nothing here knows of files. Rows come one by one, with the scales of their band, which is as high as a block,
 * looked at first.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_FP4TO8_H
#define QUANT_FP4TO8_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { FP4TO8_GROUP = 32, FP4TO8_SAFE = 14, FP4TO8_SHIFT = 6 };

/* The size of a block: 2 to the power of it are the groups of 32 columns that share a new scale. */
enum fp4to8_block { FP4TO8_32 = 0, FP4TO8_128 = 2 };
/* Columns, and rows, of a block. */
static inline size_t fp4to8_side(enum fp4to8_block b)
{
	return (size_t)FP4TO8_GROUP << b;
}
/* The block whose side that is; FP4TO8_32 where it is neither. */
static inline enum fp4to8_block fp4to8_of(uint32_t side)
{
	return side == FP4TO8_GROUP << FP4TO8_128 ? FP4TO8_128 : FP4TO8_32;
}

/* E4M3 byte of code c in a group whose scale byte is s, where the block's new one is t:
 * row[6 + t - s][c]. Built once, then read-only. */
struct fp4to8_table {
	uint8_t row[256][16];
	uint16_t lossy[256]; /* bit c: that entry is not exactly the value of code c */
};
void fp4to8_table_make(struct fp4to8_table *t);

/* A way to cast a row. Ends with a NULL name; the first usable is the one to take. */
struct fp4to8_impl {
	const char *name;
	unsigned need; /* bits of enum cpu_feature */
	/* K codes in K/2 bytes of src, low nibble first, to K bytes of dst. s: K/32 scale bytes of
	 * the row, t: new ones, one for the columns of a block. K is a multiple of those. */
	void (*row)(const struct fp4to8_table *, uint8_t *dst, const uint8_t *src, const uint8_t *s,
		const uint8_t *t, size_t k, enum fp4to8_block b);
};
extern const struct fp4to8_impl fp4to8_impls[];
const struct fp4to8_impl *fp4to8_best(unsigned features);

/* What the scales of one band (rows of a block, K columns) say about each of its blocks. */
enum fp4to8_verdict {   /* the values of enum recode_verdict */
	FP4TO8_EXACT,   /* exact whatever the codes are */
	FP4TO8_DEPENDS, /* scales more than 2^14 apart: small codes would be lost */
	FP4TO8_LOW      /* the new scale is below 2^-127; it is set to that, values stay exact, but
			 * the official converter makes something else of it */
};
/* s: as many rows as a block has, of K/32 bytes. Writes a new scale for each block to t and verdicts to v. Returns the
 * index of the first scale byte that is NaN (255), or -1. */
long fp4to8_band(const uint8_t *s, size_t k, enum fp4to8_block b, uint8_t *t, uint8_t *v);
/* True if a code in the columns of block n of the row would change its value. */
bool fp4to8_row_loses(const struct fp4to8_table *, const uint8_t *src, const uint8_t *s,
	const uint8_t *t, enum fp4to8_block b, size_t n);

/* The row of the table by looking up code by code, and the fast ones; fp4to8_none.c has none of those. */
void fp4to8_row_table(const struct fp4to8_table *, uint8_t *dst, const uint8_t *src,
	const uint8_t *s, const uint8_t *t, size_t k, enum fp4to8_block b);
void fp4to8_row_avx2(const struct fp4to8_table *, uint8_t *dst, const uint8_t *src,
	const uint8_t *s, const uint8_t *t, size_t k, enum fp4to8_block b);
void fp4to8_row_avx512(const struct fp4to8_table *, uint8_t *dst, const uint8_t *src,
	const uint8_t *s, const uint8_t *t, size_t k, enum fp4to8_block b);

#ifdef __cplusplus
}
#endif
#endif
