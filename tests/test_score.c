/* test_score.c -- dsv4-quant score and --budget: the file is the same however it came to be, and refused where it is not as it was
 * written; a choice fits, is a recipe that gives the same bytes, and beats the mixes of this program at their own sizes.
 *
 * SPDX-License-Identifier: MIT */
#include "quant/lowbit.h"
#include "tests/fuzz/chain.h"
#include "tests/poke.h"
#include "tests/sanitized.h"
#include "tests/shell.h"

#include <fcntl.h>
#include <signal.h>

#define MODEL "--config tests/configs/small4.json --set head_dim=256"
/* Few types, quick to measure. */
#define FEW "--types q8_0,Q4_k,q2_k"

static struct path made(const char *name, const char *more)
{
	struct path p = dirs_path(name);
	char args[900];

	snprintf(args, sizeof args, "%s " MODEL " %s", p.s, more);
	CHECK(is_file(p.s) || !model_tool("mkmodel", args));
	return p;
}

static struct path model(void)
{
	return made("model", "");
}

/* The score of the model in few types, made once. */
static struct path few(void)
{
	struct path m = model(), s = dirs_path("few.score");

	CHECK(is_file(s.s) ||
		ends(0, "181 matrices", "dsv4-quant", "score -q %s -o %s " FEW, m.s, s.s));
	return s;
}

static struct path ids(void)
{
	struct path p = dirs_path("ids");
	char text[64 * 5] = "";
	size_t n = 0, i;

	for (i = 1; i <= 64; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "%s%zu", i > 1 ? "," : "",
			(i * i * 31 + i * 7) % 512);
	file_put_all(p.s, text, n);
	return p;
}

static struct path importance(void)
{
	struct path m = model(), i = dirs_path("importance.gguf"), t = ids();

	CHECK(is_file(i.s) ||
		ends(0, NULL, "dsv4-quant", "imatrix -q %s --tokens %s -o %s", m.s, t.s, i.s));
	return i;
}

static bool same_file(const char *a, const char *b)
{
	size_t n, k;
	uint8_t *x = file_get_all(a, &n), *y = file_get_all(b, &k);
	bool same = x && y && n == k && !memcmp(x, y, n);

	free(x);
	free(y);
	return same;
}

static bool same_in(const struct path *a, const struct path *b, const char *name)
{
	char x[900], y[900];

	snprintf(x, sizeof x, "%s/%s", a->s, name);
	snprintf(y, sizeof y, "%s/%s", b->s, name);
	return same_file(x, y);
}

/* Bytes of the GGUF files of a folder. */
static uint64_t weights_of(const struct path *o)
{
	static const char *const names[] = { "model.gguf", "mtp-model.gguf" };
	char file[900];
	uint64_t sum = 0;
	struct stat st;
	size_t i;

	for (i = 0; i < 2; i++) {
		snprintf(file, sizeof file, "%s/%s", o->s, names[i]);
		CHECK(!stat(file, &st));
		sum += (uint64_t)st.st_size;
	}
	return sum;
}

/* --- score --- */

