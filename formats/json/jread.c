/* SPDX-License-Identifier: MIT */
#include "formats/json/jread.h"

#include "core/file.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW = 64 << 10 };

static int fail(struct jread *j, enum rule_id rule, uint64_t pos, const char *what)
{
	if (!j->failed)
		err_rule(j->e, rule, pos, "byte %llu: %s", (unsigned long long)pos, what);
	j->failed = true;
	return -1;
}

static void open_any(struct jread *j, unsigned max_depth, struct err *e)
{
	memset(j, 0, sizeof *j);
	j->max_depth = max_depth < JREAD_MAX_DEPTH ? max_depth : JREAD_MAX_DEPTH;
	j->max_key = JREAD_KEY;
	j->e = e;
}

int jread_open_file(struct jread *j, const struct io *io, int fd, uint64_t at, uint64_t n,
	unsigned max_depth, struct err *e)
{
	open_any(j, max_depth, e);
	j->io = io;
	j->fd = fd;
	j->win_pos = at;
	j->end = at + n;
	j->win = malloc(WINDOW);
	if (!j->win) {
		j->failed = true;
		return err_nomem(e);
	}
	return 0;
}

void jread_open_mem(struct jread *j, const void *p, size_t n, unsigned max_depth, struct err *e)
{
	open_any(j, max_depth, e);
	memcpy(&j->win, &p, sizeof p); /* not written to without io */
	j->n = n;
	j->end = n;
}

void jread_close(struct jread *j)
{
	if (j->io)
		free(j->win);
	text_free(&j->str);
	memset(j, 0, sizeof *j);
	j->failed = true;
}

/* The next byte without taking it; 0 at the end (a NUL byte in the document is reported here). */
static int peek(struct jread *j)
{
	uint64_t left;

	if (j->failed)
		return -1;
	if (j->at == j->n) {
		left = j->end - (j->win_pos + j->n);
		if (!left)
			return 0;
		j->win_pos += j->n;
		j->n = left < WINDOW ? (size_t)left : WINDOW;
		j->at = 0;
		if (file_read(j->io, j->fd, j->win, j->n, j->win_pos, j->e)) {
			j->failed = true;
			return -1;
		}
	}
	if (!j->win[j->at])
		return fail(j, RULE_JSON_SYNTAX, jread_pos(j), "a NUL byte");
	return j->win[j->at];
}

uint64_t jread_pos(struct jread *j)
{
	return j->win_pos + j->at;
}

static int next(struct jread *j)
{
	int c = peek(j);

	if (c > 0)
		j->at++;
	return c;
}

int jread_peek(struct jread *j)
{
	int c;

	while ((c = peek(j)) == ' ' || c == '\t' || c == '\n' || c == '\r')
		j->at++;
	return c;
}

/* Takes the byte c after white space. */
static int expect(struct jread *j, int c, const char *what)
{
	int got = jread_peek(j);

	if (got < 0)
		return -1;
	if (got != c)
		return fail(j, got ? RULE_JSON_SYNTAX : RULE_JSON_CUT, jread_pos(j), what);
	j->at++;
	return 0;
}

static int enter(struct jread *j, int c, const char *what)
{
	int got = jread_peek(j);

	if (got < 0)
		return -1;
	if (got != c)
		return fail(j, got ? RULE_JSON_TYPE : RULE_JSON_CUT, jread_pos(j), what);
	if (j->depth == j->max_depth)
		return fail(j, RULE_JSON_DEPTH, jread_pos(j), "nested too deep");
	j->at++;
	j->first[++j->depth] = true;
	return 0;
}

int jread_object(struct jread *j)
{
	return enter(j, '{', "expected an object");
}

int jread_array(struct jread *j)
{
	return enter(j, '[', "expected an array");
}

/* 1: a member follows, its comma taken; 0: the container's end was taken. */
static int member(struct jread *j, int close)
{
	int c = jread_peek(j);

	if (c < 0)
		return -1;
	if (c == close) {
		j->at++;
		j->depth--;
		return 0;
	}
	if (j->first[j->depth]) {
		j->first[j->depth] = false;
		return 1;
	}
	if (expect(j, ',', "expected a comma or the closing bracket"))
		return -1;
	return 1;
}

int jread_item(struct jread *j)
{
	int more = member(j, ']'), c;

	if (more != 1)
		return more;
	c = jread_peek(j);
	if (c == ']')
		return fail(j, RULE_JSON_SYNTAX, jread_pos(j),
			"a comma before the closing bracket");
	return c < 0 ? -1 : 1;
}

int jread_key(struct jread *j)
{
	int more = member(j, '}');

	if (more != 1)
		return more;
	if (jread_peek(j) != '"')
		return fail(j, jread_peek(j) ? RULE_JSON_SYNTAX : RULE_JSON_CUT, jread_pos(j),
			"expected a key");
	if (jread_string(j, j->max_key) || expect(j, ':', "expected a colon"))
		return -1;
	return 1;
}

