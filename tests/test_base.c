/* test_base.c -- run --base: files of an earlier conversion are taken where they would be made again with the same bytes, and
 * nothing of it is believed that was not looked at.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/sglang_name.h"
#include "tests/faultio.h"
#include "tests/release.h"
#include "tests/sanitized.h"
#include "tests/shell.h"

static struct model_job job_of(const struct shape *s)
{
	struct model_job j = model_job(s->target, s->ranks);

	j.plan.back = true;
	j.plan.experts = s->experts;
	j.piece = 4096;
	if (engine_find(s->target) || rank_target(s->target))
		j.plan.share = (struct share){
			.ranks = s->ranks, .stages = 1, .experts_tp = s->tp, .attention_tp = s->tp
		};
	return j;
}

static bool same_tree(const char *a, const char *b)
{
	char line[2400];

	snprintf(line, sizeof line, "diff -r '%s' '%s'", a, b);
	return !system(line);
}

/* Makes the conversion without and with the base; both are the same bytes. Returns how many files were taken. */
static size_t takes(struct model_job *j, const char *from, const char *base, const char *what)
{
	struct path want = dirs_gone("want"), out = dirs_gone("out");

	j->base = NULL;
	CHECK_IN(what, convert(j, from, want.s));
	j->base = base;
	CHECK_IN(what, convert(j, from, out.s));
	CHECK_IN(what, same_tree(want.s, out.s));
	CHECK_IN(what, j->result.kept == 0 && j->result.linked <= j->result.made);
	return j->result.linked;
}

/* A release in which nothing, or one tensor, is another one: whatever has not that tensor is taken, and the rest is made. */
static void one_tensor(void)
{
	struct path base, in;
	struct model_job j;
	size_t all, n, some;
	unsigned k, i;

	for (i = 0; i < SHAPES; i++) {
		base = dirs_gone("base");
		j = job_of(&shapes[i]);
		CHECK_IN(shapes[i].name, convert(&j, FLASH, base.s));
		all = takes(&j, FLASH, base.s, shapes[i].name);
		for (some = 0, k = 1; k <= SHARDS; k++) {
			in = release(k);
			n = takes(&j, in.s, base.s, shapes[i].name);
			CHECK_IN(shapes[i].name,
				n < all || shapes[i].tp || shapes[i].experts == CODEC_FP8);
			some += n;
		}
		/* hf and engines have a file for each block */
		CHECK_IN(shapes[i].name, all > 0);
		if (shapes[i].experts == CODEC_NONE && !shapes[i].tp &&
			strcmp(shapes[i].target, "official"))
			CHECK_IN(shapes[i].name, some > 0);
	}
}

/* The files that were taken are those of the base: one more name, or shared blocks; and the base stays as it is. */
static void linked(void)
{
	struct path base = dirs_gone("base"), copy = dirs_gone("copy"), out = dirs_gone("out"),
		    in = release(3);
	struct model_job j = job_of(&shapes[0]);
	char line[2400];
	struct stat a, b;

	CHECK(convert(&j, FLASH, base.s));
	snprintf(line, sizeof line, "cp -r '%s' '%s'", base.s, copy.s);
	CHECK(!system(line));
	j.base = base.s;
	CHECK(convert(&j, in.s, out.s) && j.result.linked == SHARDS - 1);
	CHECK(!stat(model_file(base.s, "model-00002-of-00007.safetensors").s, &a) &&
		!stat(model_file(out.s, "model-00002-of-00007.safetensors").s, &b));
	CHECK(a.st_ino == b.st_ino || b.st_nlink == 1);
	CHECK(same_tree(base.s, copy.s));
	/* once more: all are kept, whatever the base says */
	CHECK(convert(&j, in.s, out.s) && j.result.kept == SHARDS && !j.result.linked);
	CHECK(ends(0, NULL, "dsv4-verify", "check %s -q", out.s) &&
		ends(0, NULL, "dsv4-verify", "compare %s %s -q", in.s, out.s));
	/* a later run in OUT does not write into files that have a second name in the base */
	in = release(4);
	CHECK(ends(0, "7 files made", "dsv4-convert", "run %s -o %s --target hf --overwrite", in.s,
		out.s));
	CHECK(same_tree(base.s, copy.s) &&
		ends(0, NULL, "dsv4-verify", "compare %s %s -q", in.s, out.s));
}