/* The bytes do not depend on threads, nor on whether a call was killed and made again. */
static void killed(void)
{
	struct path m = model(), one = few(), three = dirs_path("three.score"),
		    again = dirs_path("again.score");
	const char *b = getenv("B");
	char line[3000];

	CHECK(ends(0, NULL, "dsv4-quant", "score -q -j3 %s -o %s " FEW, m.s, three.s));
	CHECK(same_file(one.s, three.s));
	snprintf(line, sizeof line,
		"%s/dsv4-quant score -q -j1 %s -o %s " FEW " >/dev/null 2>&1 & p=$!; n=0; "
		"while [ $n -lt 600 ] && [ \"$(cat %s.partial 2>/dev/null | wc -l)\" -lt 20 ]; do sleep 0.02; n=$((n + 1)); done; "
		"kill -9 $p; wait $p 2>/dev/null; printf '{\"tensor\": \"blk.' >>%s.partial",
		b ? b : "build/gcc-opt", m.s, again.s, again.s, again.s);
	CHECK(!system(line));
	CHECK(!is_file(again.s));
	CHECK(ends(0, "were done before", "dsv4-quant", "score -q -j3 %s -o %s " FEW, m.s,
		again.s));
	CHECK(same_file(one.s, again.s));
	snprintf(line, sizeof line, "%s.partial", again.s);
	CHECK(access(line, F_OK));
	/* an unfinished file of other types is begun anew */
	snprintf(line, sizeof line, "cp %s %s.partial", again.s, again.s);
	CHECK(!system(line));
	CHECK(ends(2, "is no unfinished file", "dsv4-quant", "score -q %s -o %s " FEW, m.s,
		again.s));
}

/* --every measures a part and says so; sizes stay those of the whole. */
static void part(void)
{
	struct path m = model(), s = dirs_path("part.score");

	CHECK(ends(0, NULL, "dsv4-quant", "score -q %s -o %s --every 2 " FEW, m.s, s.s));
	CHECK(holds(s.s, "\"every\": 2") &&
		holds(s.s, "\"rows\": 512, \"columns\": 256, \"measured\": 256"));
	CHECK(ends(0, "a part of the rows", "dsv4-quant",
		"plan %s -o %s --to gguf-q4 --budget 11M --score %s", m.s, dirs_path("none").s,
		s.s));
}

static void bad_score(void)
{
	static const struct {
		const char *args, *says;
	} rows[] = {
		{ "--types q9_9", "is no type that there is an encoder of" },
		{ "--types q8_0,Q8_0", "stands there twice" },
		{ "--types ''", "is no type" },
		{ "--every 0", "not a number" },
		{ "--imatrix nowhere.gguf", "nowhere.gguf" },
	};
	struct path m = model(), o = dirs_path("bad.score"), i = importance(),
		    other = made("wide", "--set moe_intermediate_size=512");
	size_t k;

	for (k = 0; k < sizeof rows / sizeof *rows; k++)
		CHECK_IN(rows[k].args,
			ends(2, rows[k].says, "dsv4-quant", "score -q %s -o %s %s", m.s, o.s,
				rows[k].args));
	CHECK(ends(2, "--imatrix is of another model", "dsv4-quant",
		"score -q %s -o %s --imatrix %s", other.s, o.s, i.s));
	CHECK(ends(2, "-o says where", "dsv4-quant", "score -q %s", m.s));
	CHECK(ends(2, "is a folder", "dsv4-quant", "score -q %s -o %s", m.s, m.s));
	CHECK(!is_file(o.s));
	file_put_all(o.s, "mine", 4);
	CHECK(ends(2, "out.file", "dsv4-quant", "score -q %s -o %s", m.s, o.s));
	CHECK(holds(o.s, "mine"));
}

/* --- a choice --- */

