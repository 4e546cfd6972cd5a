/* test_memory.c -- what is promised of memory is what is used: matrices of real shapes, headers of real models.
 *
 * The payload is a hole, so the numbers are zeros; what is read, held and given back is as with any others.
 *
 * SPDX-License-Identifier: MIT */
#include "core/mem.h"
#include "formats/layout/engine.h"
#include "tests/dry.h"
#include "tests/sanitized.h"
#include "formats/model/vllm_name.h"
#include "tests/set.h"

#include <sys/resource.h>
#include <sys/wait.h>

enum { MEASURE = !SANITIZED };

enum { ALLOWED = 320 }; /* MiB */

/* A run of dsv4-verify: its exit status, the most memory it had, and what it said that it would have, in bytes. */
struct run {
	int status;
	uint64_t peak, planned;
};

static struct run run(char *const args[])
{
	struct run r = { .status = -1 };
	struct path report = dirs_path("report");
	const char *b = getenv("B");
	struct rusage used;
	char tool[512], *text, *at;
	int status;
	size_t n;
	pid_t pid;

	snprintf(tool, sizeof tool, "%s/%s", b ? b : "build/gcc-opt", args[0]);
	unlink(report.s);
	pid = fork();
	if (!pid) {
		if (freopen(report.s, "w", stdout) && freopen("/dev/null", "w", stderr))
			execv(tool, args);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &used) != pid || !WIFEXITED(status))
		return r;
	r.status = WEXITSTATUS(status);
	r.peak = (uint64_t)used.ru_maxrss * 1024;
	text = (char *)file_get_all(report.s, &n);
	if (text) {
		text[n] = 0;
		at = strstr(text, "memory planned");
		while (at && at > text && strncmp(at, "{\"bytes\": ", 10) != 0)
			at--; /* where the row begins: its members are sorted */
		r.planned = at ? strtoull(at + 10, NULL, 10) : 0;
		at = strstr(text, "\"memory\": {"); /* of a plan, which has a peak of disks, too */
		at = at ? strstr(at, "\"peak\": ") : NULL;
		r.planned = at ? strtoull(at + 8, NULL, 10) : r.planned;
	}
	free(text);
	return r;
}

static struct run record_in(const char *dir, const char *memory, const char *out)
{
	char *args[] = { "dsv4-verify", "record", (char *)(uintptr_t)dir, "--tokens", "7", "-o",
		(char *)(uintptr_t)out, "--max-memory", (char *)(uintptr_t)memory, "--what",
		"logits", "--json", NULL };

	return run(args);
}

/* What is planned is what is used: never less, and not much more. */
static bool kept(const char *what, struct run r, double most)
{
	fprintf(stderr, "%s: planned %.1f MiB, used %.1f MiB\n", what,
		(double)r.planned / (1 << 20), (double)r.peak / (1 << 20));
	return r.status == 0 && r.planned && r.peak <= r.planned &&
		(double)r.planned <= most * (double)r.peak;
}

static void real_shapes(void)
{
	struct path dir = dirs_path("real"), out = dirs_path("rec");
	char args[1024], allowed[32];
	struct run r;

	if (!MEASURE)
		SKIP("a sanitizer has memory of its own");
	snprintf(args, sizeof args,
		"%s --config tests/configs/flash.json --set num_hidden_layers=2 --set "
		"'compress_ratios=[4,128]' --set num_nextn_predict_layers=0 --set vocab_size=1024 "
		"--set num_hash_layers=0 --sparse",
		dir.s);
	CHECK(!model_tool("mkmodel", args));
	snprintf(allowed, sizeof allowed, "%dM", ALLOWED);
	r = record_in(dir.s, allowed, out.s);
	CHECK(kept("two layers of Flash", r, 1.25));
	CHECK(is_file(out.s) && r.peak < (uint64_t)ALLOWED << 20);
	unlink(out.s);
	r = record_in(dir.s, "64M", out.s); /* refused before anything is read */
	CHECK(r.status == 2 && !is_file(out.s) && r.peak < 64 << 20);
}

/* Each verb, on models small enough that the program itself counts: within 8 MiB. */
static void small_models(void)
{
	struct path rec = dirs_path("small.rec"), out = dirs_path("small-mp2");
	struct model_job j = model_job("official", 2);
	char ids[4096] = "";
	struct run r;
	unsigned i;

	if (!MEASURE)
		SKIP("a sanitizer has memory of its own");
	for (i = 0; i < 700; i++)
		snprintf(ids + strlen(ids), 8, "%s%u", i ? "," : "", i * 37 % 250);
	CHECK(convert(&j, PRO, out.s));
	{
		char *record[] = { "dsv4-verify", "record", PRO, "--tokens", ids, "-o", rec.s, "-j",
			"2", "--json", NULL };
		char *replay[] = { "dsv4-verify", "replay", PRO, rec.s, "-j", "2", "--json", NULL };
		char *foreign[] = { "dsv4-verify", "replay", PRO, PRO ".expected.safetensors", "-j",
			"2", "--json", NULL };
		char *logits[] = { "dsv4-verify", "logits", PRO, out.s, "--tokens", ids, "-j", "2",
			"--json", NULL };

		r = run(record);
		CHECK(kept("record", r, 2));
		r = run(replay);
		CHECK(kept("replay", r, 2));
		r = run(foreign);
		CHECK(kept("replay, foreign", r, 2));
		r = run(logits);
		CHECK(kept("logits", r, 2));
	}
}