/* What is asked for otherwise, or is of another model, is made. */
static void other(void)
{
	struct path base = dirs_gone("base");
	struct model_job j = job_of(&shapes[0]);

	CHECK(convert(&j, FLASH, base.s));
	j.tool = "test 1";
	CHECK(!takes(&j, FLASH, base.s, "another version"));
	j = job_of(&shapes[1]);
	CHECK(!takes(&j, FLASH, base.s, "other experts"));
	j = job_of(&shapes[3]);
	CHECK(!takes(&j, FLASH, base.s, "another target"));
	j = job_of(&shapes[0]);
	CHECK(!takes(&j, PRO, base.s, "another model"));
	j.plan.layers = "0-1";
	CHECK(!takes(&j, FLASH, base.s, "other layers"));
}

/* A base that is not what it says. */
static void damaged(void)
{
	static const char *const row[][3] = {
		/* what is done to it, the rule with which the run ends; NULL: it makes what it cannot take */
		{ "a file of weights has another bit", "model-00002-of-00007.safetensors", NULL },
		{ "a sidecar has another bit", "model-00002-of-00007.safetensors.manifest.json",
			"set.manifest" },
		{ "the manifest has another bit", "manifest.json", "set.manifest" },
	};
	struct path base, copy = dirs_gone("copy"), out;
	struct model_job j = job_of(&shapes[0]);
	char line[2400];
	struct err e;
	size_t i;

	CHECK(convert(&j, FLASH, copy.s));
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		base = dirs_gone("base");
		out = dirs_gone("out");
		snprintf(line, sizeof line, "cp -r '%s' '%s'", copy.s, base.s);
		CHECK(!system(line));
		flip(model_file(base.s, row[i][1]).s);
		j.base = base.s;
		if (row[i][2]) {
			CHECK_IN(row[i][0], fails_with(&j, FLASH, out.s, row[i][2]));
			CHECK_IN(row[i][0], !is_file(out.s));
			continue;
		}
		CHECK_IN(row[i][0],
			convert(&j, FLASH, out.s) && j.anew.n == 1 &&
				j.result.linked == SHARDS - 1);
		CHECK_IN(row[i][0], same_tree(copy.s, out.s));
	}
	/* files that are not there, or have another size, are made */
	base = dirs_gone("base");
	snprintf(line, sizeof line,
		"cp -r '%s' '%s' && cd '%s' && rm model-00003-*.safetensors && : >model-00004-of-00007.safetensors",
		copy.s, base.s, base.s);
	CHECK(!system(line));
	out = dirs_gone("out");
	CHECK(convert(&j, FLASH, out.s) && j.result.linked == SHARDS - 2 &&
		same_tree(copy.s, out.s));
	/* no manifest: it is not finished */
	CHECK(!unlink(model_file(base.s, "manifest.json").s));
	CHECK(model_convert(&j, FLASH, dirs_gone("out").s, &e) && strstr(e.text, "base"));
}

/* The command line: what it says, and what it refuses. */
static void calls(void)
{
	struct path base = dirs_gone("base"), out = dirs_gone("out"), in = release(2);

	CHECK(ends(0, NULL, "dsv4-convert", "run " FLASH " -o %s --target hf -q", base.s));
	CHECK(ends(0, "6 files of the base taken", "dsv4-convert",
		"run %s -o %s --target hf --base %s", in.s, out.s, base.s));
	/* an archive has other bytes on disk, so nothing can be linked; it may be the source */
	CHECK(ends(0, NULL, "dsv4-convert", "pack %s -o %s -q", base.s, dirs_gone("packed").s));
	CHECK(ends(0, "7 files made", "dsv4-convert", "run %s -o %s --target hf --base %s", in.s,
		dirs_gone("out").s, dirs_path("packed").s));
	CHECK(ends(0, NULL, "dsv4-verify", "compare %s %s -q", in.s, out.s));
	CHECK(ends(0, NULL, "dsv4-convert", "pack %s -o %s -q", in.s, dirs_gone("packed").s));
	CHECK(ends(0, "6 files of the base taken", "dsv4-convert",
		"run %s -o %s --target hf --base %s", dirs_path("packed").s, dirs_gone("out").s,
		base.s));
	CHECK(ends(0, NULL, "dsv4-verify", "compare %s %s -q", in.s, out.s));
	CHECK(ends(0, "\"files_linked\": 6", "dsv4-convert",
		"run %s -o %s --target hf --base %s --json -q", in.s, dirs_gone("out").s, base.s));
	CHECK(ends(2, NULL, "dsv4-convert", "run %s -o %s --target hf --base %s", in.s,
		dirs_gone("out").s, dirs_gone("nowhere").s));
	CHECK(!is_file(out.s));
	CHECK(ends(2, NULL, "dsv4-convert", "run %s -o %s --target hf --base %s", in.s, out.s,
		FLASH));
	CHECK(!is_file(out.s));
}

