/* SPDX-License-Identifier: MIT */
#include "verify/report/escape.h"

#include <string.h>

void escape_put(struct text *out, const char *s)
{
	static const struct {
		char c;
		const char *as;
	} rows[] = { { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '"', "&quot;" },
		{ '\'', "&#39;" } };
	size_t n = strlen(s), i;
	unsigned len;

	for (; n; s += len, n -= len) {
		len = text_utf8((const unsigned char *)s, n);
		for (i = 0; i < sizeof rows / sizeof *rows && *s != rows[i].c; i++)
			;
		if (i < sizeof rows / sizeof *rows)
			text_str(out, rows[i].as);
		else if (len && ((unsigned char)*s >= 0x20 || *s == '\n') && *s != 0x7f)
			text_put(out, s, len);
		else
			text_fmt(out, "\\x%02x", (unsigned char)*s);
		len = len ? len : 1;
	}
}
