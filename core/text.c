/* SPDX-License-Identifier: MIT */
#include "core/text.h"

#include "core/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_put(struct text *t, const void *p, size_t n)
{
	if (t->failed)
		return;
	if (n > SIZE_MAX - t->n - 1 || mem_grow(&t->s, &t->cap, t->n + n + 1, 1)) {
		t->failed = true;
		return;
	}
	if (n) /* p may be NULL where there is nothing */
		memcpy(t->s + t->n, p, n);
	t->n += n;
	t->s[t->n] = 0;
}

void text_str(struct text *t, const char *s)
{
	text_put(t, s, strlen(s));
}

void text_fmt(struct text *t, const char *fmt, ...)
{
	char small[512], *big;
	int n;
	va_list ap;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof small, fmt, ap);
	va_end(ap);
	if (n < 0) {
		t->failed = true;
		return;
	}
	if ((size_t)n < sizeof small) {
		text_put(t, small, (size_t)n);
		return;
	}
	big = malloc((size_t)n + 1);
	if (!big) {
		t->failed = true;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(big, (size_t)n + 1, fmt, ap);
	va_end(ap);
	text_put(t, big, (size_t)n);
	free(big);
}

void text_free(struct text *t)
{
	free(t->s);
	memset(t, 0, sizeof *t);
}

unsigned text_utf8(const unsigned char *s, size_t n)
{
	unsigned len, i;
	uint32_t c;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

	if (n == 0)
		return 0;
	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (n < len)
		return 0;
	c = s[0] & (0x7fu >> len);
	for (i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return len;
}

/* Marks that change the direction or the look of the text around them, and line separators. */
static bool deceives(const unsigned char *s, unsigned len)
{
	if (len == 2)
		return s[0] == 0xc2 && s[1] < 0xa0; /* C1 controls */
	if (len != 3 || s[0] != 0xe2)
		return len == 3 && s[0] == 0xef && s[1] == 0xbb && s[2] == 0xbf;
	return (s[1] == 0x80 &&
		       ((s[2] >= 0x8b && s[2] <= 0x8f) || (s[2] >= 0xa8 && s[2] <= 0xae))) ||
		(s[1] == 0x81 && s[2] >= 0xa0 && s[2] <= 0xaf);
}

struct text_quoted text_quote_n(const char *str, size_t n)
{
	const unsigned char *s = (const unsigned char *)str;
	struct text_quoted q;
	size_t i = 0, o = 0;
	unsigned len, k;

	while (i < n && o + 16 < sizeof q.s) {
		len = text_utf8(s + i, n - i);
		if (len == 0 || s[i] < 0x20 || s[i] == 0x7f || s[i] == '"' || s[i] == '\\' ||
			deceives(s + i, len)) {
			for (k = 0; k < (len ? len : 1); k++)
				o += (size_t)snprintf(q.s + o, sizeof q.s - o, "\\x%02x", s[i + k]);
			i += len ? len : 1;
			continue;
		}
		memcpy(q.s + o, s + i, len);
		o += len;
		i += len;
	}
	if (i < n) {
		memcpy(q.s + o, "...", 3);
		o += 3;
	}
	q.s[o] = 0;
	return q;
}

struct text_quoted text_quote(const char *s)
{
	return text_quote_n(s, strlen(s));
}

bool text_ends(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !memcmp(s + n - m, end, m);
}

size_t text_stem(const char *s, const char *end)
{
	return text_ends(s, end) ? strlen(s) - strlen(end) : 0;
}

struct text_number text_thousands(uint64_t v)
{
	struct text_number r;
	char digits[24];
	int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)v), i, o = 0;

	for (i = 0; i < n; i++) {
		if (i && (n - i) % 3 == 0)
			r.s[o++] = ',';
		r.s[o++] = digits[i];
	}
	r.s[o] = 0;
	return r;
}

struct text_number text_bytes(uint64_t v)
{
	static const char *const unit[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
	struct text_number r;
	double x = (double)v;
	unsigned u = 0;

	while (x >= 999.5 && u + 1 < sizeof unit / sizeof *unit) {
		x /= 1000;
		u++;
	}
	snprintf(r.s, sizeof r.s,
		u == 0              ? "%.0f %s"
			: x < 9.995 ? "%.2f %s"
			: x < 99.95 ? "%.1f %s"
				    : "%.0f %s",
		x, unit[u]);
	return r;
}
