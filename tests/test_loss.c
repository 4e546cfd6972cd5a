/* test_loss.c -- dsv4-quant run --atlas: what it writes beside the manifest is what dsv4-verify atlas measures, the page is drawn, other verbs
 * take the folder as it is, and what cannot be measured or replaced is refused before anything is written.
 *
 * tests/page.sh looks at the page in a browser.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/shell.h"

#include <jansson.h>

#define MODEL \
	"--config tests/configs/small4.json --set head_dim=256 --set num_hidden_layers=2 --set compress_ratios=[0,4,0]"

static struct path model(void)
{
	struct path p = dirs_path("m");
	char args[900];

	snprintf(args, sizeof args, "%s " MODEL, p.s);
	CHECK(is_file(p.s) || !model_tool("mkmodel", args));
	return p;
}

static struct path in(const struct path *dir, const char *name)
{
	struct path p;

	CHECK((size_t)snprintf(p.s, sizeof p.s, "%s/%s", dir->s, name) < sizeof p.s);
	return p;
}

/* The lines of an atlas between the first, which says who made it, and the last, which is the digest. */
static char *lines_of(const char *path, size_t *n)
{
	char *p = (char *)file_get_all(path, n), *from = p ? strchr(p, '\n') : NULL;

	CHECK_IN(path, from != NULL);
	if (!from)
		return p;
	while (*n && p[*n - 1] == '\n')
		--*n;
	while (*n && p[*n - 1] != '\n')
		--*n;
	*n -= (size_t)(from - p);
	memmove(p, from, *n);
	return p;
}

static void same_lines(const char *a, const char *b)
{
	size_t n = 0, k = 0;
	char *x = lines_of(a, &n), *y = lines_of(b, &k);

	CHECK_IN(a, x && y && n == k && n > 1000 && !memcmp(x, y, n));
	free(x);
	free(y);
}

/* Of a form that rounds and of one that is exact: the same lines as the other program measures; every other verb is content. */
static void beside_the_manifest(void)
{
	static const char *const names[][2] = { { "gguf --dense q8_0", "dB" }, { "fp8", "exact" } };
	struct path m = model(), a, other = dirs_path("other.jsonl"), page = dirs_path("page.html");
	size_t i;

	for (i = 0; i < 2; i++) {
		a = dirs_path(i ? "exact" : "rounded");
		CHECK(ends(0, "model", "dsv4-quant", "run %s -o %s --to %s --atlas --report %s",
			m.s, a.s, names[i][0], page.s));
		CHECK(holds(err_file.s, "errors of weights, read back: ") &&
			holds(err_file.s, names[i][1]));
		CHECK(ends(0, NULL, "dsv4-verify", "atlas %s %s -o %s -q", m.s, a.s, other.s));
		same_lines(in(&a, "atlas.jsonl").s, other.s);
		CHECK(holds(in(&a, "atlas.jsonl").s, "\"made_by\": \"dsv4-quant"));
		CHECK(ends(0, "atlas: true", "dsv4-verify", "atlas %s", in(&a, "atlas.jsonl").s));
		CHECK(holds(page.s, "<svg class=\"heat atlas\"") && !holds(page.s, "<script"));
		CHECK(ends(0, "check: true", "dsv4-verify", "check %s -q", a.s));
		CHECK(!holds(out_file.s, "atlas.jsonl"));
		CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s -q", m.s, a.s));
		/* the same call again keeps the files, and measures them again */
		CHECK(ends(0, "0 files made", "dsv4-quant", "run %s -o %s --to %s --atlas", m.s,
			a.s, names[i][0]));
		same_lines(in(&a, "atlas.jsonl").s, other.s);
	}
}

static void as_json(void)
{
	struct path m = model(), a = dirs_path("json");
	json_t *d, *x;

	CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s --to w4a16-g32 --atlas --json -q", m.s,
		a.s));
	d = json_load_file(out_file.s, 0, NULL);
	x = json_object_get(d, "atlas");
	CHECK(x && !strcmp(json_string_value(json_object_get(x, "file")), "atlas.jsonl"));
	x = json_object_get(json_object_get(x, "figures"), "relative_rms");
	CHECK(json_real_value(x) > 1e-3 && json_real_value(x) < 0.2);
	json_decref(d);
}

