/* test_engram_files.c -- what a conversion of V4.1 does with Engram: tables left out or in files of their own, there and back, and
 * every reader of the conversion told the truth about it.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/engram.h"
#include "formats/model/family.h"
#include "tests/poke.h"
#include "tests/v41.h"
#include "tests/verify.h"

static struct path converted(const char *name, const char *options)
{
	struct path p = dirs_path(name);

	dirs_remove(p.s);
	CHECK_IN(options,
		ends(0, NULL, "dsv4-convert", "run %s -o %s --target hf -q %s", v41_model(), p.s,
			options));
	return p;
}

static bool same_file(const char *a, const char *b, const char *name)
{
	size_t n, m;
	uint8_t *x = file_get_all(model_file(a, name).s, &n),
		*y = file_get_all(model_file(b, name).s, &m);
	bool same = n == m && !memcmp(x, y, n);

	free(x);
	free(y);
	return same;
}

/* The tables lie in files whose bytes do not depend on how the rest is put into shards. */
static void separate(void)
{
	struct path a = converted("a", "--engram separate"),
		    b = converted("b", "--engram separate --shard-size 300000"),
		    back = dirs_new("back");
	const char *m = v41_model();

	CHECK(is_file(model_file(a.s, "engram-1.safetensors").s));
	CHECK(same_file(a.s, b.s, "engram-1.safetensors"));
	CHECK(same_file(a.s, b.s, "engram-3.safetensors"));
	CHECK(ends(0, "no findings", "dsv4-convert", "inspect %s", a.s));
	CHECK(ends(0, "check: true", "dsv4-verify", "check %s", b.s));
	CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", m, a.s));
	CHECK(ends(0, "diff: true", "dsv4-verify", "diff %s %s", m, b.s));
	dirs_remove(back.s);
	CHECK(ends(0, NULL, "dsv4-convert", "restore %s -o %s -q", b.s, back.s));
	CHECK(ends(0, "diff: true", "dsv4-verify", "diff %s %s", m, back.s));
	/* a part without layers that have a table has no file for it */
	converted("part", "--engram separate --layers 2-3");
	CHECK(!is_file(model_file(dirs_path("part").s, "engram-1.safetensors").s));
	CHECK(same_file(a.s, dirs_path("part").s, "engram-3.safetensors"));
	poke(a.s, "layers.3.engram.embed", ".scale", 9, "\x81", 1);
	CHECK(ends(1, "check.chunk", "dsv4-verify", "check %s", a.s));
	CHECK(ends(1, "layers.3.engram.embed.scale", "dsv4-verify", "compare %s %s", m, a.s));
}

/* Without Engram: config.json says so, what is there is as it was, and what was not kept is named. */
static void dropped(void)
{
	struct path a = converted("a", "--engram drop"), back = dirs_path("back");
	const char *m = v41_model();
	uint8_t *p;
	size_t n;

	CHECK(ends(0, "no findings", "dsv4-convert", "inspect %s", a.s));
	CHECK(ends(0, "check: true", "dsv4-verify", "check %s", a.s));
	CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", m, a.s));
	CHECK(ends(1, "layers.1.engram.embed.weight", "dsv4-verify", "diff %s %s", m, a.s));
	dirs_remove(back.s);
	CHECK(ends(2, "set.not-kept", "dsv4-convert", "restore %s -o %s -q", a.s, back.s));
	CHECK(ends(2, "without it (--engram drop)", "dsv4-convert", "restore %s -o %s -q", a.s,
		back.s));
	CHECK(!is_file(back.s));
	CHECK(ends(0, NULL, "dsv4-convert",
		"restore %s -o %s -q --shard model-00002-of-00010.safetensors", a.s, back.s));
	CHECK(same_file(m, back.s, "model-00002-of-00010.safetensors"));
	/* of a model without Engram nothing can be left out */
	CHECK(ends(2, "plan.engram", "dsv4-convert",
		"run %s -o %s --target hf --engram separate -q", a.s, dirs_path("none").s));
	/* a config.json that still names the layers is none of this conversion, though the source has it so */
	p = file_get_all(model_file(m, "config.json").s, &n);
	model_put(a.s, "config.json", p, n);
	free(p);
	CHECK(ends(1, "config.json", "dsv4-verify", "compare %s %s", m, a.s));
	CHECK(ends(1, "model.missing", "dsv4-convert", "inspect %s", a.s));
}