/* Fits, says itself as a recipe, which gives the same files; fixed lines stay. */
static void composed(void)
{
	struct path m = model(), s = few(), a = dirs_path("a"), b = dirs_path("b"),
		    own = dirs_path("own.recipe"), out = dirs_path("out.recipe");
	static const char lines[] =
		"dsv4-recipe-1 gguf\n# mine\nffn.experts.#.w1 1 * q2_k\nhead head * bf16";

	file_put_all(own.s, lines, sizeof lines - 1);
	CHECK(ends(0, NULL, "dsv4-quant",
		"run %s -o %s --to gguf-q4 --recipe %s --budget 10600000 --score %s --recipe-out %s",
		m.s, a.s, own.s, s.s, out.s));
	CHECK(holds(err_file.s, "<- chosen") && holds(err_file.s, "only routed experts"));
	CHECK(weights_of(&a) <= 10600000 && weights_of(&a) > 10400000);
	CHECK(holds(out.s, "ffn.experts.#.w1 1 * q2_k") &&
		holds(out.s, "# Chosen by dsv4-quant with"));
	CHECK(ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to gguf-q4 --recipe %s", m.s, b.s,
		out.s));
	CHECK(same_in(&a, &b, "model.gguf") && same_in(&a, &b, "mtp-model.gguf"));
	CHECK(same_in(&a, &b, "manifest.json") && same_in(&a, &b, "model.gguf.manifest.json"));
	CHECK(ends(0, "check: true", "dsv4-verify", "check %s", a.s));
	CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", m.s, a.s));
	/* the same call again: everything is there */
	CHECK(ends(0, "0 files made", "dsv4-quant",
		"run %s -o %s --to gguf-q4 --recipe %s --budget 10600000 --score %s", m.s, a.s,
		own.s, s.s));
	/* in parts, whose heads are files' bytes too */
	CHECK(ends(0, "\"bytes\"", "dsv4-quant",
		"plan --json %s -o %s --to gguf-q4 --budget 10600000 --score %s --shard-size 1M --drafts drop",
		m.s, dirs_path("none").s, s.s));
	CHECK(holds(out_file.s, "\"frontier\": [{\"bytes\": "));
	/* more than all exact types have */
	CHECK(ends(0, "error 0; no choice", "dsv4-quant",
		"plan %s -o %s --to gguf --budget 20MB --score %s", m.s, dirs_path("none").s, s.s));
	CHECK(access(dirs_path("none").s, F_OK));
}

/* In parts of --shard-size too the smallest choice has the bytes that a refusal says: as many are enough, and one less is not. */
static void parts(void)
{
	static const char *const names[] = { "gguf", "gguf-q2" };
	static const char has[] = "the smallest choice of types has ";
	struct path m = model(), s = few(), none = dirs_path("none");
	unsigned long long least = 0, budget;
	char says[64], *text, *at;
	size_t n, i;

	for (i = 0; i < 2; i++)
		for (budget = 1; budget; budget = budget == 1 ? least - 1 : 0) {
			CHECK_IN(names[i],
				ends(2, has, "dsv4-quant",
					"plan %s -o %s --to %s --budget %llu --score %s --shard-size 300K",
					m.s, none.s, names[i], budget, s.s));
			text = (char *)file_get_all(err_file.s, &n);
			at = text ? strstr(text, has) : NULL;
			least = at ? strtoull(at + sizeof has - 1, NULL, 10) : 0;
			free(text);
			snprintf(says, sizeof says, "\"bytes\": %llu,", least);
			CHECK_IN(names[i],
				ends(0, says, "dsv4-quant",
					"plan --json %s -o %s --to %s --budget %llu --score %s --shard-size 300K",
					m.s, none.s, names[i], least, s.s));
		}
}

static void recipe_of(const struct path *p, const char *text)
{
	file_put_all(p->s, text, strlen(text));
}

