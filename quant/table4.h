/* table4.h -- rows of a table of FP8 (codes E4M3, an E8M0 scale for 32 columns of a row) in 4 bits: MXFP4, E2M1 codes with an E8M0
 * scale for 32 columns. 256 columns take 128 + 8 = 136 bytes.
 *
 * Values are rounded. The scale of a block is the power of two by which its largest magnitude, rounded to one bit of mantissa,
 * becomes 4 or 6: amax = m * 2^E with 1 <= m < 2 gives 2^(E-2), and from m = 1.75 on 2^(E-1), so that nothing is cut off by more than half
 * a step. That is the rule "EVEN" of torchao's MX formats. Codes are rounded to nearest, ties to even, and zeros keep their signs;
 * a block of zeros keeps its old scale. Where the new scale would be below 2^-127 it is that.
 *
 * The plain way is the meaning, in the doubles of quant/codec.h; the quick one looks codes up. They write the same bytes
 * (tests/test_table4.c).
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_TABLE4_H
#define QUANT_TABLE4_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
	TABLE4_BLOCK =
		32, /* columns of a scale, old and new; formats/codec.c has both, and a test holds this to it */
	TABLE4_LEAST =
		-11, /* the new scale is 2^TABLE4_LEAST to 2^TABLE4_MOST times the old one: the least magnitude of E4M3 is 2^-9 */
	TABLE4_MOST = 7
};

/* What became of a row. */
struct table4_row {
	size_t nan; /* index of the first code that is NaN; the number of columns: there is none */
	size_t overflow; /* the first block whose new scale would be above 2^127; the number of blocks: there is none */
};

/* What the quick ways look up, by the largest magnitude of a block and by how far its new scale is from its old one, which is
 * 2^(k + TABLE4_LEAST). */
enum { TABLE4_SHIFTS = TABLE4_MOST - TABLE4_LEAST + 1 };
struct table4;
typedef struct table4_row table4_fn(const struct table4 *t, const uint8_t *codes,
	const uint8_t *scales, size_t cols, uint8_t *to, uint8_t *to_scales, bool *changed);
struct table4 {
	table4_fn *row;    /* one of the ways below */
	int8_t shift[128]; /* the new scale is the old one times 2^this; of a magnitude of E4M3 */
	/* The new code of an old one in the low four bits; bit 7: it has another value. */
	uint8_t code[TABLE4_SHIFTS][256];
	uint8_t over[TABLE4_SHIFTS]
		    [7]; /* the largest magnitude of E4M3 whose new magnitude is not above i */
	uint8_t same
		[TABLE4_SHIFTS]
		[16]; /* the magnitude of E4M3 that has the value of that new one; 255: none has */
};
/* Fills *t. features: bits of enum cpu_feature, of which the way is chosen; results do not depend on them. */
void table4_make(struct table4 *t, unsigned features);

/* Writes the new codes and scales of a row of cols columns, a multiple of TABLE4_BLOCK, whose old scales are none of them NaN;
 * changed[i] says whether a value of block i is another one. Where the result names a NaN or an overflow, what is written from there on means
 * nothing. */
static inline struct table4_row table4_quick(const struct table4 *t, const uint8_t *codes,
	const uint8_t *scales, size_t cols, uint8_t *to, uint8_t *to_scales, bool *changed)
{
	return t->row(t, codes, scales, cols, to, to_scales, changed);
}
/* Does the same by quant/codec.h, element by element; v: room for 2 * cols numbers. */
struct table4_row table4_plain(const uint8_t *codes, const uint8_t *scales, size_t cols,
	uint8_t *to, uint8_t *to_scales, bool *changed, double *v);

/* table4.c has the first way, by tables alone; table4_x86.c the other, table4_none.c nothing that may be called. */
table4_fn table4_look, table4_avx2;

#ifdef __cplusplus
}
#endif
#endif