static struct stat stat_of(const char *dir, const char *name)
{
	struct stat st = { 0 };

	CHECK_IN(name, !stat(model_file(dir, name).s, &st));
	return st;
}

/* The file has a second name there, where blocks cannot be shared. */
static bool one_file(const char *a, const char *b, const char *name)
{
	return stat_of(a, name).st_ino == stat_of(b, name).st_ino;
}

static const char table_1[] = "engram-1.safetensors", table_3[] = "engram-3.safetensors";

/* Tables of another conversion are links to its files where they are equal, and are written where they are not. */
static void shared(void)
{
	struct path a = converted("a", "--engram separate"), b = dirs_path("b"), other;
	const char *m = v41_model();
	bool links;

	dirs_remove(b.s);
	CHECK(ends(0, "2 files of the other conversion taken", "dsv4-convert",
		"run %s -o %s --target hf --engram separate --shard-size 300000 --engram-from %s",
		m, b.s, a.s));
	links = one_file(a.s, b.s, table_1); /* else blocks are shared */
	CHECK(links == one_file(a.s, b.s, table_3));
	CHECK(same_file(a.s, b.s, table_1) && same_file(a.s, b.s, table_3));
	CHECK(ends(0, "check: true", "dsv4-verify", "check %s", b.s));
	CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", m, b.s));
	CHECK(ends(0, "check: true", "dsv4-verify", "check %s", a.s));
	/* one table alone, of some layers */
	dirs_remove(b.s);
	CHECK(ends(0, "1 file of the other conversion taken", "dsv4-convert",
		"run %s -o %s --target hf --engram separate --layers 0-2 --engram-from %s", m, b.s,
		a.s));
	CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", m, b.s));
	/* a table of another revision is made */
	other = model_copy(m, "revision");
	poke(other.s, "layers.3.engram.embed", ".weight", 5, "\x11", 1);
	dirs_remove(b.s);
	CHECK(ends(0, "1 file of the other conversion taken", "dsv4-convert",
		"run %s -o %s --target hf --engram separate --shard-size 200000 --engram-from %s",
		other.s, b.s, a.s));
	CHECK(one_file(a.s, b.s, table_1) == links && !one_file(a.s, b.s, table_3));
	CHECK(!same_file(a.s, b.s, table_3));
	CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", other.s, b.s));
	CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", m, a.s));
}

/* A table whose bytes are not those of its sidecar is made; a sidecar or manifest that was changed ends the run. */
static void shared_damaged(void)
{
	static const struct {
		const char *file;
		int status;
		const char *says;
	} row[] = {
		{ "engram-3.safetensors", 0, "its bytes in the base are not those of its sidecar" },
		{ "engram-3.safetensors.manifest.json", 1, "set.manifest" },
		{ "manifest.json", 1, "set.manifest" },
	};
	struct path a, b = dirs_path("b");
	const char *m = v41_model();
	size_t i, n;
	uint8_t *p;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		a = converted("a", "--engram separate");
		p = file_get_all(model_file(a.s, row[i].file).s, &n);
		p[n - 9] ^= 1;
		model_put(a.s, row[i].file, p, n);
		free(p);
		dirs_remove(b.s);
		CHECK_IN(row[i].file,
			ends(row[i].status, row[i].says, "dsv4-convert",
				"run %s -o %s --target hf --engram separate --shard-size 300000 --engram-from %s",
				m, b.s, a.s));
		if (!row[i].status)
			CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", m, b.s));
		else
			CHECK_IN(row[i].file, !is_file(model_file(b.s, "manifest.json").s));
	}
}

