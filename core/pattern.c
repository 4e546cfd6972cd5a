/* SPDX-License-Identifier: MIT */
#include "core/pattern.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

enum { DIGEST_LEAST = 16 }; /* hex digits: no word of a message or a name has that many */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Bytes of the number that begins at s; 0 if none does. */
static size_t number_at(const char *s)
{
	size_t n = strspn(s, "0123456789abcdef");

	if (n >= DIGEST_LEAST)
		return n;
	n = strspn(s, "0123456789");
	if (!n)
		return 0;
	while ((s[n] == '.' || s[n] == ',') && is_digit(s[n + 1]))
		n += 1 + strspn(s + n + 1, "0123456789");
	if (s[n] == 'e' &&
		(is_digit(s[n + 1]) ||
			((s[n + 1] == '-' || s[n + 1] == '+') && is_digit(s[n + 2]))))
		n += 2 + strspn(s + n + 2, "0123456789");
	return n;
}

void pattern_of(const char *s, char *out, size_t room)
{
	size_t n = 0, len;
	bool word = false; /* a digit that follows a letter belongs to a word: w1 */

	while (*s && n + 1 < room) {
		len = word ? 0 : number_at(s);
		out[n++] = len ? '#' : *s;
		word = !len && (isalnum((unsigned char)*s) || *s == '_');
		s += len ? len : 1;
	}
	out[n] = 0;
}
