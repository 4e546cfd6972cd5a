/* unicode.h -- the few facts of Unicode 16.0 that the splitting of text asks for.
 *
 * They are those of Oniguruma, the library of regular expressions behind Hugging Face's tokenizers 0.23:
 * tests/oracle/tokens.py compares every code point.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_TOKENIZER_UNICODE_H
#define FORMATS_TOKENIZER_UNICODE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Major class of the general category: letters, marks, numbers, punctuation, symbols; everything else. */
enum unicode_class { UNICODE_OTHER, UNICODE_L, UNICODE_M, UNICODE_N, UNICODE_P, UNICODE_S };
enum unicode_class unicode_class(uint32_t c);
/* Returns whether c is White_Space, what \s means. */
bool unicode_space(uint32_t c);

/* Returns the code point at s, of valid UTF-8, and its length in *n: 1 to 4 bytes. */
uint32_t unicode_at(const char *s, size_t *n);

#ifdef __cplusplus
}
#endif
#endif
