/* test_other_config.c -- logits of a conversion whose config.json says another arithmetic than the source/config.json that it is
 * read by: an engine reads the former.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/forge.h"
#include "tests/shell.h"

#define FLASH "tests/golden/tiny-flash"

static void other_arithmetic(void)
{
	static const struct {
		const char *tool, *options, *from, *to;
		int status;
		const char *says;
	} rows[] = {
		{ "dsv4-quant", "--to nvfp4 --input-scale 1", "\"swiglu_limit\": 1.0",
			"\"swiglu_limit\": 10.0", 1, "config.forward" },
		{ "dsv4-quant", "--to mxfp8", "\"rope_theta\": 10000", "\"rope_theta\": 77", 1,
			"config.forward" },
		{ "dsv4-quant", "--to mxfp8", "\"num_hash_layers\": 2", "\"num_hash_layers\": 1", 1,
			"config.forward" },
		{ "dsv4-quant", "--to nvfp4 --input-scale 1", "4,\n    128,", "4,\n    0,", 1,
			"config.forward" },
		{ "dsv4-quant", "--to mxfp8", "\"num_attention_heads\": 4",
			"\"num_attention_heads\": 2", 1, "config.forward" },
		{ "dsv4-quant", "--to mlx", "\"num_experts_per_tok\": 3",
			"\"num_experts_per_tok\": 2", 1, "model.shape" },
		{ "dsv4-convert", "--target hf --experts fp8", "\"routed_scaling_factor\": 1.5",
			"\"routed_scaling_factor\": 2.5", 2, "logits.models" },
	};
	struct path out = dirs_path("out");
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		dirs_remove(out.s);
		CHECK_IN(rows[i].to,
			ends(0, NULL, rows[i].tool, "run " FLASH " -o %s -q %s", out.s,
				rows[i].options));
		CHECK_IN(rows[i].to,
			ends(0, NULL, "dsv4-verify", "logits " FLASH " %s --tokens 1,2 --max-kl 1",
				out.s));
		forge(out.s, false, rows[i].from, rows[i].to);
		CHECK_IN(rows[i].to, ends(0, NULL, "dsv4-verify", "check %s", out.s));
		CHECK_IN(rows[i].to,
			ends(rows[i].status, rows[i].says, "dsv4-verify",
				"logits " FLASH " %s --tokens 1,2 --max-kl 1", out.s));
		CHECK_IN(rows[i].to,
			ends(1, "compare.file", "dsv4-verify", "compare " FLASH " %s", out.s));
	}
}

/* The folder of one rank has another config.json than those of the others and source/, and all digests fit. */
static void other_rank(void)
{
	static const char *const targets[] = { "marlin-mxfp4 --ranks 2",
		"aiter-mxfp4 --ranks 2 --pp 2" };
	struct path out = dirs_path("set"), rank;
	char old[65], now[65];
	size_t i;

	for (i = 0; i < sizeof targets / sizeof *targets; i++) {
		dirs_remove(out.s);
		CHECK_IN(targets[i],
			ends(0, NULL, "dsv4-convert", "run " FLASH " -o %s -q --target %s", out.s,
				targets[i]));
		CHECK_IN(targets[i], ends(0, NULL, "dsv4-verify", "check %s", out.s));
		CHECK_IN(targets[i],
			ends(0, NULL, "dsv4-verify", "logits " FLASH " %s --tokens 1,2", out.s));
		rank = model_file(out.s, i ? "pp-1-of-2/rank-1-of-2" : "rank-1-of-2");
		digest_file(model_file(rank.s, MAN_NAME).s, old);
		forge(rank.s, false, "\"swiglu_limit\": 1.0", "\"swiglu_limit\": 7.0");
		digest_file(model_file(rank.s, MAN_NAME).s, now);
		verify_exchange(model_file(out.s, MAN_NAME).s, old, now);
		verify_seal(out.s);
		CHECK_IN(targets[i], ends(1, "check.plan", "dsv4-verify", "check %s", out.s));
		CHECK_IN(targets[i],
			ends(1, "rank-1-of-2/config.json says another", "dsv4-verify",
				"logits " FLASH " %s --tokens 1,2", out.s));
	}
}

static const struct test tests[] = { { "other config: another arithmetic", other_arithmetic },
	{ "other config: of one rank", other_rank }, { NULL, NULL } };
TEST_MAIN(tests)
