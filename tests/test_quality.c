/* test_quality.c -- what a lossy form costs: the figures against a computation by hand, prompts in a file, and results that
 * are taken up again.
 *
 * SPDX-License-Identifier: MIT */
#include "core/file.h"
#include "core/hash/xxh.h"
#include "tests/model.h"
#include "tests/set.h"
#include "verify/run/compute.h"
#include "verify/run/quality.h"

#include <math.h>

#define PROMPTS "[5,17,99,3,200,41,41,8,250]\n\n[77]\n[1,2,3,4,5,6,7,8,9,10,11,12]\n"

static struct path file_of(const char *name, const char *text)
{
	struct path dir = dirs_path("."), p = dirs_path(name);
	struct err e = { 0 };
	int fd = open(dir.s, O_RDONLY | O_DIRECTORY);

	CHECK(!file_replace(io_posix(), fd, name, text, strlen(text), &e));
	close(fd);
	return p;
}

/* A lossy form of tiny-flash. */
static struct path lossy(void)
{
	struct path out = dirs_path("q8");
	char call[1400];
	struct stat st;

	if (!stat(out.s, &st))
		return out;
	snprintf(call, sizeof call,
		"%s/dsv4-quant run %s -o %s --to gguf --dense q8_0 -q >/dev/null",
		getenv("B") ? getenv("B") : "build/gcc-opt", FLASH, out.s);
	CHECK(!system(call));
	return out;
}

struct asked {
	int rc;
	char text[640];
	double kl, noise, ratio, rows; /* of the section "quality" */
	double drift, floor;           /* of the last layer */
	char read[96];                 /* how many prompts were in the file */
	size_t findings;
	char rule[64], cause[256], remedy[256]; /* of the first finding */
};

static double figure(const struct report_row *w, const char *name)
{
	unsigned i;

	for (i = 0; i < w->n_figures; i++)
		if (!strcmp(w->figures[i].name, name))
			return w->figures[i].value;
	return NAN;
}

static struct asked ask_kl(const char *made, const char *tokens, const char *results, bool last,
	const char *max_kl)
{
	struct compute_opts o = { .io = io_posix(),
		.features = cpu_features(),
		.threads = 2,
		.tokens = tokens,
		.last = last,
		.max_kl = max_kl,
		.results = results };
	struct asked a = { .kl = NAN, .noise = NAN };
	struct err e = { 0 };
	struct report rep;
	size_t i;

	report_begin(&rep, "test", "logits", FLASH, made);
	if (!compute_logits(&rep, FLASH, made, &o, &e))
		report_finish(&rep, &e);
	a.rc = err_exit_code(&e);
	snprintf(a.text, sizeof a.text, "%s", e.text);
	for (i = 0; i < rep.n_rows; i++) {
		const struct report_row *w = &rep.rows[i];

		if (!strcmp(w->name, "KL mean")) {
			a.kl = figure(w, "value");
			a.noise = figure(w, "noise");
			a.rows = (double)w->count;
		} else if (!strcmp(w->name, "perplexity ratio")) {
			a.ratio = figure(w, "value");
		} else if (!strcmp(w->name, "layers.3")) {
			a.drift = figure(w, "relative_l2");
			a.floor = figure(w, "noise_relative_l2");
		} else if (!strcmp(w->name, "prompts") && w->text) {
			snprintf(a.read, sizeof a.read, "%s", w->text);
		}
	}
	a.findings = rep.n;
	if (rep.n) {
		snprintf(a.rule, sizeof a.rule, "%s", rep.findings[0].rule);
		snprintf(a.cause, sizeof a.cause, "%s", rep.findings[0].cause);
		snprintf(a.remedy, sizeof a.remedy, "%s", report_remedy(&rep.findings[0]));
	}
	report_free(&rep);
	return a;
}

static struct asked ask(const char *made, const char *tokens, const char *results, bool last)
{
	return ask_kl(made, tokens, results, last, "1");
}

/* --- by hand --- */

