/* test_shared.c -- jobs on shared storage that goes wrong: real processes work behind tests/sharedfs.c, each as a machine
 * of its own. Whatever happens, no wrong file is ever seen under a final name, the next task finishes the job, and finalize
 * gives the bytes of one process.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/model.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define FLASH "tests/golden/tiny-flash"

static struct path top, src, one, out, job;
static char count_file[600];

static const char *build(void)
{
	return getenv("B") ? getenv("B") : "build/gcc-opt";
}

/* How often something is tried: more often with EVERY=1. */
static int many(int few, int all)
{
	return getenv("EVERY") ? all : few;
}

static void pass(double ms)
{
	struct timespec t = { .tv_sec = (time_t)(ms / 1000) };

	t.tv_nsec = (long)((ms - (double)t.tv_sec * 1000) * 1e6);
	nanosleep(&t, NULL);
}

/* --- processes --- */

/* Starts the tool as a process of a machine. node NULL: this one, on which nothing goes wrong. */
static pid_t start(const char *node, const char *fault, char *const *args)
{
	char program[600], lib[700], asan[300];
	pid_t p = fork();

	if (p)
		return p;
	snprintf(program, sizeof program, "%s/dsv4-convert", build());
	if (node) {
		snprintf(lib, sizeof lib, "%s/sharedfs.so", build());
		snprintf(asan, sizeof asan, "%s:verify_asan_link_order=0",
			getenv("ASAN_OPTIONS") ? getenv("ASAN_OPTIONS") : "");
		setenv("ASAN_OPTIONS", asan, 1);
		setenv("SHAREDFS", top.s, 1);
		setenv("SHAREDFS_NODE", node, 1);
		setenv("SHAREDFS_FAULT", fault, 1);
		if (count_file[0])
			setenv("SHAREDFS_COUNT", count_file, 1);
		setenv("LD_PRELOAD", lib, 1);
	}
	if (!freopen(dirs_path("stdout").s, "w", stdout) ||
		!freopen(dirs_path("stderr").s, "a", stderr))
		_exit(126);
	execv(program, args);
	perror(program); /* as where it is built anew meanwhile: no fault of what is tested */
	_exit(127);
}

static pid_t start_task(const char *node, const char *fault, int task, int tasks)
{
	char index[24];
	char *const args[] = { (char[]){ "t" }, (char[]){ "run" }, job.s, (char[]){ "--task" },
		index, (char[]){ "--steal" }, (char[]){ "-q" }, (char[]){ "-j1" }, NULL };

	snprintf(index, sizeof index, "%d/%d", task, tasks);
	return start(node, fault, args);
}

static pid_t start_finalize(const char *node, const char *fault)
{
	char *const args[] = { (char[]){ "t" }, (char[]){ "finalize" }, job.s, (char[]){ "-q" },
		NULL };

	return start(node, fault, args);
}

/* The exit status; 128 and more: a signal. */
static int end_of(pid_t p)
{
	int st;

	if (waitpid(p, &st, 0) != p)
		return 127;
	return WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
}

/* Prints what processes have said, where a test fails. */
static void show_said(const char *what)
{
	size_t n;
	char *s = (char *)file_get_all(dirs_path("stderr").s, &n);

	fprintf(stderr, "%s: the processes said:\n%.*s\n", what, (int)(n < 3000 ? n : 3000),
		s ? s : "");
	free(s);
}

/* --- what must hold --- */

/* Every name in OUT that is no temporary one has the bytes that one process gives it. */
static bool no_wrong_file(void)
{
	struct path got, want;
	size_t n, m;
	uint8_t *p, *q;
	struct dirent *d;
	DIR *h = opendir(out.s);
	bool right = true;

	while (h && (d = readdir(h))) {
		if (d->d_name[0] == '.' || !strcmp(d->d_name, "source"))
			continue;
		got = model_file(out.s, d->d_name);
		want = model_file(one.s, d->d_name);
		p = file_get_all(got.s, &n);
		q = file_get_all(want.s, &m);
		if (p && (!q || n != m || memcmp(p, q, n) != 0)) {
			fprintf(stderr, "%s is wrong (%zu bytes, expected %zu)\n", got.s, n, m);
			right = false;
		}
		free(p);
		free(q);
	}
	if (h)
		closedir(h);
	return right;
}

static bool same_as_one(void)
{
	char s[1300];

	snprintf(s, sizeof s, "diff -r %s %s >&2", one.s, out.s);
	return !system(s);
}

