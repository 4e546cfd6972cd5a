/* test_partial.c -- a run that is told to stop goes on in its unfinished files, and believes nothing of them that it has
 * not looked at.
 *
 * SPDX-License-Identifier: MIT */
#include "core/file.h"
#include "formats/format_id.h"
#include "tests/set.h"

#include <fcntl.h>
#include <stdatomic.h>

/* --- stopping: after so many writes --- */

static volatile sig_atomic_t stop;
static atomic_uint writes, stop_at;

static ssize_t counted(const struct io *io, int fd, const void *p, size_t n, off_t at)
{
	if (atomic_fetch_add(&writes, 1) + 1 == atomic_load(&stop_at))
		stop = 1;
	return io_posix()->pwrite(io, fd, p, n, at);
}

static struct io counting(void)
{
	struct io io = *io_posix();

	io.pwrite = counted;
	return io;
}

/* Runs j up to the at-th write; at 0: to its end. */
static int run_to(struct model_job *j, const char *from, const char *out, unsigned at,
	struct err *e)
{
	struct io io = counting();
	int rc;

	stop = 0;
	atomic_store(&writes, 0);
	atomic_store(&stop_at, at);
	j->io = &io;
	j->stop = &stop;
	rc = model_convert(j, from, out, e);
	j->io = io_posix();
	j->stop = NULL;
	return rc;
}

static bool same_tree(const char *a, const char *b)
{
	char line[1200];

	snprintf(line, sizeof line, "diff -r '%s' '%s'", a, b);
	return !system(line);
}

static struct model_job job_of(const char *target, uint64_t ranks, unsigned threads)
{
	struct model_job j = model_job(target, ranks);

	j.threads = threads;
	j.piece = 4096;
	j.plan.back = true;
	if (engine_find(target))
		j.plan.share = (struct share){ .ranks = ranks, .stages = 1 };
	return j;
}

/* Stops j once at each of some points; then at many points one after the other, until it is done. */
static void stop_and_go(const char *target, uint64_t ranks, enum codec experts, unsigned threads)
{
	struct path want = dirs_gone("want"), out = dirs_gone("out");
	struct model_job j = job_of(target, ranks, threads);
	bool gguf = !strcmp(target,
		"gguf"); /* of this model it keeps scales beside it, and begins anew */
	uint64_t went_on = 0;
	unsigned all, i;
	char what[64];
	struct err e;

	snprintf(what, sizeof what, "%s, %u threads", target, threads);
	j.plan.experts = experts;
	j.plan.back = !gguf;
	CHECK_IN(what, !run_to(&j, PRO, want.s, 0, &e));
	all = atomic_load(&writes);
	for (i = 1; i < 8; i++) {
		CHECK_IN(what,
			run_to(&j, PRO, out.s, 1 + rnd(all * i / 8), &e) == -1 &&
				strstr(e.text, "interrupted"));
		CHECK_IN(e.text, strstr(e.text, "finished and stay")); /* says what is kept */
		CHECK_IN(what, convert(&j, PRO, out.s) && !j.anew.n && same_tree(want.s, out.s));
		went_on += j.result.went_on_bytes;
		dirs_remove(out.s);
	}
	CHECK_IN(what, went_on > 0);
	for (i = 0; i < 200 && run_to(&j, PRO, out.s, all / 5, &e); i++)
		CHECK_IN(what, strstr(e.text, "interrupted"));
	CHECK_IN(what, i > 1 && i < 200 && same_tree(want.s, out.s));
	dirs_remove(want.s);
	dirs_remove(out.s);
}

static void anywhere(void)
{
	unsigned threads;

	for (threads = 1; threads <= 2; threads++) {
		stop_and_go("official", 1, CODEC_NONE, threads);
		stop_and_go("official", 2, CODEC_FP8, threads);
		stop_and_go("hf", 1, CODEC_NONE, threads);
		stop_and_go("marlin-mxfp4", 2, CODEC_NONE, threads);
		stop_and_go("trtllm-mxfp4", 1, CODEC_NONE, threads);
		stop_and_go("gguf", 1, CODEC_NONE, threads);
	}
}