/* What is not taken, and why. */
static void not_shared(void)
{
	static const struct {
		int status;
		const char *from, *options, *says;
	} row[] = {
		{ 0, "--engram separate", "--engram separate --engram-layout record", "none" },
		{ 0, "--engram separate --engram-layout record",
			"--engram separate --engram-layout record512", "lies in another layout" },
		{ 0, "--engram separate --engram-layout record --engram-ranks 2",
			"--engram separate --engram-layout record", "on other ranks" },
		{ 0, "--engram separate --engram-layout record --engram-ranks 2",
			"--engram separate --engram-layout record --engram-ranks 2 --shard-size 300000",
			"4 files of the other conversion taken" },
		{ 0, "--engram keep", "--engram separate", "it has no table in a file of its own" },
		{ 0, "--engram drop", "--engram separate", "it has no table in a file of its own" },
		{ 2, "--engram separate", "--engram keep", "belongs to --engram separate" },
		{ 2, "--engram separate", "", "belongs to --engram separate" },
		{ 2, "--engram separate", "--engram separate --base x", "give one of them" },
	};
	struct path a, b = dirs_path("b"), in;
	const char *m = v41_model(), *says;
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		a = converted("a", row[i].from);
		dirs_remove(b.s);
		says = strcmp(row[i].says, "none") ? row[i].says
						   : "no file of the other conversion taken";
		CHECK_IN(row[i].options,
			ends(row[i].status, says, "dsv4-convert",
				"run %s -o %s --target hf %s --engram-from %s", m, b.s,
				row[i].options, a.s));
		if (!row[i].status)
			CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", m, b.s));
	}
	in = model_file(a.s, "new");
	CHECK(ends(2, "out.nested", "dsv4-convert",
		"run %s -o %s --target hf --engram separate --engram-from %s", m, in.s, a.s));
	CHECK(ends(2, "cannot open folder", "dsv4-convert",
		"run %s -o %s --target hf --engram separate --engram-from %s/none", m, b.s, a.s));
	CHECK(ends(2, "cannot open manifest.json", "dsv4-convert",
		"run %s -o %s --target hf --engram separate --engram-from %s", m, b.s, m));
}

static void refused(void)
{
	static const struct {
		const char *args, *says;
	} row[] = { { "--target marlin-mxfp4 --engram drop", "--engram belongs to --target hf" },
		{ "--target official --engram keep", "--engram belongs to --target hf" },
		{ "--target hf --engram none", "--engram" },
		{ "--target hf --engram-layout record", "belongs to --engram separate" },
		{ "--target hf --engram drop --engram-layout record",
			"belongs to --engram separate" },
		{ "--target hf --engram separate --engram-ranks 2", "--engram-ranks belongs to" },
		{ "--target hf --engram separate --engram-layout plain --engram-ranks 2",
			"--engram-ranks belongs to" },
		{ "--target hf --engram separate --engram-layout record --engram-ranks 4096",
			"plan.engram" } };
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++)
		CHECK_IN(row[i].args,
			ends(2, row[i].says, "dsv4-convert", "plan %s -o %s %s", v41_model(),
				dirs_path("none").s, row[i].args));
	CHECK(ends(2, "plan.engram", "dsv4-convert",
		"plan tests/golden/tiny-flash -o %s --target hf --engram drop",
		dirs_path("none").s));
}

/* A manifest that says something else of Engram than its files have is found by who makes the tensors again. */
static void relabelled(void)
{
	static const struct {
		const char *made, *from, *to;
	} row[] = { { "--engram separate", "\"engram\": \"separate\"", "\"engram\": \"drop\"" },
		{ "--engram drop --no-restore", "\"engram\": \"drop\"", "\"engram\": \"keep\"" },
		{ "--engram separate", "\"engram\": \"separate\"", "\"engram\": \"apart\"" } };
	struct path a;
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		a = converted("a", row[i].made);
		verify_exchange(model_file(a.s, "manifest.json").s, row[i].from, row[i].to);
		CHECK_IN(row[i].to, ends(1, "set.manifest", "dsv4-verify", "check %s", a.s));
		verify_seal(a.s);
		CHECK_IN(row[i].to,
			ends(1, "compare: false", "dsv4-verify", "compare %s %s", v41_model(),
				a.s));
	}
}