/* A new job of so many tasks, whose leases last a second. */
static void plan(int tasks)
{
	char s[2000];

	top = dirs_path("shared");
	if (!is_file(top.s))
		top = dirs_new("shared");
	src = dirs_path("shared/src");
	one = dirs_path("shared/one");
	out = dirs_path("shared/out");
	job = dirs_path("shared/job");
	dirs_remove(out.s);
	dirs_remove(job.s);
	unlink(dirs_path("stderr").s);
	if (!is_file(one.s)) {
		model_fill(FLASH, dirs_new("shared/src").s, false);
		snprintf(s, sizeof s, "run %s -o %s -t hf -q", src.s, one.s);
		CHECK(!model_tool("dsv4-convert", s));
	}
	snprintf(s, sizeof s, "plan %s -o %s -t hf --job %s --tasks %d --lease 1 -q", src.s, out.s,
		job.s, tasks);
	CHECK(!model_tool("dsv4-convert", s));
}

/* Whatever went before, a task on a sound machine finishes the job, and finalize gives the bytes of one process. */
static void finished_by_next(const char *what, int task, int tasks)
{
	int rc = end_of(start_task(NULL, NULL, task, tasks)), fin;

	CHECK_IN(what, no_wrong_file());
	fin = end_of(start_finalize(NULL, NULL));
	CHECK_IN(what, !rc && !fin && same_as_one());
	if (rc || fin) {
		fprintf(stderr, "%s: run ended with %d, finalize with %d\n", what, rc, fin);
		show_said(what);
	}
}

/* --- several machines at work --- */

enum { NODES = 3, TASKS = 4 };

struct row {
	const char *name;
	const char *fault[NODES];
	int task[NODES];
	bool may_fail; /* a machine may give up, with status 2 */
};

static void at_work(const struct row *r)
{
	static const char *const names[NODES] = { "a", "b", "c" };
	char fault[200];
	pid_t p[NODES];
	int i, left = NODES, st;

	plan(TASKS);
	for (i = 0; i < NODES; i++) {
		snprintf(fault, sizeof fault, "slow=10%s%s", r->fault[i][0] ? "," : "",
			r->fault[i]);
		p[i] = start_task(names[i], fault, r->task[i], TASKS);
	}
	while (left) {
		pass(15);
		CHECK_IN(r->name, no_wrong_file());
		for (i = 0; i < NODES; i++) {
			if (!p[i] || waitpid(p[i], &st, WNOHANG) != p[i])
				continue;
			p[i] = 0;
			left--;
			st = WIFEXITED(st) ? WEXITSTATUS(st) : 128;
			if (st && st != 75 && !(r->may_fail && st == 2)) {
				show_said(r->name);
				CHECK_IN(r->name, !st);
			}
		}
	}
	/* Too early, or seen late: it says so, and what it writes is right. */
	st = end_of(start_finalize("b", r->fault[1]));
	CHECK_IN(r->name, !st || st == 75 || (r->may_fail && st == 2));
	CHECK_IN(r->name, no_wrong_file());
	finished_by_next(r->name, 3, TASKS);
}

static void rows(const struct row *r)
{
	for (; r->name; r++)
		at_work(r);
}

static void caches(void)
{
	static const struct row r[] = {
		{ "attributes are kept", { "attr=400", "attr=400", "attr=400" }, { 0, 1, 2 }, 0 },
		{ "attributes are kept for longer than a lease", { "attr=2500", "attr=2500", "" },
			{ 0, 1, 2 }, 0 },
		{ "contents are kept", { "data=500", "data=500", "data=500" }, { 0, 1, 2 }, 0 },
		{ "contents are kept for longer than a lease", { "data=2500", "data=2500", "" },
			{ 0, 1, 2 }, 0 },
		{ "names are seen late", { "late=400", "late=400", "late=400" }, { 0, 1, 2 }, 0 },
		{ "names are seen later than a lease lasts", { "late=2000", "late=2000", "" },
			{ 0, 1, 2 }, 0 },
		{ "a file system without times", { "timeless=o", "timeless=o", "timeless=o" },
			{ 0, 1, 2 }, 0 },
		{ 0 },
	};

	rows(r);
}

static void locks(void)
{
	static const struct row r[] = {
		{ "locks do not reach others", { "nolock", "nolock", "nolock" }, { 0, 1, 2 }, 0 },
		{ "all hold every unit", { "noexcl", "noexcl", "noexcl" }, { 0, 1, 2 }, 0 },
		{ "all hold one task", { "noexcl,nolock", "noexcl,nolock", "noexcl,nolock" },
			{ 0, 0, 0 }, 0 },
		{ 0 },
	};

	rows(r);
}

