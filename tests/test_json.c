/* test_json.c -- the strict JSON reader and the writer: what is taken, what is refused, by which
 * rule and at which byte, from memory and from a file, wherever the window's edge lies.
 *
 * The documents are in tests/fuzz/json_cases.h; how readings are told and compared is in
 * tests/fuzz/json_walk.h.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/json/jread.h"
#include "formats/json/jwrite.h"
#include "core/rule.h"
#include "tests/check.h"
#include "tests/dirs.h"
#include "tests/fuzz/json_cases.h"
#include "tests/fuzz/json_walk.h"

/* A document of a table as it is read, and where the mark stood (its end if there is none). */
struct doc {
	char s[1024];
	size_t n, mark;
};

static struct doc doc_of(const char *s, size_t n)
{
	struct doc d = { .n = 0, .mark = SIZE_MAX };
	size_t i;

	for (i = 0; i < n && d.n < sizeof d.s; i++) {
		if (s[i] == '^')
			d.mark = d.n;
		else
			d.s[d.n++] = s[i] == '\'' ? '"' : s[i];
	}
	if (d.mark == SIZE_MAX)
		d.mark = d.n;
	return d;
}

/* --- what is taken --- */

/* How much stands before the document in its k-th reading from a file: the edge of the first window
 * passes through every byte of it, and at last that of the second through its middle. */
static size_t pad_of(const struct doc *d, size_t k)
{
	return k <= d->n ? WALK_WINDOW + 1 - k : 2 * (size_t)WALK_WINDOW - d->n / 2;
}

static void read_at_all_shifts(const struct doc *d, const char *events)
{
	struct reading r;
	size_t k;

	for (k = 0; k <= d->n + 1; k++) {
		r = reading_file(d->s, d->n, pad_of(d, k), k % 3 ? 0 : 1021);
		CHECK_IN(d->s, r.rc == 0 && r.e.kind == ERR_NONE);
		CHECK_IN(d->s, !strcmp(r.events.s, events));
		reading_free(&r);
	}
}

static void valid(void)
{
	struct reading r;
	struct doc d;
	uint8_t *end = guarded(sizeof d.s) + sizeof d.s;
	size_t i;

	for (i = 0; i < COUNT(json_good); i++) {
		d = doc_of(json_good[i].doc, json_good[i].n);
		memcpy(end - d.n, d.s, d.n);
		r = reading_mem(end - d.n, d.n);
		CHECK_IN(json_good[i].doc, r.rc == 0 && r.e.kind == ERR_NONE);
		if (strcmp(r.events.s, json_good[i].events))
			fprintf(stderr, "got %s, expected %s\n", r.events.s, json_good[i].events);
		CHECK_IN(json_good[i].doc, !strcmp(r.events.s, json_good[i].events));
		CHECK_IN(json_good[i].doc, !check_again(&r));
		CHECK_IN(json_good[i].doc, !check_skip(d.s, d.n));
		CHECK_IN(json_good[i].doc, !check_against_jansson(d.s, d.n, &r));
		reading_free(&r);
		read_at_all_shifts(&d, json_good[i].events);
	}
}

/* --- what is refused --- */

/* One call of the reader by its letter in a table. */
static int call(struct jread *j, char what)
{
	struct text drop = { 0 };
	uint64_t v;
	int rc = -2;

	switch (what) {
	case 'o':
		return jread_object(j);
	case 'a':
		return jread_array(j);
	case 'k':
		return jread_key(j);
	case 'i':
		return jread_item(j);
	case 's':
		return jread_string(j, TABLE_STRING);
	case 'd':
		return jread_string(j, JREAD_DROP);
	case 'u':
		return jread_u64(j, TABLE_NUMBER, &v);
	case 'x':
		return jread_skip(j);
	case 'p':
		return jread_peek(j);
	case 'e':
		return jread_end(j, false);
	case 'E':
		return jread_end(j, true);
	case 'w': /* the whole document */
		rc = walk(j, &drop, &drop);
		break;
	}
	text_free(&drop);
	return rc;
}

static enum err_kind kind_of(const char *rule)
{
	const struct rule *r;

	for (r = rules; r->id; r++)
		if (!strcmp(r->id, rule))
			return r->kind;
	return ERR_NONE;
}