/* config.json in both spellings, nested and flat. */
static void configs(void)
{
	static const char *const row[][2] = {
		{ "{\"text_config\": {\"a\": 1e-6, \"engram_layer_ids\": [1, 3], \"engram_num_embeddings\":[2,3]}}",
			"{\"text_config\": {\"a\": 1e-6, \"engram_layer_ids\": [], \"engram_num_embeddings\":[]}}" },
		{ "{\"engram_layers\": [1], \"x\": {\"engram_layers\": [1]}}",
			"{\"engram_layers\": [], \"x\": {\"engram_layers\": [1]}}" },
		{ "{\"a\": 1.50}", "{\"a\": 1.50}" },
	};
	struct text t = { 0 };
	struct err e = { 0 };
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		t.n = 0;
		text_str(&t, row[i][0]);
		CHECK_IN(row[i][0], !engram_config(&t, &e));
		CHECK_IN(row[i][0], t.n == strlen(row[i][1]) && !memcmp(t.s, row[i][1], t.n));
	}
	t.n = 0;
	text_str(&t, "[1]");
	CHECK(engram_config(&t, &e));
	text_free(&t);
	CHECK(engram_own("layers.14.engram.q_weight") && !engram_own("layers.engram.x") &&
		!engram_own("mtp.0.engram.q_weight"));
	CHECK(engram_table("layers.1.engram.embed.scale") &&
		!engram_table("layers.1.engram.wkv.scale"));
}

/* --- records --- */

static void records(void)
{
	static const char *const row[] = { "record", "record512", "record --engram-ranks 2",
		"record512 --engram-ranks 3", "record --engram-ranks 4 --shard-size 400000" };
	struct path out = dirs_path("a"), back = dirs_path("back");
	char options[200];
	const char *m = v41_model();
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		snprintf(options, sizeof options, "--engram separate --engram-layout %s", row[i]);
		converted("a", options);
		CHECK_IN(row[i], ends(0, "check: true", "dsv4-verify", "check %s", out.s));
		CHECK_IN(row[i],
			ends(0, "compare: true", "dsv4-verify", "compare %s %s", m, out.s));
		CHECK_IN(row[i], ends(2, "model.records", "dsv4-convert", "inspect %s", out.s));
		CHECK_IN(row[i], !holds(out_file.s, "model.missing"));
		CHECK_IN(row[i],
			ends(2, "model.records", "dsv4-convert", "plan %s -o %s --target hf", out.s,
				back.s));
		dirs_remove(back.s);
		CHECK_IN(row[i],
			ends(0, NULL, "dsv4-convert", "restore %s -o %s -q", out.s, back.s));
		CHECK_IN(row[i], same_file(m, back.s, "model-00003-of-00010.safetensors"));
		CHECK_IN(row[i], same_file(m, back.s, "model-00005-of-00010.safetensors"));
		CHECK_IN(row[i], ends(0, "diff: true", "dsv4-verify", "diff %s %s", m, back.s));
	}
	/* from records to another form of them, or to none */
	dirs_remove(back.s);
	CHECK(ends(0, NULL, "dsv4-convert",
		"reshard %s -o %s -q --target hf --engram separate --engram-layout record512",
		out.s, back.s));
	converted("b", "--engram separate --engram-layout record512");
	CHECK(same_file(dirs_path("b").s, back.s, "engram-3.safetensors"));
}

