/* SPDX-License-Identifier: MIT */
#include "verify/sign/base64.h"

static int value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(const char *s, size_t n, uint8_t *out, size_t *bytes)
{
	size_t i, pad = 0, m = 0;
	uint32_t bits = 0;
	int v;

	if (n % 4)
		return false;
	while (pad < 2 && pad < n && s[n - 1 - pad] == '=')
		pad++;
	for (i = 0; i < n - pad; i++) {
		v = value(s[i]);
		if (v < 0)
			return false;
		bits = bits << 6 | (uint32_t)v;
		if (i % 4 == 3) {
			out[m++] = (uint8_t)(bits >> 16);
			out[m++] = (uint8_t)(bits >> 8);
			out[m++] = (uint8_t)bits;
			bits = 0;
		}
	}
	if (pad == 1) { /* 18 bits for 2 bytes */
		out[m++] = (uint8_t)(bits >> 10);
		out[m++] = (uint8_t)(bits >> 2);
		bits &= 3;
	} else if (pad == 2) { /* 12 bits for 1 byte */
		out[m++] = (uint8_t)(bits >> 4);
		bits &= 15;
	}
	*bytes = m;
	return bits == 0;
}

void base64_put(struct text *t, const void *p, size_t n)
{
	static const char set[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *b = p;
	char four[4];
	uint32_t v;
	size_t i, left;

	for (i = 0; i < n; i += 3) {
		left = n - i;
		v = (uint32_t)b[i] << 16 | (left > 1 ? (uint32_t)b[i + 1] << 8 : 0) |
			(left > 2 ? b[i + 2] : 0);
		four[0] = set[v >> 18];
		four[1] = set[v >> 12 & 63];
		four[2] = left > 1 ? set[v >> 6 & 63] : '=';
		four[3] = left > 2 ? set[v & 63] : '=';
		text_put(t, four, 4);
	}
}