/* Goes through the calls; the last one is refused by the rule at that byte, and then everything. */
static void expect(const struct json_bad *b, struct jread *j, struct err *e, uint64_t pos)
{
	const char *c, *all = "oakisduxpeE";

	j->max_key = TABLE_KEY;
	for (c = b->calls; c[1]; c++)
		CHECK_IN(b->doc, call(j, *c) >= 0);
	CHECK_IN(b->doc, call(j, *c) == -1);
	if (!e->rule || strcmp(e->rule, b->rule) || e->pos != pos)
		fprintf(stderr, "%s at %llu, expected %s at %llu: %s\n", e->rule,
			(unsigned long long)e->pos, b->rule, (unsigned long long)pos, e->text);
	CHECK_IN(b->doc, e->rule && !strcmp(e->rule, b->rule));
	CHECK_IN(b->doc, e->pos == pos);
	CHECK_IN(b->doc, e->kind == kind_of(b->rule));
	for (c = all; *c; c++)
		CHECK_IN(b->doc, call(j, *c) == -1);
	CHECK_IN(b->doc, e->pos == pos); /* the first report stays */
	jread_close(j);
	CHECK_IN(b->doc, jread_peek(j) == -1);
}

static void invalid(void)
{
	struct jread j;
	struct err e;
	struct mem_io m;
	struct doc d;
	uint8_t *end = guarded(sizeof d.s) + sizeof d.s;
	const struct json_bad *b;
	size_t k, pad;

	for (b = json_bad; b < json_bad + COUNT(json_bad); b++) {
		d = doc_of(b->doc, b->n);
		memcpy(end - d.n, d.s, d.n);
		memset(&e, 0, sizeof e);
		jread_open_mem(&j, end - d.n, d.n, TABLE_DEPTH, &e);
		expect(b, &j, &e, d.mark);
		for (k = 0; k <= d.n + 1; k++) {
			pad = pad_of(&d, k);
			m = mem_io_of(d.s, d.n, pad, k % 3 ? 0 : 1021);
			memset(&e, 0, sizeof e);
			CHECK(!open_at_pad(&j, &m, TABLE_DEPTH, &e));
			expect(b, &j, &e, pad + d.mark);
		}
	}
}

/* A digit that is none, or the end, anywhere in an escape. */
static void broken_hex(void)
{
	static const char pair[] = "\"\\ud83d\\ude00", wrong[] = "gG/:@`\"\\ x\x7f\xff";
	struct reading r;
	char doc[16];
	size_t i, k, n = sizeof pair - 1;

	for (i = 3; i < n; i += i == 6 ? 3 : 1) {
		for (k = 0; k < sizeof wrong; k++) {
			memcpy(doc, pair, n + 1);
			doc[i] = wrong[k];
			r = reading_mem(doc, wrong[k] ? n : i); /* the last one of wrong ends it */
			CHECK_IN(doc, r.rc == -1 && r.e.rule && r.e.pos >= 1 && r.e.pos <= i + 1);
			CHECK_IN(doc, !strcmp(r.e.rule, "json.escape") || !wrong[k]);
			reading_free(&r);
		}
	}
}

/* Whoever adds a json. rule adds a row above. */
static void every_rule(void)
{
	const struct rule *r;
	size_t i;

	for (r = rules; r->id; r++) {
		for (i = 0; i < COUNT(json_bad); i++)
			if (!strcmp(json_bad[i].rule, r->id))
				break;
		CHECK_IN(r->id, strncmp(r->id, "json.", 5) || i < COUNT(json_bad));
	}
}

/* --- limits --- */

/* Nested n deep, as arrays and objects in turn, with mark the byte of the innermost bracket. */
static void nest(struct text *t, unsigned n, size_t *mark)
{
	unsigned i;

	t->n = 0;
	text_put(t, "", 0);
	for (i = 0; i < n; i++) {
		*mark = t->n;
		text_str(t, i % 2 ? "{\"k\":" : "[");
	}
	if (n && (n - 1) % 2)
		text_str(t, "0");
	while (i-- > 0)
		text_str(t, i % 2 ? "}" : "]");
}

