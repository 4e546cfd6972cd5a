/* test_check_files.c -- dsv4-verify check: files that are exchanged, cut off, renamed, missing or not known are found and named.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/checked.h"
#include "tests/faultio.h"

/* What is done to a copy, and what is to be found: rule and file. */
static void rename_in(const char *dir, const char *from, const char *to)
{
	CHECK(!rename(model_file(dir, from).s, model_file(dir, to).s));
}

#define M0 "model0-mp2.safetensors"
#define M1 "model1-mp2.safetensors"

static void swapped(void)
{
	struct check_opts o = verify_opts();
	const struct report_finding *f;
	struct path d;
	struct report r;

	make();
	d = copy_of(off.s);
	rename_in(d.s, M0, "t");
	rename_in(d.s, M1, M0);
	rename_in(d.s, "t", M1);
	CHECK(verify_check(&r, d.s, &o) == 1);
	f = verify_find(&r, "check.sha256", M0);
	CHECK(f && strstr(f->cause, "these are the bytes of " M1));
	CHECK(verify_find(&r, "check.sha256", M1) && verify_find(&r, "check.chunk", M1));
	report_free(&r);
	/* with their sidecars */
	rename_in(d.s, M0 MAN_SIDECAR, "t");
	rename_in(d.s, M1 MAN_SIDECAR, M0 MAN_SIDECAR);
	rename_in(d.s, "t", M1 MAN_SIDECAR);
	CHECK(verify_false(d.s, &o, "set.size", M0 MAN_SIDECAR));
	CHECK(verify_false(d.s, &o, "check.sha256", M1));
}

/* A file, with or without its sidecar, of a run over other weights. */
static void stale(void)
{
	struct check_opts o = verify_opts();
	struct path m = model_copy(FLASH, "other"), other = dirs_path("other-off"), d;
	struct model_job j = model_job("official", 2);
	size_t n;
	uint8_t *p = file_get_all(model_file(m.s, "model-00001-of-00007.safetensors").s, &n);

	make();
	p[n - 2] ^= 1; /* a weight of the embedding */
	model_put(m.s, "model-00001-of-00007.safetensors", p, n);
	free(p);
	CHECK(convert(&j, m.s, other.s));
	d = copy_of(off.s);
	p = file_get_all(model_file(other.s, M1).s, &n);
	model_put(d.s, M1, p, n);
	free(p);
	CHECK(verify_false(d.s, &o, "check.chunk", M1));
	p = file_get_all(model_file(other.s, M1 MAN_SIDECAR).s, &n);
	model_put(d.s, M1 MAN_SIDECAR, p, n);
	free(p);
	CHECK(verify_false(d.s, &o, "set.manifest", M1 MAN_SIDECAR));
	CHECK(verify_false(d.s, &o, "check.sha256", M1));
	o.quick = true;
	CHECK(verify_false(d.s, &o, "set.manifest", M1 MAN_SIDECAR));
}

/* Cut off at every 4 KiB: how long it should be, and which tensors are gone. */
static void cut(void)
{
	struct check_opts o = verify_opts();
	const struct report_finding *f;
	struct path d, file;
	struct report r;
	off_t at, n;
	struct stat st;

	make();
	d = copy_of(hf.s);
	file = model_file(d.s, SMALL);
	CHECK(!stat(file.s, &st));
	n = st.st_size;
	for (at = (n - 1) / 4096 * 4096; at >= 0; at -= 4096) {
		CHECK(!truncate(file.s, at));
		CHECK(verify_check(&r, file.s, &o) == 1);
		f = verify_find(&r, "set.size", SMALL);
		CHECK(f && f->at.from == (uint64_t)at && f->at.to == (uint64_t)n &&
			f->at.n_tensors > 0);
		report_free(&r);
	}
	CHECK(!truncate(model_file(d.s, SMALL MAN_SIDECAR).s, 100));
	CHECK(verify_false(d.s, &o, "set.size", SMALL MAN_SIDECAR));
	CHECK(!truncate(model_file(d.s, MAN_NAME).s, 100));
	CHECK(verify_false(d.s, &o, "json.cut", MAN_NAME));
}

