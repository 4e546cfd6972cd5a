/* checked.h -- what the tests of check share: folders that are converted once, and a small folder whose documents can lie.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_CHECKED_H
#define TESTS_CHECKED_H
#include "core/file.h"
#include "formats/conversion/chain.h"
#include "tests/verify.h"

#define SMALL "model-00006-of-00007.safetensors"
#define BIG "model0-mp1.safetensors"

static struct path off, hf, set, tp, hf8; /* converted once */

static inline void make(void)
{
	struct job_opts o;
	struct model_job j;

	if (off.s[0])
		return;
	off = dirs_path("off");
	hf = dirs_path("hf");
	set = dirs_path("set");
	tp = dirs_path("tp");
	j = model_job("official", 2);
	CHECK(convert(&j, FLASH, off.s));
	j = model_job("hf", 1);
	CHECK(convert(&j, FLASH, hf.s));
	o = set_opts("frag-k32", 2, false);
	CHECK(set_makes(FLASH, set.s, &o));
	hf8 = dirs_path("hf8");
	o = set_opts("hf", 1, false);
	o.plan.share = (struct share){ 0 };
	o.plan.experts = CODEC_FP8;
	CHECK(set_makes(FLASH, hf8.s, &o));
	o = set_opts("marlin-mxfp4", 1, true);
	o.plan.share.stages = 2;
	CHECK(set_makes(FLASH, tp.s, &o));
}

static inline struct path copy_of(const char *from)
{
	struct path to = dirs_path("copy");
	char line[1100];

	dirs_remove(to.s);
	snprintf(line, sizeof line, "cp -r %s %s", from, to.s);
	if (system(line))
		exit(2);
	return to;
}
#endif
