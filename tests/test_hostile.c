/* test_hostile.c -- safetensors headers made to cost much or to confuse: memory stays near the size of
 * the header, and whatever random damage leaves acceptable keeps every rule.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/st_file.h"

/* --- hostile headers --- */

static void records(struct text *t, size_t n)
{
	unsigned i;

	text_str(t, "{'a':" U8("[0]", "[0,0]"));
	for (i = 0; t->n < n; i++)
		text_fmt(t, ",'t%x':" U8("[0]", "[0,0]"), i);
	text_str(t, "}");
}

/* The most memory for a byte of header: as many dimensions as there may be, names of 8 bytes. */
static void wide_records(struct text *t, size_t n)
{
	unsigned i;

	text_str(t, "{'a':" U8("[0]", "[0,0]"));
	for (i = 0; t->n < n; i++)
		text_fmt(t, ",'%08x':" REC("'F4'", "[0,0,0,0,0,0,0,0]", "[0,0]"), i);
	text_str(t, "}");
}

static void repeated_record(struct text *t, size_t n)
{
	records(t, n - 60);
	t->n--;
	text_str(t, ",^'a':" U8("[0]", "[0,0]") "}");
}

static void meta_keys(struct text *t, size_t n)
{
	unsigned i;

	text_str(t, "{^'__metadata__':{'a':''");
	for (i = 0; t->n < n; i++)
		text_fmt(t, ",'k%x':''", i);
	text_str(t, "}}");
}

static void meta_string(struct text *t, size_t n)
{
	text_str(t, "{^'__metadata__':{'a':'");
	repeat(t, "0123456789abcdef", n / 16);
	text_str(t, "'}}");
}

static void name_string(struct text *t, size_t n)
{
	text_str(t, "{^'");
	repeat(t, "0123456789abcdef", n / 16);
	text_str(t, "':" R4 "}");
}

static void type_string(struct text *t, size_t n)
{
	text_str(t, "{'a':{'dtype':^'");
	repeat(t, "0123456789abcdef", n / 16);
	text_str(t, "'}}");
}

static void escapes(struct text *t, size_t n)
{
	text_str(t, "{^'__metadata__':{'a':'");
	repeat(t, "\\ud83d\\ude00", n / 12);
	text_str(t, "'}}");
}

static void deep_shape(struct text *t, size_t n)
{
	text_str(t, "{'a':{'shape':[^");
	repeat(t, "[", n);
}

static void deep_objects(struct text *t, size_t n)
{
	text_str(t, "{'a':{^'a':");
	repeat(t, "{'a':", n / 5);
}

static void wide_shape(struct text *t, size_t n)
{
	text_str(t, "{'a':{'shape':[0,0,0,0,0,0,0,0,^0");
	repeat(t, ",0", n / 2);
	text_str(t, "]}}");
}

static void digits(struct text *t, size_t n)
{
	text_str(t, "{'a':{'shape':[^");
	repeat(t, "99999999", n / 8);
	text_str(t, "]}}");
}

static void white_space(struct text *t, size_t n)
{
	text_str(t, "{");
	repeat(t, " \t\r\n", n / 4);
	text_str(t, "}");
}

/* What one reading in a process of its own came to. */
struct cost {
	bool ok;
	char rule[32];
	uint64_t pos;
	long grown; /* KiB by which the peak was above the start */
	double seconds;
};

static long peak_kib(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6;
}

static struct cost cost_of(const struct file *f)
{
	struct cost *c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			    -1, 0),
		    r = { 0 };
	struct outcome o;
	pid_t pid;
	long before;
	int status = -1;

	if (c == MAP_FAILED)
		return r;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		before = peak_kib();
		o = read_mem(f->t.s, f->t.n, f->size, 0, 0);
		c->grown = peak_kib() - before;
		c->seconds = cpu_seconds();
		c->ok = true;
		c->pos = o.e.pos;
		snprintf(c->rule, sizeof c->rule, "%s", o.rc ? o.e.rule : "");
		_exit(0);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
	r = *c;
	munmap(c, sizeof *c);
	return r;
}

/* A header takes about its size in memory, up to 2.2 times that where all tensors have 8
 * dimensions, and nothing to speak of where the first broken rule is near its start. */
