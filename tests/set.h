/* set.h -- for tests: conversions for engines in one call, there and back.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_SET_H
#define TESTS_SET_H
#include "convert/run/job.h"
#include "tests/model.h"

#define FLASH "tests/golden/tiny-flash"
#define PRO "tests/golden/tiny-pro"

static inline struct job_opts set_opts(const char *target, uint64_t ranks, bool tp)
{
	struct job_opts o = { .plan = { .target = target,
				      .ranks = 1,
				      .sha256 = true,
				      .experimental = true,
				      .back = true },
		.threads = 2,
		.max_memory = 256 << 20,
		.features = cpu_features() };

	o.plan.share =
		(struct share){ .ranks = ranks, .stages = 1, .experts_tp = tp, .attention_tp = tp };
	return o;
}

static inline int set_execute(const char *from, const char *out, const struct job_opts *o,
	struct err *e)
{
	struct run_opts ro = { .out = out, .tool = "test 0", .features = cpu_features() };
	struct run_result res;
	struct job j;
	int rc;

	memset(e, 0, sizeof *e);
	if (job_open(&j, io_posix(), from, o, e))
		return -1;
	ro.expected = j.has_expected ? &j.expected : NULL;
	ro.budget = j.b;
	rc = run_conversion(&j.conversion, &ro, &res, e);
	run_result_free(&res);
	job_close(&j);
	return rc;
}

static inline bool set_makes(const char *from, const char *out, const struct job_opts *o)
{
	struct err e;

	if (!set_execute(from, out, o, &e))
		return true;
	fprintf(stderr, "%s: %s: %s\n", o->plan.target ? o->plan.target : "", e.rule ? e.rule : "",
		e.text);
	return false;
}

/* Fails with that rule and that word in the sentence. */
static inline bool set_refuses(const char *from, const char *out, const struct job_opts *o,
	const char *rule, const char *word)
{
	struct err e;
	int rc = set_execute(from, out, o, &e);

	if (rc && e.rule && !strcmp(e.rule, rule) && strstr(e.text, word))
		return true;
	fprintf(stderr, "expected %s, got %d %s: %s\n", rule, rc, e.rule ? e.rule : "", e.text);
	return false;
}

/* Back to the source. */
static inline struct job_opts set_back(void)
{
	struct job_opts o = set_opts("restore", 1, false);

	o.plan.share = (struct share){ 0 };
	o.use = USE_RESTORE;
	return o;
}

/* All files of folder want are in got, with the same bytes. */
static inline bool set_holds(const char *got, const char *want)
{
	struct dirent *d;
	DIR *h = opendir(want);
	bool same = h;

	while (h && (d = readdir(h)))
		if (d->d_name[0] != '.' &&
			!same_files(model_file(got, d->d_name).s, model_file(want, d->d_name).s)) {
			fprintf(stderr, "%s differs\n", d->d_name);
			same = false;
		}
	if (h)
		closedir(h);
	return same;
}

static inline bool set_same(const char *a, const char *b)
{
	char line[1300];

	snprintf(line, sizeof line, "diff -r %s %s", a, b);
	return !system(line);
}
#endif
