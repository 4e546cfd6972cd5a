/* test_owned.c -- --overwrite over a conversion of another shape: what that says is its own goes, all else stays and is
 * refused, and a kill in between is made good by the same call.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/out/owned.h"
#include "tests/faultio.h"
#include "tests/set.h"

/* --- conversions --- */

struct shape {
	const char *target;
	uint64_t mp, ranks, stages;
	bool fp8;
};
static const struct shape shapes[] = {
	{ "official", 2, 0, 0, false },
	{ "hf", 1, 0, 0, true },
	{ "marlin-mxfp4", 1, 2, 1, false },
	{ "trtllm-mxfp4", 1, 1, 2, false },
	{ "official", 1, 0, 0, true },
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* What the verb run does. */
static int make(const struct io *io, const struct shape *s, const char *out, bool overwrite,
	struct err *e)
{
	struct job_opts o = set_opts(s->target, s->ranks, false);
	struct run_opts ro = { .out = out, .overwrite = overwrite, .tool = "test 0" };
	struct run_result r;
	struct job j;
	int rc;

	o.plan.ranks = s->mp;
	o.plan.share.stages = s->stages;
	o.plan.experts = s->fp8 ? CODEC_FP8 : o.plan.experts;
	o.threads = 1;
	memset(e, 0, sizeof *e);
	if (job_open(&j, io, PRO, &o, e))
		return -1;
	ro.budget = j.b;
	rc = run_conversion(&j.conversion, &ro, &r, e);
	run_result_free(&r);
	job_close(&j);
	return rc;
}

static void made(const struct shape *s, const char *out, bool overwrite)
{
	struct err e;

	if (make(io_posix(), s, out, overwrite, &e))
		FAILED(e.text);
}

static bool same_folders(const char *a, const char *b)
{
	char line[1100];

	snprintf(line, sizeof line, "diff -r %s %s >&2", a, b);
	return !system(line);
}

static struct path copy_of(const char *from, const char *name)
{
	struct path to = dirs_path(name);
	char line[1100];

	dirs_remove(to.s);
	snprintf(line, sizeof line, "cp -a %s %s", from, to.s);
	if (system(line))
		exit(2);
	return to;
}

/* The conversion of that shape, made once. */
static struct path fresh(unsigned k)
{
	struct path p;
	char name[32];

	snprintf(name, sizeof name, "fresh%u", k);
	p = dirs_path(name);
	if (!is_file(p.s))
		made(&shapes[k], p.s, false);
	return p;
}

/* --- */

static void every_pair(void)
{
	struct path out, want, had;
	unsigned a, b;
	struct err e;

	for (a = 0; a < SHAPES; a++)
		for (b = 0; b < SHAPES; b++) {
			if (a == b)
				continue;
			had = fresh(a);
			want = fresh(b);
			out = copy_of(had.s, "out");
			CHECK(make(io_posix(), &shapes[b], out.s, false, &e));
			CHECK_IN(e.text,
				e.rule && !strncmp(e.rule, "out.", 4) &&
					strstr(e.text, "--overwrite") &&
					same_folders(out.s, had.s));
			made(&shapes[b], out.s, true);
			CHECK_IN(shapes[b].target, same_folders(out.s, want.s));
		}
}

/* The call with --overwrite is refused by that rule, and nothing has changed. */
static void refused(const struct shape *s, const char *out, const char *rule)
{
	struct path before = copy_of(out, "before");
	struct err e;

	CHECK(make(io_posix(), s, out, true, &e));
	CHECK_IN(e.text, e.rule && !strcmp(e.rule, rule));
	CHECK_IN(e.text, same_folders(out, before.s));
}

/* Gives a manifest another byte in the name of the tool: its seal, or the digest above it, does not fit. */
static void edit(const char *path)
{
	size_t n;
	uint8_t *p = file_get_all(path, &n);
	char *at = p ? memmem(p, n, "\"test 0\"", 8) : NULL;

	if (!at)
		exit(2);
	at[6] = '1';
	file_put_all(path, p, n);
	free(p);
}

static void not_its_own(void)
{
	struct path set = fresh(2), out;

	out = copy_of(set.s, "out"); /* beside it, and in a folder of it */
	model_put(out.s, "x.safetensors", "mine", 4);
	refused(&shapes[0], out.s, "out.foreign");
	out = copy_of(set.s, "out");
	model_put(out.s, "rank-1-of-2/x.txt", "mine", 4);
	refused(&shapes[0], out.s, "out.foreign");
	out = copy_of(set.s, "out");
	if (mkdir(model_file(out.s, "rank-1-of-2/empty").s, 0777))
		exit(2);
	refused(&shapes[0], out.s, "out.foreign");
	out = copy_of(set.s, "out"); /* a link with the name of one of its files */
	unlink(model_file(out.s, "rank-1-of-2/config.json").s);
	if (symlink("../source/config.json", model_file(out.s, "rank-1-of-2/config.json").s))
		exit(2);
	refused(&shapes[0], out.s, "out.foreign");
	out = copy_of(set.s, "out"); /* documents that were edited say nothing */
	edit(model_file(out.s, "manifest.json").s);
	refused(&shapes[0], out.s, "out.foreign");
	out = copy_of(set.s, "out");
	edit(model_file(out.s, "rank-0-of-2/manifest.json").s);
	refused(&shapes[0], out.s, "out.foreign");
	out = copy_of(set.s, "out"); /* a conversion that was not finished */
	unlink(model_file(out.s, "manifest.json").s);
	refused(&shapes[0], out.s, "out.foreign");
	out = copy_of(set.s, "out"); /* what people put beside a model stays */
	model_put(out.s, "LICENSE", "mine", 4);
	made(&shapes[0], out.s, true);
	CHECK(is_file(model_file(out.s, "LICENSE").s) &&
		!is_file(model_file(out.s, "rank-0-of-2").s));
}

/* A run that is refused for another reason removes nothing. */
static void not_accepted(void)
{
	struct path set = fresh(2), out = copy_of(set.s, "out");
	struct faultio f;
	struct err e;

	faultio_make(&f);
	f.room = 1;
	f.op = IO_LOCK;
	f.at = 1;
	f.error = EWOULDBLOCK;
	CHECK(make(&f.io, &shapes[0], out.s, true, &e) && same_folders(out.s, set.s));
	CHECK_IN(e.text, e.rule && !strcmp(e.rule, "out.locked"));
}

/* Killed at each removal, and when the first file is written. */
static void killed(void)
{
	struct path out, want;
	struct faultio f;
	struct err e;
	unsigned a, b;
	uint64_t at;

	for (a = 1; a <= 3; a++) {
		b = a == 2 ? 0 : 2;
		want = fresh(b);
		for (at = 1;; at += 1 + at / 6) {
			out = copy_of(fresh(a).s, "out");
			faultio_make(&f);
			f.op = IO_UNLINK;
			f.at = at;
			f.error = EIO;
			f.forever = true;
			if (!make(&f.io, &shapes[b], out.s, true, &e))
				break; /* it removed less */
			made(&shapes[b], out.s, true);
			CHECK_IN(e.text, same_folders(out.s, want.s));
		}
		CHECK(at > 10);
	}
}

/* A signature of the old conversion is never passed over, whatever cannot be looked at. */
static void not_looked_at(void)
{
	static const enum io_op calls[] = { IO_LSTAT, IO_OPEN, IO_FSTAT, IO_LIST, IO_PREAD };
	struct path out = copy_of(fresh(1).s, "out"), sig = model_file(out.s, "model.sig"), had;
	struct faultio f;
	struct err e;
	uint64_t at, n;
	size_t i;

	file_put_all(sig.s, "{}", 2);
	had = copy_of(out.s, "had");
	for (i = 0; i < sizeof calls / sizeof *calls; i++) {
		faultio_make(&f);
		CHECK(make(&f.io, &shapes[0], out.s, true, &e) && e.rule &&
			!strcmp(e.rule, "out.stale"));
		n = f.calls[calls[i]];
		CHECK(n > 0);
		for (at = 1; at <= n; at++) {
			faultio_make(&f);
			f.op = calls[i];
			f.at = at;
			f.error = EIO;
			out = copy_of(had.s, "out");
			CHECK_IN(io_names[calls[i]], make(&f.io, &shapes[0], out.s, true, &e));
			CHECK_IN(e.text, same_folders(out.s, had.s));
		}
	}
}

static const struct test tests[] = {
	{ "every_pair", every_pair },
	{ "not_its_own", not_its_own },
	{ "not_accepted", not_accepted },
	{ "not_looked_at", not_looked_at },
	{ "killed", killed },
	{ NULL, NULL },
};
TEST_MAIN(tests)
