/* test_st.c -- the safetensors header: what the reader takes, what it refuses, by which rule and at
 * which byte; what it costs on hostile files; and that the writer's bytes are the official ones.
 *
 * The battery of headers is in tests/fuzz/st_cases.h, the second opinion on what was taken in
 * tests/fuzz/st_check.h; tests/vectors/st/ was made by tests/oracle/st_headers.py.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/st_file.h"

/* --- what is refused --- */

static bool seen[RULE_COUNT]; /* rules that some case was refused by, by row of the table */

static void see(const char *rule)
{
	size_t i;

	for (i = 0; rules[i].id && i < COUNT(seen); i++)
		if (!strcmp(rules[i].id, rule))
			seen[i] = true;
}

static void expect(const char *name, struct outcome *o, uint64_t size, const char *rule,
	uint64_t pos)
{
	const char *bad = st_check_refusal(&o->e, &o->h, size);

	if (o->rc == 0 || !o->e.rule || strcmp(o->e.rule, rule) || o->e.pos != pos)
		fprintf(stderr, "%s: %s at %llu, expected %s at %llu: %s\n", name,
			o->rc ? o->e.rule : "accepted", (unsigned long long)o->e.pos, rule,
			(unsigned long long)pos, o->e.text);
	CHECK_IN(name, o->rc == -1 && o->e.rule && !strcmp(o->e.rule, rule));
	CHECK_IN(name, o->e.pos == pos);
	CHECK_IN(bad, o->rc == 0 || !bad);
	see(rule);
	outcome_free(o);
}

/* From memory in pieces of two sizes, and from a file. */
static void refuse(const char *name, const void *p, size_t n, uint64_t size, uint64_t cap,
	const char *rule, uint64_t pos)
{
	static const size_t most[] = { 0, 1, 7 };
	struct outcome o;
	size_t i;

	for (i = 0; i < COUNT(most); i++) {
		o = read_mem(p, n, size, cap, most[i]);
		expect(name, &o, size, rule, pos);
	}
	o = read_fd(p, n, size, cap);
	expect(name, &o, size, rule, pos);
}

static void battery(void)
{
	struct file f = { 0 };
	const struct st_bad *b;
	const struct st_raw *r;
	uint64_t data_at;

	for (b = st_bad; b < st_bad + COUNT(st_bad); b++) {
		file_of(&f, b->text, b->n, b->payload);
		data_at = f.size - b->payload;
		refuse(b->name, f.t.s, f.t.n, f.size, 0, b->rule,
			f.mark == SIZE_MAX ? data_at + b->at : f.mark);
	}
	for (r = st_raw; r < st_raw + COUNT(st_raw); r++)
		refuse(r->name, r->bytes, r->n, r->size ? r->size : r->n, r->cap, r->rule, r->pos);
	text_free(&f.t);
}

/* A name of so many bytes, however they are spelled. */
static void long_name(struct text *t, size_t n)
{
	text_str(t, "{^'\\u0041\\/\xc3\xa4");
	repeat(t, "x", n - 4);
	text_str(t, "':" R4 "}");
}

/* Metadata whose value ends so many bytes behind the colon. */
static void long_metadata(struct text *t, size_t n)
{
	text_str(t, "{^'__metadata__':{'k':'");
	repeat(t, "0123456789abcdef", (n - 7) / 16);
	repeat(t, "x", (n - 7) % 16);
	text_str(t, "'}}");
}

static void long_rank(struct text *t, size_t n)
{
	text_str(t, "{'a':{'dtype':'U8','shape':[1");
	repeat(t, ",1", n < 8 ? n - 1 : 7);
	if (n > 8)
		text_str(t, ",^1");
	repeat(t, ",1", n > 9 ? n - 9 : 0);
	text_str(t, "],'data_offsets':[0,1]}}");
}

static void long_padding(struct text *t, size_t n)
{
	text_str(t, "{}");
	repeat(t, "        ", n / 8);
}

static void long_field(struct text *t, size_t n)
{
	text_str(t, "{'a':{^'");
	repeat(t, "x", n);
	text_str(t, "':0}}");
}

static void long_key(struct text *t, size_t n)
{
	text_str(t, "{'__metadata__':{^'");
	repeat(t, "x", n);
	text_str(t, "':''}}");
}

static void deep_unknown(struct text *t, size_t n)
{
	text_str(t, "{'a':{^'x':");
	repeat(t, "[", n);
	repeat(t, "]", n);
	text_str(t, "}}");
}

