/* test_frontier.c -- dsv4-verify atlas --frontier: size against weighted error on the page, of what dsv4-quant plan --budget --json wrote;
 * files of another model, damaged ones and those that lie.
 *
 * tests/page.sh looks at the drawing in a browser.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/shell.h"
#include "verify/atlas/curve.h"

#define MODEL \
	"--config tests/configs/small4.json --set head_dim=256 --set num_hidden_layers=2 --set compress_ratios=[0,4,0]"

static struct path model(const char *name, int seed)
{
	struct path p = dirs_path(name);
	char args[900];

	snprintf(args, sizeof args, "%s " MODEL " --seed %d", p.s, seed);
	CHECK(is_file(p.s) || !model_tool("mkmodel", args));
	return p;
}

/* What plan --budget --json says of the model; made once. */
static struct path plan(void)
{
	struct path p = dirs_path("plan.json"), m = model("m", 1), score = dirs_path("score");
	uint8_t *s;
	size_t n;

	if (is_file(p.s))
		return p;
	CHECK(ends(0, NULL, "dsv4-quant", "score %s -o %s -q", m.s, score.s));
	CHECK(ends(0, NULL, "dsv4-quant",
		"plan %s -o %s --to gguf --score %s --budget 11500000 --json", m.s,
		dirs_path("none").s, score.s));
	s = file_get_all(out_file.s, &n);
	CHECK(s && n > 1000);
	file_put_all(p.s, s, n);
	free(s);
	return p;
}

static struct path result(void)
{
	struct path m = model("m", 1), o = dirs_path("q4");

	CHECK(is_file(o.s) ||
		ends(0, NULL, "dsv4-quant", "run %s -o %s --to gguf-q4 -q", m.s, o.s));
	return o;
}

static uint64_t size_of(const struct path *dir, const char *name)
{
	char path[900];
	struct stat st;

	snprintf(path, sizeof path, "%s/%s", dir->s, name);
	CHECK_IN(path, !stat(path, &st));
	return (uint64_t)st.st_size;
}

/* The page has the curve and the sizes; the result is marked by the bytes of its files. */
static void on_the_page(void)
{
	struct path m = model("m", 1), o = result(), p = plan(), page = dirs_path("page.html"),
		    a = dirs_path("a.jsonl");
	char want[200];
	uint64_t bytes;

	bytes = size_of(&o, "model.gguf") + size_of(&o, "mtp-model.gguf");
	snprintf(want, sizeof want, "<title>OUT: %s bytes</title>", text_thousands(bytes).s);
	CHECK(ends(0, "size against error", "dsv4-verify",
		"atlas %s %s --frontier %s --report %s -o %s", m.s, o.s, p.s, page.s, a.s));
	CHECK(holds(out_file.s, "chosen by --budget") && holds(out_file.s, "gguf-q4"));
	CHECK(holds(page.s, "<svg class=\"heat curve\"") && holds(page.s, want));
	CHECK(holds(page.s, "size of all files of weights, MB") &&
		holds(page.s, "error (no unit)"));
	CHECK(holds(page.s, ">gguf-q2</text>") &&
		holds(page.s, "It is no measure of the model's quality"));
	CHECK(!holds(page.s, "<script"));
	CHECK(ends(2, "an atlas already", "dsv4-verify", "atlas %s --frontier %s", a.s, p.s));
	/* the error of the name is what the plan said of it */
	CHECK(ends(0, "\"size against error\"", "dsv4-verify", "atlas %s %s --frontier %s --json",
		m.s, o.s, p.s));
}

static void another_model(void)
{
	struct path m = model("other", 2), o = dirs_path("other.q4"), p = plan();

	CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s --to gguf-q4 -q", m.s, o.s));
	CHECK(ends(2, "score.other", "dsv4-verify", "atlas %s %s --frontier %s", m.s, o.s, p.s));
	CHECK(ends(0, NULL, "dsv4-verify", "atlas -q %s %s", m.s, o.s));
}

static bool refused(const char *name, const void *s, size_t n)
{
	struct path p = dirs_path("bad.json");
	struct err e = { 0 };
	struct frontier f;
	bool no;

	file_put_all(p.s, s, n);
	no = frontier_read(&f, io_posix(), p.s, &e) && e.kind == ERR_USAGE && e.rule &&
		!strcmp(e.rule, "score.form") && strstr(e.text, "--frontier");
	CHECK_IN(name, no);
	return no;
}

/* The document with the first `from` in its budget replaced; the caller frees it. */
static char *edited(const char *s, const char *from, const char *to)
{
	const char *at = strstr(s, "\"budget\"");
	char *t = malloc(strlen(s) + strlen(to) + 1);

	at = at ? strstr(at, from) : NULL;
	CHECK_IN(from, at != NULL);
	if (!t || !at)
		exit(1);
	memcpy(t, s, (size_t)(at - s));
	sprintf(t + (at - s), "%s%s", to, at + strlen(from));
	return t;
}