/* The page of a choice has size against error. */
static void with_budget(void)
{
	struct path m = model(), s = dirs_path("score"), a = dirs_path("budget"),
		    page = dirs_path("budget.html");

	CHECK(ends(0, NULL, "dsv4-quant", "score -q %s -o %s --types q4_k", m.s, s.s));
	CHECK(ends(0, NULL, "dsv4-quant",
		"run -q %s -o %s --to gguf --budget 12600000 --score %s --atlas --report %s", m.s,
		a.s, s.s, page.s));
	CHECK(holds(page.s, "<svg class=\"heat curve\"") && holds(page.s, "<title>OUT: "));
	CHECK(ends(0, "check: true", "dsv4-verify", "check %s -q", a.s));
}

static void refused(void)
{
	static const struct {
		const char *args, *says;
	} rows[] = {
		{ "--to fp8 --report @page", "--report draws what --atlas measures" },
		{ "--to fp8 --atlas --report -", "--report names a file" },
		{ "--to fp8 --atlas --report @mine", "out.file" },
		{ "--to fp8 --atlas --report @none/page", "none" },
		{ "--to fp8 --atlas --layers 0", "--layers leaves tensors out" },
		{ "--to fp8 --atlas --experts-from @m", "--experts-from names a second one" },
		{ "--to fp8 --atlas --follow", "after --follow, dsv4-verify atlas" },
		{ "--to mlx --stack --atlas", "all experts (--stack)" },
		{ "--to engram-mxfp4 --atlas", "tables of Engram" },
		{ "--to engram-cb4 --atlas", "tables of Engram" },
	};
	struct path m = model(), none = dirs_path("made"), mine = dirs_path("mine"),
		    official = dirs_path("official");
	char args[2000], *at;
	size_t i;

	file_put_all(mine.s, "mine", 4);
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		at = strchr(rows[i].args, '@');
		if (at)
			snprintf(args, sizeof args, "%.*s%s", (int)(at - rows[i].args),
				rows[i].args, dirs_path(at + 1).s);
		else
			snprintf(args, sizeof args, "%s", rows[i].args);
		CHECK_IN(rows[i].args,
			ends(2, rows[i].says, "dsv4-quant", "run %s -o %s %s", m.s, none.s, args));
		CHECK_IN(rows[i].args, access(none.s, F_OK));
	}
	CHECK(holds(mine.s, "mine"));
	/* a source that cannot be measured against is refused before the work, not behind it */
	CHECK(ends(0, NULL, "dsv4-convert", "run -q %s -o %s --target official --mp 1", m.s,
		official.s));
	CHECK(ends(2, "--atlas", "dsv4-quant", "run %s -o %s --to fp8 --atlas", official.s,
		none.s));
	CHECK(access(none.s, F_OK));
}

/* A file of another kind under that name stays; --overwrite leaves no atlas of other files behind. */
static void replaced(void)
{
	struct path m = model(), a = dirs_path("replaced"), f = in(&a, "atlas.jsonl");
	size_t n, k;
	uint8_t *was, *is;

	CHECK(!mkdir(a.s, 0777));
	file_put_all(f.s, "mine", 4);
	CHECK(ends(2, "out.file", "dsv4-quant", "run -q %s -o %s --to fp8 --atlas", m.s, a.s));
	CHECK(holds(f.s, "mine") && access(in(&a, "manifest.json").s, F_OK));
	CHECK(!unlink(f.s));
	CHECK(ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to gguf --dense q8_0 --atlas", m.s,
		a.s));
	was = file_get_all(f.s, &n);
	CHECK(ends(2, "out.stale", "dsv4-quant", "run -q %s -o %s --to gguf --overwrite", m.s,
		a.s));
	CHECK(ends(2, "atlas.jsonl, which is of the files", "dsv4-quant",
		"plan -q %s -o %s --to gguf --overwrite", m.s, a.s));
	CHECK(ends(0, "check: true", "dsv4-verify", "check -q %s", a.s));
	CHECK(ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to gguf --overwrite --atlas", m.s,
		a.s));
	is = file_get_all(f.s, &k);
	CHECK(was && is && (n != k || memcmp(was, is, n) != 0));
	CHECK(ends(0, "check: true", "dsv4-verify", "check -q %s", a.s));
	free(was);
	free(is);
}

