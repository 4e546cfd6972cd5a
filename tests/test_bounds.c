/* test_bounds.c -- memory of whole calls on input whose numbers are absurd: a config.json of millions of tensors, two
 * checkpoints of a quarter of a million each.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/sanitized.h"
#include "tests/set.h"

#include <sys/resource.h>
#include <sys/wait.h>

enum { MEASURE = !SANITIZED };

/* Runs a tool with a verb on one folder or two; its exit status, and the most memory it had. */
static int call(const char *tool, const char *verb, const char *a, const char *b, long *mib)
{
	const char *build = getenv("B");
	struct rusage used;
	char path[512];
	int status;
	pid_t pid;

	snprintf(path, sizeof path, "%s/%s", build ? build : "build/gcc-opt", tool);
	pid = fork();
	if (!pid) {
		if (freopen("/dev/null", "w", stdout) && freopen("/dev/null", "w", stderr))
			execl(path, path, verb, a, b, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &used) != pid)
		return -1;
	*mib = used.ru_maxrss / 1024;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* FLASH's config.json with so many layers and experts. */
static void put_config(const char *dir, unsigned layers, unsigned experts)
{
	json_t *c = load(FLASH, "config.json"), *a = json_array();
	unsigned i;
	char *s;

	for (i = 0; i < layers + 1; i++)
		json_array_append_new(a, json_integer(0));
	json_object_set_new(c, "compress_ratios", a);
	json_object_set_new(c, "num_hidden_layers", json_integer(layers));
	json_object_set_new(c, "n_routed_experts", json_integer(experts));
	s = json_dumps(c, 0);
	model_put(dir, "config.json", s, strlen(s));
	free(s);
	json_decref(c);
}

/* One shard of n tensors of a byte. */
static void put_shard(const char *dir, unsigned n)
{
	struct text t = { 0 };
	uint64_t len;
	unsigned i;

	text_put(&t, "\0\0\0\0\0\0\0\0{", 9);
	for (i = 0; i < n; i++)
		text_fmt(&t,
			"%s\"layers.%u.x.weight\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%u,%u]}",
			i ? "," : "", i, i, i + 1);
	text_str(&t, "}");
	while (t.n % 8)
		text_str(&t, " ");
	len = t.n - 8;
	memcpy(t.s, &len, 8);
	for (i = 0; i < n; i++)
		text_put(&t, "", 1);
	CHECK(!t.failed);
	model_put(dir, "model.safetensors", t.s, t.n);
	text_free(&t);
}

static void absurd_config(void)
{
	struct path dir = dirs_new("absurd");
	long mib = 0;

	put_shard(dir.s, 1);
	put_config(dir.s, 4000, 174); /* 4.2 million tensors */
	CHECK(call("dsv4-convert", "inspect", dir.s, NULL, &mib) == 1 && mib < 64);
	CHECK(call("dsv4-verify", "doctor", dir.s, NULL, &mib) == 1 && mib < 64);
	put_config(dir.s, 3000, 55); /* just below the limit */
	CHECK(call("dsv4-verify", "doctor", dir.s, NULL, &mib) == 1 && (mib < 512 || !MEASURE));
	printf("     a million tensors that are not there: %ld MiB\n", mib);
}

static void many_tensors(void)
{
	enum { N = 250000 };
	struct path dir = dirs_new("many");
	long mib = 0;

	put_shard(dir.s, N);
	put_config(dir.s, 4, 8);
	CHECK(call("dsv4-verify", "diff", dir.s, dir.s, &mib) == 0 && (mib < 160 || !MEASURE));
	printf("     diff of %d tensors: %ld MiB\n", N, mib);
	CHECK(call("dsv4-verify", "doctor", dir.s, NULL, &mib) == 1 && (mib < 160 || !MEASURE));
	dirs_remove(dir.s);
}

static const struct test tests[] = { { "absurd_config", absurd_config },
	{ "many_tensors", many_tensors }, { NULL, NULL } };
TEST_MAIN(tests)
