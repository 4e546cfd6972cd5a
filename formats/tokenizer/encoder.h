/* encoder.h -- text to ids of tokens, as Hugging Face's tokenizers 0.23 does it with tokenizer.json of DeepSeek-V4.
 *
 *	"<｜User｜>Hi 5"  ->  added tokens  [<｜User｜>] "Hi 5"  ->  pieces (pretoken.h)  "Hi" " " "5"  ->  bpe.h
 *
 * Added tokens are looked for twice: those that are not to be normalized in the whole text, the others in what lies
 * between. Of two that begin at the same byte the longer one is taken. The texts of special tokens are taken for them
 * wherever they come from, as tokenizers does.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_TOKENIZER_ENCODER_H
#define FORMATS_TOKENIZER_ENCODER_H
#include "formats/tokenizer/bpe.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Added tokens of one kind, in the order of their bytes. */
struct encoder_added {
	const struct tokenizer_token **v; /* owns; borrows the tokens */
	size_t n;
	bool first[256]; /* one of them begins with this byte */
};

struct encoder {
	const struct tokenizer *t; /* borrows */
	struct bpe bpe;
	struct encoder_added added[2]; /* not normalized, normalized */
};

/* Makes an encoder of t, which must outlive it. Rule tokens.tokenizer if t is none that this can do. */
int encoder_make(struct encoder *c, const struct tokenizer *t, struct err *e);
void encoder_free(struct encoder *c);

/* Appends the ids of n bytes of text at s. Rule tokens.utf8 with the position if it is no valid UTF-8. Time is n log n,
 * memory about 60 bytes for each byte of the longest piece. One encoder may be used by several threads. */
int encoder_text(const struct encoder *c, const char *s, size_t n, struct token_ids *out,
	struct err *e);
void token_ids_free(struct token_ids *ids);

#ifdef __cplusplus
}
#endif
#endif
