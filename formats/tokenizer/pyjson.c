/* SPDX-License-Identifier: MIT */
#include "formats/tokenizer/pyjson.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_string(struct text *out, const char *s, size_t n)
{
	static const char from[] = "\"\\\n\r\t\f\b", to[] = "\"\\nrtfb";
	const char *at;
	size_t i;

	text_str(out, "\"");
	for (i = 0; i < n; i++) {
		at = s[i] ? strchr(from, s[i]) : NULL;
		if (at)
			text_fmt(out, "\\%c", to[at - from]);
		else if ((unsigned char)s[i] < 0x20)
			text_fmt(out, "\\u%04x", (unsigned)s[i]);
		else
			text_put(out, s + i, 1);
	}
	text_str(out, "\"");
}

/* repr() of Python: the fewest digits that read back as v, and an exponent below 1e-4 and from 1e16 on. */
static void put_real(struct text *out, double v)
{
	char s[40], digits[40], *e;
	int precision, exponent, n;

	for (precision = 0; precision < 17; precision++) {
		snprintf(s, sizeof s, "%.*e", precision, v);
		if (strtod(s, NULL) == v) /* jansson reads no NaN */
			break;
	}
	e = strchr(s, 'e');
	for (exponent = 0, n = 2; e[n]; n++) /* behind "e+" */
		exponent = exponent * 10 + (e[n] - '0');
	if (e[1] == '-')
		exponent = -exponent;
	if (exponent < -4 || exponent >= 16) {
		text_put(out, s, (size_t)(e - s));
		text_fmt(out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
		return;
	}
	n = precision - exponent;
	snprintf(digits, sizeof digits, "%.*f", n > 1 ? n : 1, v);
	text_str(out, digits);
}

static void put_array(struct text *out, const json_t *v)
{
	size_t i;

	text_str(out, "[");
	for (i = 0; i < json_array_size(v); i++) {
		text_str(out, i ? ", " : "");
		pyjson_put(out, json_array_get(v, i));
	}
	text_str(out, "]");
}

static void put_object(struct text *out, const json_t *v)
{
	const char *key, *gap = "";
	json_t *item;

	text_str(out, "{");
	json_object_foreach((json_t *)(uintptr_t)v, key, item)
	{
		text_str(out, gap);
		put_string(out, key, strlen(key));
		text_str(out, ": ");
		pyjson_put(out, item);
		gap = ", ";
	}
	text_str(out, "}");
}

void pyjson_put(struct text *out, const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		put_object(out, v);
		break;
	case JSON_ARRAY:
		put_array(out, v);
		break;
	case JSON_STRING:
		put_string(out, json_string_value(v), json_string_length(v));
		break;
	case JSON_INTEGER:
		text_fmt(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		break;
	case JSON_REAL:
		put_real(out, json_real_value(v));
		break;
	default:
		text_str(out, json_is_true(v) ? "true" : json_is_false(v) ? "false" : "null");
	}
}