/* What is damaged, or is somewhere else than it should be. */
static void bad_records(void)
{
	static const char one[] = "engram-1-rank-0-of-2.safetensors",
			  other[] = "engram-1-rank-1-of-2.safetensors";
	struct path out, back = dirs_path("back");
	const char *m = v41_model();
	uint8_t *p, zero[66 * 2];
	size_t n;

	out = converted("a", "--engram separate --engram-layout record --engram-ranks 2");
	poke(out.s, "layers.1.engram.embed.record.rank-0", "of-2", 66 + 64, "\x42", 1);
	CHECK(ends(1, "check.chunk", "dsv4-verify", "check %s", out.s));
	CHECK(ends(1, "row 1, column 64", "dsv4-verify", "compare %s %s", m, out.s));
	dirs_remove(back.s);
	CHECK(ends(1, "set.digest", "dsv4-convert", "restore %s -o %s -q", out.s, back.s));
	/* the file of another rank */
	out = converted("a", "--engram separate --engram-layout record512 --engram-ranks 2");
	p = file_get_all(model_file(out.s, other).s, &n);
	model_put(out.s, one, p, n);
	free(p);
	CHECK(ends(1, one, "dsv4-verify", "check %s", out.s));
	/* a byte that only fills up */
	out = converted("a", "--engram separate --engram-layout record512");
	poke(out.s, "layers.3.engram.embed", ".record", 200, "\x01", 1);
	CHECK(ends(1, "compare.bytes", "dsv4-verify", "compare %s %s", m, out.s));
	/* it is not there, or shorter */
	out = converted("a", "--engram separate --engram-layout record");
	CHECK(!truncate(model_file(out.s, "engram-3.safetensors").s, 5000));
	CHECK(ends(1, "engram-3.safetensors", "dsv4-verify", "check %s", out.s));
	CHECK(ends(1, "engram-3.safetensors", "dsv4-convert", "restore %s -o %s -q", out.s,
		back.s));
	unlink(model_file(out.s, "engram-3.safetensors").s);
	CHECK(ends(1, "check.missing", "dsv4-verify", "check %s", out.s));
	/* a scale that is no number */
	memset(zero, 255, sizeof zero);
	out = model_copy(m, "nan");
	poke(out.s, "layers.1.engram.embed", ".scale", 40, zero, 1);
	CHECK(ends(1, "data.scale-nan", "dsv4-convert",
		"run %s -o %s --target hf -q --engram separate --engram-layout record", out.s,
		dirs_path("none").s));
}

/* Manifest and sidecar, edited and sealed again, that say other rows, another rank or another layout. */
static void lies(void)
{
	static const struct {
		const char *file, *from, *to; /* file NULL: the manifest */
	} row[] = {
		{ NULL, "\"engram_layout\": \"record\"", "\"engram_layout\": \"record512\"" },
		{ NULL, "\"engram_layout\": \"record\"", "\"engram_layout\": \"else\"" },
		{ NULL, "\"engram_layout\": \"record\",", "" },
		{ "engram-1-rank-1-of-2.safetensors", "\"rows\": [", "\"rows\": [1" },
		{ "engram-1-rank-1-of-2.safetensors", "layers.1.engram.embed.weight",
			"layers.3.engram.embed.weight" },
		{ "engram-1-rank-1-of-2.safetensors", "\"transform\": \"record\"",
			"\"transform\": \"join\"" },
	};
	char args[1200];
	struct path a;
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		a = converted("a", "--engram separate --engram-layout record --engram-ranks 2");
		if (row[i].file) {
			verify_edit(a.s, row[i].file, row[i].from, row[i].to);
		} else {
			verify_exchange(model_file(a.s, "manifest.json").s, row[i].from, row[i].to);
			verify_seal(a.s);
		}
		CHECK_IN(row[i].to,
			ends(1, NULL, "dsv4-verify", "compare %s %s", v41_model(), a.s));
		dirs_remove(dirs_path("back").s);
		snprintf(args, sizeof args, "restore %s -o %s -q", a.s, dirs_path("back").s);
		if (row[i].file)
			CHECK_IN(row[i].to, shell("dsv4-convert", args) > 0);
	}
}

/* --- in 4 bits --- */

