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
		if (f[i].get(j, ctx, e))
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

int jfield_name(struct jread *j, char *s, size_t room, struct err *e)
{
	if (jfield_string(j, s, room, e))
		return -1;
	if (!jfield_plain_name(s))
		return jfield_wrong(e, "%s is no name of a file of the folder", text_quote(s).s);
	return 0;
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

int jfield_hex_or_null(struct jread *j, uint8_t *p, size_t n, bool *there, struct err *e)
{
	*there = jread_peek(j) != 'n';
	return *there ? jfield_hex(j, p, n, e) : jread_skip(j);
}

int jfield_range(struct jread *j, uint64_t v[2], struct err *e)
{
	if (jread_array(j) || jread_item(j) != 1 || jread_u64(j, JFIELD_NUMBER_MAX, &v[0]) ||
		jread_item(j) != 1 || jread_u64(j, JFIELD_NUMBER_MAX, &v[1]) || jread_item(j) != 0)
		return j->failed ? -1 : jfield_wrong(e, "a range that is no pair of numbers");
	return v[0] <= v[1] ? 0 : jfield_wrong(e, "a range that ends before it begins");
}

int jfield_skip(struct jread *j, void *ctx, struct err *e)
{
	(void)ctx, (void)e;
	return jread_skip(j);
}
