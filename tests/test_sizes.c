/* test_sizes.c -- models of the real size, headers only: dsv4-quant plans every name of its table, and where the size of such
 * a model was published, the plan says the same.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/recipes.h"
#include "tests/sanitized.h"
#include "tests/shell.h"

#include <math.h>

/* Headers of a model of that size; its payload is a hole. */
static struct path model(const char *name)
{
	struct path p = dirs_path(name);
	char args[900];

	snprintf(args, sizeof args, "%s --config tests/configs/%s.json --sparse", p.s, name);
	if (!is_file(p.s))
		CHECK_IN(name, !model_tool("mkmodel", args));
	return p;
}

/* The bytes that a plan would write, without what the way back needs; 0: it is refused. */
static uint64_t planned(const char *dir, const char *to, const char *options)
{
	char args[2000], *s, *at;
	uint64_t bytes = 0;
	size_t n;

	snprintf(args, sizeof args, "plan %s -o %s --to %s %s --no-restore", dir,
		dirs_path("none").s, to, options);
	if (shell("dsv4-quant", args))
		return 0;
	s = (char *)file_get_all(out_file.s, &n);
	s[n] = 0;
	CHECK(holds(out_file.s, "disk: "));
	at = strstr(s, "disk: ");
	for (at = at ? at + strlen("disk: ") : s + n; (*at >= '0' && *at <= '9') || *at == ',';
		at++)
		bytes = *at == ',' ? bytes : bytes * 10 + (uint64_t)(*at - '0');
	free(s);
	return bytes;
}

static void every_name(void)
{
	static const char *const models[] = { "flash", "flash-0731", "pro" };
	const struct recipe *r;
	uint64_t bytes;
	size_t i;

	for (i = 0; i < 3; i++)
		for (r = recipes; r->name; r++) {
			/* each name of one of the models, but those of V4.1; EVERY=1: of all */
			if (r->need == NEED_MLX_NAMES || (i + (size_t)(r - recipes)) % every(3))
				continue;
			bytes = planned(model(models[i]).s, r->name,
				r->input ? "--input-scale 0.01" : "");
			printf("     %-10s %-12s %17llu\n", models[i], r->name,
				(unsigned long long)bytes);
			/* The smallest is the download itself, and of mixes two bits where it has four. */
			CHECK_IN(r->name,
				bytes >= (i < 2 ? 159000000000u : 860000000000u) /
						(r->rounds ? 2 : 1));
		}
}

/* What was published, and how exactly it was said. */
static const struct {
	const char *model, *to, *options;
	double bytes;
	const char *what;
} published[] = {
	/* Drafts lie there as in the download: ModelOpt leaves them out. */
	{ "flash", "nvfp4", "--input-scale 0.01 --drafts keep", 168.3e9,
		"nvidia/DeepSeek-V4-Flash-NVFP4, 168.3 GB" },
	{ "pro", "nvfp4", "--input-scale 0.01 --drafts keep", 850.42 * 0x1p30,
		"DeepSeek-V4-Pro-NVFP4, 850.42 GiB" },
	{ "flash", "mlx", "", 159.6e9, "deepseek-ai/DeepSeek-V4-Flash, 159.6 GB: the same bytes" },
	{ "flash-0731", "mlx", "", 166.9e9,
		"deepseek-ai/DeepSeek-V4-Flash-DSpark, 166.9 GB: the same shapes, the same bytes" },
};

static void as_published(void)
{
	uint64_t bytes;
	size_t i;

	for (i = 0; i < sizeof published / sizeof *published; i++) {
		bytes = planned(model(published[i].model).s, published[i].to, published[i].options);
		printf("     %s: planned %llu, %.4f %% apart\n", published[i].what,
			(unsigned long long)bytes,
			100 * fabs((double)bytes / published[i].bytes - 1));
		CHECK_IN(published[i].what,
			fabs((double)bytes - published[i].bytes) <= 1e-3 * published[i].bytes);
	}
}

static const struct test tests[] = { { "sizes: every name", every_name },
	{ "sizes: as published", as_published }, { NULL, NULL } };
TEST_MAIN(tests)