/* Limits, at their last good and first bad value. */
static void limits(void)
{
	static const struct {
		const char *name;
		void (*make)(struct text *t, size_t n);
		size_t n;
		uint64_t payload;
		const char *rule; /* NULL: taken */
	} row[] = {
		{ "name of 1024 bytes", long_name, 1024, 4, NULL },
		{ "name of 1025 bytes", long_name, 1025, 4, "json.long" },
		{ "name of 100,000 bytes", long_name, 100000, 4, "json.long" },
		{ "metadata of 1 MiB", long_metadata, 1 << 20, 0, NULL },
		{ "metadata of 1 MiB and a byte", long_metadata, (1 << 20) + 1, 0, "st.meta-size" },
		{ "metadata of 3 MiB", long_metadata, 3 << 20, 0, "st.meta-size" },
		{ "metadata key of 1024 bytes", long_key, 1024, 0, NULL },
		{ "metadata key of 1025 bytes", long_key, 1025, 0, "json.long" },
		{ "field of 1024 bytes", long_field, 1024, 0, "st.field-unknown" },
		{ "field of 1025 bytes", long_field, 1025, 0, "json.long" },
		{ "rank 1", long_rank, 1, 1, NULL },
		{ "rank 8", long_rank, 8, 1, NULL },
		{ "rank 9", long_rank, 9, 1, "st.rank" },
		{ "rank 1000", long_rank, 1000, 1, "st.rank" },
		{ "200,000 spaces behind", long_padding, 200000, 0, NULL },
		{ "unknown field 127 deep", deep_unknown, 127, 0, "st.field-unknown" },
		{ "unknown field 200,000 deep", deep_unknown, 200000, 0, "st.field-unknown" },
	};
	struct text t = { 0 };
	struct file f = { 0 };
	struct outcome o;
	size_t i;

	for (i = 0; i < COUNT(row); i++) {
		t.n = 0;
		row[i].make(&t, row[i].n);
		file_of(&f, t.s, t.n, row[i].payload);
		if (row[i].rule) {
			refuse(row[i].name, f.t.s, f.t.n, f.size, 0, row[i].rule, f.mark);
			continue;
		}
		o = read_mem(f.t.s, f.t.n, f.size, 0, 0);
		CHECK_IN(row[i].name, o.rc == 0);
		CHECK_IN(o.e.text, o.rc == 0);
		outcome_free(&o);
	}
	text_free(&t);
	text_free(&f.t);
}

/* The caller's cap: the header may have as many bytes. */
static void header_cap(void)
{
	static const char file[] = "\10\0\0\0\0\0\0\0{}      ";
	struct outcome o;
	uint64_t cap;

	for (cap = 2; cap < 10; cap++) {
		o = read_mem(file, 16, 16, cap, 0);
		CHECK((o.rc == 0) == (cap >= 8));
		CHECK(cap >= 8 || (!strcmp(o.e.rule, "st.header-cap") && o.e.pos == 0));
		outcome_free(&o);
	}
}