static void opinions(void)
{
	/* softmax of ln p is p: p = 1/2 1/4 1/4 against 1/4 1/4 1/2, then twice the same */
	const float was[] = { logf(2), 0, 0, 0, 1, 2 }, is[] = { 0, 0, logf(2), 0, 1, 2 };
	const uint32_t next[] = { 0 };
	float each[2] = { -1, -1 };
	struct opinion o = { .each = each, .next = next, .n_next = 1 };

	opinion_add(&o, is, was, 2, 3);
	CHECK(fabs((double)each[0] - 0.25 * log(2)) < 1e-7 && each[1] == 0);
	CHECK(fabs(o.kl - 0.25 * log(2)) < 1e-7 && o.rows == 2 && o.top1 == 1 && o.top5 == 2);
	/* of the token that followed the first the source said 1/2, the other 1/4 */
	CHECK(o.predicted == 1 && fabs(o.nll_was - log(2)) < 1e-7 &&
		fabs(o.nll_is - log(4)) < 1e-7);
}

static void percentiles(void)
{
	float v[] = { 3, 1, NAN, 2, 0 }, w[] = { 7 };

	CHECK(quality_percentile(v, 5, 0.5) == 2 && quality_percentile(v, 4, 0.5) == 1.5);
	CHECK(isnan(quality_percentile(v, 5, 1)) && quality_percentile(v, 4, 0.95) > 2.84 &&
		quality_percentile(v, 4, 0.95) < 2.86);
	CHECK(quality_percentile(w, 1, 0.99) == 7 && quality_percentile(w, 0, 0.5) == 0);
}

/* --- prompts --- */

static void prompts(void)
{
	struct path out = lossy(), p = file_of("p.jsonl", PROMPTS);
	struct asked a = ask(out.s, p.s, NULL, false), b;

	CHECK(a.rc == 0 && a.rows == 22 && a.kl > 0 && a.ratio > 0);
	/* the noise of these prompts was measured, and is not what the conversion does */
	CHECK(a.noise > 0 && a.noise < a.kl && a.floor > 0 && a.floor < a.drift);
	/* one prompt by itself, as ids and as a line */
	b = ask(out.s, "5,17,99,3,200,41,41,8,250", NULL, false);
	p = file_of("one.jsonl", "[5,17,99,3,200,41,41,8,250]");
	a = ask(out.s, p.s, NULL, false);
	CHECK(a.rc == 0 && a.rows == 9 && a.kl == b.kl && a.noise == b.noise);
	CHECK(ask(out.s, p.s, NULL, true).rows == 1);
}

static void bad_prompts(void)
{
	static const struct {
		const char *text, *word;
	} bad[] = {
		{ "[1,2]\n[1,2", "line 2" },
		{ "[1,2]x\n", "line 1" },
		{ "[1]\n[]\n", "line 2: no tokens" },
		{ "[1,-2]", "line 1" },
		{ "[1.5]", "line 1" },
		{ "[\"a\"]", "line 1" },
		{ "[[1]]", "line 1" },
		{ "[4294967296]", "line 1" },
		{ "[1]\n{\"a\":1}", "line 2" },
		{ "[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "line 1" },
		{ "[1]\n[3,256]", "prompt 2: token 1 is 256" },
		{ "", "no tokens" },
		{ "\n \n", "no tokens" },
	};
	struct path out = lossy(), p;
	struct asked a;
	size_t i;

	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		p = file_of("bad.jsonl", bad[i].text);
		a = ask(out.s, p.s, NULL, false);
		CHECK_IN(bad[i].text, a.rc == 2 && strstr(a.text, bad[i].word));
		if (!strstr(a.text, bad[i].word))
			fprintf(stderr, "%s\n", a.text);
	}
}

/* --- results --- */

static struct text loaded(const char *name)
{
	struct path dir = dirs_path(".");
	struct text t = { 0 };
	struct err e = { 0 };
	int fd = open(dir.s, O_RDONLY | O_DIRECTORY);

	CHECK(!file_load(io_posix(), fd, name, 1 << 24, &t, &e));
	close(fd);
	return t;
}

