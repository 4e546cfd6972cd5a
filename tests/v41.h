/* v41.h -- for tests: the small model of V4.1 with Engram tables.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_V41_H
#define TESTS_V41_H
#include "tests/shell.h"

/* Makes it where this process has not yet, and returns its folder. */
static inline const char *v41_model(void)
{
	static struct path p;
	char args[900];

	p = dirs_path("v41");
	snprintf(args, sizeof args, "%s --config tests/configs/small-v41.json --seed 5", p.s);
	if (!is_file(p.s))
		CHECK(!model_tool("mkmodel", args));
	return p.s;
}
#endif
