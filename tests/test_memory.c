/* test_memory.c -- two layers of the real shape of V4-Flash within the memory that was allowed.
 *
 * The payload is a hole, so the numbers are zeros; what is read, held and given back is as with any others.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/set.h"

#include <sys/resource.h>
#include <sys/wait.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
enum { MEASURE = 0 };
#else
enum { MEASURE = 1 };
#endif

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

	snprintf(tool, sizeof tool, "%s/dsv4-verify", b ? b : "build/gcc-opt");
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

static const struct test tests[] = {
	{ "real_shapes", real_shapes },
	{ "small_models", small_models },
	{ NULL, NULL },
};
TEST_MAIN(tests)