/* Whatever byte a kill cut the file at, the same call comes to the same file and figures. */
static void taken_up(void)
{
	struct path out = lossy(), p = file_of("p.jsonl", PROMPTS), r = dirs_path("results");
	struct asked a = ask(out.s, p.s, r.s, false), b;
	struct text whole = loaded("results"), again;
	const char *line[4] = { whole.s };
	char cut[64];
	size_t i, n;

	for (i = 1; i < 4; i++)
		line[i] = strchr(line[i - 1], '\n') + 1;
	CHECK(a.rc == 0 && strstr(a.read, "0 of them"));
	for (i = 0; i < 4; i++) {
		n = (size_t)(line[i] - whole.s) + (i % 2 ? 17 : 0);
		again = (struct text){ 0 };
		text_put(&again, whole.s, n);
		file_of("results", n ? again.s : "");
		text_free(&again);
		b = ask(out.s, p.s, r.s, false);
		again = loaded("results");
		snprintf(cut, sizeof cut, "cut at byte %zu", n);
		CHECK_IN(cut,
			b.rc == 0 && again.n == whole.n && !memcmp(again.s, whole.s, again.n));
		CHECK_IN(cut,
			b.kl == a.kl && b.noise == a.noise && b.ratio == a.ratio &&
				b.drift == a.drift && b.floor == a.floor);
		snprintf(cut, sizeof cut, "%zu of them", i ? i - 1 : 0);
		CHECK_IN(cut, strstr(b.read, cut));
		text_free(&again);
	}
	text_free(&whole);
}

/* Gives the second line of a file of results the digest that it should have: that of the call and of the line. */
static void sealed(struct text *t)
{
	static const char mark[] = ", \"xxh3_128\": \"";
	char *run = strstr(t->s, "\"run\": \""), *line = strchr(t->s, '\n') + 1,
	     *end = strstr(line, mark), *x = NULL, hex[33];
	struct xxh_digest d;
	size_t n;

	CHECK(run && end);
	if (!run || !end)
		return;
	n = (size_t)(end - line);
	x = malloc(32 + n);
	if (!x)
		exit(2);
	memcpy(x, run + 8, 32);
	memcpy(x + 32, line, n);
	d = xxh_of(x, 32 + n);
	free(x);
	hex_of(d.b, sizeof d.b, hex);
	memcpy(end + strlen(mark), hex, 32);
}

/* Changes a bit of a value of a tensor of the model in dir, whose file is found by its header. */
static void flip(const char *dir, const char *tensor, size_t at)
{
	char name[64], want[96], *m;
	unsigned i;
	uint8_t *p;
	size_t n, from;
	uint64_t head;

	snprintf(want, sizeof want, "\"%s\":", tensor);
	for (i = 1; i <= 7; i++) {
		snprintf(name, sizeof name, "model-%05u-of-00007.safetensors", i);
		p = file_get_all(model_file(dir, name).s, &n);
		memcpy(&head, p, 8);
		m = memmem(p + 8, head, want, strlen(want));
		if (m) {
			from = strtoul(strstr(m, "data_offsets") + strlen("data_offsets\":["), NULL,
				10);
			p[8 + head + from + at] ^= 1;
			model_put(dir, name, p, n);
			free(p);
			return;
		}
		free(p);
	}
	FAILED(tensor);
}

/* A step that differs where no logit does is told by every call, also by one that finds all its prompts in the file. */
static void steps_are_kept(void)
{
	struct path made = model_copy(FLASH, "gate"), p = file_of("two.jsonl", "[3]\n[9]\n"),
		    r = dirs_path("steps");
	struct asked a, b;
	struct text t;
	char *end;

	flip(made.s, "layers.0.ffn.gate.weight", 0);
	a = ask(made.s, p.s, r.s, false);
	CHECK(a.rc == 1 && a.kl == 0 && a.findings == 1 && strstr(a.cause, "layers.0.ffn.gate"));
	CHECK(!strcmp(a.rule, "logits.differs"));
	b = ask(made.s, p.s, r.s, false);
	CHECK(b.rc == 1 && b.findings == 1 && !strcmp(a.cause, b.cause) && !strcmp(a.rule, b.rule));
	CHECK(strstr(b.read, "2 of them"));
	/* a part of the file: the prompt that is computed anew does not tell it again, nor hide it */
	t = loaded("steps");
	end = strchr(strchr(t.s, '\n') + 1, '\n');
	end[1] = '\0';
	file_of("steps", t.s);
	text_free(&t);
	b = ask(made.s, p.s, r.s, false);
	CHECK(b.rc == 1 && b.findings == 1 && !strcmp(a.cause, b.cause));
	CHECK(strstr(b.read, "1 of them"));
	b = ask(made.s, p.s, r.s, false);
	CHECK(b.rc == 1 && b.findings == 1 && strstr(b.read, "2 of them"));
}

