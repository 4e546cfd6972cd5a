/* test_implied.c -- conversions that kept nothing of their source (--no-restore): they compute as those that did, from
 * what their sidecars tell, and nothing goes back from them.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/set.h"
#include "tests/shell.h"

static const char *const names[] = { "fp8", "bf16", "mxfp8", "nvfp4 --input-scale 0.5", "ct-mxfp4",
	"ct-mxfp8", "ct-nvfp4a16", "mlx", "mlx --stack", "gguf" };

/* Of every name and model: logits are those of the source, and record and replay agree. */
static void computes(void)
{
	struct path out = dirs_path("out"), rec = dirs_path("rec"), back = dirs_path("back"),
		    base = dirs_path("base");
	const char *from[] = { FLASH, PRO, base.s };
	char line[900];
	size_t i, k;

	snprintf(line, sizeof line, "%s --config tests/configs/small-base.json", base.s);
	CHECK(!model_tool("mkmodel", line));
	for (i = 0; i < sizeof from / sizeof *from; i++)
		for (k = 0; k < sizeof names / sizeof *names; k++) {
			if (i == 2 && strcmp(names[k], "bf16") != 0 && strcmp(names[k], "fp8") != 0)
				continue; /* its experts are FP8 */
			dirs_remove(out.s);
			CHECK_IN(names[k],
				ends(0, NULL, "dsv4-quant",
					"run -q %s -o %s --to %s --no-restore %s", from[i], out.s,
					names[k], k % 2 ? "--drafts drop" : ""));
			CHECK_IN(names[k],
				ends(0, "bit-equal", "dsv4-verify", "logits %s %s --tokens 5,17,99",
					from[i], out.s));
			CHECK_IN(names[k],
				ends(0, NULL, "dsv4-verify", "record -q %s -o %s --tokens 5,17",
					out.s, rec.s));
			CHECK_IN(names[k],
				ends(0, "replay: true", "dsv4-verify", "replay -q %s %s", out.s,
					rec.s));
			CHECK_IN(names[k],
				ends(2, "set.not-kept", "dsv4-quant", "restore -q %s -o %s", out.s,
					back.s) &&
					!is_file(back.s));
		}
}

/* What lies there is what is computed with, and config.json is still looked at. */
static void notices(void)
{
	struct path out = dirs_path("out");

	dirs_remove(out.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run -q " FLASH " -o %s --to mxfp8 --no-restore", out.s));
	CHECK(!remove(model_file(out.s, "model-00003-of-00007.safetensors").s));
	CHECK(ends(1, "model-00003-of-00007.safetensors", "dsv4-verify",
		"logits -q " FLASH " %s --tokens 5,17,99", out.s));
	CHECK(ends(0, NULL, "dsv4-quant",
		"run -q " FLASH " -o %s --to mxfp8 --no-restore --overwrite", out.s));
	CHECK(!remove(model_file(out.s, "config.json").s));
	CHECK(ends(1, "config", "dsv4-verify", "logits -q " FLASH " %s --tokens 5,17,99", out.s));
}

static const struct test tests[] = { { "implied: computes", computes },
	{ "implied: notices", notices }, { 0 } };
TEST_MAIN(tests)
