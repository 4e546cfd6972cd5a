/* lib.h -- for tests of libdsv4: conversions to open, and errors to expect.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_H
#define TESTS_LIB_H
#include "quant/lib/handle.h"
#include "tests/set.h"
#include "tests/verify.h"

/* --- folders --- */

static struct path marlin, hf;

static inline void make(void)
{
	struct job_opts o = set_opts("marlin-mxfp4", 2, true);

	if (marlin.s[0])
		return;
	marlin = dirs_path("marlin");
	o.plan.share.experts_tp = false;
	CHECK(set_makes(FLASH, marlin.s, &o));
	hf = dirs_path("hf");
	o = set_opts("hf", 0, false);
	o.plan.share = (struct share){ 0 };
	CHECK(set_makes(FLASH, hf.s, &o));
}

static inline struct dsv4 *opened(const char *path)
{
	struct dsv4_error e = { 0 };
	struct dsv4 *d = NULL;

	if (dsv4_open(&d, path, NULL, &e))
		fprintf(stderr, "%s: %s: %s\n", path, e.rule, e.message);
	CHECK(d);
	return d;
}

/* True if e is that rule, and has the word in its sentence. */
static inline bool is(const struct dsv4_error *e, const char *rule, const char *word)
{
	bool same = e->kind != DSV4_OK && !strcmp(e->rule, rule) && strstr(e->message, word);

	if (!same)
		fprintf(stderr, "expected %s with %s, got %d %s: %s\n", rule, word, e->kind,
			e->rule, e->message);
	return same;
}

static inline bool refuses(const char *path, const struct dsv4_open_options *o, const char *rule,
	const char *word)
{
	struct dsv4_error e = { 0 };
	struct dsv4 *d = (struct dsv4 *)&e;

	return dsv4_open(&d, path, o, &e) == -1 && !d && is(&e, rule, word);
}

/* A copy of the first rank's folder. */
static inline struct path rank_copy(const char *name)
{
	struct path p;

	make();
	p = model_copy(model_file(marlin.s, "rank-0-of-2").s, name);
	return p;
}
#endif
