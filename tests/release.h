/* release.h -- for tests: another release of a small model, and the shapes of targets that conversions of it have.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_RELEASE_H
#define TESTS_RELEASE_H
#include "tests/set.h"

#include <stdlib.h>

static const struct shape {
	const char *name, *target;
	uint64_t ranks;
	enum codec experts;
	bool tp;
	const char *call; /* the same on a command line */
} shapes[] = {
	{ "hf", "hf", 1, CODEC_NONE, false, "--target hf" },
	{ "hf, experts in FP8", "hf", 1, CODEC_FP8, false, "--target hf --experts fp8" },
	{ "official", "official", 1, CODEC_NONE, false, "--target official" },
	{ "marlin-mxfp4", "marlin-mxfp4", 2, CODEC_NONE, false, "--target marlin-mxfp4 --ranks 2" },
	{ "trtllm-mxfp4, tensors cut", "trtllm-mxfp4", 2, CODEC_NONE, true,
		"--target trtllm-mxfp4 --ranks 2 --experts-by tp --attention tp --experimental" },
	{ "vllm-sharded", "vllm-sharded", 1, CODEC_NONE, false, "--target vllm-sharded" },
};
enum { SHAPES = sizeof shapes / sizeof *shapes, SHARDS = 7 };

/* Turns the last bit of a file, in a copy: a file that has other names is not written to. */
static inline void flip(const char *path)
{
	size_t n;
	uint8_t *p = file_get_all(path, &n);

	CHECK(p && n && !unlink(path));
	if (p && n) {
		p[n - 1] ^= 1;
		file_put_all(path, p, n);
	}
	free(p);
}

/* The name of shard number k, from 1, of the model. */
static inline struct path shard_name(unsigned k)
{
	struct path p;

	snprintf(p.s, sizeof p.s, "model-%05u-of-%05u.safetensors", k, SHARDS);
	return p;
}

/* The model with another value in the last tensor of its shard number k. */
static inline struct path release(unsigned k)
{
	struct path p = model_copy(FLASH, "release");

	flip(model_file(p.s, shard_name(k).s).s);
	return p;
}

#endif