/* --- conversions --- */

/* Runs the conversion in a process of its own. It is dry: no payload is read or written. */
static struct run converted(const char *dir, const char *out, struct model_job *j)
{
	struct run r = { .status = -1 };
	struct rusage used;
	int status, pipes[2];
	pid_t pid;

	if (pipe(pipes))
		return r;
	pid = fork();
	if (!pid) {
		struct io io = dry_io();
		uint64_t promised;

		mem_give_back();
		j->io = &io;
		status = !convert(j, dir, out);
		promised = j->budget.peak;
		_exit(write(pipes[1], &promised, sizeof promised) != sizeof promised || status);
	}
	close(pipes[1]);
	if (read(pipes[0], &r.planned, sizeof r.planned) != sizeof r.planned)
		r.planned = 0;
	close(pipes[0]);
	if (pid > 0 && wait4(pid, &status, 0, &used) == pid && WIFEXITED(status)) {
		r.status = WEXITSTATUS(status);
		r.peak = (uint64_t)used.ru_maxrss * 1024;
	}
	return r;
}

static bool held(const char *dir, const char *target, uint64_t ranks, unsigned threads, double most)
{
	struct model_job j = model_job(target, ranks);
	struct path out = dirs_path("dry");
	char what[64];
	struct run r;

	j.threads = threads;
	j.memory = BUDGET_DEFAULT;
	j.plan.experimental = j.plan.back = true;
	j.plan.sha256 = threads == 1; /* it takes no memory to speak of, and time */
	j.input = !strcmp(target, "nvfp4") ? "1" : NULL;
	if (engine_find(target) || !strcmp(target, VLLM_TARGET))
		j.plan.share = (struct share){ .ranks = ranks, .stages = 1 };
	r = converted(dir, out.s, &j);
	dirs_remove(out.s);
	snprintf(what, sizeof what, "%s, %d ranks, %u threads", target, (int)ranks, threads);
	/* Of zeros nothing is kept beside. */
	return kept(what, r, recipe_find(target) ? 6 : 3) && (double)r.peak <= most * (1 << 20);
}

/* One layer of the shape of Pro, with a few experts. An expert is 33 MB; a team works on up to 16 at a time. */
static void conversions(void)
{
	struct path dir = dirs_path("pro-1");
	const struct recipe *r;
	char args[1024];
	unsigned i;

	if (!MEASURE)
		SKIP("a sanitizer has memory of its own");
	snprintf(args, sizeof args,
		"%s --config tests/configs/pro.json --set num_hidden_layers=1 --set "
		"'compress_ratios=[0]' --set num_nextn_predict_layers=0 --set vocab_size=1024 "
		"--set num_hash_layers=0 --set n_routed_experts=8 --sparse",
		dir.s);
	CHECK(!model_tool("mkmodel", args));
	for (i = 0; i < n_engines; i++) {
		/* some with one thread, others with two, which take more; EVERY=1: all with both */
		if (i % every(5) == 0)
			CHECK(held(dir.s, engines[i].name, 4, 1, 40));
		if ((i + 2) % every(5) == 0)
			CHECK(held(dir.s, engines[i].name, 4, 2, 72));
	}
	CHECK(held(dir.s, "official", 8, 1, 32));
	CHECK(held(dir.s, "official", 1, 2, 32));
	CHECK(held(dir.s, "hf", 1, 2, 32));
	CHECK(held(dir.s, VLLM_TARGET, 4, 1, 32));
	CHECK(held(dir.s, VLLM_TARGET, 4, 2, 40));
	for (r = recipes; r->name; r++) {
		if (r->mix || r->need == NEED_MLX_NAMES) /* test_mixes: rows of 256; of V4.1 */
			continue;
		if ((size_t)(r - recipes) % every(5) == 0)
			CHECK(held(dir.s, r->name, 1, 1, 40));
		if ((size_t)(r - recipes + 2) % every(5) == 0)
			CHECK(held(dir.s, r->name, 1, 2, 72));
	}
}