/* The folder is sound, and check says that it does not know the file. */
static bool warned(const char *dir, const struct check_opts *o, const char *file)
{
	struct report r;
	int rc = verify_check(&r, dir, o);
	bool ok = rc == 0 && verify_find(&r, "check.unknown", file);

	report_free(&r);
	return ok;
}

/* What people, systems and signing put beside a conversion is none of it; what only has such a name is. */
static void beside(const char *dir, const struct check_opts *o)
{
	static const char *const fine[] = { "LICENSE", "README.md", ".DS_Store", "model.sig",
		"attestation.json", "manifest.json.minisig" };
	size_t i;

	for (i = 0; i < sizeof fine / sizeof *fine; i++)
		model_put(dir, fine[i], "x", 1);
	CHECK(!mkdir(model_file(dir, "lost+found").s, 0700) &&
		!mkdir(model_file(dir, ".cache").s, 0777));
	CHECK(verify_true(dir, o));
	for (i = 0; i < sizeof fine / sizeof *fine; i++)
		CHECK(!unlink(model_file(dir, fine[i]).s));
	for (i = 0; i < sizeof fine / sizeof *fine; i++) {
		CHECK(!mkdir(model_file(dir, fine[i]).s, 0777));
		CHECK_IN(fine[i], verify_false(dir, o, "check.extra", fine[i]));
		CHECK(!rmdir(model_file(dir, fine[i]).s));
		CHECK(!mkfifo(model_file(dir, fine[i]).s, 0777));
		CHECK_IN(fine[i], verify_false(dir, o, "check.extra", fine[i]));
		CHECK(!unlink(model_file(dir, fine[i]).s));
		CHECK(!symlink("config.json", model_file(dir, fine[i]).s));
		CHECK_IN(fine[i], verify_false(dir, o, "check.extra", fine[i]));
		CHECK(!unlink(model_file(dir, fine[i]).s));
	}
}

static void names(void)
{
	struct check_opts o = verify_opts();
	struct report r;
	struct path d;

	make();
	d = copy_of(off.s);
	model_put(d.s, "extra.bin", "x", 1);
	CHECK(verify_false(d.s, &o, "check.extra", "extra.bin"));
	unlink(model_file(d.s, "extra.bin").s);
	model_put(d.s, "." M0 ".part", "x", 1);
	CHECK(warned(d.s, &o, "." M0 ".part"));
	unlink(model_file(d.s, "." M0 ".part").s);
	beside(d.s, &o);
	unlink(model_file(d.s, M1 MAN_SIDECAR).s);
	CHECK(verify_false(d.s, &o, "check.missing", M1 MAN_SIDECAR));
	unlink(model_file(d.s, M0).s);
	CHECK(verify_false(d.s, &o, "check.missing", M0));
	CHECK(!symlink(M1, model_file(d.s, M0).s));
	CHECK(verify_false(d.s, &o, "file.symlink", M0));
	unlink(model_file(d.s, M0).s);
	CHECK(!mkfifo(model_file(d.s, M0).s, 0666));
	CHECK(verify_false(d.s, &o, "file.not-regular", M0));
	unlink(model_file(d.s, MAN_NAME).s);
	CHECK(!mkfifo(model_file(d.s, MAN_NAME).s, 0666));
	CHECK(verify_false(d.s, &o, "file.not-regular", MAN_NAME));
	unlink(model_file(d.s, MAN_NAME).s);
	CHECK(verify_check(&r, model_file(d.s, M1).s, &o) == 2 &&
		verify_find(&r, "check.alone", NULL));
	report_free(&r);
	model_put(d.s, ".dsv4-plan", "x\n", 2);
	CHECK(verify_false(d.s, &o, "check.unfinished", NULL));
	CHECK(verify_check(&r, "/nonexistent", &o) == 2);
	report_free(&r);
}

