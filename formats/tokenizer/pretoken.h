/* pretoken.h -- text split into pieces that are encoded by themselves, as tokenizer.json of DeepSeek-V4 says.
 *
 * Three splits, one after the other, each of every piece that the one before has left; what a split matches is a piece,
 * and what lies between two matches is one:
 *
 *	1	\p{N}{1,3}			up to three digits
 *	2	[一-龥぀-ゟ゠-ヿ]+		a run of Chinese and Japanese
 *	3	[ascii punctuation][A-Za-z]+
 *		[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+
 *		 ?[\p{P}\p{S}]+[\r\n]*
 *		\s*[\r\n]+
 *		\s+(?!\S)
 *		\s+				the first of these that matches
 *
 *	"It costs 12345 円!"  ->  "It" " costs" " " "123" "45" " " "円" "!"
 *
 * The patterns themselves, letter for letter, are held to tokenizer.json by tokenizer_json.c.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_TOKENIZER_PRETOKEN_H
#define FORMATS_TOKENIZER_PRETOKEN_H
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A walk over n bytes of valid UTF-8 at s, which it borrows. Set s and n, the rest zero. */
struct pretoken {
	const char *s;
	size_t n, at;
	size_t end[2]; /* where the pieces of the first two splits end that at lies in */
};
/* Sets the next piece; returns false where there is none left. Time is linear in n over the whole walk. */
bool pretoken_next(struct pretoken *p, const char **piece, size_t *n);

#ifdef __cplusplus
}
#endif
#endif
