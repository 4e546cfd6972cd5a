/* test_again.c -- a second run over what a first one left: damaged, cut short, from another source.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/out/claim.h"
#include "formats/conversion/manifest.h"
#include "tests/verify.h"

#define PRO "tests/golden/tiny-pro"
#define F3 "model-00003-of-00006.safetensors"
#define F4 "model-00004-of-00006.safetensors"

#define FLASH "tests/golden/tiny-flash"

static ino_t inode(const char *dir, const char *name)
{
	struct stat st;

	return stat(model_file(dir, name).s, &st) ? 0 : st.st_ino;
}

static bool says_verified(const char *dir)
{
	json_t *o = load(dir, MAN_NAME), *source = json_object_get(o, "source");
	const char *word = json_string_value(json_object_get(source, "sha256"));
	json_t *shard = json_array_get(json_object_get(source, "shards"), 0);
	bool yes = word && !strcmp(word, "verified");

	CHECK(yes == json_is_string(json_object_get(shard, "sha256")));
	json_decref(o);
	return yes;
}

static void flip(const char *path, size_t at)
{
	size_t n;
	uint8_t *p = file_get_all(path, &n);

	p[at < n ? at : n - 1] ^= 4;
	unlink(path);
	file_put_all(path, p, n);
	free(p);
}

/* What was damaged since the last run is made anew, the rest is left alone. */
static void again(void)
{
	static const struct {
		const char *name, *file;
		int how; /* 0 remove, 1 flip a bit, 2 cut, 3 leave a temporary file, 4 nothing */
		size_t made;
	} row[] = {
		{ "nothing", F3, 4, 0 },
		{ "data gone", F3, 0, 1 },
		{ "data flipped", F3, 1, 1 },
		{ "data cut", F3, 2, 1 },
		{ "sidecar gone", F3 MAN_SIDECAR, 0, 1 },
		{ "sidecar flipped", F3 MAN_SIDECAR, 1, 1 },
		{ "sidecar cut", F3 MAN_SIDECAR, 2, 1 },
		{ "manifest gone", MAN_NAME, 0, 0 },
		{ "manifest flipped", MAN_NAME, 1, 0 },
		{ "index gone", CKPT_INDEX, 0, 0 },
		{ "index flipped", CKPT_INDEX, 1, 0 },
		{ "temporary file", "." F3 ".part", 3, 0 },
	};
	struct path ref = dirs_path("ref"), out = dirs_path("out"), p;
	struct model_job j = model_job("hf", 1);
	ino_t was;
	size_t i, n;
	uint8_t *data;

	dirs_remove(ref.s);
	CHECK(convert(&j, PRO, ref.s));
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		dirs_remove(out.s);
		CHECK(convert(&j, PRO, out.s));
		was = inode(out.s, F4);
		p = model_file(out.s, row[i].file);
		if (row[i].how == 0)
			CHECK(!unlink(p.s));
		if (row[i].how == 1)
			flip(p.s, 12345);
		if (row[i].how == 2)
			CHECK(!truncate(p.s, 100));
		if (row[i].how == 3)
			file_put_all(p.s, "x", 1);
		CHECK_IN(row[i].name, convert(&j, PRO, out.s));
		CHECK_IN(row[i].name,
			j.result.made == row[i].made && j.result.kept == 6 - row[i].made);
		CHECK_IN(row[i].name, was == inode(out.s, F4));
		if (row[i].how == 3)
			unlink(p.s); /* the temporary file of a file that is kept is nobody's */
		CHECK_IN(row[i].name, model_same(out.s, ref.s));
	}
	/* Another source of the same form: nothing of the old result may stay. */
	dirs_remove(out.s);
	CHECK(convert(&j, PRO, out.s));
	p = model_copy(PRO, "other");
	data = file_get_all(model_file(p.s, F4).s, &n);
	data[n - 1] ^= 1;
	model_put(p.s, F4, data, n);
	free(data);
	CHECK(convert(&j, p.s, out.s) && j.result.made == 1 && j.result.kept == 5);
	CHECK(same_files(model_file(out.s, F4).s, model_file(p.s, F4).s));
	/* A plan with files of other names is refused. */
	j.plan.target = "official";
	CHECK(fails_with(&j, PRO, out.s, "out.foreign"));
	dirs_remove(ref.s);
}

/* What lies in an output folder and is not of this plan is refused and stays as it is, whatever its name;
 * --overwrite takes the folder, but never files that the plan has no name for. */