static void sets(void)
{
	struct check_opts o = verify_opts();
	struct path d;
	char line[1200];

	make();
	d = copy_of(set.s);
	model_put(d.s, "x", "x", 1);
	CHECK(warned(d.s, &o, "x"));
	unlink(model_file(d.s, "x").s);
	model_put(d.s, "x.json", "x", 1);
	CHECK(verify_false(d.s, &o, "check.extra", "x.json"));
	unlink(model_file(d.s, "x.json").s);
	beside(d.s, &o);
	rename_in(d.s, "rank-0-of-2", "t");
	CHECK(verify_false(d.s, &o, "check.missing", "rank-0-of-2"));
	o.rank = "1";
	CHECK(verify_true(d.s, &o));
	o.rank = NULL;
	/* a rank in the place of another; a link to one */
	rename_in(d.s, "rank-1-of-2", "rank-0-of-2");
	rename_in(d.s, "t", "rank-1-of-2");
	CHECK(verify_false(d.s, &o, "set.manifest", "rank-1-of-2/" MAN_NAME));
	d = copy_of(set.s);
	rename_in(d.s, "rank-0-of-2", "rank-0");
	CHECK(!symlink("rank-0", model_file(d.s, "rank-0-of-2").s));
	CHECK(verify_false(d.s, &o, "file.symlink", "rank-0-of-2"));
	d = copy_of(tp.s);
	CHECK(verify_true(d.s, &o));
	model_put(d.s, "pp-0-of-2/x.safetensors", "x", 1);
	CHECK(verify_false(d.s, &o, "check.extra", "pp-0-of-2/x.safetensors"));
	unlink(model_file(d.s, "pp-0-of-2/x.safetensors").s);
	CHECK(!mkdir(model_file(d.s, "pp-1-of-2/rank-9-of-9").s, 0777));
	CHECK(verify_false(d.s, &o, "check.extra", "pp-1-of-2/rank-9-of-9"));
	rmdir(model_file(d.s, "pp-1-of-2/rank-9-of-9").s);
	CHECK(verify_true(d.s, &o));
	snprintf(line, sizeof line, "cd %s && mv pp-0-of-2 pp && ln -s pp pp-0-of-2", d.s);
	CHECK(!system(line));
	CHECK(verify_false(d.s, &o, "file.symlink", "pp-0-of-2/rank-0-of-1"));
}

/* What a conversion keeps for the way back. */
static void kept(void)
{
	static const char dropped[] = "model-00002-of-00007.safetensors.dropped";
	struct check_opts o = verify_opts();
	struct path d, source;
	uint8_t *p;
	size_t n;

	make();
	d = copy_of(hf8.s);
	source = model_file(d.s, "source");
	p = file_get_all(model_file(d.s, dropped).s, &n);
	p[n / 2] ^= 1;
	model_put(d.s, dropped, p, n);
	CHECK(verify_false(d.s, &o, "check.sha256", dropped));
	model_put(d.s, dropped, p, n - 1);
	CHECK(verify_false(d.s, &o, "set.size", dropped));
	unlink(model_file(d.s, dropped).s);
	CHECK(verify_false(d.s, &o, "check.missing", dropped));
	p[n / 2] ^= 1;
	model_put(d.s, dropped, p, n);
	CHECK(verify_true(d.s, &o));
	model_put(d.s, SMALL ".dropped", p, n);
	CHECK(verify_false(d.s, &o, "check.extra", SMALL ".dropped"));
	unlink(model_file(d.s, SMALL ".dropped").s);
	free(p);
	p = file_get_all(model_file(source.s, SMALL ".header").s, &n);
	p[9] ^= 1;
	model_put(source.s, SMALL ".header", p, n);
	free(p);
	CHECK(verify_false(d.s, &o, "check.sha256", "source/" SMALL ".header"));
	unlink(model_file(source.s, MAN_NAME).s);
	CHECK(verify_false(d.s, &o, "check.missing", "source/" MAN_NAME));
	rename_in(d.s, "source", "sauce");
	CHECK(verify_false(d.s, &o, "check.missing", "source"));
	CHECK(verify_false(d.s, &o, "check.extra", "sauce"));
}

static const struct test tests[] = {
	{ "check: files exchanged", swapped },
	{ "check: files of another run", stale },
	{ "check: files cut off", cut },
	{ "check: names", names },
	{ "check: sets", sets },
	{ "check: what is kept for the way back", kept },
	{ NULL, NULL },
};
TEST_MAIN(tests)
