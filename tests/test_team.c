/* test_team.c -- threads in teams: whatever their number, that of lanes and that of pieces, the same bytes come out;
 * and whatever goes wrong in one of them, all end.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/set.h"

#include <sys/resource.h>
#include <sys/wait.h>

static bool same_tree(const char *a, const char *b)
{
	char line[1200];

	snprintf(line, sizeof line, "diff -r '%s' '%s'", a, b);
	return !system(line);
}

static struct model_job job_of(const char *target, uint64_t ranks)
{
	struct model_job j = model_job(target, ranks);

	j.plan.back = true;
	if (engine_find(target))
		j.plan.share = (struct share){ .ranks = ranks, .stages = 1 };
	return j;
}

static struct budget any_crew(void)
{
	struct budget b = { .threads = 1 + rnd(5), .ring = 1 + rnd(3) };

	b.teams = 1 + rnd(b.threads);
	b.lanes = 1 + rnd(16);
	b.own = rnd(2);
	return b;
}

static void any_number(void)
{
	static const struct {
		const char *target;
		uint64_t ranks;
		enum codec experts;
	} row[] = { { "official", 1, CODEC_NONE }, { "official", 2, CODEC_FP8 },
		{ "hf", 1, CODEC_FP8 }, { "marlin-mxfp4", 6, CODEC_NONE },
		{ "trtllm-mxfp4", 2, CODEC_NONE } };
	struct path want, out;
	struct model_job j;
	struct budget b;
	char what[160];
	unsigned i, k;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		want = dirs_gone("want");
		j = job_of(row[i].target, row[i].ranks);
		j.plan.experts = row[i].experts;
		CHECK(convert(&j, PRO, want.s));
		for (k = 0; k < 8; k++) {
			out = dirs_gone("out");
			b = any_crew();
			j.crew = &b;
			j.piece = (size_t)1024 << rnd(8);
			snprintf(what, sizeof what,
				"%s, %u threads, %u teams, %u lanes, ring %u%s, %zu", row[i].target,
				b.threads, b.teams, b.lanes, b.ring, b.own ? ", own" : "", j.piece);
			CHECK_IN(what, convert(&j, PRO, out.s) && same_tree(want.s, out.s));
			/* once more: every file is compared and kept */
			CHECK_IN(what, convert(&j, PRO, out.s) && !j.result.made);
		}
	}
}

/* A scale that is no number, in the middle: all threads end with that. */
static void one_fails(void)
{
	struct path in = model_copy(PRO, "in"), out = dirs_gone("out");
	struct model_job j = job_of("marlin-mxfp4", 6);
	struct ckpt_opts co = { 0 };
	struct findings f = { 0 };
	struct budget b;
	struct ckpt c;
	struct err e = { 0 };
	const struct tensor *t;
	uint64_t at;
	char name[256];
	size_t n;
	uint8_t *p;
	unsigned k;

	CHECK(!ckpt_open(&c, io_posix(), in.s, &co, &f, &e));
	t = ckpt_find(&c, "layers.1.ffn.experts.3.w1.scale");
	CHECK(t);
	at = c.shards[t->shard].data_at + t->begin + 3;
	snprintf(name, sizeof name, "%s", c.shards[t->shard].name);
	ckpt_close(&c);
	finding_free(&f);
	p = file_get_all(model_file(in.s, name).s, &n);
	CHECK(p && at < n);
	p[at] = 255;
	model_put(in.s, name, p, n);
	free(p);
	for (k = 0; k < 12; k++) {
		b = any_crew();
		j.crew = &b;
		CHECK(fails_with(&j, in.s, out.s, "data.scale-nan"));
	}
}

/* Few files may be open: fewer lanes do, or one sentence says what is needed. */
static int with_files(rlim_t most, const char *out, char said[512])
{
	struct rlimit r = { most, most };
	struct model_job j = job_of("frag-k32", 6);
	int status, fd[2];
	struct err e;
	ssize_t n;
	pid_t pid;

	CHECK(!pipe(fd));
	pid = fork();
	if (!pid) {
		if (setrlimit(RLIMIT_NOFILE, &r))
			_exit(3);
		status = model_convert(&j, PRO, out, &e) ? 1 : 0;
		_exit(write(fd[1], e.text, strlen(e.text) + 1) < 0 ? 4 : status);
	}
	close(fd[1]);
	n = read(fd[0], said, 511);
	said[n > 0 ? n : 0] = 0;
	close(fd[0]);
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
									       : -1;
}

static void few_files(void)
{
	struct path want = dirs_gone("want"), out;
	struct model_job j = job_of("frag-k32", 6);
	unsigned most, fine = 0, refused = 0;
	char said[512];
	int rc;

	CHECK(convert(&j, PRO, want.s));
	for (most = 20; most < 90; most += 5) {
		out = dirs_gone("out");
		rc = with_files(most, out.s, said);
		CHECK(rc == 0 || rc == 1);
		if (rc == 0)
			CHECK(same_tree(want.s, out.s));
		else
			CHECK_IN(said,
				strstr(said, "ulimit -n") || strstr(said, "Too many open files"));
		fine += rc == 0;
		refused += rc == 1 && strstr(said, "ulimit -n");
	}
	CHECK(fine > 3 && refused > 1);
}

static const struct test tests[] = {
	{ "any_number", any_number },
	{ "one_fails", one_fails },
	{ "few_files", few_files },
	{ NULL, NULL },
};
TEST_MAIN(tests)
