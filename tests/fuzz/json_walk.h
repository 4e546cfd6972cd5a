/* json_walk.h -- reads a whole document with jread and tells it as a line of events, so that two
 * readings can be compared; and the properties that hold for any bytes at all, which the fuzzer and
 * tests/test_json.c both check.
 *
 *	{"a": [1, "x y"], "b": true}    is told as    { a= [ 1 'x<20>y' ] b= ~ }
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_JSON_WALK_H
#define TESTS_FUZZ_JSON_WALK_H
#include "formats/json/jread.h"
#include "formats/json/jwrite.h"
#include "tests/fuzz/mem_io.h"

#include <jansson.h>
#include <string.h>

enum { WALK_STRING = 1 << 20, WALK_WINDOW = 64 << 10 };

/* Bytes that are not plain are told as <hex>. */
static inline void walk_bytes(struct text *o, const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (s[i] > 0x20 && s[i] < 0x7f && !strchr("<>'=~", s[i]))
			text_put(o, s + i, 1);
		else
			text_fmt(o, "<%02x>", (unsigned char)s[i]);
	}
}

static inline int walk_scalar(struct jread *j, int c, struct text *o, struct text *again)
{
	uint64_t v;

	if (c == '"') {
		if (jread_string(j, WALK_STRING))
			return -1;
		text_str(o, "'");
		walk_bytes(o, j->str.s, j->str.n);
		text_str(o, "' ");
		jwrite_quote(again, j->str.s, j->str.n);
	} else if (c == 't' || c == 'f' || c == 'n') {
		if (jread_skip(j))
			return -1;
		text_str(o, "~ ");
		text_str(again, "null");
	} else {
		if (jread_u64(j, UINT64_MAX, &v))
			return -1;
		text_fmt(o, "%llu ", (unsigned long long)v);
		text_fmt(again, "%llu", (unsigned long long)v);
	}
	return 0;
}

/* Reads one value: its events go to o, the same value as dense JSON goes to again. */
static inline int walk(struct jread *j, struct text *o, struct text *again)
{
	int c = jread_peek(j), more;
	bool object = c == '{', first = true;

	if (c != '{' && c != '[')
		return walk_scalar(j, c, o, again);
	if (object ? jread_object(j) : jread_array(j))
		return -1;
	text_str(o, object ? "{ " : "[ ");
	text_str(again, object ? "{" : "[");
	while ((more = object ? jread_key(j) : jread_item(j)) == 1) {
		if (!first)
			text_str(again, ",");
		first = false;
		if (object) {
			walk_bytes(o, j->str.s, j->str.n);
			text_str(o, "= ");
			jwrite_quote(again, j->str.s, j->str.n);
			text_str(again, ":");
		}
		if (walk(j, o, again))
			return -1;
	}
	text_str(o, object ? "} " : "] ");
	text_str(again, object ? "}" : "]");
	return more;
}

/* One reading. The caller frees both texts. */
struct reading {
	int rc;
	struct err e;
	struct text events, again;
};

static inline void reading_free(struct reading *r)
{
	text_free(&r->events);
	text_free(&r->again);
}

static inline void reading_do(struct reading *r, struct jread *j)
{
	text_put(&r->events, "", 0);
	text_put(&r->again, "", 0);
	r->rc = walk(j, &r->events, &r->again) || jread_end(j, true) ? -1 : 0;
	jread_close(j);
}

/* One level less than from a file, where the document lies inside of an object. */
static inline struct reading reading_mem(const void *p, size_t n)
{
	struct reading r = { 0 };
	struct jread j;

	jread_open_mem(&j, p, n, JREAD_MAX_DEPTH - 1, &r.e);
	reading_do(&r, &j);
	return r;
}

/* Opens m for a document that may nest deep levels, and goes to where it begins. */
static inline int open_at_pad(struct jread *j, const struct mem_io *m, unsigned deep, struct err *e)
{
	if (jread_open_file(j, &m->io, 3, 0, m->pad + m->n, deep + (m->pad != 0), e))
		return -1;
	if (m->pad == 0)
		return 0;
	j->max_key = m->pad;
	if (jread_object(j) || jread_key(j) != 1)
		return -1;
	j->max_key = JREAD_KEY;
	return 0;
}

/* From a file with pad bytes before the document, which gives at most most bytes a call. */
static inline struct reading reading_file(const void *p, size_t n, size_t pad, size_t most)
{
	struct reading r = { .rc = -1 };
	struct jread j;
	struct mem_io m = mem_io_of(p, n, pad, most);

	if (open_at_pad(&j, &m, JREAD_MAX_DEPTH - 1, &r.e))
		jread_close(&j);
	else
		reading_do(&r, &j);
	return r;
}

