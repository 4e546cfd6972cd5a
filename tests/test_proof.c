/* test_proof.c -- a source that somebody touches during a run: modes, links and times that change nothing end well,
 * bytes that change do not, however they are hidden.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/run/proof.h"
#include "tests/faultio.h"
#include "tests/set.h"

#define SHARD "model-00003-of-00007.safetensors"

enum touch { MODE, LINK, TIME, CONFIG_MODE, HIDDEN, OPEN_WRITE, TOUCHES };
static const char *const touch_names[TOUCHES] = { "mode", "link made and removed", "time",
	"mode of config.json", "byte changed and time put back", "byte changed" };

struct toucher {
	const char *dir;
	enum touch how;
	uint64_t at;         /* before which pread */
	bool always;         /* before each later one too */
	unsigned done, told; /* touches; runs that ended with ckpt.changed */
};

/* Turns a bit of the payload; put_back: the time of the file is what it was. */
static void turn(const char *path, bool put_back)
{
	struct timespec t[2];
	struct stat st;
	int fd = open(path, O_RDWR);
	uint8_t b;

	if (fd < 0 || fstat(fd, &st) || pread(fd, &b, 1, st.st_size / 2) != 1)
		exit(2);
	b ^= 1;
	t[0] = st.st_atim;
	t[1] = st.st_mtim;
	if (pwrite(fd, &b, 1, st.st_size / 2) != 1 || (put_back && futimens(fd, t)) || close(fd))
		exit(2);
}

static void touch(struct faultio *f, enum io_op op, const char *name)
{
	struct toucher *t = f->ctx;
	struct path shard = model_file(t->dir, SHARD), other = model_file(t->dir, "other");
	struct stat st;
	int rc = 0;

	(void)name;
	if (op != IO_PREAD || f->calls[IO_PREAD] + 1 < t->at || (t->done && !t->always))
		return;
	t->done++;
	switch (t->how) {
	case MODE:
		rc = stat(shard.s, &st) || chmod(shard.s, st.st_mode ^ 0020);
		break;
	case LINK:
		rc = link(shard.s, other.s) || unlink(other.s);
		break;
	case TIME:
		rc = utimensat(AT_FDCWD, shard.s, NULL, 0);
		break;
	case CONFIG_MODE:
		shard = model_file(t->dir, "config.json");
		rc = stat(shard.s, &st) || chmod(shard.s, st.st_mode ^ 0020);
		break;
	case HIDDEN:
	case OPEN_WRITE:
	case TOUCHES:
		turn(shard.s, t->how == HIDDEN);
	}
	if (rc)
		exit(2);
}

/* The conversion through io, as the verb run does it. */
static int prove(const struct io *io, const char *from, const char *out, struct run_result *r,
	struct err *e)
{
	struct job_opts o = set_opts("hf", 0, false);
	const struct proof_source src = { .io = io, .dir = from, .o = &o };
	struct run_opts ro = { .out = out, .tool = "test 0" };
	struct job j;
	int rc;

	o.plan.share = (struct share){ 0 };
	o.threads = 1;
	memset(e, 0, sizeof *e);
	memset(r, 0, sizeof *r);
	if (job_open(&j, io, from, &o, e))
		return -1;
	ro.budget = j.b;
	rc = proof_run(&j, &src, &ro, r, e);
	run_result_free(r);
	job_close(&j);
	return rc;
}

static bool same_folders(const char *a, const char *b)
{
	char line[1100];

	snprintf(line, sizeof line, "diff -r %s %s >&2", a, b);
	return !system(line);
}

static struct path own_source(void)
{
	struct path dir = dirs_new("src");

	model_fill(FLASH, dir.s, false);
	return dir;
}

/* One touch before that read. What is published must be what the source is now. */
static void once(struct toucher *t, const char *clean)
{
	struct path src = own_source(), out = dirs_path("out"), now = dirs_path("now");
	struct run_result r;
	struct faultio f;
	struct err e, ignored;
	char what[100];
	int rc;

	snprintf(what, sizeof what, "%s before read %llu", touch_names[t->how],
		(unsigned long long)t->at);
	dirs_remove(out.s);
	dirs_remove(now.s);
	t->dir = src.s;
	t->done = 0;
	faultio_make(&f);
	f.hook = touch;
	f.ctx = t;
	rc = prove(&f.io, src.s, out.s, &r, &e);
	CHECK_IN(what, t->done == 1);
	if (t->how < HIDDEN) {
		CHECK_IN(what, !rc && same_folders(out.s, clean));
		if (rc)
			fprintf(stderr, "%s: %s\n", what, e.text);
		return;
	}
	if (rc) { /* what was read before and after is not of one source: said, and mended by the same call */
		CHECK_IN(e.text,
			err_exit_code(&e) == 2 && e.rule && !strcmp(e.rule, "ckpt.changed"));
		CHECK_IN(what, !is_file(model_file(out.s, "manifest.json").s));
		t->told++;
		CHECK_IN(what, !prove(io_posix(), src.s, out.s, &r, &e));
	}
	CHECK_IN(what,
		!prove(io_posix(), src.s, now.s, &r, &ignored) && same_folders(out.s, now.s));
}

static uint64_t reads(const char *out, uint64_t *open)
{
	struct path src = own_source();
	struct run_result r;
	struct faultio f;
	struct err e;

	faultio_make(&f);
	f.op = IO_MKDIR; /* the first call of the run itself */
	f.at = 1;
	CHECK(prove(&f.io, src.s, out, &r, &e));
	*open = f.calls[IO_PREAD];
	faultio_make(&f);
	CHECK(!prove(&f.io, src.s, out, &r, &e));
	return f.calls[IO_PREAD];
}

static void touches(void)
{
	struct path clean = dirs_path("clean");
	struct toucher t = { 0 };
	uint64_t open, all, how;

	all = reads(clean.s, &open);
	CHECK(all > open + 20);
	for (how = 0; how < TOUCHES; how++)
		for (t.at = open + 1; t.at <= all; t.at += 1 + (all - open) / 7) {
			t.how = (enum touch)how;
			once(&t, clean.s);
		}
	CHECK(t.told >= 4); /* bytes that were read before they were changed */
}

/* Somebody who does not stop: what is finished stays, and is kept by the next call. */
static void without_end(void)
{
	struct path src = own_source(), out = dirs_path("out"), clean = dirs_path("clean");
	struct toucher t = { .dir = src.s, .how = MODE, .always = true };
	struct run_result r;
	struct faultio f;
	struct err e;
	uint64_t open;

	dirs_remove(out.s);
	reads(clean.s, &open);
	t.at = open + 1;
	faultio_make(&f);
	f.hook = touch;
	f.ctx = &t;
	CHECK(prove(&f.io, src.s, out.s, &r, &e));
	CHECK_IN(e.text, e.rule && !strcmp(e.rule, "ckpt.touched") && err_exit_code(&e) == 2);
	CHECK(is_file(model_file(out.s, SHARD).s) &&
		!is_file(model_file(out.s, "manifest.json").s));
	CHECK(!prove(io_posix(), src.s, out.s, &r, &e) && same_folders(out.s, clean.s));
}

static const struct test tests[] = {
	{ "touches", touches },
	{ "without_end", without_end },
	{ NULL, NULL },
};
TEST_MAIN(tests)