/* Four hex digits of the escape at byte pos. */
static int hex4(struct jread *j, uint64_t pos, uint32_t *v)
{
	int i, c;

	*v = 0;
	for (i = 0; i < 4; i++) {
		c = next(j);
		if (c < 0)
			return -1;
		if (c >= '0' && c <= '9')
			c -= '0';
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			c = (c | 32) - 'a' + 10;
		else
			return fail(j, c ? RULE_JSON_ESCAPE : RULE_JSON_CUT, pos,
				"\\u needs four hex digits");
		*v = *v << 4 | (uint32_t)c;
	}
	return 0;
}

static void put_utf8(struct text *t, uint32_t c)
{
	char b[4];
	unsigned n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4, i;

	for (i = n; i-- > 1; c >>= 6)
		b[i] = (char)(0x80 | (c & 0x3f));
	b[0] = (char)(n == 1 ? c : (0xf00u >> n & 0xf0u) | c);
	text_put(t, b, n);
}

/* After a backslash at byte pos. */
static int escape(struct jread *j, uint64_t pos)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	int c = next(j);
	const char *at = c > 0 ? strchr(from, c) : NULL;
	uint32_t hi, lo;

	j->escaped = true;
	if (at) {
		text_put(&j->str, to + (at - from), 1);
		return 0;
	}
	if (c != 'u')
		return c < 0 ? -1
			     : fail(j, c ? RULE_JSON_ESCAPE : RULE_JSON_CUT, pos, "no such escape");
	if (hex4(j, pos, &hi))
		return -1;
	if (hi >= 0xdc00 && hi <= 0xdfff)
		return fail(j, RULE_JSON_ESCAPE, pos, "half a surrogate pair");
	if (hi >= 0xd800 && hi <= 0xdbff) {
		if ((c = next(j)) != '\\' || (c = next(j)) != 'u')
			return fail(j, c ? RULE_JSON_ESCAPE : RULE_JSON_CUT, pos,
				"half a surrogate pair");
		if (hex4(j, pos, &lo))
			return -1;
		if (lo < 0xdc00 || lo > 0xdfff)
			return fail(j, RULE_JSON_ESCAPE, pos, "half a surrogate pair");
		hi = 0x10000 + ((hi - 0xd800) << 10) + (lo - 0xdc00);
	}
	put_utf8(&j->str, hi);
	return 0;
}

/* A byte >= 0x80 at byte pos was taken; takes and checks the rest of its sequence. */
static int utf8(struct jread *j, int lead, uint64_t pos)
{
	unsigned char b[4] = { (unsigned char)lead };
	unsigned want = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4, n = 1;
	int c;

	while (n < want && (c = peek(j)) >= 0x80 && c < 0xc0) {
		b[n++] = (unsigned char)c;
		j->at++;
	}
	if (j->failed)
		return -1;
	if (text_utf8(b, n) != n)
		return fail(j, RULE_JSON_UTF8, pos, "not UTF-8");
	text_put(&j->str, b, n);
	return 0;
}

/* Takes the run of plain ASCII that lies in the window, or drops it. */
static void plain_run(struct jread *j, bool drop)
{
	size_t from = j->at;
	const unsigned char *w = j->win;

	while (j->at < j->n && w[j->at] >= 0x20 && w[j->at] < 0x80 && w[j->at] != '"' &&
		w[j->at] != '\\')
		j->at++;
	if (j->at > from && !drop)
		text_put(&j->str, w + from, j->at - from);
}

int jread_string(struct jread *j, size_t max)
{
	uint64_t pos;
	int c = jread_peek(j);

	if (c < 0)
		return -1;
	if (c != '"')
		return fail(j, c ? RULE_JSON_TYPE : RULE_JSON_CUT, jread_pos(j),
			"expected a string");
	j->str_pos = jread_pos(j);
	j->str.n = 0;
	j->escaped = false;
	text_put(&j->str, "", 0);
	j->at++;
	for (;;) {
		pos = jread_pos(j);
		c = next(j);
		if (c < 0)
			return -1;
		if (c == '"')
			break;
		if (c == 0)
			return fail(j, RULE_JSON_CUT, pos, "the document ends inside a string");
		if (c < 0x20)
			return fail(j, RULE_JSON_CONTROL, pos, "a control byte in a string");
		if (c == '\\') {
			if (escape(j, pos))
				return -1;
		} else if (c >= 0x80) {
			if (utf8(j, c, pos))
				return -1;
		} else {
			j->at--;
			plain_run(j, max == JREAD_DROP);
		}
		if (max == JREAD_DROP)
			j->str.n = 0;
		if (j->str.n > max)
			return fail(j, RULE_JSON_LONG, j->str_pos, "a string longer than allowed");
	}
	if (j->str.failed) {
		j->failed = true;
		return err_nomem(j->e);
	}
	return 0;
}

static bool ends_value(int c)
{
	return c == ',' || c == ']' || c == '}' || c == ' ' || c == '\t' || c == '\n' ||
		c == '\r' || c == 0;
}