/* What casts dropped lies in a file of its own: such a file may begin anew, and ends the same. */
static void with_dropped(void)
{
	struct path want = dirs_gone("want"), out = dirs_gone("out");
	struct model_job j = job_of("hf", 1, 2);
	unsigned all, i;
	struct err e;

	j.plan.experts = CODEC_FP8;
	CHECK(!run_to(&j, PRO, want.s, 0, &e));
	all = atomic_load(&writes);
	for (i = 1; i < 6; i++) {
		CHECK(run_to(&j, PRO, out.s, all * i / 6, &e) == -1);
		CHECK(convert(&j, PRO, out.s) && same_tree(want.s, out.s));
		dirs_remove(out.s);
	}
}

/* --- damage --- */

/* The temporary name in out of file name or of its record; "" if there is none. */
static struct path part_in(const char *out, const char *name)
{
	struct path p = { "" };
	struct dirent *d;
	char bare[256];
	DIR *h = opendir(out);

	while (h && (d = readdir(h)))
		if (file_is_part(d->d_name, bare) && !strcmp(bare, name))
			p = model_file(out, d->d_name);
	if (h)
		closedir(h);
	return p;
}

#define DATA "model0-mp1.safetensors"
#define RECORD DATA MAN_SIDECAR

static void change_byte(const char *path, long at)
{
	FILE *f = fopen(path, "r+");
	int c = EOF;

	CHECK_IN(path, f && !fseek(f, at, at < 0 ? SEEK_END : SEEK_SET) && (c = fgetc(f)) >= 0);
	CHECK(f && !fseek(f, -1, SEEK_CUR) && fputc(c ^ 1, f) >= 0);
	CHECK(f && !fclose(f));
}

enum damage {
	DATA_FIRST,
	DATA_MIDDLE,
	DATA_LINK,
	DATA_TWO_NAMES,
	DATA_SHORT,
	DATA_GONE,
	RECORD_TEXT,
	RECORD_SEAL,
	RECORD_SOURCE,
	RECORD_ID,
	RECORD_SHORT,
	RECORD_EMPTY,
	RECORD_GONE,
	VERSION,
	SOURCE_TOUCHED,
	DAMAGES
};

/* Whether the next run says that it begins a file anew. What has no record, or nothing to it, is only removed. */
static bool damage(enum damage what, const char *in, const char *out)
{
	struct path data = part_in(out, DATA), record = part_in(out, RECORD),
		    other = dirs_path("other");
	struct stat st;

	CHECK(data.s[0] && record.s[0] && !stat(record.s, &st));
	switch (what) {
	case DATA_FIRST:
	case DATA_MIDDLE:
		change_byte(data.s, what == DATA_FIRST ? 0 : 40000);
		return true;
	case DATA_LINK:
		CHECK(!rename(data.s, other.s) && !symlink(other.s, data.s));
		return false;
	case DATA_TWO_NAMES:
		unlink(other.s);
		CHECK(!link(data.s, other.s));
		return true;
	case DATA_SHORT:
		CHECK(!truncate(data.s, 50000));
		return true;
	case DATA_GONE:
		CHECK(!unlink(data.s));
		return false;
	case RECORD_TEXT:
		change_byte(record.s, 300);
		return true;
	case RECORD_SEAL:
	case RECORD_SOURCE:
	case RECORD_ID:
		change_byte(record.s,
			what == RECORD_SEAL             ? -20
				: what == RECORD_SOURCE ? -90
							: -140);
		return true;
	case RECORD_SHORT:
	case RECORD_EMPTY:
		CHECK(!truncate(record.s, what == RECORD_EMPTY ? 0 : st.st_size - 7));
		return true;
	case RECORD_GONE:
		CHECK(!unlink(record.s));
		return false;
	case VERSION: /* the caller has another one */
		return true;
	default:
		CHECK(!utimensat(AT_FDCWD, model_file(in, "model-00002-of-00006.safetensors").s,
			NULL, 0));
		return true;
	}
}