static void refused(void)
{
	static const struct {
		const char *args, *says;
	} rows[] = {
		{ "--to gguf --budget 1M", "the smallest choice of types has " },
		{ "--to gguf --budget 0", "is no size" },
		{ "--to gguf --budget -5", "is no size" },
		{ "--to gguf --budget 90X", "is no size" },
		{ "--to gguf --budget 1e9", "is no size" },
		{ "--to gguf --budget 101%", "is no size" },
		{ "--to gguf --budget 0%", "is no size" },
		{ "--to gguf --budget 45%%", "is no size" },
		{ "--to gguf --budget 99999999999999999999999", "is no size" },
		{ "--to gguf --budget ''", "is no size" },
		{ "--to bf16 --budget 90G", "--budget is of a GGUF" },
		{ "--to ds4-q2 --budget 90G", "ds4 loads the types of ds4-q2 and no others" },
		{ "--to gguf --dense q8_0 --budget 90G", "--budget says the types" },
		{ "--to gguf --budget 90G --job @ --tasks 2", "--budget is not for --job" },
		{ "--to gguf --budget 90G --recipe @", "@" },
	};
	struct path m = model(), s = few(), none = dirs_path("none"),
		    r = dirs_path("refused.recipe"), out = dirs_path("no.recipe");
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		CHECK_IN(rows[i].args,
			ends(2, rows[i].says, "dsv4-quant",
				"plan %s -o %s --score %s --recipe-out %s %s", m.s, none.s, s.s,
				out.s, rows[i].args));
		CHECK_IN(rows[i].args, access(none.s, F_OK) && !is_file(out.s));
	}
	CHECK(ends(2, "plan.budget", "dsv4-quant", "plan %s -o %s --to gguf --budget 1M --score %s",
		m.s, none.s, s.s));
	CHECK(ends(2, "name that file with --score", "dsv4-quant",
		"plan %s -o %s --to gguf --budget 1G", m.s, none.s));
	CHECK(ends(2, "--score belongs to --budget", "dsv4-quant",
		"plan %s -o %s --to gguf --score %s", m.s, none.s, s.s));
	recipe_of(&r, "dsv4-recipe-1 gguf\nffn.experts.#.w1 0 * q8_0\nffn.experts.* 0 * q4_k\n");
	CHECK(ends(2, "lines 2 and 3 both name", "dsv4-quant",
		"run %s -o %s --to gguf --budget 1G --score %s --recipe %s", m.s, none.s, s.s,
		r.s));
	recipe_of(&r, "dsv4-recipe-1 gguf\nffn.experts.#.w* * * q4_k\n");
	CHECK(ends(2, "nothing to choose", "dsv4-quant",
		"run %s -o %s --to gguf --budget 1G --score %s --recipe %s", m.s, none.s, s.s,
		r.s));
	file_put_all(r.s, "my own", 6);
	CHECK(ends(2, "out.file", "dsv4-quant",
		"run %s -o %s --to gguf --budget 1G --score %s --recipe-out %s", m.s, none.s, s.s,
		r.s));
	CHECK(holds(r.s, "my own") && access(none.s, F_OK));
}

/* --- a score that is not as it was written --- */

static void plan_says(const char *what, const struct path *s, const char *says)
{
	struct path m = model(), none = dirs_path("none");

	CHECK_IN(what,
		ends(2, says, "dsv4-quant", "plan %s -o %s --to gguf --budget 1G --score %s", m.s,
			none.s, s->s));
	CHECK_IN(what, holds(err_file.s, "score.form") || holds(err_file.s, "score.other"));
}

/* Writes n bytes of text to a file and expects that it is refused. */
static void refuses(const char *what, const char *text, size_t n)
{
	struct path s = dirs_path("damaged.score");

	file_put_all(s.s, text, n);
	plan_says(what, &s, "--score");
}

static void damaged(void)
{
	struct path s = few();
	size_t n, i, at;
	char *p = (char *)file_get_all(s.s, &n), *q = malloc(2 * n), *line, *next;

	if (!p || !q)
		return;
	/* any byte: of the first line, of some lines, of the last */
	for (i = 0; i < 60; i++) {
		at = i < 20 ? i * 15 : i < 40 ? n - 1 - (i - 20) * 3 : rnd((uint32_t)n);
		memcpy(q, p, n);
		q[at] = (char)(q[at] ^ (1 << rnd(7)));
		refuses("a bit", q, n);
	}
	for (i = 0; i < 20; i++)
		refuses("cut", p, i < 3 ? n - 1 - i : rnd((uint32_t)n));
	memcpy(q, p, n);
	memcpy(q + n, "{}\n", 3);
	refuses("more behind it", q, n + 3);
	/* a line out, a line twice in place of another */
	line = strchr(p, '\n') + 1;
	next = strchr(line, '\n') + 1;
	memcpy(q, p, (size_t)(line - p));
	memcpy(q + (line - p), next, n - (size_t)(next - p));
	refuses("a line less", q, n - (size_t)(next - line));
	i = (size_t)(strchr(next, '\n') + 1 - next);
	memcpy(q + (line - p), next, i);
	memcpy(q + (line - p) + i, next, n - (size_t)(next - p));
	refuses("a line twice", q, n - (size_t)(next - line) + i);
	refuses("nothing", "", 0);
	refuses("another file", "{\"format\": \"dsv4-results-2\"}\n", 29);
	CHECK(ends(2, "--score: tests is not a regular file", "dsv4-quant",
		"plan %s -o %s --to gguf --budget 1G --score tests", model().s,
		dirs_path("none").s));
	free(p);
	free(q);
}

