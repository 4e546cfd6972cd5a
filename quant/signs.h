/* signs.h -- which zeros of FP4 codes are minus zeros, gathered: a bit for each zero, 1 for code 8, in the order of the
 * codes, the lowest bit of a byte first.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_SIGNS_H
#define QUANT_SIGNS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

struct signs {
	/* Takes n bytes of codes, a multiple of 8. */
	void (*add)(struct signs *s, const uint8_t *src, size_t n);
	uint8_t *p;       /* borrows; room for all bits, and SIGNS_SLACK bytes behind them */
	size_t end;       /* bytes of p that are set */
	uint64_t word;    /* bits that are not there yet, the first lowest */
	unsigned in_word; /* how many */
	bool any;         /* one of them is 1 */
	uint8_t zeros
		[256]; /* of the two codes in a byte: bits of the zeros, 16 times their number */
};
enum { SIGNS_SLACK = sizeof(uint64_t) };

/* Begins with byte `end` of p. features: bits of enum cpu_feature; what comes out does not depend on them. */
void signs_begin(struct signs *s, uint8_t *p, size_t end, unsigned features);
/* Writes what is left. Returns the bytes of p that are set; nothing is added afterwards. */
size_t signs_end(struct signs *s);

/* Of sixteen codes in a word: one bit of each nibble. */
#define NIBBLES(bit) (0x1111111111111111u * (bit))

/* --- the ways --- */

/* Gathers the bits of the zeros among sixteen codes. Returns how many zeros there are. */
typedef unsigned signs_of_fn(const uint8_t zeros[256], uint64_t w, uint64_t *bits);

/* The same for all ways around the gathering. */
static inline __attribute__((always_inline)) void signs_add(struct signs *s, const uint8_t *src,
	size_t n, signs_of_fn *of)
{
	uint64_t w, bits, word = s->word, all = 0;
	unsigned in_word = s->in_word, some;
	uint8_t *to = s->p + s->end;
	size_t i;

	for (i = 0; i < n; i += sizeof w) {
		if (in_word > 64 - 16) { /* whole bytes go, so that sixteen more have room */
			memcpy(to, &word, sizeof word);
			to += in_word / 8;
			word = in_word / 8 == 8 ? 0 : word >> (in_word / 8 * 8);
			in_word %= 8;
		}
		memcpy(&w, src + i, sizeof w);
		some = of(s->zeros, w, &bits);
		all |= bits;
		word |= bits << in_word;
		in_word += some;
	}
	s->end = (size_t)(to - s->p);
	s->word = word;
	s->in_word = in_word;
	s->any = s->any || all;
}

/* signs.c has the meaning, signs_x86.c the others; signs_none.c has nothing that may be called. */
void signs_add_plain(struct signs *s, const uint8_t *src, size_t n);
void signs_add_avx2(struct signs *s, const uint8_t *src, size_t n);
void signs_add_bmi2(struct signs *s, const uint8_t *src, size_t n);

#ifdef __cplusplus
}
#endif
#endif