static void damaged(void)
{
	struct path in = model_copy(PRO, "in"), want = dirs_gone("want"), out = dirs_gone("out");
	struct model_job j = job_of("official", 1, 1);
	enum damage what;
	char name[32];
	unsigned all;
	bool says;
	struct err e;

	CHECK(!run_to(&j, in.s, want.s, 0, &e));
	all = atomic_load(&writes);
	for (what = 0; what < DAMAGES; what++) {
		snprintf(name, sizeof name, "damage %d", (int)what);
		j.tool = what == VERSION ? "test 1" : NULL;
		CHECK_IN(name, run_to(&j, in.s, out.s, all * 3 / 4, &e) == -1);
		j.tool = NULL;
		says = damage(what, in.s, out.s);
		CHECK_IN(name, convert(&j, in.s, out.s) && same_tree(want.s, out.s));
		CHECK_IN(name, j.anew.n == says && !j.result.went_on);
		dirs_remove(out.s);
		unlink(dirs_path("other").s);
	}
}

/* A record and a file of another rank under the names of this one: the same token, the wrong bytes. */
static void foreign(void)
{
	struct path want = dirs_gone("want"), out = dirs_gone("out"), a, b, c, d;
	struct model_job j = job_of("official", 2, 1);
	struct err e;
	unsigned all;
	char *at;

	CHECK(!run_to(&j, PRO, want.s, 0, &e));
	all = atomic_load(&writes);
	CHECK(run_to(&j, PRO, out.s, all * 3 / 4, &e) == -1);
	a = part_in(out.s, "model0-mp2.safetensors");
	b = part_in(out.s, "model0-mp2.safetensors" MAN_SIDECAR);
	c = part_in(out.s, "model1-mp2.safetensors");
	d = part_in(out.s, "model1-mp2.safetensors" MAN_SIDECAR);
	CHECK(a.s[0] && b.s[0] && c.s[0] && d.s[0] && !unlink(c.s) && !unlink(d.s));
	c = a;
	d = b;
	at = strstr(c.s, "model0");
	at[5] = '1';
	at = strstr(d.s, "model0");
	at[5] = '1';
	CHECK(!rename(a.s, c.s) && !rename(b.s, d.s));
	CHECK(convert(&j, PRO, out.s) && same_tree(want.s, out.s));
	CHECK(j.anew.n == 1 && strstr(j.anew.why, "another plan"));
}

/* Chunks of 16 MiB, and what lies between them. */
static void large(void)
{
	struct path in = dirs_path("big"), want = dirs_gone("want"), out = dirs_gone("out");
	struct model_job j = job_of("official", 1, 2);
	char args[1024];
	unsigned all, i;
	struct err e;

	snprintf(args, sizeof args,
		"%s --config tests/configs/flash.json --set num_hidden_layers=1 --set "
		"'compress_ratios=[0]' --set num_nextn_predict_layers=0 --set num_hash_layers=0 "
		"--set vocab_size=1024 --set n_routed_experts=8",
		in.s);
	CHECK(!model_tool("mkmodel", args));
	j.piece = 0;
	CHECK(!run_to(&j, in.s, want.s, 0, &e));
	all = atomic_load(&writes);
	for (i = 1; i < 4; i++) {
		CHECK(run_to(&j, in.s, out.s, all * i / 4, &e) == -1);
		CHECK(convert(&j, in.s, out.s) && j.result.went_on == 1 &&
			same_tree(want.s, out.s));
		dirs_remove(out.s);
	}
	CHECK(run_to(&j, in.s, out.s, all / 2, &e) == -1);
	change_byte(part_in(out.s, DATA).s, 20 << 20);
	CHECK(convert(&j, in.s, out.s) && j.anew.n == 1 && same_tree(want.s, out.s));
}

static const struct test tests[] = {
	{ "anywhere", anywhere },
	{ "with_dropped", with_dropped },
	{ "damaged", damaged },
	{ "foreign", foreign },
	{ "large", large },
	{ NULL, NULL },
};
TEST_MAIN(tests)