/* A figure that somebody makes smaller does not make a verdict true. */
static void edited_figures(void)
{
	struct path out = lossy(), p = file_of("p.jsonl", PROMPTS), r = dirs_path("edited");
	struct asked a = ask_kl(out.s, p.s, r.s, false, "1e-9");
	struct text t, bad = { 0 };
	char *at;

	CHECK(a.rc == 1);
	t = loaded("edited");
	at = strstr(t.s, "\"opinion\": [");
	at = strchr(strchr(at, ',') + 1, ',') + 2; /* the mean KL, summed */
	text_put(&bad, t.s, (size_t)(at - t.s));
	text_str(&bad, "0.0");
	text_str(&bad, strchr(at, ','));
	file_of("edited", bad.s);
	a = ask_kl(out.s, p.s, r.s, false, "1e-9");
	CHECK(a.rc == 2 && strstr(a.text, "line 2: the line is not as it was written"));
	text_free(&bad);
	text_free(&t);
}

/* What declares rounding is not to be converted again because it rounds. */
static void rounding_not_allowed(void)
{
	static const char *const max[] = { NULL, "1e-9" };
	struct path out = lossy();
	struct asked a;
	size_t i;

	for (i = 0; i < 2; i++) {
		a = ask_kl(out.s, "5,17,99,3", NULL, false, max[i]);
		CHECK(a.rc == 1 && a.findings == 2);
		/* with a limit the step is a warning: that the limit is passed is the error */
		CHECK_IN(a.rule, !strcmp(a.rule, i ? "logits.rounded" : "logits.beyond"));
		CHECK_IN(a.remedy, strstr(a.remedy, "--max-kl"));
		CHECK_IN(a.remedy, !strstr(a.remedy, "the tensor named"));
	}
}

