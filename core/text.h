/* text.h -- growing strings, and strings from files made safe to print.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Zeroed = empty. s is NUL-terminated once something was put. When memory runs out, failed is set
 * and stays set, later puts do nothing: look once, at the end. */
struct text {
	char *s; /* owns */
	size_t n, cap;
	bool failed;
};
void text_put(struct text *t, const void *p, size_t n);
void text_str(struct text *t, const char *s);
void text_fmt(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_free(struct text *t);

/* A string from a file, as one may show it: control bytes, invalid UTF-8, direction marks and
 * quotes are written as \xNN, a long one is cut with "...". Use: printf("%s", text_quote(s).s). */
struct text_quoted {
	char s[200];
};
struct text_quoted text_quote(const char *s);
struct text_quoted text_quote_n(const char *s, size_t n);

/* Whether s ends with end; s may be nothing else. */
bool text_ends(const char *s, const char *end);
/* Returns the length of s without end; 0 where s does not end with it, or is nothing else. */
size_t text_stem(const char *s, const char *end);

/* 1234567 as "1,234,567". */
struct text_number {
	char s[32];
};
struct text_number text_thousands(uint64_t v);
/* Decimal units, three digits: "159.6 GB". */
struct text_number text_bytes(uint64_t v);

/* Length of the valid UTF-8 sequence at s (at most n bytes): 1..4, or 0 if there is none.
 * Overlong forms, surrogates and values above U+10FFFF are not valid. */
unsigned text_utf8(const unsigned char *s, size_t n);

#ifdef __cplusplus
}
#endif
#endif