static void depth(void)
{
	static const unsigned limit[] = { 0, 1, 2, 3, 16, 63, 64, 65, 1000 };
	struct text t = { 0 }, drop = { 0 };
	struct jread j;
	struct err e;
	unsigned n, max;
	size_t i, mark = 0;
	int rc;

	for (i = 0; i < COUNT(limit) * 2; i++) {
		max = limit[i / 2] < JREAD_MAX_DEPTH ? limit[i / 2] : JREAD_MAX_DEPTH;
		for (n = 1; n <= JREAD_MAX_DEPTH + 2; n++) {
			nest(&t, n, &mark);
			memset(&e, 0, sizeof e);
			jread_open_mem(&j, t.s, t.n, limit[i / 2], &e);
			rc = i % 2 ? jread_skip(&j) : walk(&j, &drop, &drop);
			CHECK(rc == (n <= max ? 0 : -1));
			if (n > max)
				CHECK(e.rule && !strcmp(e.rule, "json.depth"));
			if (n == max + 1)
				CHECK(e.pos == mark);
			jread_close(&j);
		}
	}
	text_free(&t);
	text_free(&drop);
}

/* A string with so many bytes, the last ones an escape or a letter. */
static void string_of(struct text *t, size_t bytes, const char *last, size_t last_bytes)
{
	size_t i;

	t->n = 0;
	text_str(t, "\"");
	for (i = last_bytes; i < bytes; i++)
		text_str(t, "x");
	text_str(t, last);
	text_str(t, "\"");
}

static void length(void)
{
	static const struct {
		const char *last;
		size_t bytes;
	} kind[] = { { "x", 1 }, { "\\n", 1 }, { "\\u0000", 1 }, { "\\ud83d\\ude00", 4 },
		{ "\xe2\x82\xac", 3 } };
	static const size_t max[] = { 4, 64, 4096, 70000 };
	struct text t = { 0 };
	struct jread j;
	struct err e;
	size_t i, k;
	int over;

	for (i = 0; i < COUNT(kind); i++) {
		for (k = 0; k < COUNT(max) * 2; k++) {
			over = k % 2;
			string_of(&t, max[k / 2] + (size_t)over, kind[i].last, kind[i].bytes);
			memset(&e, 0, sizeof e);
			jread_open_mem(&j, t.s, t.n, 1, &e);
			CHECK(jread_string(&j, max[k / 2]) == -over);
			CHECK(over || j.str.n == max[k / 2]);
			CHECK(!over || (e.rule && !strcmp(e.rule, "json.long") && e.pos == 0));
			jread_close(&j);
		}
	}
	text_free(&t);
}

/* Keys have a limit of their own: JREAD_KEY unless the caller sets another. */
static void key_length(void)
{
	struct text t = { 0 }, doc = { 0 };
	struct jread j;
	struct err e;
	int i;

	for (i = 0; i < 4; i++) {
		string_of(&t, (i < 2 ? JREAD_KEY : 100) + (size_t)(i % 2), "\\n", 1);
		doc.n = 0;
		text_fmt(&doc, " {%s:1}", t.s);
		memset(&e, 0, sizeof e);
		jread_open_mem(&j, doc.s, doc.n, 1, &e);
		if (i >= 2)
			j.max_key = 100;
		CHECK(!jread_object(&j));
		CHECK(jread_key(&j) == (i % 2 ? -1 : 1));
		CHECK(i % 2 == 0 || (e.rule && !strcmp(e.rule, "json.long") && e.pos == 2));
		jread_close(&j);
	}
	text_free(&t);
	text_free(&doc);
}

/* A reader of a 50 MB string that nobody keeps holds a window of it. */
static void memory(void)
{
	size_t n = 50 << 20;
	uint8_t *p = malloc(n);
	struct mem_io m;
	struct jread j;
	struct err e = { 0 };

	if (!p)
		SKIP("no 50 MB");
	memset(p, 'x', n);
	p[0] = p[n - 1] = '"';
	m = mem_io_of(p, n, 0, 0);
	CHECK(!jread_open_file(&j, &m.io, 3, 0, n, 1, &e));
	CHECK(!jread_string(&j, JREAD_DROP) && !jread_end(&j, false));
	CHECK(j.str.cap <= 2 * WALK_WINDOW && j.str.n == 0);
	jread_close(&j);
	CHECK(!jread_open_file(&j, &m.io, 3, 0, n, 1, &e));
	CHECK(!jread_skip(&j) && !jread_end(&j, false));
	CHECK(j.str.cap <= 2 * WALK_WINDOW);
	jread_close(&j);
	CHECK(!jread_open_file(&j, &m.io, 3, 0, n, 1, &e));
	CHECK(jread_string(&j, 1000) == -1 && j.str.cap <= 2 * WALK_WINDOW);
	CHECK(e.rule && !strcmp(e.rule, "json.long"));
	jread_close(&j);
	free(p);
}