/* Results of another call, and lines that somebody changed. */
static void other_results(void)
{
	static const struct {
		const char *from, *to, *word;
	} edits[] = {
		{ "dsv4-results-2", "dsv4-results-1", "line 1: no results" },
		{ "\"}\n{\"prompt\": 0", "\", \"a\": 1}\n{\"prompt\": 0", "line 1: more" },
		{ "\"prompt\": 0", "\"prompt\": 1", "line 2: prompt 1" },
		{ "\"opinion\": [9", "\"opinion\": [8", "line 2: another number of positions" },
		{ "\"logits\": [2304", "\"logits\": [-304", "line 2: a count is" },
		{ "\"kl\": [", "\"kl\": [1, ", "line 2" },
		{ "\"layers\": [[", "\"layers\": [[1, ", "line 2" },
		{ "\"noise\": {", "\"noisy\": {", "line 2: \"noise\" is missing" },
		{ "\"converted\": {", "\"converted\": [", "line 2" },
		{ "\"first\": {", "\"furst\": {", "line 2: \"first\" is missing" },
		{ "\"kept\": true", "\"kept\": 1", "line 2: \"kept\" is no boolean" },
		{ "\"name\": \"layers", "\"name\": \"lay\\ners", "line 2: \"name\" is no name" },
		{ "\"name\": \"layers", "\"name\": \"lay\\u0000ers",
			"line 2: \"name\" is no name" },
		{ "\"numbers\": [", "\"numbers\": [-2, ", "line 2" },
		{ "\"numbers\": [", "\"numbers\": [-9", "line 2: the step" },
	};
	struct path out = lossy(), p = file_of("p.jsonl", PROMPTS), r = dirs_path("results"),
		    q = file_of("q.jsonl", "[1,2,3]\n[4]\n[5]\n");
	struct text t, bad;
	struct asked a;
	char *at;
	size_t i;

	remove(r.s);
	CHECK(ask(out.s, p.s, r.s, false).rc == 0);
	a = ask(out.s, q.s, r.s, false);
	CHECK(a.rc == 2 && strstr(a.text, "results of another call"));
	a = ask(out.s, p.s, r.s, true);
	CHECK(a.rc == 2 && strstr(a.text, "results of another call"));
	a = ask(FLASH, p.s, r.s, false);
	CHECK(a.rc == 2 && strstr(a.text, "results of another call"));
	t = loaded("results");
	for (i = 0; i < sizeof edits / sizeof *edits; i++) {
		at = strstr(t.s, edits[i].from);
		CHECK_IN(edits[i].from, at);
		if (!at)
			continue;
		bad = (struct text){ 0 };
		text_put(&bad, t.s, (size_t)(at - t.s));
		text_str(&bad, edits[i].to);
		text_str(&bad, at + strlen(edits[i].from));
		file_of("results", bad.s);
		a = ask(out.s, p.s, r.s, false);
		CHECK_IN(edits[i].to, a.rc == 2 && strstr(a.text, i < 2 ? "line 1" : "digest"));
		sealed(&bad);
		file_of("results", bad.s);
		a = ask(out.s, p.s, r.s, false);
		CHECK_IN(edits[i].to, a.rc == 2 && strstr(a.text, edits[i].word));
		if (!strstr(a.text, edits[i].word))
			fprintf(stderr, "%s\n", a.text);
		text_free(&bad);
	}
	text_free(&t);
	a = ask(out.s, p.s, dirs_path(".").s, false);
	CHECK(a.rc == 2);
}

/* Results are also of what the name that is given does not show: of the other parts of a GGUF, and of files that links lead to. */
static void files_behind_a_name(void)
{
	struct path out = lossy(), parts = dirs_path("parts"), dir = dirs_path("linked"),
		    p = file_of("p.jsonl", PROMPTS), r = dirs_path("behind"), read, changed;
	struct timespec times[2] = { 0 };
	char call[1400];
	struct asked a;
	int i;

	snprintf(call, sizeof call,
		"%s/dsv4-quant run %s -o %s --to gguf --dense q8_0 --shard-size 200k -q >/dev/null",
		getenv("B") ? getenv("B") : "build/gcc-opt", FLASH, parts.s);
	CHECK(!system(call));
	dirs_new("linked");
	CHECK(!symlink(below(out.s, "model.gguf").s, below(dir.s, "model.gguf").s));
	for (i = 0; i < 3; i++) {
		read = i == 0    ? below(parts.s, "model-00001-of-00047.gguf")
			: i == 1 ? below(dir.s, "model.gguf")
				 : dir;
		changed = i == 0 ? below(parts.s, "model-00002-of-00047.gguf")
				 : below(out.s, "model.gguf");
		remove(r.s);
		a = ask(read.s, p.s, r.s, false);
		CHECK_IN(read.s, a.rc == 0);
		a = ask(read.s, p.s, r.s, false);
		CHECK_IN(read.s, a.rc == 0 && strstr(a.read, "3 of them"));
		times[1].tv_sec = i + 1;
		CHECK(!utimensat(AT_FDCWD, changed.s, times, 0));
		a = ask(read.s, p.s, r.s, false);
		CHECK_IN(read.s, a.rc == 2 && strstr(a.text, "results of another call"));
	}
}

static const struct test tests[] = {
	{ "opinions", opinions },
	{ "percentiles", percentiles },
	{ "prompts", prompts },
	{ "bad_prompts", bad_prompts },
	{ "taken_up", taken_up },
	{ "other_results", other_results },
	{ "files_behind_a_name", files_behind_a_name },
	{ "steps_are_kept", steps_are_kept },
	{ "edited_figures", edited_figures },
	{ "rounding_not_allowed", rounding_not_allowed },
	{ NULL, NULL },
};
TEST_MAIN(tests)