/* Of dsv4-quant: rounded, so that there is no way back, and every count is what the values say. */
static void rounded_to(const char *form)
{
	struct path a = dirs_path("a"), back = dirs_path("back"), many = dirs_path("b");
	const char *m = v41_model();
	char end[32];

	snprintf(end, sizeof end, ".%s", form);
	dirs_remove(a.s);
	dirs_remove(many.s);
	CHECK(ends(0, "engram-3.safetensors", "dsv4-quant", "run %s -o %s --to engram-%s -j 1", m,
		a.s, form));
	CHECK(holds(err_file.s, "blocks in their new format"));
	CHECK(ends(0, "engram-3.safetensors", "dsv4-quant", "run %s -o %s --to engram-%s -j 4 -q",
		m, many.s, form));
	CHECK(same_file(a.s, many.s, "engram-1.safetensors"));
	CHECK(same_file(a.s, many.s, "manifest.json"));
	CHECK(holds(model_file(a.s, "manifest.json").s, "\"lossy\": \"yes\""));
	CHECK(ends(0, "check: true", "dsv4-verify", "check %s", a.s));
	CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", m, a.s));
	CHECK(holds(out_file.s, "blocks that were rounded"));
	CHECK(ends(2, "rounded to 4 bits", "dsv4-convert", "inspect %s", a.s));
	CHECK(ends(2, "set.not-kept", "dsv4-convert", "restore %s -o %s -q", a.s, back.s));
	CHECK(ends(2, "set.not-kept", "dsv4-quant", "restore %s -o %s -q", a.s, back.s));
	/* a code, a scale, and what the manifest counts */
	poke(a.s, "layers.1.engram.embed", end, 40, "\x77", 1);
	CHECK(ends(1, "check.chunk", "dsv4-verify", "check %s", a.s));
	CHECK(ends(1, "compare.bytes", "dsv4-verify", "compare %s %s", m, a.s));
	verify_exchange(model_file(many.s, "manifest.json").s, "\"exact\": ", "\"exact\": 1");
	verify_seal(many.s);
	CHECK(ends(1, NULL, "dsv4-verify", "check %s", many.s) ||
		ends(1, NULL, "dsv4-verify", "compare %s %s", m, many.s));
}

static void rounded(void)
{
	rounded_to("mxfp4");
	rounded_to("cb4");
}

/* A source that differs where the difference is rounded away is another source. */
static void another_source(void)
{
	static const char *const forms[] = { "mxfp4", "cb4" };
	struct path a = dirs_path("a"), one = model_copy(v41_model(), "one"),
		    two = model_copy(v41_model(), "two");
	size_t i;

	poke(one.s, "layers.1.engram.embed", ".weight", 70, "\x01", 1);
	poke(two.s, "layers.1.engram.embed", ".weight", 70, "\x02", 1);
	for (i = 0; i < sizeof forms / sizeof *forms; i++) {
		dirs_remove(a.s);
		CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s --to engram-%s -q", one.s, a.s,
			forms[i]));
		CHECK_IN(forms[i],
			ends(0, "compare: true", "dsv4-verify", "compare %s %s", one.s, a.s));
		CHECK_IN(forms[i], ends(1, NULL, "dsv4-verify", "compare %s %s", two.s, a.s));
	}
}

