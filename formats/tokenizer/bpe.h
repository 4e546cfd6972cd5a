/* bpe.h -- byte-level byte pair encoding: the ids of a piece of text.
 *
 *	" hug"   ->  the ids of its bytes  ->  of all neighbours that have a merge the pair with the lowest rank, of equal
 *	ones the leftmost, becomes one  ->  until none has
 *
 * A byte stands in the vocabulary as a visible character: 0x21..0x7e, 0xa1..0xac and 0xae..0xff as the code point of
 * their own number, the other 68 in ascending order as U+0100 and following. The order of merges is that of Hugging
 * Face's tokenizers 0.23 (models/bpe/word.rs).
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_TOKENIZER_BPE_H
#define FORMATS_TOKENIZER_BPE_H
#include "core/err.h"
#include "formats/tokenizer/tokenizer_json.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bpe {
	uint32_t byte[256];      /* the id of each byte */
	struct bpe_merge *table; /* owns; [size], hashed by the pair */
	size_t size;             /* a power of two */
};

/* Makes the tables of t, which is not needed afterwards. Rule tokens.tokenizer if a byte has no token, or a merge names
 * one that the vocabulary has not. On failure *b is zeroed. */
int bpe_make(struct bpe *b, const struct tokenizer *t, struct err *e);
void bpe_free(struct bpe *b);

/* What bpe_encode works in, kept from one call to the next; one for each thread. Zeroed = empty. */
struct bpe_work {
	struct bpe_symbol *symbols; /* owns */
	struct bpe_step *heap;      /* owns */
	size_t symbols_cap, heap_cap, n;
};
void bpe_work_free(struct bpe_work *w);

struct token_ids {
	uint32_t *v; /* owns */
	size_t n, cap;
};
/* Appends the ids of the n bytes at s, in time n log n. Returns 0, or -1 without memory. */
int bpe_encode(const struct bpe *b, struct bpe_work *w, const char *s, size_t n,
	struct token_ids *out, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
