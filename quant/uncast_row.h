/* uncast_row.h -- what one row of a cast drops, gathered: the state of a matrix that is being cast, and the
 * steps that are the same in every way of taking a row, around the one that differs, the gathering of zeros.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_UNCAST_ROW_H
#define QUANT_UNCAST_ROW_H
#include "quant/fp4to8.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a matrix drops, while it is cast row by row. */
struct dropped {
	void (*row)(struct dropped *d, const uint8_t *src, const uint8_t *s, const uint8_t *t,
		size_t k);
	uint8_t *p;    /* borrows; dropped_room(rows, k) bytes */
	size_t groups; /* residues so far */
	size_t end;    /* of the bits that are stored, whole bytes */
	uint64_t word; /* bits that are not stored yet, the first lowest */
	unsigned in_word;
	bool any; /* not all of it is zero */
	uint8_t zeros
		[256]; /* of the two codes in a byte: bits of the zeros, 16 times their number */
};

/* Of sixteen codes in a word: one bit of each nibble. */
#define NIBBLES(bit) (0x1111111111111111u * (bit))

/* Gathers, of the zeros among sixteen codes, 1 for code 8: the first lowest. Returns how many zeros there
 * are. */
typedef unsigned uncast_zeros_fn(const struct dropped *d, uint64_t w, uint64_t *bits);

static inline __attribute__((always_inline)) void uncast_put_zeros(struct dropped *d, uint64_t w,
	uncast_zeros_fn *zeros)
{
	uint64_t bits;
	unsigned n;

	if (d->in_word > 64 - 16) { /* whole bytes go, so that sixteen more have room */
		memcpy(d->p + d->end, &d->word, sizeof d->word);
		d->end += d->in_word / 8;
		d->word = d->in_word / 8 == 8 ? 0 : d->word >> (d->in_word / 8 * 8);
		d->in_word %= 8;
	}
	n = zeros(d, w, &bits);
	d->word |= bits << d->in_word;
	d->in_word += n;
}

/* How far the scale lies above the smallest that would do; see the head of uncast.h. */
static inline uint8_t uncast_residue(uint64_t a, uint64_t b, uint8_t s, uint8_t t)
{
	uint64_t any = a | b, four = any & NIBBLES(4), two = any & NIBBLES(2);

	if (((a & NIBBLES(4)) >> 1 & a) | ((b & NIBBLES(4)) >> 1 & b))
		return 0; /* 4 or 6 */
	if (four)
		return 1; /* 2 or 3 */
	if (two)
		return 2; /* 1 or 1.5 */
	if (any & NIBBLES(1))
		return 3; /* 0.5 */
	return (uint8_t)(s - (t + FP4TO8_SHIFT));
}

static inline __attribute__((always_inline)) void uncast_row(struct dropped *d, const uint8_t *src,
	const uint8_t *s, const uint8_t *t, size_t k, uncast_zeros_fn *zeros)
{
	uint64_t w[2], eights = 0;
	uint8_t r, any = 0;
	size_t g;

	for (g = 0; g < k / FP4TO8_GROUP; g++) {
		memcpy(w, src + g * sizeof w, sizeof w);
		r = uncast_residue(w[0], w[1], s[g], t[g / 4]);
		any |= r;
		d->p[d->groups++] = r;
		eights |= w[0] & ~((w[0] & NIBBLES(7)) + NIBBLES(7)) & NIBBLES(8);
		eights |= w[1] & ~((w[1] & NIBBLES(7)) + NIBBLES(7)) & NIBBLES(8);
		uncast_put_zeros(d, w[0], zeros);
		uncast_put_zeros(d, w[1], zeros);
	}
	d->any = d->any || any || eights;
}

#ifdef __cplusplus
}
#endif
#endif
