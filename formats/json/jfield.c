/* SPDX-License-Identifier: MIT */
#include "formats/json/jfield.h"

#include "core/hash/xxh.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int jfield_wrong(struct err *e, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return err_rule(e, RULE_SET_FORM, ERR_NOPOS, "%s", text);
}

static long find(const struct jread *j, const struct jfield *f)
{
	long i;

	for (i = 0; f[i].name; i++)
		if (j->str.n == strlen(f[i].name) && !memcmp(j->str.s, f[i].name, j->str.n))
			return i;
	return -1;
}

static int get_number(struct jread *j, const struct jfield *f, unsigned char *to)
{
	uint64_t max = f->type == JFIELD_U32 ? UINT32_MAX
		: f->type == JFIELD_U8       ? UINT8_MAX
					     : JFIELD_NUMBER_MAX;
	uint64_t v = 0;
	uint32_t v32;
	uint8_t v8;

	if (jread_u64(j, max, &v))
		return -1;
	v32 = (uint32_t)v;
	v8 = (uint8_t)v;
	if (f->type == JFIELD_U64)
		memcpy(to, &v, sizeof v);
	else if (f->type == JFIELD_U32)
		memcpy(to, &v32, sizeof v32);
	else
		memcpy(to, &v8, sizeof v8);
	return 0;
}

static int get_range(struct jread *j, unsigned char *to, struct err *e)
{
	uint64_t v[2] = { 0, 0 };

	if (jread_array(j) || jread_item(j) != 1 || jread_u64(j, JFIELD_NUMBER_MAX, &v[0]) ||
		jread_item(j) != 1 || jread_u64(j, JFIELD_NUMBER_MAX, &v[1]) || jread_item(j) != 0)
		return j->failed ? -1 : jfield_wrong(e, "a range that is no pair of numbers");
	if (v[0] > v[1])
		return jfield_wrong(e, "a range that ends before it begins");
	memcpy(to, v, sizeof v);
	return 0;
}

static int get_name(struct jread *j, char *s, size_t room, struct err *e)
{
	if (jfield_string(j, s, room, e))
		return -1;
	return jfield_plain_name(s)
		? 0
		: jfield_wrong(e, "%s is no name of a file of the folder", text_quote(s).s);
}

static int get_hex_text(struct jread *j, char *s, size_t room, struct err *e)
{
	uint8_t d[32];

	if (jfield_hex(j, d, (room - 1) / 2, e))
		return -1;
	hex_of(d, (room - 1) / 2, s);
	return 0;
}

static int get_value(struct jread *j, const struct jfield *f, void *ctx, struct err *e)
{
	unsigned char *to = (unsigned char *)ctx + f->at;

	switch (f->type) {
	case JFIELD_SKIP:
		return jread_skip(j);
	case JFIELD_CALL:
		return f->get(j, ctx, e);
	case JFIELD_OBJECT:
		return jfield_object(j, f->fields, ctx, e);
	case JFIELD_ARRAY:
		return jfield_array(j, f->get, ctx, e);
	case JFIELD_U64:
	case JFIELD_U32:
	case JFIELD_U8:
		return get_number(j, f, to);
	case JFIELD_RANGE:
		return get_range(j, to, e);
	case JFIELD_STRING:
		return jfield_string(j, (char *)to, f->room, e);
	case JFIELD_NAME:
		return get_name(j, (char *)to, f->room, e);
	case JFIELD_HEX_TEXT:
		return get_hex_text(j, (char *)to, f->room, e);
	case JFIELD_HEX:
	case JFIELD_HEX_NULL:
		return jfield_hex(j, to, f->room, e);
	}
	return -1;
}

static int get_member(struct jread *j, const struct jfield *f, void *ctx, struct err *e)
{
	if (f->type == JFIELD_HEX_NULL && jread_peek(j) == 'n')
		return jread_skip(j);
	if (get_value(j, f, ctx, e))
		return -1;
	if (f->has)
		*((bool *)ctx + f->has) = true;
	return 0;
}

int jfield_object(struct jread *j, const struct jfield *f, void *ctx, struct err *e)
{
	uint32_t seen = 0, bit;
	int more;
	long i;

	if (jread_object(j))
		return -1;
	while ((more = jread_key(j)) == 1) {
		i = find(j, f);
		if (i < 0)
			return jfield_wrong(e, "the member %s does not belong there",
				text_quote_n(j->str.s, j->str.n).s);
		bit = (uint32_t)1 << i;
		if (seen & bit)
			return jfield_wrong(e, "the member \"%s\" is there twice", f[i].name);
		seen |= bit;
		if (get_member(j, &f[i], ctx, e))
			return -1;
	}
	for (i = 0; !more && f[i].name; i++)
		if (!(seen >> i & 1) && !f[i].optional)
			return jfield_wrong(e, "the member \"%s\" is missing", f[i].name);
	return more;
}

int jfield_array(struct jread *j, jfield_get *item, void *ctx, struct err *e)
{
	int more;

	if (jread_array(j))
		return -1;
	while ((more = jread_item(j)) == 1)
		if (item(j, ctx, e))
			return -1;
	return more;
}

int jfield_string(struct jread *j, char *s, size_t room, struct err *e)
{
	if (jread_string(j, room - 1))
		return -1;
	if (memchr(j->str.s, 0, j->str.n))
		return jfield_wrong(e, "a string with a NUL in it");
	memcpy(s, j->str.s, j->str.n);
	s[j->str.n] = 0;
	return 0;
}

bool jfield_plain_name(const char *s)
{
	const char *p;

	if (!*s || *s == '.' || strlen(s) > 255)
		return false;
	for (p = s; *p; p++)
		if (*p == '/' || (unsigned char)*p < ' ' || *p == 127)
			return false;
	return true;
}

int jfield_hex(struct jread *j, uint8_t *p, size_t n, struct err *e)
{
	size_t i;

	if (jread_string(j, 2 * n))
		return -1;
	for (i = 0; i < j->str.n; i++)
		if (j->str.s[i] >= 'A' && j->str.s[i] <= 'F')
			return jfield_wrong(e, "a digest in capitals");
	if (j->str.n != 2 * n || !hex_to(j->str.s, p, n))
		return jfield_wrong(e, "a digest that is not %zu hex digits", 2 * n);
	return 0;
}
