/* SPDX-License-Identifier: MIT */
#include "formats/json/jwrite.h"

#include "core/hash/xxh.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void jwrite_quote(struct text *t, const char *s, size_t n)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	size_t i, run;
	const char *at;

	text_put(t, "\"", 1);
	for (i = 0; i < n; i++) {
		for (run = i; run < n && (unsigned char)s[run] >= 0x20 && s[run] != '"' &&
			s[run] != '\\';)
			run++;
		text_put(t, s + i, run - i);
		i = run;
		if (i == n)
			break;
		at = s[i] ? strchr(from, s[i]) : NULL;
		if (at)
			text_fmt(t, "\\%c", to[at - from]);
		else
			text_fmt(t, "\\u%04x", (unsigned char)s[i]);
	}
	text_put(t, "\"", 1);
}

void jwrite_begin(struct jwrite *o, struct text *t, unsigned flat)
{
	o->t = t;
	o->depth = 0;
	o->flat = flat;
	o->first = true;
}

static void separate(struct jwrite *o, const char *key)
{
	if (o->depth && !o->first)
		text_put(o->t, ",", 1);
	if (o->depth && o->depth <= o->flat)
		text_fmt(o->t, "\n%*s", (int)o->depth, "");
	else if (o->depth && !o->first)
		text_put(o->t, " ", 1);
	o->first = false;
	if (key) {
		jwrite_quote(o->t, key, strlen(key));
		text_put(o->t, ": ", 2);
	}
}

void jwrite_open(struct jwrite *o, const char *key, char bracket)
{
	separate(o, key);
	text_put(o->t, &bracket, 1);
	o->depth++;
	o->first = true;
}

void jwrite_close(struct jwrite *o, char bracket)
{
	bool empty = o->first;

	o->depth--;
	if (!empty && o->depth < o->flat)
		text_fmt(o->t, "\n%*s", (int)o->depth, "");
	text_put(o->t, &bracket, 1);
	o->first = false;
	if (!o->depth)
		text_put(o->t, "\n", 1);
}

void jwrite_str(struct jwrite *o, const char *key, const char *s)
{
	struct text safe = { 0 };
	size_t n = strlen(s), i, run;
	unsigned len;

	separate(o, key);
	for (i = 0, run = 0; i < n; i += len ? len : 1) {
		len = text_utf8((const unsigned char *)s + i, n - i);
		if (len)
			continue;
		text_put(&safe, s + run, i - run);
		text_fmt(&safe, "\\x%02x", (unsigned char)s[i]);
		run = i + 1;
	}
	if (!run) {
		jwrite_quote(o->t, s, n);
		return;
	}
	text_put(&safe, s + run, n - run);
	o->t->failed = o->t->failed || safe.failed;
	if (!safe.failed)
		jwrite_quote(o->t, safe.s, safe.n);
	text_free(&safe);
}

void jwrite_u64(struct jwrite *o, const char *key, uint64_t v)
{
	separate(o, key);
	text_fmt(o->t, "%llu", (unsigned long long)v);
}

void jwrite_f64(struct jwrite *o, const char *key, double v)
{
	char s[32];
	int digits;

	separate(o, key);
	if (!isfinite(v)) {
		text_str(o->t, "null");
		return;
	}
	for (digits = 1; digits <= 17; digits++) {
		snprintf(s, sizeof s, "%.*g", digits, v);
		if (strtod(s, NULL) == v)
			break;
	}
	text_str(o->t, s);
}

void jwrite_bool(struct jwrite *o, const char *key, bool v)
{
	separate(o, key);
	text_str(o->t, v ? "true" : "false");
}

void jwrite_null(struct jwrite *o, const char *key)
{
	separate(o, key);
	text_str(o->t, "null");
}

void jwrite_hex(struct jwrite *o, const char *key, const uint8_t *p, size_t n)
{
	char hex[129];

	separate(o, key);
	if (n > 64)
		n = 64; /* the longest digest */
	hex_of(p, n, hex);
	text_fmt(o->t, "\"%s\"", hex);
}

void jwrite_raw(struct jwrite *o, const char *key, const char *s, size_t n)
{
	separate(o, key);
	text_put(o->t, s, n);
}
