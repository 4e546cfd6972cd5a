/* test_memory.c -- two layers of the real shape of V4-Flash within the memory that was allowed.
 *
 * The payload is a hole, so the numbers are zeros; what is read, held and given back is as with any others.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/model.h"

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

/* Runs dsv4-verify record on dir; its exit status, and the most memory it had. */
static int record_in(const char *dir, const char *memory, const char *out, long *mib)
{
	const char *b = getenv("B");
	struct rusage used;
	char tool[512];
	int status;
	pid_t pid;

	snprintf(tool, sizeof tool, "%s/dsv4-verify", b ? b : "build/gcc-opt");
	pid = fork();
	if (!pid) {
		if (freopen("/dev/null", "w", stdout) && freopen("/dev/null", "w", stderr))
			execl(tool, tool, "record", dir, "--tokens", "7", "-o", out, "--max-memory",
				memory, "--what", "logits", (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &used) != pid)
		return -1;
	*mib = used.ru_maxrss / 1024;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void real_shapes(void)
{
	struct path dir = dirs_path("real"), out = dirs_path("rec");
	char args[1024], allowed[32];
	long mib = 0;

	if (!MEASURE)
		SKIP("a sanitizer has memory of its own");
	snprintf(args, sizeof args,
		"%s --config tests/configs/flash.json --set num_hidden_layers=2 --set "
		"'compress_ratios=[4,128]' --set num_nextn_predict_layers=0 --set vocab_size=1024 "
		"--set num_hash_layers=0 --sparse",
		dir.s);
	CHECK(!model_tool("mkmodel", args));
	snprintf(allowed, sizeof allowed, "%dM", ALLOWED);
	CHECK(record_in(dir.s, allowed, out.s, &mib) == 0);
	CHECK(is_file(out.s));
	CHECK(mib > 60 && mib < ALLOWED);
	unlink(out.s);
	CHECK(record_in(dir.s, "64M", out.s, &mib) == 2); /* refused before anything is read */
	CHECK(!is_file(out.s) && mib < 64);
}

static const struct test tests[] = {
	{ "real_shapes", real_shapes },
	{ NULL, NULL },
};
TEST_MAIN(tests)