/* What plan says of a model of full size is at most 128 MiB for any target, and plan itself keeps to it. */
static bool planned(const char *dir, const char *target, const char *option, const char *value)
{
	struct path out = dirs_path("none");
	char *args[] = { "dsv4-convert", "plan", (char *)(uintptr_t)dir, "-o", out.s, "--target",
		(char *)(uintptr_t)target, (char *)(uintptr_t)option, (char *)(uintptr_t)value,
		"-j", "2", "--json", "--experimental", NULL };
	struct run r;

	if (!engine_find(target))
		args[12] = NULL; /* it belongs to engines */
	r = run(args);
	return kept(target, r, 3) && r.planned <= 128 << 20;
}

/* The same of the number formats of dsv4-quant. */
static bool formed(const char *dir, const char *name)
{
	struct path out = dirs_path("none");
	char *args[] = { "dsv4-quant", "plan", (char *)(uintptr_t)dir, "-o", out.s, "--to",
		(char *)(uintptr_t)name, "-j", "2", "--json", "--input-scale", "1", NULL };
	struct run r;

	if (strcmp(name, "nvfp4") != 0)
		args[10] = NULL; /* others have no such scales */
	r = run(args);
	return kept(name, r, 3) && r.planned <= 128 << 20;
}

static void full_size_formats(void)
{
	static const char *const models[] = { "flash", "pro" };
	const struct recipe *r;
	struct path dir;
	char args[1024];
	unsigned i;

	if (!MEASURE)
		SKIP("a sanitizer has memory of its own");
	for (i = 0; i < 2; i++) {
		dir = dirs_path(models[i]);
		snprintf(args, sizeof args, "%s --config tests/configs/%s.json --sparse", dir.s,
			models[i]);
		CHECK(is_file(dir.s) || !model_tool("mkmodel", args));
		for (r = recipes; r->name; r++)
			/* each name of one of the models; EVERY=1: of both */
			CHECK_IN(models[i],
				r->mix || r->need == NEED_MLX_NAMES ||
					(i + (size_t)(r - recipes)) % every(2) ||
					formed(dir.s, r->name));
	}
}

/* Tables of Engram, of 98 and 99 GB: nothing that is held grows with their rows. Of the other forms of V4.1 no more is held. */
static void full_size_engram(void)
{
	static const char *const layouts[] = { "plain", "record", "record512", "engram-mxfp4",
		"engram-cb4" },
				 *const names[] = { "fp8", "bf16", "mxfp8", "nvfp4", "mlx-packed" };
	struct path dir = dirs_path("v41"), out = dirs_path("none");
	char args[1024];
	unsigned i;
	struct run r;

	if (!MEASURE)
		SKIP("a sanitizer has memory of its own");
	snprintf(args, sizeof args, "%s --config tests/configs/v41-flash.json --sparse", dir.s);
	CHECK(!model_tool("mkmodel", args));
	for (i = 0; i < 5; i++) {
		char *exact[] = { "dsv4-convert", "plan", dir.s, "-o", out.s, "--target", "hf",
			"--engram", "separate", "--engram-layout", (char *)(uintptr_t)layouts[i],
			"-j", "2", "--json", NULL };
		char *rounded[] = { "dsv4-quant", "plan", dir.s, "-o", out.s, "--to",
			(char *)(uintptr_t)layouts[i], "-j", "2", "--json", NULL };

		r = run(i < 3 ? exact : rounded);
		CHECK_IN(layouts[i], kept(layouts[i], r, 3) && r.planned <= 128 << 20);
	}
	for (i = 0; i < sizeof names / sizeof *names; i++)
		CHECK_IN(names[i], formed(dir.s, names[i]));
	dirs_remove(dir.s);
}

static void full_size(void)
{
	struct path dir = dirs_path("pro");
	char args[1024];
	unsigned i;

	if (!MEASURE)
		SKIP("a sanitizer has memory of its own");
	snprintf(args, sizeof args, "%s --config tests/configs/pro.json --sparse", dir.s);
	CHECK(!model_tool("mkmodel", args));
	for (i = 0; i < n_engines; i++)
		CHECK(planned(dir.s, engines[i].name, "--ranks", "8"));
	CHECK(planned(dir.s, VLLM_TARGET, "--ranks", "8"));
	CHECK(planned(dir.s, "official", "--mp", "8"));
	CHECK(planned(dir.s, "official", "--mp", "1"));
	CHECK(planned(dir.s, "hf", "--experts", "fp8"));
	CHECK(planned(dir.s, "hf", "--experts", "fp4"));
}

static const struct test tests[] = {
	{ "full_size", full_size },
	{ "full_size_formats", full_size_formats },
	{ "full_size_engram", full_size_engram },
	{ "conversions", conversions },
	{ "real_shapes", real_shapes },
	{ "small_models", small_models },
	{ NULL, NULL },
};
TEST_MAIN(tests)
