/* cb4.h -- rows of a table of FP8 (codes E4M3, an E8M0 scale for 32 columns of a row) in 4 bits with a codebook: each code is the number of
 * one of 16 levels that the table has for itself, and 32 columns share a scale E5M3. 256 columns take 128 + 8 = 136 bytes.
 *
 *	value = level[code] * scale        scale: num_e5m3 (quant/num.h), never negative
 *
 * Values are rounded. The scale of a block is the best of four: q, q-1, q+1 and q-2, q being the largest E5M3 code that is not above the
 * largest magnitude of the block over 2^power. The code of a value is the number of borders (level[i-1] + level[i]) * scale / 2 that it is
 * above, so that a value on a border takes the lower level. The error of a scale is the sum over the block of ((x - y) / amax)^2, each in
 * whole units of 2^-24, at least one where x and y differ: whole numbers, whose sums no order changes. Of scales with one error the first
 * is taken. A block of zeros has scale 0 and the code whose level is nearest to zero. Zeros lose their signs.
 *
 * The plain way is the meaning; the quick ones look errors and codes up by the largest magnitude of a block. They write the same bytes
 * (tests/test_cb4.c). quant/cb4_learn.h chooses levels and power.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_CB4_H
#define QUANT_CB4_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
	CB4_BLOCK = 32, /* columns of a scale, old and new */
	CB4_LEVELS = 16,
	CB4_COLS = 1 << 14,  /* columns of a table, at most; a config has no more */
	CB4_TRIES = 4,       /* scales that are tried */
	CB4_MAGNITUDES = 127 /* of E4M3, those that are numbers */
};

/* What a table is encoded with. */
struct cb4_book {
	float level[CB4_LEVELS]; /* ascending; two may be alike */
	int power; /* magnitudes of blocks are divided by 2^power to be scales; -126 to 126 */
};

/* What the quick ways look up: of largest magnitude a (a code of E4M3) and scale number t of the four. */
struct cb4;
typedef size_t cb4_fn(const struct cb4 *t, const uint8_t *codes, const uint8_t *scales, size_t cols,
	uint8_t *to, uint8_t *to_scales, bool *changed);
struct cb4 {
	cb4_fn *row; /* one of the ways below */
	struct cb4_book book;
	uint8_t zero; /* the code of a block of zeros */
	int first
		[CB4_MAGNITUDES]; /* q of a block whose old scale is 2^power is this, if q, q-1, q+1 and q-2 are normal */
	uint32_t error
		[CB4_MAGNITUDES][256]
		[CB4_TRIES]; /* times 4: there is room for the number of a scale below a sum of 32 */
	uint8_t code[CB4_MAGNITUDES][CB4_TRIES][256];
	/* edge[i]: the largest E4M3, as a whole number of its sign and magnitude, whose code is below i; -127: none. [0] is not used. */
	int8_t edge[CB4_MAGNITUDES][CB4_TRIES][CB4_LEVELS];
};
/* Fills *t. features: bits of enum cpu_feature, of which the way is chosen; results do not depend on them. */
void cb4_make(struct cb4 *t, const struct cb4_book *b, unsigned features);

/* Writes the new codes and scales of a row of cols columns, a multiple of CB4_BLOCK, whose old scales are none of them NaN; changed[i]
 * says whether a value of block i is another one. Returns the index of the first code that is NaN, from where on what is written means
 * nothing; cols where there is none. */
static inline size_t cb4_quick(const struct cb4 *t, const uint8_t *codes, const uint8_t *scales,
	size_t cols, uint8_t *to, uint8_t *to_scales, bool *changed)
{
	return t->row(t, codes, scales, cols, to, to_scales, changed);
}
/* Does the same element by element, in double. */
size_t cb4_plain(const struct cb4_book *b, const uint8_t *codes, const uint8_t *scales, size_t cols,
	uint8_t *to, uint8_t *to_scales, bool *changed);
/* Does the same for one block, which has no NaN; old is its scale. */
void cb4_plain_block(const struct cb4_book *b, const uint8_t *codes, unsigned old, uint8_t *to,
	uint8_t *scale, bool *changed);
/* Writes the values of a row of cols columns into v [cols]; level: [CB4_LEVELS]. */
void cb4_decode(const float *level, const uint8_t *codes, const uint8_t *scales, size_t cols,
	double *v);
/* Write and read the levels as a file has them: FP32 numbers, the low byte first. */
void cb4_put_levels(const struct cb4_book *b, uint8_t bytes[4 * CB4_LEVELS]);
void cb4_get_levels(float level[CB4_LEVELS], const uint8_t bytes[4 * CB4_LEVELS]);
/* Returns scale number k of the four, of a block whose largest magnitude is a, its old scale 1 and the power 0, as if E5M3 had no end. */
double cb4_scale_at(unsigned a, unsigned k);
/* Returns the largest E5M3 code that is not above v, which is not negative. */
unsigned cb4_scale_of(double v);

/* cb4.c has the first way, by tables alone; cb4_x86.c the other, cb4_none.c nothing that may be called. */
cb4_fn cb4_look, cb4_avx2;

#ifdef __cplusplus
}
#endif
#endif