/* --- what the caller can see on the way --- */

static void positions(void)
{
	static const char doc[] = " { \"a\" : [ 12 ,\"b\\n\" , {} ] }  ";
	struct mem_io m = mem_io_of(doc, sizeof doc - 1, WALK_WINDOW - 9, 0);
	struct jread j;
	struct err e = { 0 };
	uint64_t v, at = m.pad;

	CHECK(!open_at_pad(&j, &m, 3, &e));
	CHECK(jread_peek(&j) == '{' && jread_pos(&j) == at + 1);
	CHECK(!jread_object(&j) && jread_key(&j) == 1);
	CHECK(j.str_pos == at + 3 && !strcmp(j.str.s, "a") && !j.escaped);
	CHECK(jread_peek(&j) == '[' && jread_pos(&j) == at + 9);
	CHECK(!jread_array(&j) && jread_item(&j) == 1 && jread_pos(&j) == at + 11);
	CHECK(!jread_u64(&j, 12, &v) && v == 12 && jread_pos(&j) == at + 13);
	CHECK(jread_item(&j) == 1 && jread_pos(&j) == at + 15);
	CHECK(!jread_string(&j, 2) && j.str_pos == at + 15 && j.escaped && !strcmp(j.str.s, "b\n"));
	CHECK(jread_item(&j) == 1 && jread_peek(&j) == '{' && !jread_skip(&j));
	CHECK(jread_pos(&j) == at + 25);
	CHECK(jread_item(&j) == 0 && jread_key(&j) == 0);
	CHECK(!jread_end(&j, false) && jread_pos(&j) == at + sizeof doc - 1);
	CHECK(jread_peek(&j) == 0 && e.kind == ERR_NONE);
	jread_close(&j);
}

/* The reader is told of more bytes than the file has, or the disk fails. */
static void broken_file(void)
{
	static const char doc[] = "[\"abcdefghijklmnopqrstuvwxyz\"]";
	struct mem_io m;
	struct jread j;
	struct err e;
	size_t n = sizeof doc - 1, pad, cut;

	for (pad = 0; pad <= 2u * WALK_WINDOW; pad += WALK_WINDOW) {
		for (cut = 1; cut <= n; cut++) {
			m = mem_io_of(doc, n - cut, pad, 0);
			memset(&e, 0, sizeof e);
			CHECK(!jread_open_file(&j, &m.io, 3, 0, pad + n, 9, &e));
			j.max_key = SIZE_MAX;
			CHECK(jread_skip(&j) == -1 && jread_skip(&j) == -1);
			CHECK(e.kind == ERR_DATA && !strcmp(e.rule, "file.short"));
			CHECK(e.pos == pad + n - cut);
			jread_close(&j);
			m = mem_io_of(doc, n, pad, 0);
			m.bad_at = pad + n - cut;
			memset(&e, 0, sizeof e);
			CHECK(!jread_open_file(&j, &m.io, 3, 0, pad + n, 9, &e));
			j.max_key = SIZE_MAX;
			CHECK(jread_skip(&j) == -1 && jread_skip(&j) == -1);
			CHECK(e.kind == ERR_SYSTEM && !e.rule);
			jread_close(&j);
		}
	}
}

/* A real file, and a document in the middle of it. */
static void real_file(void)
{
	struct path p = dirs_path("doc");
	struct jread j;
	struct err e = { 0 };
	const char *all = "garbage{\"a\":\"b\"}garbage";
	int fd;

	file_put_all(p.s, all, strlen(all));
	fd = open(p.s, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0 && !jread_open_file(&j, io_posix(), fd, 7, 9, 1, &e));
	CHECK(!jread_object(&j) && jread_key(&j) == 1 && !jread_string(&j, 1));
	CHECK(j.str_pos == 12 && !strcmp(j.str.s, "b"));
	CHECK(!jread_key(&j) && !jread_end(&j, false) && jread_pos(&j) == 16);
	jread_close(&j);
	close(fd);
}

/* --- writing --- */