/* Appends a line of n bytes, without the digest that it has, with the one that it must have behind the first line, by docs/quant.md. */
static void put_sealed(struct text *t, const char *line, size_t n, char run[33])
{
	static const char tail[] = ", \"xxh3_128\": \"";
	struct xxh_digest d;
	struct text of = { 0 };
	char hex[33];

	text_str(&of, run);
	text_put(&of, line, n - (sizeof tail - 1 + 32 + 2));
	d = xxh_of(of.s, of.n);
	hex_of(d.b, sizeof d.b, hex);
	text_put(t, of.s + strlen(run), of.n - strlen(run));
	text_fmt(t, "%s%s\"}\n", tail, hex);
	text_free(&of);
}

/* Writes the score at `from` to `to` with the first `old` as `new`, and all digests made right again. */
static void reseal(const struct path *from, const struct path *to, const char *old, const char *new)
{
	struct text t = { 0 }, all = { 0 };
	struct xxh_digest d;
	char run[33], *p, *at, *line, *end;
	size_t n;

	p = (char *)file_get_all(from->s, &n);
	at = p ? strstr(p, old) : NULL;
	CHECK_IN(old, at != NULL);
	if (!at)
		return;
	text_put(&all, p, (size_t)(at - p));
	text_str(&all, new);
	text_put(&all, at + strlen(old), n - (size_t)(at - p) - strlen(old));
	end = strchr(all.s, '\n');
	d = xxh_of(all.s, (size_t)(end - all.s));
	hex_of(d.b, sizeof d.b, run);
	text_put(&t, all.s, (size_t)(end - all.s) + 1);
	for (line = end + 1; (end = memchr(line, '\n', all.n - (size_t)(line - all.s))) != NULL;
		line = end + 1)
		put_sealed(&t, line, (size_t)(end - line), run);
	file_put_all(to->s, t.s, t.n);
	text_free(&t);
	text_free(&all);
	free(p);
}

/* What is whole and of another program, another model, or a lie. */
static void resealed(void)
{
	static const struct {
		const char *old, *new, *says;
	} rows[] = {
		{ "\"encoders\": \"" LOWBIT_ID, "\"encoders\": \"lowbit-0",
			"it was measured with other encoders than this program has (" LOWBIT_ID
			"): lowbit-0" },
		{ "\"encoders\": \"" LOWBIT_ID, "\"encoders\": \"" LOWBIT_ID "0",
			"other encoders" },
		{ "\"source\": \"", "\"source\": \"0000", "score.form" },
		{ "\"every\": 1", "\"every\": 0", "score.form" },
		{ "\"matrices\": 181", "\"matrices\": 180", "score.form" },
		{ "\"tensor\": \"token_embd", "\"tensor\": \"taken_embd", "score.other" },
		{ "\"columns\": 256", "\"columns\": 512", "score." },
		{ "\"energy\": ", "\"energy\": -", "score.form" },
		{ "\"error\": 0.", "\"error\": -0.", "score.form" },
		{ "\"error\": 0.", "\"error\": 9e999, \"x\": 0.", "score.form" },
		{ "\"type\": \"Q2_K\"", "\"type\": \"Q8_0\"", "score.form" },
		{ "\"type\": \"BF16\"", "\"type\": \"Q9_9\"", "score.form" },
	};
	struct path s = few(), o = dirs_path("resealed.score");
	size_t i;

	reseal(&s, &o, "dsv4-score-1", "dsv4-score-1");
	CHECK(same_file(s.s, o.s)); /* the digests are understood */
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		reseal(&s, &o, rows[i].old, rows[i].new);
		plan_says(rows[i].new, &o, rows[i].says);
	}
	CHECK(ends(2, "score.other", "dsv4-quant", "run %s -o %s --to gguf --budget 1G --score %s",
		model().s, dirs_path("none").s, (reseal(&s, &o, LOWBIT_ID, "lowbit-2"), o.s)));
	CHECK(access(dirs_path("none").s, F_OK));
}