static void hostile(void)
{
	static const struct {
		const char *name;
		void (*make)(struct text *t, size_t n);
		const char *rule; /* "": taken */
		size_t percent;
	} row[] = {
		{ "many small records", records, "", 160 },
		{ "many records of 8 dimensions", wide_records, "", 220 },
		{ "many small records, the first one again", repeated_record, "st.name-twice",
			160 },
		{ "many metadata keys", meta_keys, "st.meta-size", 0 },
		{ "one metadata value", meta_string, "st.meta-size", 0 },
		{ "one metadata value of escapes", escapes, "st.meta-size", 0 },
		{ "one name", name_string, "json.long", 0 },
		{ "one type", type_string, "json.long", 0 },
		{ "nested arrays", deep_shape, "json.type", 0 },
		{ "nested objects", deep_objects, "st.field-unknown", 0 },
		{ "a shape", wide_shape, "st.rank", 0 },
		{ "a number", digits, "json.range", 0 },
		{ "white space", white_space, "", 0 },
	};
	size_t n = SLOW ? 2 << 20 : 20 << 20, i;
	struct text t = { 0 };
	struct file f = { 0 };
	struct cost c;

	for (i = 0; i < COUNT(row); i++) {
		t.n = 0;
		row[i].make(&t, n);
		file_of(&f, t.s, t.n, 0);
		c = cost_of(&f);
		CHECK_IN(row[i].name, c.ok && !strcmp(c.rule, row[i].rule));
		CHECK_IN(row[i].name, !c.rule[0] || c.pos == f.mark);
		if (getenv("VERBOSE"))
			fprintf(stderr, "%s: %zu bytes, %ld KiB, %.2f s\n", row[i].name, f.t.n,
				c.grown, c.seconds);
		if (!SLOW)
			CHECK_IN(row[i].name,
				(size_t)c.grown * 1024 <= f.t.n / 100 * row[i].percent + (4 << 20));
	}
	text_free(&t);
	text_free(&f.t);
}

/* --- random damage --- */

/* One byte of the first n becomes another, more often one that can be there. */
static void mutate(uint8_t *p, size_t n)
{
	static const char likely[] = "{}[]\",:0123456789 \\u";
	size_t at = rnd((uint32_t)n);

	switch (rnd(5)) {
	case 0:
		p[at] = (uint8_t)rnd(256);
		break;
	case 1:
		p[at] ^= (uint8_t)(1u << rnd(8));
		break;
	case 2:
		p[at] = (uint8_t)(p[at] + 1 - 2 * rnd(2));
		break;
	case 3: /* a digit by a digit, if one is near */
		while (at + 1 < n && (p[at] < '0' || p[at] > '9'))
			at++;
		p[at] = (uint8_t)('0' + rnd(10));
		break;
	case 4:
		p[at] = (uint8_t)likely[rnd(sizeof likely - 1)];
		break;
	}
}

static void mutations(void)
{
	int rounds = SLOW ? 40000 : 200000, i, taken = 0;
	struct file f = { 0 };
	uint8_t copy[2048];
	const char *bad;
	uint64_t end;
	size_t data_at;

	file_of(&f, small, sizeof small - 1, SMALL_SIZE);
	text_put(&f.t, "padding of the payload, to 61 bytes", SMALL_SIZE - 32);
	data_at = f.t.n - SMALL_SIZE;
	for (i = 0; i < rounds; i++) {
		memcpy(copy, f.t.s, f.t.n);
		mutate(copy, data_at);
		if (i % 2)
			mutate(copy, data_at);
		bad = st_check_read(copy, f.t.n, f.size, i % 3 ? 0 : 64, &end);
		if (bad)
			fprintf(stderr, "%.*s\n", (int)data_at - 8, copy + 8);
		CHECK_IN(bad, !bad);
		taken += end == f.size;
	}
	CHECK(taken > rounds / 20 && taken < rounds / 2);
	text_free(&f.t);
}

static void replay(const char *path)
{
	size_t n;
	uint8_t *data = file_get_all(path, &n);

	CHECK_IN(path, data && !st_check_input(data, n));
	free(data);
}

/* What the fuzzer found worth keeping. */
static void corpus(void)
{
	each_file("tests/fuzz/corpus-st", 10, replay);
}

static const struct test tests[] = {
	{ "st_hostile", hostile },
	{ "st_mutations", mutations },
	{ "st_corpus", corpus },
	{ NULL, NULL },
};
TEST_MAIN(tests)