static void answers(void)
{
	static const struct row r[] = {
		{ "answers are lost", { "lost=3", "lost=3", "lost=3" }, { 0, 1, 2 }, 0 },
		{ "calls fail now and then", { "every=97,hasty", "every=97,hasty", "every=211" },
			{ 0, 1, 2 }, true },
		{ "calls fail often", { "every=31,hasty", "every=31,hasty", "" }, { 0, 1, 2 },
			true },
		{ "all at once",
			{ "attr=300,data=300,late=300,nolock,lost=5,skew=-300,every=499",
				"attr=300,data=300,late=300,noexcl,lost=7,skew=300", "late=500" },
			{ 0, 1, 1 }, true },
		{ 0 },
	};

	rows(r);
}

static void clocks(void)
{
	static const struct row r[] = {
		{ "clocks differ by minutes", { "skew=600", "skew=-600", "" }, { 0, 1, 2 }, 0 },
		{ 0 },
	};

	rows(r);
}

/* --- machines that die or sleep --- */

/* Two machines die at some time with all their leases, of which the third knows nothing but the files; then another one
 * does the same task. */
static void dies(void)
{
	char what[60];
	pid_t a, b;
	int i;

	for (i = 0; i < many(3, 40); i++) {
		snprintf(what, sizeof what, "dead after %d ms", i % 5 * 60);
		plan(TASKS);
		a = start_task("a", "slow=15", 0, TASKS);
		b = start_task("b", "slow=15", 1, TASKS);
		pass(i % 5 * 60 + (double)rnd(60));
		kill(a, SIGKILL);
		kill(b, SIGKILL);
		end_of(a);
		end_of(b);
		CHECK_IN(what, no_wrong_file());
		a = start_task("c", "", i % 2 ? 0 : 2, TASKS);
		CHECK_IN(what, end_of(a) == 0);
		a = start_finalize("d", "");
		CHECK_IN(what, end_of(a) == 0 && same_as_one());
		finished_by_next(what, 3, TASKS);
	}
}

/* A machine sleeps for longer than a lease lasts; another one does its task, or steals its files, and finalizes. When it
 * wakes it goes on, and what was finished stays as it was. */
static void sleeps(void)
{
	char what[60];
	pid_t a, b;
	int i, st;

	for (i = 0; i < many(4, 40); i++) {
		snprintf(what, sizeof what, "asleep after %d ms, %d", i / 4 * 40, i % 4);
		plan(2);
		a = start_task("a", i % 4 < 2 ? "slow=15,late=800" : "slow=15", 0, 2);
		pass(i / 4 * 40 + (double)rnd(30));
		kill(a, SIGSTOP);
		b = start_task("b", "", i % 2, 2);
		CHECK_IN(what, end_of(b) == 0);
		if (i % 4 < 3)
			CHECK_IN(what, end_of(start_finalize("b", "")) == 0 && same_as_one());
		kill(a, SIGCONT);
		st = end_of(a);
		if (st && st != 75)
			show_said(what);
		CHECK_IN(what, (!st || st == 75) && no_wrong_file());
		if (i % 4 < 3)
			CHECK_IN(what, same_as_one());
		finished_by_next(what, 1, 2);
	}
}

/* Both are awake, and each believes that the other one is dead: neither removes what the other one makes. */
static void taken_for_dead(void)
{
	pid_t a, b;
	int st;

	plan(1);
	/* b never sees a's heart beat. */
	a = start_task("a", "slow=70", 0, 1);
	pass(100);
	b = start_task("b", "slow=40,data=60000", 0, 1);
	st = end_of(a);
	CHECK(!st || st == 75);
	st = end_of(b);
	CHECK(!st || st == 75);
	CHECK(no_wrong_file());
	finished_by_next("taken for dead", 0, 1);
}

/* --- one call fails --- */

static long calls_of(void)
{
	size_t n;
	char *s = (char *)file_get_all(count_file, &n);
	long k = s ? atol(s) : 0;

	free(s);
	return k;
}

