/* SPDX-License-Identifier: MIT */
#include "formats/tokenizer/pretoken.h"

#include "formats/tokenizer/unicode.h"

#include <string.h>

/* A function returns how many bytes from s on it matches, before end; 0: none. */
typedef size_t matcher(const char *s, const char *end);

static bool is_letter_or_mark(uint32_t c)
{
	enum unicode_class k = unicode_class(c);

	return k == UNICODE_L || k == UNICODE_M;
}

static bool is_sign(uint32_t c)
{
	enum unicode_class k = unicode_class(c);

	return k == UNICODE_P || k == UNICODE_S;
}

static bool is_number(uint32_t c)
{
	return unicode_class(c) == UNICODE_N;
}

static bool is_cjk(uint32_t c)
{
	return (c >= 0x4e00 && c <= 0x9fa5) || (c >= 0x3040 && c <= 0x30ff);
}

static bool is_end_of_line(uint32_t c)
{
	return c == '\r' || c == '\n';
}

static bool is_ascii_letter(uint32_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Returns the bytes of the run from s on, of at most max characters, in which each is one. */
static size_t run(const char *s, const char *end, size_t max, bool (*is)(uint32_t))
{
	const char *p = s;
	size_t n;

	for (; p < end && max && is(unicode_at(p, &n)); max--)
		p += n;
	return (size_t)(p - s);
}

static size_t numbers(const char *s, const char *end)
{
	return run(s, end, 3, is_number);
}

static size_t cjk(const char *s, const char *end)
{
	return run(s, end, SIZE_MAX, is_cjk);
}

/* \s*[\r\n]+ | \s+(?!\S) | \s+ of a run of n bytes of white space at s. */
static size_t spaces(const char *s, size_t n, const char *end)
{
	size_t i = n, last = 0, k;

	while (i && !is_end_of_line((unsigned char)s[i - 1]))
		i--;
	if (i)
		return i; /* up to the last end of line */
	if (s + n == end)
		return n;
	for (i = 0; i < n; i += k) {
		(void)unicode_at(s + i, &k);
		last = i;
	}
	return last ? last
		    : n; /* the last one belongs to what follows, unless it is the only one */
}

/* The alternatives of the third split, in their order. */
static size_t words(const char *s, const char *end)
{
	size_t first, n;
	uint32_t c = unicode_at(s, &first);
	bool letter = is_letter_or_mark(c);

	if (c < 0x80 && is_sign(c)) {
		n = run(s + 1, end, SIZE_MAX, is_ascii_letter);
		if (n)
			return 1 + n;
	}
	if (letter)
		return run(s, end, SIZE_MAX, is_letter_or_mark);
	if (!is_end_of_line(c) && !is_sign(c)) {
		n = run(s + first, end, SIZE_MAX, is_letter_or_mark);
		if (n)
			return first + n;
	}
	n = c == ' ';
	first = run(s + n, end, SIZE_MAX, is_sign);
	if (first)
		return n + first + run(s + n + first, end, SIZE_MAX, is_end_of_line);
	n = run(s, end, SIZE_MAX, unicode_space);
	return n ? spaces(s, n, end) : 0;
}

/* Returns where the piece that begins at s ends: a match, or all up to the next one. */
static const char *piece_end(const char *s, const char *end, matcher *match)
{
	size_t n = match(s, end), k;

	if (n)
		return s + n;
	while (s < end && !match(s, end)) {
		(void)unicode_at(s, &k);
		s += k;
	}
	return s;
}

bool pretoken_next(struct pretoken *p, const char **piece, size_t *n)
{
	const char *s = p->s + p->at, *all = p->s + p->n;

	if (s == all)
		return false;
	if (p->end[0] <= p->at)
		p->end[0] = (size_t)(piece_end(s, all, numbers) - p->s);
	if (p->end[1] <= p->at)
		p->end[1] = (size_t)(piece_end(s, p->s + p->end[0], cjk) - p->s);
	*piece = s;
	*n = (size_t)(piece_end(s, p->s + p->end[1], words) - s);
	p->at += *n;
	return true;
}