/* A base of which nothing is taken: the closing lines say why. */
static void unused(void)
{
	static const struct {
		const char *base, *in, *options, *why; /* in: NULL: the new release */
	} row[] = {
		{ "base", FLASH, "--target hf --layers 0-1",
			"it was made with another target or other options" },
		{ "base", FLASH, "--target official", "it was made with another target" },
		{ "base/source", FLASH, "--target hf", "it has no file of weights" },
		{ "packed", FLASH, "--target hf", "its files can have no second name" },
		{ "base", PRO, "--target hf", "each of its files has changed" },
		{ "whole", NULL, "--target official", "each of its files has changed" },
	};
	struct path base = dirs_gone("base"), whole = dirs_gone("whole"), in = release(2);
	char said[200];
	size_t i;

	CHECK(ends(0, NULL, "dsv4-convert", "run " FLASH " -o %s --target hf -q", base.s));
	CHECK(ends(0, NULL, "dsv4-convert", "run " FLASH " -o %s --target official -q", whole.s));
	CHECK(ends(0, NULL, "dsv4-convert", "pack %s -o %s -q", base.s, dirs_gone("packed").s));
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		snprintf(said, sizeof said, "no file of the base taken: %s", row[i].why);
		CHECK_IN(said,
			ends(0, said, "dsv4-convert", "run %s -o %s %s --base %s",
				row[i].in ? row[i].in : in.s, dirs_gone("out").s, row[i].options,
				dirs_path(row[i].base).s));
	}
}

/* A folder that a run would make in its own base, or its base in, would not be one of the base any more. */
static void nested(void)
{
	struct path base = dirs_gone("base"), copy = dirs_gone("copy"), out, in = release(2);
	static const char *const inside[] = { "", "/new", "/source", "/new/deep", "/../base/new" };
	char line[2400];
	size_t i;

	CHECK(ends(0, NULL, "dsv4-convert", "run " FLASH " -o %s --target hf -q", base.s));
	snprintf(line, sizeof line, "cp -r '%s' '%s'", base.s, copy.s);
	CHECK(!system(line));
	for (i = 0; i < sizeof inside / sizeof *inside; i++) {
		CHECK_IN(inside[i],
			ends(2, "out.nested", "dsv4-convert",
				"run %s -o %s%s --target hf --base %s --overwrite", in.s, base.s,
				inside[i], base.s));
		CHECK_IN(inside[i], same_tree(base.s, copy.s));
	}
	out = dirs_gone("around");
	snprintf(line, sizeof line, "mkdir '%s' && mv '%s' '%s/old'", out.s, copy.s, out.s);
	CHECK(!system(line));
	CHECK(ends(2, "out.nested", "dsv4-convert", "run %s -o %s --target hf --base %s/old", in.s,
		out.s, out.s));
	CHECK(same_tree(base.s, model_file(out.s, "old").s));
	CHECK(ends(0, "6 files of the base taken", "dsv4-convert",
		"run %s -o %s/new --target hf --base %s/old", in.s, out.s, out.s));
}

/* A call that fails, or all behind it too: whatever has a final name is right, and the next run ends the same. */
static void faults(void)
{
	struct path base = dirs_gone("base"), want = dirs_gone("want"), out, in = release(3);
	struct model_job j = job_of(&shapes[0]);
	uint64_t i, n, step = getenv("EVERY") ? 1 : SANITIZED ? 97 : 29;
	static struct faultio f;
	char what[64];
	struct err e;

	CHECK(convert(&j, FLASH, base.s) && convert(&j, in.s, want.s));
	j.base = base.s;
	j.threads = 1;
	faultio_make(&f);
	j.io = &f.io;
	CHECK(!model_convert(&j, in.s, dirs_gone("out").s, &e) && j.result.linked == SHARDS - 1);
	n = f.calls[IO_ANY];
	CHECK(n > 100 && f.calls[IO_LINK] == 2 * (SHARDS - 1) && !f.loose && !f.strange);
	for (i = 1 + rnd((uint32_t)step); i <= n; i += step) {
		faultio_make(&f);
		f.op = IO_ANY;
		f.at = i;
		f.forever = rnd(2);
		f.error = EIO;
		out = dirs_gone("out");
		snprintf(what, sizeof what, "call %llu%s", (unsigned long long)i,
			f.forever ? " and all behind it" : "");
		j.io = &f.io;
		(void)model_convert(&j, in.s, out.s, &e);
		j.io = io_posix();
		CHECK_IN(what, convert(&j, in.s, out.s) && same_tree(want.s, out.s));
	}
}

static const struct test tests[] = { { "one_tensor", one_tensor }, { "linked", linked },
	{ "other", other }, { "damaged", damaged }, { "calls", calls }, { "unused", unused },
	{ "nested", nested }, { "faults", faults }, { NULL, NULL } };
TEST_MAIN(tests)