static void lies(void)
{
	static const char *const edits[][3] = {
		{ "no budget", "\"budget\"", "\"budgets\"" },
		{ "a budget that is a number", "\"budget\": {", "\"budget\": 1, \"x\": {" },
		{ "two budgets", "\"budget\"", "\"budget\": {}, \"budget\"" },
		{ "no frontier", "\"frontier\"", "\"front\"" },
		{ "no names", "\"names\"", "\"nomes\"" },
		{ "no model", "\"source\"", "\"sauce\"" },
		{ "no weights", "\"weights\"", "\"weight\"" },
		{ "no choice", "\"bytes\"", "\"bites\"" },
		{ "no tensors kept", "\"kept\"", "\"capt\"" },
		{ "unknown weights", "\"one\"", "\"two\"" },
		{ "a negative error", "\"error\": ", "\"error\": -" },
		{ "an endless error", "\"error\": ", "\"error\": 1e999, \"x\": " },
		{ "an error twice", "\"error\": ", "\"error\": 1, \"error\": " },
		{ "an error that is a word", "\"error\": ", "\"error\": \"x\", \"x\": " },
		{ "a large size", "\"bytes\": ", "\"bytes\": 99999999999999999999, \"x\": " },
		{ "an order that is none", "\"frontier\": [",
			"\"frontier\": [{\"bytes\": 9007199254740991, \"error\": 0}, " },
		{ "a point without bytes", "\"frontier\": [", "\"frontier\": [{\"error\": 9e9}, " },
		{ "an empty frontier", "\"frontier\": [", "\"frontier\": [], \"x\": [" },
		{ "a name without a name", "\"names\": [",
			"\"names\": [{\"bytes\": 1, \"error\": 1}, " },
		{ "a long name", "\"name\": \"", "\"name\": \"abcdefghijklmnopqrstuvwxyz" },
		{ "a name with NUL", "\"name\": \"", "\"name\": \"\\u0000" },
		{ "a name that moves the cursor", "\"name\": \"", "\"name\": \"\\u001b[2J" },
		{ "a model of a terminal", "\"source\": \"", "\"source\": \"\\u001b\", \"x\": \"" },
		{ "too many names", "\"names\": [",
			"\"names\": [{\"bytes\":1,\"error\":1,\"name\":\"a\"}, {\"bytes\":1,\"error\":1,\"name\":\"a\"}, "
			"{\"bytes\":1,\"error\":1,\"name\":\"a\"}, {\"bytes\":1,\"error\":1,\"name\":\"a\"}, "
			"{\"bytes\":1,\"error\":1,\"name\":\"a\"}, " },
		{ "a long model", "\"source\": \"", "\"source\": \"0123456789" },
	};
	struct path p = plan(), m = model("m", 1), o = result(), bad = dirs_path("bad.json");
	size_t n, i;
	char *s = (char *)file_get_all(p.s, &n), *t;

	CHECK(s && n > 1000);
	if (!s)
		return;
	s[n] = 0;
	for (i = 0; i < sizeof edits / sizeof *edits; i++) {
		t = edited(s, edits[i][1], edits[i][2]);
		refused(edits[i][0], t, strlen(t));
		free(t);
	}
	refused("nothing", s, 0);
	refused("its first letter", s, 1);
	refused("something behind it", "{} {}", 5);
	for (i = 3; i < n; i += n / 40) /* it ends with an empty line */
		refused("cut", s, n - i);
	CHECK(ends(2, "score.form", "dsv4-verify", "atlas %s %s --frontier %s", m.s, o.s, bad.s));
	CHECK(ends(2, "--frontier", "dsv4-verify", "atlas %s %s --frontier %s.none", m.s, o.s,
		bad.s));
	free(s);
}

/* Names come from the file: what they say is letters on the page, whatever they are. A result larger or smaller than all points, and a
 * frontier of one point without error, can be drawn. */
static void drawn(void)
{
	static const uint64_t files[] = { 1, 500, UINT64_C(9007199254740991) };
	struct frontier f = { .n = 1, .n_names = 1 };
	struct report r = { 0 };
	size_t i;

	f.v[0].bytes = f.names[0].bytes = f.chosen.bytes = 500;
	snprintf(f.names[0].name, sizeof f.names[0].name, "<b>&\"x\"");
	for (i = 0; i < 3; i++)
		curve_put(&r, &f, files[i]);
	CHECK(r.drawn.n && !r.drawn.failed && strstr(r.drawn.s, "&lt;b&gt;"));
	CHECK(!strstr(r.drawn.s, "<b>") && !strstr(r.drawn.s, "nan") && !strstr(r.drawn.s, "inf"));
	report_free(&r);
}

static const struct test tests[] = { { "frontier: on the page", on_the_page },
	{ "frontier: of another model", another_model }, { "frontier: lies", lies },
	{ "frontier: drawn", drawn }, { 0 } };
TEST_MAIN(tests)