/* A file that is something else is told by its name. */
static void hints(void)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *hint;
	} row[] = {
		{ DOC("version https://git-lfs.github.com/spec/v1\noid sha256:"),
			"Git-LFS pointer" },
		{ DOC("<!DOCTYPE html><html>"), "HTML" },
		{ DOC("<html><head></head></html>"), "HTML" },
		{ DOC("PK\3\4\24\0\0\0\10\0\0\0"), "zip" },
		{ DOC("GGUF\3\0\0\0\1\0\0\0\0\0\0\0"), "GGUF" },
		{ DOC("{\"a\":{\"dtype\":\"U8\""), "length are missing" },
		{ DOC("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), "begins with zeros" },
		{ DOC("\177ELF\2\1\1\0\0\0\0\0"), "no safetensors file" },
	};
	struct outcome o;
	size_t i;

	for (i = 0; i < COUNT(row); i++) {
		o = read_mem(row[i].bytes, row[i].n, row[i].n, 0, 0);
		CHECK_IN(row[i].hint, o.rc == -1 && strstr(o.e.text, row[i].hint));
		outcome_free(&o);
	}
}

/* Runs last: whoever adds an st. rule adds a case that is refused by it. */
static void every_rule(void)
{
	size_t i;

	for (i = 0; i < COUNT(seen); i++)
		seen[i] = false;
	battery();
	limits();
	for (i = 0; rules[i].id; i++)
		CHECK_IN(rules[i].id,
			seen[i] ||
				(strncmp(rules[i].id, "st.", 3) &&
					strcmp(rules[i].id, "file.short")));
}

/* --- what is taken --- */

static void tell(const struct st_header *h, struct text *o)
{
	const struct tensor *t;
	unsigned d;

	o->n = 0;
	text_str(o, h->metadata ? "*" : "");
	for (t = h->tensors; t < h->tensors + h->n; t++) {
		text_fmt(o, "%s %s [", t->name, dtypes[t->dtype].name);
		for (d = 0; d < t->rank; d++)
			text_fmt(o, d ? ",%llu" : "%llu", (unsigned long long)t->dim[d]);
		text_fmt(o, "] %llu %llu;", (unsigned long long)t->begin,
			(unsigned long long)t->end);
	}
}

static void accept_one(const char *name, const struct file *f, struct outcome *o,
	const char *tensors)
{
	struct text told = { 0 };
	const char *bad;

	CHECK_IN(name, o->rc == 0 && o->e.kind == ERR_NONE);
	CHECK_IN(o->e.text, o->rc == 0);
	if (o->rc == 0) {
		tell(&o->h, &told);
		if (strcmp(told.s, tensors))
			fprintf(stderr, "got %s\nexpected %s\n", told.s, tensors);
		CHECK_IN(name, !strcmp(told.s, tensors));
		bad = st_check_rules((const uint8_t *)f->t.s, f->size, &o->h);
		CHECK_IN(name, !bad);
		CHECK_IN(bad, !bad);
		bad = st_check_again(&o->h, f->size - o->h.data_at);
		CHECK_IN(bad, !bad);
	}
	text_free(&told);
	outcome_free(o);
}

static void accept(const char *name, const struct file *f, const char *tensors)
{
	struct outcome o = read_mem(f->t.s, f->t.n, f->size, 0, 0);

	accept_one(name, f, &o, tensors);
	o = read_mem(f->t.s, f->t.n, f->size, 0, 5);
	accept_one(name, f, &o, tensors);
	o = read_fd(f->t.s, f->t.n, f->size, 0);
	accept_one(name, f, &o, tensors);
}

static void variants(void)
{
	struct file f = { 0 };
	const struct st_good *g;

	for (g = st_good; g < st_good + COUNT(st_good); g++) {
		file_of(&f, g->text, g->n, g->payload);
		accept(g->name, &f, g->tensors);
	}
	text_free(&f.t);
}

/* All types of safetensors 0.8.0, in a vector, a scalar (where that is whole bytes) and empty. */
static void types(void)
{
	static const char *const name[] = { "BOOL", "F4", "F6_E2M3", "F6_E3M2", "U8", "I8",
		"F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "I16", "U16", "F16",
		"BF16", "I32", "U32", "F32", "C64", "F64", "I64", "U64" };
	static const struct {
		const char *shape;
		unsigned n;
	} form[] = { { "[4,3]", 12 }, { "[]", 1 }, { "[7,0]", 0 } };
	struct file f = { 0 };
	struct text t = { 0 }, want = { 0 };
	unsigned bits;
	size_t i, k;

	CHECK(COUNT(name) == DT_COUNT);
	for (i = 0; i < COUNT(name); i++) {
		CHECK_IN(name[i], dtype_find(name[i], strlen(name[i])) == (int)i);
		CHECK_IN(name[i], dtypes[i].bits == st_check_bits(name[i]));
		for (k = 0; k < COUNT(form); k++) {
			bits = form[k].n * st_check_bits(name[i]);
			if (bits % 8)
				continue;
			t.n = want.n = 0;
			text_fmt(&t, "{'w':" REC("'%s'", "%s", "[0,%u]") "}", name[i],
				form[k].shape, bits / 8);
			text_fmt(&want, "w %s %s 0 %u;", name[i], form[k].shape, bits / 8);
			file_of(&f, t.s, t.n, bits / 8);
			accept(name[i], &f, want.s);
		}
	}
	text_free(&t);
	text_free(&want);
	text_free(&f.t);
}

/* --- cut and grown files --- */

/* At every byte: whether the file is shorter, or was when it was read, or its header is. */
static void truncation(void)
{
	struct file f = { 0 };
	struct outcome o;
	size_t n, data_at, brace;
	const char *rule;

	file_of(&f, small, sizeof small - 1, SMALL_SIZE);
	text_put(&f.t, "padding of the payload, to 61 bytes", SMALL_SIZE - 32);
	data_at = f.t.n - SMALL_SIZE;
	for (brace = data_at; f.t.s[brace - 1] == ' '; brace--)
		;
	CHECK(f.t.n == f.size);
	o = read_mem(f.t.s, f.t.n, f.size, 0, 0);
	CHECK_IN(o.e.text, o.rc == 0);
	outcome_free(&o);
	for (n = 0; n < f.size; n++) {
		rule = n < 8 ? "st.file-short" : n < data_at ? "st.header-beyond" : "st.truncated";
		refuse("shorter file", f.t.s, n, n, 0, rule, n < data_at ? 0 : n);
		if (n < data_at)
			refuse("file that has become shorter", f.t.s, n, f.size, 0, "file.short",
				n);
	}
	for (n = 10; n < data_at; n++) { /* and the length says so */
		f.t.s[0] = (char)((n - 8) & 0xff);
		f.t.s[1] = (char)((n - 8) >> 8);
		o = read_mem(f.t.s, f.t.n, f.size, 0, 0);
		CHECK(o.rc == -1 && o.e.pos <= n + SMALL_SIZE && o.e.pos >= 8);
		CHECK_IN(o.e.rule, !strncmp(o.e.rule, n < brace ? "json." : "st.trailing", 5));
		outcome_free(&o);
	}
	text_free(&f.t);
}

static void extension(void)
{
	struct file f = { 0 };
	uint64_t size;
	int i;

	file_of(&f, small, sizeof small - 1, SMALL_SIZE);
	size = f.size;
	for (i = 1; i <= 64; i++) {
		text_put(&f.t, i % 2 ? "\0" : "x", 1);
		refuse("longer file", f.t.s, f.t.n, size + (uint64_t)i, 0, "st.trailing", size);
	}
	text_free(&f.t);
}

/* The disk fails at some byte of the header. */
static void broken_disk(void)
{
	struct file f = { 0 };
	struct outcome o = { 0 };
	struct mem_io m;
	size_t at;

	file_of(&f, small, sizeof small - 1, SMALL_SIZE);
	m = mem_io_of(f.t.s, f.t.n, 0, 0);
	for (at = 0; at < f.size - SMALL_SIZE; at++) {
		m.bad_at = at;
		memset(&o.e, 0, sizeof o.e);
		CHECK(st_read(&o.h, &m.io, 3, f.size, 1 << 20, &o.arena, &o.e) == -1);
		CHECK(o.e.kind == ERR_SYSTEM && !o.e.rule && !o.h.tensors && !o.h.n);
	}
	outcome_free(&o);
	text_free(&f.t);
}

/* --- sizes and order --- */

static void sizes(void)
{
	static const struct {
		enum dtype type;
		unsigned rank;
		uint64_t dim[8], bytes;
		bool ok;
	} row[] = {
		{ DT_U8, 0, { 0 }, 1, true },
		{ DT_F64, 0, { 0 }, 8, true },
		{ DT_F4, 0, { 0 }, 0, false },
		{ DT_F4, 1, { 2 }, 1, true },
		{ DT_F4, 1, { 3 }, 0, false },
		{ DT_F4, 2, { 3, 0 }, 0, true },
		{ DT_F6_E3M2, 1, { 4 }, 3, true },
		{ DT_F6_E2M3, 1, { 6 }, 0, false },
		{ DT_F32, 3, { 2, 3, 4 }, 96, true },
		{ DT_U8, 1, { UINT64_MAX / 8 }, UINT64_MAX / 8, true },
		{ DT_U8, 1, { UINT64_MAX / 8 + 1 }, 0, false },
		{ DT_F64, 1, { UINT64_MAX / 64 }, UINT64_MAX / 64 * 8, true },
		{ DT_F64, 1, { UINT64_MAX / 64 + 1 }, 0, false },
		{ DT_F4, 1, { UINT64_MAX / 4 - 1 }, UINT64_MAX / 8, true },
		{ DT_U8, 2, { 1ull << 32, 1ull << 32 }, 0, false },
		{ DT_U8, 3, { 1ull << 32, 1ull << 32, 0 }, 0, false },
		{ DT_U8, 3, { 0, 1ull << 32, 1ull << 32 }, 0, false },
		{ DT_U8, 2, { 0, UINT64_MAX / 8 }, 0, true },
		{ DT_U8, 2, { 0, UINT64_MAX }, 0, false }, /* bits count too */
		{ DT_F64, 3, { 0, 281474976710655, 32768 }, 0, false },
		{ DT_U8, 8, { 2, 2, 2, 2, 2, 2, 2, 2 }, 256, true },
	};
	uint64_t bytes;
	size_t i;
	bool ok;

	for (i = 0; i < COUNT(row); i++) {
		ok = st_bytes(row[i].type, row[i].dim, row[i].rank, &bytes);
		CHECK(ok == row[i].ok && (!ok || bytes == row[i].bytes));
	}
}

/* The header goes behind what the text has; the structs may be part of others. */
static void put_header(void)
{
	static const char want[] =
		"before\x78\0\0\0\0\0\0\0{\"a\\\"\\u0001\":{\"dtype\":\"I64\",\"shape\":[2,3],"
		"\"data_offsets\":[0,48]},\"b\":{\"dtype\":\"U8\",\"shape\":[],"
		"\"data_offsets\":[48,49]}}";
	static const uint64_t dim[] = { 2, 3 };
	struct {
		struct tensor t;
		int more[5];
	} v[2] = { { { .name = "a\"\1", .dim = dim, .end = 48, .dtype = DT_I64, .rank = 2 },
			   { 0 } },
		{ { .name = "b", .begin = 48, .end = 49, .dtype = DT_U8 }, { 0 } } };
	struct text t = { 0 };

	text_str(&t, "before");
	st_put_header(&t, &v[0].t, 2, sizeof *v);
	CHECK(t.n >= sizeof want - 1 && same_bytes("header", t.s, want, 7));
	CHECK(same_bytes("header", t.s + 14, want + 14, sizeof want - 1 - 14));
	CHECK((t.n - 6) % 8 == 0 && t.n - 14 == (uint8_t)t.s[6] && t.n - sizeof want < 8);
	for (; t.n > sizeof want - 1; t.n--)
		CHECK(t.s[t.n - 1] == ' ');
	t.n = 0;
	st_put_header(&t, NULL, 0, 0);
	CHECK(t.n == 16 && same_bytes("empty", t.s, "\10\0\0\0\0\0\0\0{}      ", 16));
	text_free(&t);
}

/* --- the official writer --- */

static void shuffle(struct tensor *t, size_t n)
{
	struct tensor swap;
	size_t i, k;

	for (i = n; i > 1; i--) {
		k = rnd((uint32_t)i);
		swap = t[i - 1];
		t[i - 1] = t[k];
		t[k] = swap;
	}
}

/* One file of the official package: shuffled, sorted and written again it is the same. */
static void vector(const char *path)
{
	size_t n, i;
	uint8_t *file = file_get_all(path, &n);
	struct outcome o = { .rc = -1 };
	struct text t = { 0 };
	uint64_t at = 0;

	if (file)
		o = read_mem(file, n, n, 0, 0);
	CHECK_IN(path, o.rc == 0);
	if (o.rc == 0) {
		shuffle(o.h.tensors, o.h.n);
		qsort(o.h.tensors, o.h.n, sizeof *o.h.tensors, st_order);
		for (i = 0; i < o.h.n; i++) { /* the payload is in this order too */
			CHECK_IN(o.h.tensors[i].name, o.h.tensors[i].begin == at);
			at = o.h.tensors[i].end;
		}
		st_put_header(&t, o.h.tensors, o.h.n, sizeof *o.h.tensors);
		if (!o.h.metadata) {
			CHECK_IN(path, t.n == o.h.data_at);
			CHECK(t.n > n || same_bytes(path, t.s, file, t.n));
		}
	}
	text_free(&t);
	outcome_free(&o);
	free(file);
}

static void vectors(void)
{
	each_file("tests/vectors/st", 10, vector);
}

static const struct test tests[] = {
	{ "st_battery", battery },
	{ "st_limits", limits },
	{ "st_header_cap", header_cap },
	{ "st_hints", hints },
	{ "st_every_rule", every_rule },
	{ "st_variants", variants },
	{ "st_types", types },
	{ "st_truncation", truncation },
	{ "st_extension", extension },
	{ "st_broken_disk", broken_disk },
	{ "st_sizes", sizes },
	{ "st_put_header", put_header },
	{ "st_vectors", vectors },
	{ NULL, NULL },
};
TEST_MAIN(tests)