/* What a call of other encoders has begun is measured anew: the first lines are held to this call's. */
static void begun_by_others(void)
{
	struct path m = model(), s = few(), o = dirs_path("begun.score"),
		    part = dirs_path("begun.score.partial");
	char line[3000];

	snprintf(line, sizeof line,
		"B=%s; $B/dsv4-quant score -q -j1 %s -o %s " FEW " >/dev/null 2>&1 & p=$!; n=0; "
		"while [ $n -lt 600 ] && [ \"$(cat %s 2>/dev/null | wc -l)\" -lt 20 ]; do sleep 0.02; n=$((n + 1)); done; "
		"kill -9 $p; wait $p 2>/dev/null; sed -i '2s/" LOWBIT_ID "/lowbit-0/' %s",
		getenv("B") ? getenv("B") : "build/gcc-opt", m.s, o.s, part.s, part.s);
	CHECK(!system(line) && holds(part.s, "lowbit-0"));
	CHECK(ends(0, "181 matrices", "dsv4-quant", "score -q %s -o %s " FEW, m.s, o.s));
	CHECK(!holds(out_file.s, "before") && same_file(s.s, o.s));
}

/* A score, or a call, of something else. */
static void of_another(void)
{
	struct path m = model(), s = few(), i = importance(), none = dirs_path("none"),
		    other = made("other", "--seed 5"),
		    less = made("less",
			    "--set num_hidden_layers=2 --set 'compress_ratios=[0,4,0]'"),
		    expert = made("expert", ""), w = dirs_path("weighed.score");

	/* one matrix of one expert that is not the first, as fine-tuning of single experts leaves a model */
	poke(expert.s, "layers.2.ffn.experts.5.", "w2.weight", 0, "\x21\x43\x65\x07", 4);
	CHECK(ends(2, "it is of another model", "dsv4-quant",
		"plan %s -o %s --to gguf --budget 1G --score %s", expert.s, none.s, s.s));
	CHECK(ends(2, "it is of another model", "dsv4-quant",
		"plan %s -o %s --to gguf --budget 1G --score %s", other.s, none.s, s.s));
	CHECK(ends(2, "it is of another model", "dsv4-quant",
		"plan %s -o %s --to gguf --budget 1G --score %s", less.s, none.s, s.s));
	CHECK(ends(2, "it was measured without importance", "dsv4-quant",
		"plan %s -o %s --to gguf --budget 1G --score %s --imatrix %s", m.s, none.s, s.s,
		i.s));
	CHECK(ends(0, NULL, "dsv4-quant", "score -q %s -o %s --imatrix %s " FEW, m.s, w.s, i.s));
	CHECK(ends(2, "say that file with --imatrix", "dsv4-quant",
		"plan %s -o %s --to gguf --budget 1G --score %s", m.s, none.s, w.s));
	CHECK(ends(0, NULL, "dsv4-quant",
		"plan %s -o %s --to gguf --budget 1G --score %s --imatrix %s", m.s, none.s, w.s,
		i.s));
	CHECK(ends(0, NULL, "dsv4-quant", "imatrix -q %s --tokens 1,2,3,4 -o %s", m.s,
		dirs_path("i2").s));
	CHECK(ends(2, "another file of --imatrix", "dsv4-quant",
		"plan %s -o %s --to gguf --budget 1G --score %s --imatrix %s", m.s, none.s, w.s,
		dirs_path("i2").s));
	CHECK(holds(err_file.s, "score.other"));
}