/* Whichever call fails once, the process itself gets over it. Some calls are tried; all with EVERY=1. */
static void once(const char *error, bool finalizing)
{
	char fault[60], what[90];
	long n, calls, step;
	pid_t p;
	int rc;

	plan(2);
	snprintf(count_file, sizeof count_file, "%s", dirs_path("count").s);
	if (finalizing)
		CHECK(!end_of(start_task(NULL, NULL, 0, 2)));
	p = finalizing ? start_finalize("a", "") : start_task("a", "", 0, 2);
	CHECK(!end_of(p));
	calls = calls_of();
	count_file[0] = 0;
	CHECK(calls > 100);
	step = calls / many(12, (int)calls);
	for (n = 1 + (long)rnd((unsigned)step); n <= calls; n += step) {
		snprintf(fault, sizeof fault, "%s=%ld,hasty", error, n);
		snprintf(what, sizeof what, "%s, %s", finalizing ? "finalize" : "run", fault);
		plan(2);
		if (finalizing)
			CHECK(!end_of(start_task(NULL, NULL, 0, 2)));
		p = finalizing ? start_finalize("a", fault) : start_task("a", fault, 0, 2);
		rc = end_of(p);
		CHECK_IN(what, !rc && no_wrong_file());
		if (rc)
			show_said(what);
		finished_by_next(what, 1, 2);
	}
}

static void stale_once(void)
{
	once("estale", false);
	once("estale", true);
}

static void io_error_once(void)
{
	once("eio", false);
	once("eio", true);
}

/* What plan has written is not seen by a task that begins at once: it waits a little. */
static void planned_unseen(void)
{
	struct path at, away = dirs_path("away");
	char s[800];
	pid_t p;

	plan(1);
	at = model_file(job.s, "job.json");
	CHECK(!rename(at.s, away.s));
	snprintf(s, sizeof s, "status %s", job.s);
	CHECK(model_tool("dsv4-convert", s) == 75);
	p = start_task(NULL, NULL, 0, 1);
	pass(500);
	CHECK(!rename(away.s, at.s) && !end_of(p));
	finished_by_next("planned", 0, 1);
}

/* --- file systems without times --- */

static void timeless(void)
{
	char *const run[] = { (char[]){ "t" }, (char[]){ "run" }, src.s, (char[]){ "-o" }, out.s,
		(char[]){ "-t" }, (char[]){ "hf" }, (char[]){ "-q" }, NULL };
	char s[1700];

	plan(2);
	dirs_remove(out.s);
	CHECK(!end_of(start("a", "timeless=s", run)) && same_as_one());
	dirs_remove(out.s);
	dirs_remove(job.s);
	{
		char *const planned[] = { (char[]){ "t" }, (char[]){ "plan" }, src.s,
			(char[]){ "-o" }, out.s, (char[]){ "-t" }, (char[]){ "hf" },
			(char[]){ "--job" }, job.s, (char[]){ "--tasks" }, (char[]){ "2" },
			(char[]){ "-q" }, NULL };

		CHECK(!end_of(start("a", "timeless=s", planned)));
	}
	CHECK(!end_of(start_task("a", "timeless=s", 0, 2)));
	CHECK(!end_of(start_task("b", "timeless=s", 1, 2)));
	CHECK(!end_of(start_finalize("a", "timeless=s")) && same_as_one());
	/* Nor has OUT any, and its files have no digests: what is there is known by its size, and not made again. */
	plan(1);
	dirs_remove(out.s);
	dirs_remove(job.s);
	snprintf(s, sizeof s, "plan %s -o %s -t hf --no-sha256 --no-restore --job %s --tasks 1 -q",
		src.s, out.s, job.s);
	CHECK(!model_tool("dsv4-convert", s));
	CHECK(!end_of(start_task("a", "timeless=o", 0, 1)));
	CHECK(!end_of(start_task("b", "timeless=o", 0, 1)));
	snprintf(s, sizeof s,
		"! grep -rh '\"seconds\": [^0]' %s/receipts && grep -rl '\"number\": 2' %s/receipts | grep -c . | "
		"grep -qx 0",
		job.s, job.s);
	CHECK(!system(s));
	CHECK(!end_of(start_finalize("a", "timeless=o")));
}

static const struct test tests[] = {
	{ "caches", caches },
	{ "locks", locks },
	{ "answers", answers },
	{ "clocks", clocks },
	{ "dies", dies },
	{ "sleeps", sleeps },
	{ "taken for dead", taken_for_dead },
	{ "ESTALE once", stale_once },
	{ "EIO once", io_error_once },
	{ "planned unseen", planned_unseen },
	{ "timeless", timeless },
	{ NULL, NULL },
};
TEST_MAIN(tests)