static void not_ours(void)
{
	static const char *const file[] = { F3, "config.json", MAN_NAME, F3 MAN_SIDECAR,
		CLAIM_NAME };
	struct path out = dirs_new("out"), ref = dirs_path("ref"), p;
	struct model_job j = model_job("official", 2);
	size_t i, n;
	char *kept;

	for (i = 0; i < sizeof file / sizeof *file; i++) {
		j = model_job("hf", 1);
		out = dirs_new("out");
		p = model_file(out.s, file[i]);
		file_put_all(p.s, "mine", 4);
		CHECK_IN(file[i], fails_with(&j, PRO, out.s, "out.other"));
		kept = (char *)file_get_all(p.s, &n);
		CHECK_IN(file[i], n == 4 && !memcmp(kept, "mine", 4) && model_entries(out.s) == 1);
		free(kept);
		j.overwrite = true;
		CHECK_IN(file[i], convert(&j, PRO, out.s));
		file_put_all(model_file(out.s, "x.safetensors").s, "mine", 4);
		CHECK_IN(file[i], fails_with(&j, PRO, out.s, "out.foreign"));
	}
	/* Another plan for files of the same names. */
	j = model_job("official", 2);
	dirs_remove(out.s);
	dirs_remove(ref.s);
	CHECK(convert(&j, PRO, out.s) && convert(&j, PRO, ref.s));
	j.plan.experts = CODEC_FP8;
	CHECK(fails_with(&j, PRO, out.s, "out.other") && model_same(out.s, ref.s));
	unlink(model_file(out.s, MAN_NAME).s);
	unlink(model_file(ref.s, MAN_NAME).s);
	CHECK(fails_with(&j, PRO, out.s, "out.other") && model_same(out.s, ref.s));
	j.overwrite = true;
	dirs_remove(ref.s);
	CHECK(convert(&j, PRO, out.s) && convert(&j, PRO, ref.s) && model_same(out.s, ref.s));
	/* The mark of a run that was broken off stands for everything; another plan's for nothing. */
	unlink(model_file(out.s, MAN_NAME).s);
	unlink(model_file(out.s, "model0-mp2.safetensors" MAN_SIDECAR).s);
	j.overwrite = false;
	CHECK(fails_with(&j, PRO, out.s, "out.other"));
	p = model_file(out.s, CLAIM_NAME);
	file_put_all(p.s, "1234\n", 5);
	CHECK(fails_with(&j, PRO, out.s, "out.other"));
	unlink(p.s);
	j.hash[64] = '\n';
	file_put_all(p.s, j.hash, 65);
	CHECK(convert(&j, PRO, out.s) && model_same(out.s, ref.s));
}

/* Verified is what this run has verified: what an earlier manifest says of it, with a seal that fits, is not
 * believed. */
static void forged_verified(void)
{
	struct path out = dirs_path("out"), list = dirs_path("list");
	struct model_job j = model_job("hf", 1);
	char line[1200], hex[65];

	snprintf(line, sizeof line, "cd %s && sha256sum *.safetensors >%s", PRO, list.s);
	CHECK(!system(line));
	dirs_remove(out.s);
	CHECK(convert(&j, PRO, out.s) && !says_verified(out.s));
	verify_exchange(model_file(out.s, MAN_NAME).s, "\"unverified\"", "\"verified\"");
	snprintf(line, sizeof line,
		"cd %s && sed -i 's/\"sha256\": null/\"sha256\": \"%064d\"/' " MAN_NAME, out.s, 7);
	CHECK(!system(line));
	verify_seal(out.s);
	CHECK(says_verified(out.s));
	CHECK(convert(&j, PRO, out.s) && !says_verified(out.s));
	j.expected = list.s;
	CHECK(convert(&j, PRO, out.s) && says_verified(out.s));
	digest_file(model_file(out.s, MAN_NAME).s, line);
	CHECK(convert(&j, PRO, out.s) && says_verified(out.s));
	digest_file(model_file(out.s, MAN_NAME).s, hex);
	CHECK(!strcmp(line, hex));
	j.expected = NULL;
	CHECK(convert(&j, PRO, out.s) && !says_verified(out.s));
}

/* Small files go along: copied in pieces, kept if equal, replaced if not; links are told. */
static void small_files(void)
{
	struct path in = model_copy(PRO, "in"), out = dirs_path("out"), t;
	struct model_job j = model_job("hf", 1);
	size_t n = 700001;
	uint8_t *p = malloc(n);
	ino_t was;

	rnd_bytes(p, n);
	model_put(in.s, "tokenizer.json", p, n);
	model_put(in.s, "generation_config.json", "", 0);
	model_put(in.s, "notes.txt", "x", 1);
	dirs_remove(out.s);
	CHECK(convert(&j, in.s, out.s));
	t = model_file(out.s, "tokenizer.json");
	CHECK(same_files(t.s, model_file(in.s, "tokenizer.json").s));
	CHECK(is_file(model_file(out.s, "generation_config.json").s) &&
		!is_file(model_file(out.s, "notes.txt").s));
	was = inode(out.s, "tokenizer.json");
	CHECK(convert(&j, in.s, out.s) && was == inode(out.s, "tokenizer.json"));
	flip(t.s, n - 1);
	CHECK(convert(&j, in.s, out.s) && same_files(t.s, model_file(in.s, "tokenizer.json").s));
	CHECK(!truncate(t.s, 5) && convert(&j, in.s, out.s) &&
		same_files(t.s, model_file(in.s, "tokenizer.json").s));
	unlink(model_file(in.s, "tokenizer.json").s);
	CHECK(!symlink("/etc/hostname", model_file(in.s, "tokenizer.json").s));
	CHECK(fails_with(&j, in.s, NULL, "file.symlink"));
	free(p);
}

static void stops_when_told(void)
{
	static volatile sig_atomic_t stop = 1;
	struct path out = dirs_path("out");
	struct model_job j = model_job("hf", 1);
	struct err e;
	size_t i;
	const char *names[] = { "config.json", MAN_NAME };

	dirs_remove(out.s);
	j.stop = &stop;
	CHECK(model_convert(&j, FLASH, out.s, &e) == -1 && e.kind == ERR_SYSTEM &&
		strstr(e.text, "interrupted"));
	for (i = 0; i < 2; i++)
		CHECK(!is_file(model_file(out.s, names[i]).s));
	j.stop = NULL;
	CHECK(convert(&j, FLASH, out.s));
}

/* clang-format off */
static const struct test tests[] = {
	{ "again", again },
	{ "not_ours", not_ours },
	{ "forged_verified", forged_verified },
	{ "small_files", small_files },
	{ "stops_when_told", stops_when_told },
	{ 0 },
};
/* clang-format on */
TEST_MAIN(tests)