int jread_u64(struct jread *j, uint64_t max, uint64_t *v)
{
	int c = jread_peek(j);
	uint64_t pos = jread_pos(j);
	bool zero = c == '0';

	if (c < 0)
		return -1;
	if (c < '0' || c > '9')
		return fail(j,
			c == '-' || c == '+' ? RULE_JSON_NUMBER
				: c          ? RULE_JSON_TYPE
					     : RULE_JSON_CUT,
			pos, "expected a number without sign, point or exponent");
	for (*v = 0; (c = peek(j)) >= '0' && c <= '9'; j->at++) {
		if (zero && jread_pos(j) != pos)
			return fail(j, RULE_JSON_NUMBER, pos, "a number with a leading zero");
		if (!mem_mul(*v, 10, v) || !mem_add(*v, (uint64_t)(c - '0'), v) || *v > max)
			return fail(j, RULE_JSON_RANGE, pos, "a number beyond its limit");
	}
	if (c < 0)
		return -1;
	if (!ends_value(c))
		return fail(j, RULE_JSON_NUMBER, pos,
			"expected a number without sign, point or exponent");
	return 0;
}

static int digits(struct jread *j)
{
	uint64_t pos = jread_pos(j);
	int c;

	while ((c = peek(j)) >= '0' && c <= '9')
		j->at++;
	if (c < 0)
		return -1;
	return jread_pos(j) > pos
		? 0
		: fail(j, c ? RULE_JSON_SYNTAX : RULE_JSON_CUT, pos, "expected a digit");
}

/* -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)? */
/* Whether s is a JSON number, all of it. */
static bool json_number(const char *s)
{
	static const char digit[] = "0123456789";
	size_t n;

	s += *s == '-';
	n = strspn(s, digit);
	if (!n || (n > 1 && *s == '0'))
		return false;
	s += n;
	if (*s == '.') {
		n = strspn(s + 1, digit);
		if (!n)
			return false;
		s += 1 + n;
	}
	if (*s != 'e' && *s != 'E')
		return !*s;
	s++;
	s += *s == '+' || *s == '-';
	n = strspn(s, digit);
	return n && !s[n];
}

static int skip_number(struct jread *j)
{
	if (peek(j) == '-')
		j->at++;
	if (peek(j) == '0')
		j->at++;
	else if (digits(j))
		return -1;
	if (peek(j) == '.') {
		j->at++;
		if (digits(j))
			return -1;
	}
	if ((peek(j) | 32) != 'e')
		return 0;
	j->at++;
	if (peek(j) == '+' || peek(j) == '-')
		j->at++;
	return digits(j);
}

int jread_real(struct jread *j, double *v)
{
	char s[41];
	uint64_t pos;
	size_t n = 0;
	int c = jread_peek(j);

	pos = jread_pos(j);
	while (n < sizeof s - 1 && (c = peek(j)) > 0 && strchr("0123456789+-.eE", c)) {
		s[n++] = (char)c;
		j->at++;
	}
	if (c < 0)
		return -1;
	s[n] = 0;
	if (!json_number(s) || !ends_value(c))
		return fail(j, RULE_JSON_NUMBER, pos, "expected a number");
	*v = strtod(s, NULL);
	return 0;
}

/* A literal or a number that nobody reads. */
static int skip_scalar(struct jread *j)
{
	static const char *const word[] = { "true", "false", "null" };
	const char *w = NULL;
	int c = peek(j);
	size_t i;

	for (i = 0; i < sizeof word / sizeof *word; i++)
		if (c == word[i][0])
			w = word[i];
	for (; w && *w && peek(j) == *w; w++)
		j->at++;
	if (w && *w)
		return peek(j) < 0 ? -1
				   : fail(j, peek(j) ? RULE_JSON_SYNTAX : RULE_JSON_CUT,
					     jread_pos(j), "no such word");
	if (!w && skip_number(j))
		return -1;
	c = peek(j);
	if (c < 0)
		return -1;
	return ends_value(c) ? 0 : fail(j, RULE_JSON_SYNTAX, jread_pos(j), "expected a value");
}

int jread_skip(struct jread *j)
{
	bool object[JREAD_MAX_DEPTH + 1];
	unsigned base = j->depth;
	int c, more;

	do {
		c = jread_peek(j);
		if (c < 0)
			return -1;
		if (c == '{' || c == '[') {
			if (c == '{' ? jread_object(j) : jread_array(j))
				return -1;
			object[j->depth] = c == '{';
		} else if (c == '"' ? jread_string(j, JREAD_DROP) : skip_scalar(j)) {
			return -1;
		}
		more = 0;
		while (j->depth > base && !more) {
			more = object[j->depth] ? jread_key(j) : jread_item(j);
			if (more < 0)
				return -1;
		}
	} while (j->depth > base);
	return 0;
}

int jread_end(struct jread *j, bool loose)
{
	int c;

	while ((c = peek(j)) == ' ' || (loose && (c == '\t' || c == '\n' || c == '\r')))
		j->at++;
	if (c < 0)
		return -1;
	return c == 0 ? 0
		      : fail(j, RULE_JSON_TRAILING, jread_pos(j), "something after the document");
}