/* --- quality --- */

/* The n-th figure of that name in a document, -1 where there are fewer. */
static double figure(const json_t *o, const char *name, int *n)
{
	const char *key;
	json_t *v;
	size_t i;
	double got;

	if (json_is_object(o)) {
		json_object_foreach((json_t *)(uintptr_t)o, key, v)
		{
			if (!strcmp(key, name) && json_is_number(v) && !(*n)--)
				return json_number_value(v);
			if ((got = figure(v, name, n)) >= 0)
				return got;
		}
	}
	json_array_foreach(o, i, v)
	{
		if ((got = figure(v, name, n)) >= 0)
			return got;
	}
	return -1;
}

/* The mean KL of a conversion, and in *noise that of the source in another order of sums. */
static double kl_of(const struct path *o, double *noise)
{
	struct path m = model(), t = ids();
	json_t *d;
	double kl;
	int n = 0;

	CHECK(ends(0, NULL, "dsv4-verify", "logits -q %s %s --tokens %s --max-kl 1 --json", m.s,
		o->s, t.s));
	d = json_load_file(out_file.s, 0, NULL);
	kl = figure(d, "kl_mean", &n);
	n = 1;
	*noise = figure(d, "kl_mean", &n);
	json_decref(d);
	return kl;
}

/* At the size of each mix the choice loses less, by more than the noise. */
static void beats(void)
{
	static const char *const names[] = { "gguf-q2", "gguf-q3", "gguf-q4" };
	struct path m = model(), i = importance(), s = dirs_path("all.score"), a = dirs_path("mix"),
		    b = dirs_path("budget");
	double mix, budget, noise[2];
	size_t k;

	CHECK(ends(0, "weighted by the importance", "dsv4-quant", "score -q %s -o %s --imatrix %s",
		m.s, s.s, i.s));
	for (k = 0; k < sizeof names / sizeof *names;
		k += every(3)) { /* one of them; EVERY=1: all */
		dirs_remove(a.s);
		dirs_remove(b.s);
		CHECK(ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to %s --imatrix %s", m.s, a.s,
			names[k], i.s));
		CHECK(ends(0, NULL, "dsv4-quant",
			"run -q %s -o %s --to gguf --budget %llu --score %s --imatrix %s", m.s, b.s,
			(unsigned long long)weights_of(&a), s.s, i.s));
		CHECK(weights_of(&b) <= weights_of(&a));
		CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s --imatrix %s", m.s,
			b.s, i.s));
		mix = kl_of(&a, &noise[0]);
		budget = kl_of(&b, &noise[1]);
		printf("# %s: %llu bytes, KL %.3g; --budget: %llu bytes, KL %.3g; noise %.2g\n",
			names[k], (unsigned long long)weights_of(&a), mix,
			(unsigned long long)weights_of(&b), budget, noise[1]);
		CHECK_IN(names[k],
			budget > 0 && noise[1] >= 0 && budget + noise[0] + noise[1] < mix);
	}
}

static const struct test tests[] = { { "score: killed", killed }, { "score: part", part },
	{ "score: bad calls", bad_score }, { "score: composed", composed },
	{ "score: parts", parts }, { "score: refused", refused }, { "score: damaged", damaged },
	{ "score: made whole again", resealed }, { "score: begun by others", begun_by_others },
	{ "score: of another", of_another }, { "score: beats the mixes", beats }, { NULL, NULL } };
TEST_MAIN(tests)