/* The forms that serde_json uses: any other spelling would change headers. */
static void quote_forms(void)
{
	static const char *const form[0x20] = {
		['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"
	};
	struct text t = { 0 };
	char want[16], c[2] = { 0 };
	int i;

	for (i = 0; i < 0x100; i++) {
		c[0] = (char)i;
		if (i == '"' || i == '\\')
			snprintf(want, sizeof want, "\"\\%c\"", i);
		else if (i < 0x20 && form[i])
			snprintf(want, sizeof want, "\"%s\"", form[i]);
		else if (i < 0x20)
			snprintf(want, sizeof want, "\"\\u00%02x\"", (unsigned)i);
		else
			snprintf(want, sizeof want, "\"%s\"", c);
		t.n = 0;
		jwrite_quote(&t, c, 1);
		CHECK_IN(want, !strcmp(t.s, want));
	}
	t.n = 0;
	jwrite_quote(&t, "a\0b/\"\\\"", 7);
	CHECK(!strcmp(t.s, "\"a\\u0000b/\\\"\\\\\\\"\""));
	t.n = 0;
	jwrite_quote(&t, "", 0);
	CHECK(!strcmp(t.s, "\"\""));
	text_free(&t);
}

/* One random character, of each length and kind alike. */
static void random_char(struct text *t, bool nul)
{
	static const uint32_t from[] = { 0, 0x20, 0x20, 0x80, 0x800, 0xe000, 0x10000 },
			      below[] = { 0x20, 0x80, 0x80, 0x800, 0xd800, 0x10000, 0x110000 };
	uint32_t k = rnd(COUNT(from)), c = from[k] + rnd(below[k] - from[k]);
	char b[5];

	if (!c && !nul)
		c = 'z';
	if (rnd(8) == 0)
		c = (uint8_t) "\"\\/\b\f\n\r\tu"[rnd(9)];
	if (c < 0x80)
		snprintf(b, sizeof b, "%c", (int)c);
	else if (c < 0x800)
		snprintf(b, sizeof b, "%c%c", 0xc0 | c >> 6, 0x80 | (c & 63));
	else if (c < 0x10000)
		snprintf(b, sizeof b, "%c%c%c", 0xe0 | c >> 12, 0x80 | (c >> 6 & 63),
			0x80 | (c & 63));
	else
		snprintf(b, sizeof b, "%c%c%c%c", 0xf0 | c >> 18, 0x80 | (c >> 12 & 63),
			0x80 | (c >> 6 & 63), 0x80 | (c & 63));
	text_put(t, b, c ? strlen(b) : 1);
}

static void quote_random(void)
{
	struct text s = { 0 }, q = { 0 };
	struct jread j;
	struct err e = { 0 };
	json_t *v;
	int i;
	uint32_t k;

	for (i = 0; i < 20000; i++) {
		s.n = q.n = 0;
		text_put(&s, "", 0);
		for (k = rnd(i % 100 ? 30 : 3000); k > 0; k--)
			random_char(&s, true);
		jwrite_quote(&q, s.s, s.n);
		jread_open_mem(&j, q.s, q.n, 1, &e);
		CHECK(!jread_string(&j, s.n) && !jread_end(&j, false));
		CHECK(j.str.n == s.n && !memcmp(j.str.s, s.s, s.n));
		jread_close(&j);
		v = json_loadb(q.s, q.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		CHECK(v && json_string_length(v) == s.n && !memcmp(json_string_value(v), s.s, s.n));
		json_decref(v);
	}
	text_free(&s);
	text_free(&q);
}

/* Layout, by the depth at which containers go on one line. */
static void write_forms(void)
{
	static const char *const want[] = {
		"{\"a\": [1, {\"b\": null}, []], \"c\": true, \"d\": {}, \"e\": \"00ff\"}\n",
		"{\n \"a\": [1, {\"b\": null}, []],\n \"c\": true,\n \"d\": {},\n \"e\": "
		"\"00ff\"\n}\n",
		"{\n \"a\": [\n  1,\n  {\"b\": null},\n  []\n ],\n \"c\": true,\n \"d\": {},\n"
		" \"e\": \"00ff\"\n}\n",
		"{\n \"a\": [\n  1,\n  {\n   \"b\": null\n  },\n  []\n ],\n \"c\": true,\n \"d\": "
		"{},\n"
		" \"e\": \"00ff\"\n}\n",
	};
	struct text t = { 0 };
	struct jwrite o;
	unsigned flat;

	for (flat = 0; flat < COUNT(want); flat++) {
		t.n = 0;
		jwrite_begin(&o, &t, flat);
		jwrite_open(&o, NULL, '{');
		jwrite_open(&o, "a", '[');
		jwrite_u64(&o, NULL, 1);
		jwrite_open(&o, NULL, '{');
		jwrite_null(&o, "b");
		jwrite_close(&o, '}');
		jwrite_open(&o, NULL, '[');
		jwrite_close(&o, ']');
		jwrite_close(&o, ']');
		jwrite_bool(&o, "c", true);
		jwrite_open(&o, "d", '{');
		jwrite_close(&o, '}');
		jwrite_hex(&o, "e", (const uint8_t *)"\0\xff", 2);
		jwrite_close(&o, '}');
		if (strcmp(t.s, want[flat]))
			fprintf(stderr, "got %s", t.s);
		CHECK_IN(want[flat], !strcmp(t.s, want[flat]));
	}
	text_free(&t);
}

/* Writes a random value twice: with jwrite, and as jansson's tree. */
static json_t *random_value(struct jwrite *o, const char *key, unsigned deep, struct text *s)
{
	json_t *v, *x;
	uint32_t kind = rnd(deep ? 7 : 5), k, n;
	uint64_t u;
	char name[16];
	bool b;

	s->n = 0;
	text_put(s, "", 0);
	switch (kind) {
	case 0:
		u = rnd64() >> (1 + rnd(63));
		jwrite_u64(o, key, u);
		return json_integer((json_int_t)u);
	case 1:
		b = rnd(2);
		jwrite_bool(o, key, b);
		return json_boolean(b);
	case 2:
		jwrite_null(o, key);
		return json_null();
	case 3:
	case 4:
		for (k = rnd(20); k > 0; k--)
			random_char(s, false);
		jwrite_str(o, key, s->s);
		return json_string(s->s);
	}
	v = kind == 5 ? json_object() : json_array();
	jwrite_open(o, key, kind == 5 ? '{' : '[');
	for (k = 0, n = rnd(6); k < n; k++) {
		snprintf(name, sizeof name, "%c%u\t\"", 'a' + (int)k, rnd(1000));
		x = random_value(o, kind == 5 ? name : NULL, deep - 1, s);
		if (kind == 5)
			json_object_set_new(v, name, x);
		else
			json_array_append_new(v, x);
	}
	jwrite_close(o, kind == 5 ? '}' : ']');
	return v;
}

static void write_random(void)
{
	struct text t = { 0 }, s = { 0 }, events = { 0 };
	struct jwrite o;
	struct reading r;
	json_t *want, *got;
	int i;

	for (i = 0; i < 20000; i++) {
		t.n = events.n = 0;
		text_put(&t, "", 0);
		jwrite_begin(&o, &t, rnd(5));
		want = random_value(&o, NULL, 1 + rnd(6), &s);
		got = json_loadb(t.s, t.n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
		CHECK(got && json_equal(got, want));
		r = reading_mem(t.s, t.n);
		walk_jansson(want, &events);
		CHECK(r.rc == 0 && !strcmp(r.events.s, events.s));
		reading_free(&r);
		json_decref(want);
		json_decref(got);
	}
	text_free(&t);
	text_free(&s);
	text_free(&events);
}

/* --- random documents --- */

static void random_space(struct text *t)
{
	while (rnd(4) == 0)
		text_put(t, &" \t\n\r"[rnd(4)], 1);
}

/* Any JSON value; plain leaves out what the walk does not take: reals and signs. */
static void random_json(struct text *t, unsigned deep, bool plain)
{
	static const char *const scalar[] = { "0", "1", "65536", "18446744073709551615", "true",
		"false", "null", "\"\"", "\"a\"", "\"\\n\\\"\\\\\\u0041\\ud83d\\ude00\"",
		"\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"",
		"\"a somewhat longer string, with { [ , : } ]\"", "-0", "-1", "0.5", "1e5",
		"-12.25E-7", "1E+2" };
	uint32_t kind = rnd(deep ? 3 : 1), k, n;

	random_space(t);
	if (kind == 0) {
		text_str(t, scalar[rnd((uint32_t)COUNT(scalar) - (plain ? 6 : 0))]);
	} else {
		text_str(t, kind == 1 ? "{" : "[");
		random_space(t);
		for (k = 0, n = rnd(5); k < n; k++) {
			if (k)
				text_str(t, ",");
			random_space(t);
			if (kind == 1) {
				text_fmt(t, "\"k\\t%u\"", k);
				random_space(t);
				text_str(t, ":");
			}
			random_json(t, deep - 1, plain);
		}
		text_str(t, kind == 1 ? "}" : "]");
	}
	random_space(t);
}

/* A reader after jread_skip stands right behind the value. */
static void skip_random(void)
{
	struct text t = { 0 };
	struct mem_io m;
	struct jread j;
	struct err e = { 0 };
	json_t *v;
	uint64_t n;
	int i;

	for (i = 0; i < 20000; i++) {
		t.n = 0;
		text_str(&t, "{\"skip\":");
		random_json(&t, rnd(8), false);
		text_str(&t, ",\"n\":7777}");
		v = json_loadb(t.s, t.n, JSON_DECODE_INT_AS_REAL, NULL);
		CHECK(v);
		json_decref(v);
		m = mem_io_of(t.s, t.n, WALK_WINDOW - rnd((uint32_t)t.n + 2), 0);
		if (i % 2)
			jread_open_mem(&j, t.s, t.n, JREAD_MAX_DEPTH, &e);
		else
			CHECK(!open_at_pad(&j, &m, JREAD_MAX_DEPTH - 1, &e));
		CHECK(!jread_object(&j) && jread_key(&j) == 1 && !jread_skip(&j));
		CHECK(jread_key(&j) == 1 && !strcmp(j.str.s, "n"));
		CHECK(!jread_u64(&j, 7777, &n) && n == 7777);
		CHECK(jread_key(&j) == 0 && !jread_end(&j, false));
		jread_close(&j);
		CHECK(e.kind == ERR_NONE);
	}
	text_free(&t);
}

/* Random damage: jread and jansson agree, memory and file agree. */
static void mutants(void)
{
	static const char byte[] =
		"{}[]\",:\\u0123456789abcdeftrn -+.eE \t\n/\x01\x1f\x7f\x80\xbf\xc3\xe2\xed"
		"\xf0\xf4\xff";
	struct text t = { 0 };
	const char *why;
	uint32_t k, at;
	int i;

	for (i = 0; i < 40000; i++) {
		t.n = 0;
		text_put(&t, "", 0);
		random_json(&t, rnd(5), true);
		for (k = rnd(3); k > 0 && t.n; k--) {
			at = rnd((uint32_t)t.n);
			if (rnd(3))
				t.s[at] = byte[rnd(sizeof byte)]; /* its NUL too */
			else if (rnd(2))
				memmove(t.s + at, t.s + at + 1, --t.n - at);
			else
				t.n = at;
		}
		text_put(&t, "", 1); /* in front goes the byte that shifts the window */
		memmove(t.s + 1, t.s, t.n - 1);
		t.s[0] = (char)rnd(256);
		why = json_check_input((const uint8_t *)t.s, t.n);
		if (why)
			fprintf(stderr, "%.*s\n", (int)t.n, t.s);
		CHECK_IN(why, !why);
	}
	text_free(&t);
}

/* What the fuzzer found worth keeping. */
static void corpus(void)
{
	const struct io *io = io_posix();
	const char *folder = "tests/fuzz/corpus-json", *p;
	char *names = NULL, path[512];
	size_t n = 0, size;
	uint8_t *data;
	int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0 || io->list(io, dir, &names, &n))
		SKIP("not run from the top of the project");
	CHECK(n > 0);
	for (p = names; n > 0; n--, p += strlen(p) + 1) {
		snprintf(path, sizeof path, "%s/%s", folder, p);
		data = file_get_all(path, &size);
		CHECK_IN(path, data && !json_check_input(data, size));
		free(data);
	}
	free(names);
	close(dir);
}

static const struct test tests[] = {
	{ "json_valid", valid },
	{ "json_invalid", invalid },
	{ "json_broken_hex", broken_hex },
	{ "json_every_rule", every_rule },
	{ "json_depth", depth },
	{ "json_length", length },
	{ "json_key_length", key_length },
	{ "json_memory", memory },
	{ "json_positions", positions },
	{ "json_broken_file", broken_file },
	{ "json_real_file", real_file },
	{ "json_quote_forms", quote_forms },
	{ "json_quote_random", quote_random },
	{ "json_write_forms", write_forms },
	{ "json_write_random", write_random },
	{ "json_skip_random", skip_random },
	{ "json_mutants", mutants },
	{ "json_corpus", corpus },
	{ NULL, NULL },
};
TEST_MAIN(tests)