/* Levels that are others, of another table or not there, in a folder whose digests fit. */
static void levels(void)
{
	static const char file[] = "engram-1.safetensors";
	static const struct {
		const char *from, *to;
	} row[] = {
		{ "embed.levels", "embed.LEVELS" }, /* in the file's header too */
		{ "\"transform\": \"levels\"", "\"transform\": \"record\"" },
		{ "\"transform\": \"record\"", "\"transform\": \"levels\"" },
	};
	struct path a = dirs_path("a"), other = model_copy(v41_model(), "other");
	const char *m = v41_model();
	uint8_t top = 0x7e;
	size_t i;

	dirs_remove(a.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s --to engram-cb4 -q", m, a.s));
	CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", m, a.s));
	poke(a.s, "layers.1.engram.embed", ".levels", 7, "\x01", 1);
	CHECK(ends(1, "compare.bytes", "dsv4-verify", "compare %s %s", m, a.s));
	CHECK(holds(out_file.s, "layers.1.engram.embed.levels"));
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		dirs_remove(a.s);
		CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s --to engram-cb4 -q", m, a.s));
		verify_edit(a.s, file, row[i].from, row[i].to);
		CHECK_IN(row[i].from, ends(1, NULL, "dsv4-verify", "compare %s %s", m, a.s));
	}
	/* a source of which one value is another: levels, or its digest, are others */
	dirs_remove(a.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s --to engram-cb4 -q", m, a.s));
	poke(other.s, "layers.3.engram.embed", ".weight", 9, &top, 1);
	CHECK(ends(1, NULL, "dsv4-verify", "compare %s %s", other.s, a.s));
	CHECK(holds(out_file.s, "layers.3.engram.embed"));
}

/* A NaN, and a scale that no scale of the new form is as large as. */
static void bad_values(void)
{
	static const struct {
		const char *form, *end, *rule;
		uint8_t at, byte;
	} row[] = { { "mxfp4", ".weight", "data.fp8-nan", 70, 0x7f },
		{ "mxfp4", ".scale", "data.scale-nan", 3, 255 },
		{ "mxfp4", ".scale", "data.overflow", 3, 254 },
		{ "cb4", ".weight", "data.fp8-nan", 70, 0x7f },
		{ "cb4", ".weight", "data.fp8-nan", 71, 0xff },
		{ "cb4", ".scale", "data.scale-nan", 3, 255 } };
	char args[1800];
	struct path p;
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		p = model_copy(v41_model(), "bad");
		poke(p.s, "layers.3.engram.embed", row[i].end, row[i].at, &row[i].byte, 1);
		CHECK_IN(row[i].rule,
			ends(1, row[i].rule, "dsv4-quant", "run %s -o %s --to engram-%s -q", p.s,
				dirs_path("none").s, row[i].form));
		dirs_remove(dirs_path("none").s);
	}
	p = dirs_path("narrow"); /* rows of 48 columns */
	snprintf(args, sizeof args,
		"sed 's/\"engram_head_dim\": 64/\"engram_head_dim\": 48/' tests/configs/small-v41.json >%s.json",
		p.s);
	CHECK(!system(args));
	snprintf(args, sizeof args, "%s --config %s.json", p.s, p.s);
	CHECK(!model_tool("mkmodel", args));
	CHECK(ends(2, "have 48 columns", "dsv4-quant", "plan %s -o %s --to engram-mxfp4", p.s,
		dirs_path("none").s));
	CHECK(ends(2, "have 48 columns", "dsv4-quant", "run %s -o %s --to engram-cb4 -q", p.s,
		dirs_path("none").s));
	CHECK(ends(2, "plan.engram", "dsv4-quant",
		"plan tests/golden/tiny-flash -o %s --to engram-mxfp4", dirs_path("none").s));
	CHECK(ends(2, "it takes none", "dsv4-quant", "plan %s -o %s --to engram-mxfp4 --lossy",
		v41_model(), dirs_path("none").s));
	CHECK(ends(2, NULL, "dsv4-quant", "plan %s -o %s --to engram-record", v41_model(),
		dirs_path("none").s));
}

static const struct test tests[] = { { "v41: engram separate", separate },
	{ "v41: engram dropped", dropped }, { "v41: engram shared", shared },
	{ "v41: engram shared, damaged", shared_damaged }, { "v41: engram not shared", not_shared },
	{ "v41: engram refused", refused }, { "v41: engram relabelled", relabelled },
	{ "v41: engram configs", configs }, { "v41: engram records", records },
	{ "v41: engram bad records", bad_records }, { "v41: engram lies", lies },
	{ "v41: engram rounded", rounded }, { "v41: engram levels", levels },
	{ "v41: engram of another source", another_source },
	{ "v41: engram bad values", bad_values }, { NULL, NULL } };
TEST_MAIN(tests)
