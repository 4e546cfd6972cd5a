/* test_two_sources.c -- a set whose ranks were made of two sources, sealed as if it were one: nothing goes back from it.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/ck.h"
#include "tests/fuzz/chain.h"
#include "tests/shell.h"

static void mixed(void)
{
	struct path a = dirs_path("a"), b = dirs_path("b"), back = dirs_path("back"), other;
	struct ck *c = ck_load(FLASH);
	char line[2000];

	ck_get(c, "norm.weight")->p[4] ^= 1;
	other = ck_write(c, "other");
	ck_free(c);
	CHECK(ends(0, NULL, "dsv4-convert",
		"run -q " FLASH " -o %s --target marlin-mxfp4 --ranks 2", a.s));
	CHECK(ends(0, NULL, "dsv4-convert", "run -q %s -o %s --target marlin-mxfp4 --ranks 2",
		other.s, b.s));
	snprintf(line, sizeof line, "rm -r %s/rank-1-of-2 && mv %s/rank-1-of-2 %s/", a.s, b.s, a.s);
	CHECK(!system(line));
	chain_mend(a.s, 0);
	CHECK(ends(1, "two sources", "dsv4-convert", "restore -q %s -o %s", a.s, back.s));
	CHECK(!is_file(model_file(back.s, "model-00001-of-00007.safetensors").s));
	CHECK(ends(1, NULL, "dsv4-verify", "logits -q " FLASH " %s --tokens 5,17", a.s));
}

static const struct test tests[] = { { "two sources: mixed", mixed }, { 0 } };
TEST_MAIN(tests)