/* check tells an atlas that was carried over from another conversion, or edited, from one of the files that lie there. */
static void of_other_files(void)
{
	struct path m = model(), a = dirs_path("one"), b = dirs_path("two"),
		    f = in(&a, "atlas.jsonl"), g = in(&b, "atlas.jsonl");
	char *was, *other;
	size_t n, k;

	CHECK(ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to fp8 --atlas", m.s, a.s));
	CHECK(ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to gguf --dense q8_0 --atlas", m.s,
		b.s));
	was = (char *)file_get_all(f.s, &n);
	other = (char *)file_get_all(g.s, &k);
	CHECK(was && other && n > 1000);
	file_put_all(f.s, other, k);
	CHECK(ends(1, "check.atlas", "dsv4-verify", "check %s", a.s));
	CHECK(holds(out_file.s, "it is of other files of weights"));
	CHECK(ends(1, "check.atlas", "dsv4-verify", "check --quick %s", a.s));
	was[n / 2] ^= 1;
	file_put_all(f.s, was, n);
	CHECK(ends(1, "not as it was written", "dsv4-verify", "check %s", a.s));
	was[n / 2] ^= 1;
	file_put_all(f.s, was, n - 1);
	CHECK(ends(1, "check.atlas", "dsv4-verify", "check %s", a.s));
	file_put_all(f.s, was, 0);
	CHECK(ends(1, "check.atlas", "dsv4-verify", "check %s", a.s));
	file_put_all(f.s, "[]\n", 3);
	CHECK(ends(1, "check.atlas", "dsv4-verify", "check %s", a.s));
	CHECK(!unlink(f.s) &&
		ends(0, "atlas: true", "dsv4-verify", "atlas %s %s -o %s", m.s, a.s, f.s));
	CHECK(ends(0, "check: true", "dsv4-verify", "check -q %s", a.s));
	/* of no conversion: of the source itself it is true and says nothing of files */
	CHECK(!unlink(f.s) &&
		ends(0, "atlas: true", "dsv4-verify", "atlas %s %s -o %s", m.s, m.s, f.s));
	CHECK(holds(f.s, "\"files_xxh3_128\": null") &&
		ends(1, "check.atlas", "dsv4-verify", "check %s", a.s));
	free(was);
	free(other);
}

/* What speaks of the files in OUT is refused by its name, by every program that replaces them and in every folder of a set, before anything
 * is changed; the same conversion again leaves it. */
static void stale(void)
{
	static const char *const words[] = { "atlas.jsonl", "model.sig", "manifest.json.minisig",
		"attestation.json" };
	static const char *const calls[][2] = {
		{ "dsv4-convert", "--target hf --experts fp8" },
		{ "dsv4-convert", "--target official --mp 2" },
		{ "dsv4-quant", "--to gguf" },
	};
	struct path m = model(), a = dirs_path("stale"), f, set = dirs_path("stale-set");
	size_t i, k;

	CHECK(ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to fp8", m.s, a.s));
	for (i = 0; i < sizeof words / sizeof *words; i++) {
		f = in(&a, words[i]);
		file_put_all(f.s, "{}", 2);
		for (k = 0; k < sizeof calls / sizeof *calls; k++) {
			CHECK_IN(words[i],
				ends(2, "out.stale", calls[k][0], "run -q %s -o %s --overwrite %s",
					m.s, a.s, calls[k][1]));
			CHECK_IN(words[i], holds(err_file.s, words[i]) && holds(f.s, "{}"));
		}
		CHECK_IN(words[i],
			ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to fp8 --overwrite", m.s,
				a.s));
		CHECK_IN(words[i], holds(f.s, "{}"));
		CHECK(!unlink(f.s));
	}
	CHECK(ends(0, "check: true", "dsv4-verify", "check -q %s", a.s));
	CHECK(ends(0, NULL, "dsv4-convert", "run -q %s -o %s --target marlin-mxfp4 --ranks 2", m.s,
		set.s));
	f = in(&set, "rank-1-of-2/model.sig");
	file_put_all(f.s, "{}", 2);
	CHECK(ends(2, "out.stale", "dsv4-convert",
		"run -q %s -o %s --target trtllm-mxfp4 --ranks 2 --overwrite", m.s, set.s));
	CHECK(holds(f.s, "{}"));
	CHECK(!unlink(f.s));
	CHECK(ends(0, NULL, "dsv4-convert",
		"run -q %s -o %s --target trtllm-mxfp4 --ranks 2 --overwrite", m.s, set.s));
}

static const struct test tests[] = { { "loss: beside the manifest", beside_the_manifest },
	{ "loss: as JSON", as_json }, { "loss: with --budget", with_budget },
	{ "loss: refused", refused }, { "loss: replaced", replaced }, { "loss: stale", stale },
	{ "loss: of other files", of_other_files }, { NULL, NULL } };
TEST_MAIN(tests)