/* The same events from jansson's tree. */
static inline void walk_jansson(json_t *v, struct text *o)
{
	const char *key;
	json_t *x;
	size_t i;

	switch (json_typeof(v)) {
	case JSON_OBJECT:
		text_str(o, "{ ");
		json_object_foreach(v, key, x)
		{
			walk_bytes(o, key, strlen(key));
			text_str(o, "= ");
			walk_jansson(x, o);
		}
		text_str(o, "} ");
		break;
	case JSON_ARRAY:
		text_str(o, "[ ");
		json_array_foreach(v, i, x) walk_jansson(x, o);
		text_str(o, "] ");
		break;
	case JSON_STRING:
		text_str(o, "'");
		walk_bytes(o, json_string_value(v), json_string_length(v));
		text_str(o, "' ");
		break;
	case JSON_INTEGER:
		text_fmt(o, "%lld ", (long long)json_integer_value(v));
		break;
	case JSON_REAL:
		text_str(o, "real ");
		break;
	case JSON_TRUE:
	case JSON_FALSE:
	case JSON_NULL:
		text_str(o, "~ ");
		break;
	}
}

/* Whether jread may refuse by that rule what jansson read as events. */
static inline bool may_refuse(const char *rule, const char *events, bool nul)
{
	if (!strcmp(rule, "json.range"))
		return strstr(events, "real ") != NULL; /* too many digits before the point */
	return nul /* ends jansson's document */ || !strcmp(rule, "json.number") ||
		!strcmp(rule, "json.depth") || !strcmp(rule, "json.long");
}

/* Whether jansson may refuse what jread read as events. */
static inline bool jansson_may_refuse(const json_error_t *e, const char *events)
{
	enum json_error_code c = json_error_code(e);

	return strchr(events, '~') /* jread_skip is not strict */ ||
		c == json_error_duplicate_key || c == json_error_null_byte_in_key ||
		c == json_error_numeric_overflow;
}

/* jansson and jread agree on what is JSON and what it says, but for what each says it does not
 * take. NULL, or what is wrong. */
static inline const char *check_against_jansson(const void *p, size_t n, const struct reading *r)
{
	json_error_t je;
	json_t *root =
		json_loadb(p, n, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &je);
	struct text o = { 0 };
	const char *bad = NULL;

	if (root)
		walk_jansson(root, &o);
	if (root && r->rc && !may_refuse(r->e.rule, o.s, memchr(p, 0, n) != NULL))
		bad = "jansson accepts, jread refuses";
	else if (root && !r->rc && strcmp(o.s, r->events.s))
		bad = "jansson reads other values";
	else if (!root && !r->rc && !jansson_may_refuse(&je, r->events.s))
		bad = "jansson refuses, jread accepts";
	text_free(&o);
	json_decref(root);
	return bad;
}

/* What jread understood, written out with jwrite_quote, is understood the same. */
static inline const char *check_again(const struct reading *r)
{
	struct reading s = reading_mem(r->again.s, r->again.n);
	const char *bad = NULL;

	if (s.rc || strcmp(s.events.s, r->events.s))
		bad = "written and read again it is another document";
	reading_free(&s);
	return bad;
}

/* jread_skip takes whatever the walk takes, and as much of it. */
static inline const char *check_skip(const void *p, size_t n)
{
	struct jread j;
	struct err e = { 0 };
	const char *bad = NULL;

	jread_open_mem(&j, p, n, JREAD_MAX_DEPTH, &e);
	if (jread_skip(&j) || jread_end(&j, true) || j.depth != 0)
		bad = "jread_skip refuses what was read before";
	jread_close(&j);
	return bad;
}

/* Where the document lies in the window makes no difference. */
static inline const char *check_shifted(const void *p, size_t n, size_t pad, size_t most,
	const struct reading *r)
{
	struct reading s = reading_file(p, n, pad, most);
	const char *bad = NULL;

	if (s.rc != r->rc || strcmp(s.events.s, r->events.s) || s.e.kind != r->e.kind)
		bad = "from a file it is another document";
	else if (r->rc && (s.e.rule != r->e.rule || s.e.pos != r->e.pos + pad))
		bad = "from a file it is another error";
	reading_free(&s);
	return bad;
}

/* Everything above for one input. Its first byte says how many bytes a call gives; or, for one
 * input in 32 (a window takes long to fill), how far before the window's edge the document begins.
 * NULL, or what is wrong. */
static inline const char *json_check_input(const uint8_t *p, size_t n)
{
	size_t first = n ? p[0] : 0, pad, i;
	uint8_t fold = 0;
	struct reading r;
	const char *bad;

	for (i = 0; i < n; i++)
		fold ^= p[i];
	pad = fold % 32 == 0 ? WALK_WINDOW - first : 0;
	if (n) {
		p++;
		n--;
	}
	r = reading_mem(p, n);
	if (r.rc == 0)
		bad = r.e.kind != ERR_NONE ? "accepted with an error" : NULL;
	else
		bad = r.e.kind != ERR_DATA || !r.e.rule || r.e.pos > n ? "refused without a rule"
								       : NULL;
	if (!bad)
		bad = check_shifted(p, n, pad, pad ? 0 : first % 16, &r);
	if (!bad)
		bad = check_against_jansson(p, n, &r);
	if (!bad && r.rc == 0)
		bad = check_again(&r);
	if (!bad && r.rc == 0)
		bad = check_skip(p, n);
	reading_free(&r);
	return bad;
}
#endif
