/* model.h -- for tests: copies of small checkpoints to damage, and a conversion in one call.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_MODEL_H
#define TESTS_MODEL_H
#include "convert/plan/inputs.h"
#include "convert/run/run.h"
#include "core/cpu.h"
#include "core/hash/sha256.h"
#include "core/hash/xxh.h"
#include "core/rule.h"
#include "tests/dirs.h"

#include <dirent.h>
#include <jansson.h>

/* Puts every file of from into the folder to: as a link if links, else its bytes. */
static inline void model_fill(const char *from, const char *to, bool links)
{
	char src[800], dst[800];
	struct dirent *d;
	DIR *dir = opendir(from);
	uint8_t *p;
	size_t n;

	while (dir && (d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(src, sizeof src, "%.500s/%.255s", from, d->d_name);
		snprintf(dst, sizeof dst, "%.500s/%.255s", to, d->d_name);
		if (links && !link(src, dst))
			continue;
		p = file_get_all(src, &n); /* or it is another file system */
		file_put_all(dst, p, n);
		free(p);
	}
	if (!dir || closedir(dir))
		FAILED("a model to copy");
}

/* Links every file of from into a new folder; what a test changes it must replace, not write to. A link changes the
 * times of a file, and a test that runs beside this one may be converting the golden models: so links lead to a copy
 * that this process made of them. */
static inline struct path model_copy(const char *from, const char *name)
{
	struct path to = dirs_new(name), own;
	char own_name[80];

	if (!strncmp(from, "tests/", 6)) {
		snprintf(own_name, sizeof own_name, "golden-%.60s", strrchr(from, '/') + 1);
		own = dirs_path(own_name);
		if (!mkdir(own.s, 0777))
			model_fill(from, own.s, false);
		from = own.s;
	}
	model_fill(from, to.s, true);
	return to;
}

/* Returns the path of a file of a checkpoint or conversion. */
static inline struct path model_file(const char *dir, const char *name)
{
	return below(dir, name);
}

/* Gives the file these bytes, in a file of its own. */
static inline void model_put(const char *dir, const char *name, const void *p, size_t n)
{
	struct path f = model_file(dir, name);

	unlink(f.s);
	file_put_all(f.s, p, n);
}

/* Runs a program of the build folder with arguments; its exit status. Output is thrown away. */
static inline int model_tool(const char *program, const char *args)
{
	char line[2048];
	const char *b = getenv("B");
	int rc;

	snprintf(line, sizeof line, "%s/%s %s >/dev/null 2>&1", b ? b : "build/gcc-opt", program,
		args);
	rc = system(line);
	rc = WIFEXITED(rc) ? WEXITSTATUS(rc) : 128;
	CHECK_IN(line, rc < 126); /* no input lets a tool die by a signal, and there is a tool */
	return rc;
}

struct model_job {
	struct plan_opts plan;
	const char *expected; /* --source-sha256 */
	const char *input;    /* --input-scale */
	const char *base;     /* --base */
	unsigned threads, features;
	uint64_t memory;
	enum codec assume;
	bool follow_links, overwrite;
	const struct io *io;
	const volatile sig_atomic_t *stop;
	struct run_counts result;
	struct budget budget; /* of the run */
	struct run_anew anew;
	const char *tool; /* name and version; NULL: some */
	size_t piece;     /* bytes made at a time; 0: as the budget says */
	const struct budget
		*crew; /* threads, teams, lanes, ring and own; NULL: as the budget says */
	char hash[65];
};

static inline struct model_job model_job(const char *target, uint64_t ranks)
{
	struct model_job j = { .plan = { .target = target, .ranks = ranks, .sha256 = true },
		.threads = 2,
		.features = cpu_features(),
		.memory = 256 << 20,
		.io = io_posix() };

	return j;
}

static inline int model_execute(struct model_job *j, const struct conversion *p, const char *out,
	struct err *e)
{
	struct run_opts o = { .out = out,
		.overwrite = j->overwrite,
		.tool = j->tool ? j->tool : "test 0",
		.features = j->features,
		.stop = j->stop };
	struct base base = { .top = -1 };
	struct run_result r;
	struct expected x;
	int rc;

	if (budget_make(&o.budget, p, j->expected, j->threads, j->memory, e))
		return -1;
	o.budget.piece = j->piece ? j->piece : o.budget.piece;
	if (j->crew) {
		o.budget.threads = j->crew->threads;
		o.budget.teams = j->crew->teams;
		o.budget.lanes = j->crew->lanes;
		o.budget.ring = j->crew->ring;
		o.budget.own = j->crew->own;
	}
	j->budget = o.budget;
	if (j->expected) {
		if (expected_read(&x, p->folders[0].ckpt, j->expected, e))
			return -1;
		o.expected = &x;
	}
	if (j->base &&
		base_open(&base, p->folders[0].ckpt, &(struct base_from){ .path = j->base }, o.tool,
			j->threads, j->stop, NULL, e)) {
		if (j->expected)
			expected_free(&x);
		return -1;
	}
	o.base = j->base ? &base : NULL;
	rc = run_conversion(p, &o, &r, e);
	base_close(&base);
	j->result = r.sum;
	j->anew = r.anew;
	run_result_free(&r);
	if (j->expected)
		expected_free(&x);
	return rc;
}

/* Opens, audits, plans and, unless out is NULL, runs. */
static inline int model_convert(struct model_job *j, const char *dir, const char *out,
	struct err *e)
{
	struct ckpt_opts co = { .follow_links = j->follow_links };
	struct findings f = { 0 };
	struct ckpt c;
	struct audit a;
	struct conversion p;
	struct inputs x = { .v = NULL };
	int rc;

	memset(e, 0, sizeof *e);
	if (ckpt_open(&c, j->io, dir, &co, &f, e)) {
		finding_free(&f);
		return -1;
	}
	rc = audit_make(&a, &c, j->assume, &f, e);
	rc = rc ? rc : finding_first(&f, e);
	finding_free(&f);
	if (!rc && j->input) {
		rc = inputs_read(&x, &a, j->input, e);
		j->plan.inputs = &x;
	}
	rc = rc ? rc : conversion_make(&p, &a, &j->plan, e);
	audit_free(&a);
	if (!rc) {
		memcpy(j->hash, p.hash, sizeof j->hash);
		rc = out ? model_execute(j, &p, out, e) : 0;
		conversion_free(&p);
	}
	inputs_free(&x);
	ckpt_close(&c);
	return rc;
}

/* Number of entries of a folder, those that begin with a dot too. */
static inline int model_entries(const char *dir)
{
	struct dirent *d;
	DIR *h = opendir(dir);
	int n = 0;

	while (h && (d = readdir(h)))
		n += strcmp(d->d_name, ".") && strcmp(d->d_name, "..");
	if (h)
		closedir(h);
	return n;
}

/* Both folders hold the same files with the same bytes. */
static inline bool model_same(const char *got, const char *want)
{
	struct dirent *d;
	DIR *h = opendir(want);
	bool same = h && model_entries(got) == model_entries(want);

	if (!same)
		fprintf(stderr, "%s: %d files, expected %d\n", got, model_entries(got),
			model_entries(want));
	while (h && (d = readdir(h)))
		if (strcmp(d->d_name, ".") && strcmp(d->d_name, ".."))
			same = same_files(model_file(got, d->d_name).s,
				       model_file(want, d->d_name).s) &&
				same;
	if (h)
		closedir(h);
	return same;
}

/* Converts; a failure is printed. */
static inline bool convert(struct model_job *j, const char *from, const char *out)
{
	struct err e;

	if (!model_convert(j, from, out, &e))
		return true;
	fprintf(stderr, "%s: %s: %s\n", out, e.rule ? e.rule : "", e.text);
	return false;
}

static inline bool fails_with(struct model_job *j, const char *from, const char *out,
	const char *rule)
{
	struct err e;
	int rc = model_convert(j, from, out, &e);

	if (rc == -1 && e.rule && !strcmp(e.rule, rule))
		return true;
	fprintf(stderr, "expected %s, got %d %s: %s\n", rule, rc, e.rule ? e.rule : "", e.text);
	return false;
}

static inline void digest_file(const char *path, char hex[65])
{
	size_t n;
	uint8_t *p = file_get_all(path, &n), d[32];
	struct err e = { 0 };

	CHECK_IN(path, p && !sha256_of(p, n, d, &e));
	hex_of(d, 32, hex);
	free(p);
}

static inline json_t *load(const char *dir, const char *name)
{
	json_error_t je;
	json_t *o = json_load_file(model_file(dir, name).s, JSON_REJECT_DUPLICATES, &je);

	if (!o)
		fprintf(stderr, "%s: %s\n", name, je.text);
	return o;
}
#endif
