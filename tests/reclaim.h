/* reclaim.h -- for tests of run --reclaim: a small source, runs that free its shards, and what must hold after one whatever
 * went wrong in it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_RECLAIM_H
#define TESTS_RECLAIM_H
#include "convert/run/reclaim.h"
#include "tests/faultio.h"
#include "tests/sanitized.h"
#include "tests/set.h"
#include "tests/shell.h"

struct rc_way {
	const char *name, *target;
	uint64_t ranks;
	enum codec experts;
	uint64_t stages; /* 0: one */
};
static const struct rc_way rc_ways[] = {
	{ "hf", "hf", 0, CODEC_NONE, 0 },
	{ "set", "marlin-mxfp4", 2, CODEC_NONE, 0 },
	{ "dropped", "hf", 0, CODEC_FP8, 0 },
	{ "stages", "marlin-mxfp4", 1, CODEC_NONE, 2 },
};
enum { RC_WAYS = sizeof rc_ways / sizeof *rc_ways, RC_SHARDS = 4, RC_FILES = 16 };

/* Of an undisturbed run. */
static struct rc_clean {
	struct path out;
	char hash[65];
	char shard[RC_SHARDS][64], file[RC_FILES][FREED_PATH];
	bool needs[RC_FILES][RC_SHARDS];
	size_t shards, files;
} rc_clean[RC_WAYS];

static struct path rc_source; /* two layers of a golden model with four experts */

/* What a test wants of a run besides. */
struct rc_call {
	const char *word; /* NULL: the right one */
	const char *tool; /* NULL: "test 0" */
	const char *sums; /* NULL: those of the source */
	struct job_opts *opts;
	unsigned threads;      /* 0: one */
	struct rc_clean *note; /* what the run was to do is noted here */
	size_t freed;          /* by it */
	uint64_t peak;         /* of its forecast */
};

static struct job_opts rc_opts(const struct rc_way *w, const char *sums, unsigned threads)
{
	struct job_opts o = set_opts(w->target, w->ranks, false);

	o.use = USE_RUN;
	o.plan.experts = w->experts;
	o.threads = threads ? threads : 1;
	o.source_sha256 = sums;
	if (w->stages)
		o.plan.share.stages = w->stages;
	if (!w->ranks)
		o.plan.share = (struct share){ 0 };
	return o;
}

static void rc_note(struct rc_clean *n, const struct reclaim *r)
{
	const struct forecast_needs *d = &r->needs;
	size_t i, k;

	n->files = d->n;
	n->shards = d->n_shards;
	if (d->n > RC_FILES || d->n_shards > RC_SHARDS)
		exit(2);
	memcpy(n->hash, r->c->hash, sizeof n->hash);
	for (i = 0; i < d->n_shards; i++)
		snprintf(n->shard[i], sizeof n->shard[i], "%s", r->ckpt->shards[i].name);
	for (i = 0; i < d->n; i++) {
		const struct plan *p = &r->c->folders[d->files[i].folder];

		snprintf(n->file[i], sizeof n->file[i], "%s%s%s", p->dir, p->dir[0] ? "/" : "",
			p->files[d->files[i].i].name);
		for (k = d->at[i]; k < d->at[i + 1]; k++)
			n->needs[i][d->shard[k]] = true;
	}
}

/* As dsv4-convert run --reclaim does it. */
static int rc_run(const struct io *io, const struct rc_way *w, const char *dir, const char *out,
	struct rc_call *call, struct err *e)
{
	struct path sums = dirs_path("sums");
	struct job_opts o = call->opts
		? *call->opts
		: rc_opts(w, call->sums ? call->sums : sums.s, call->threads);
	const char *tool = call->tool ? call->tool : "test 0";
	struct run_opts ro = { .out = out, .tool = tool, .features = cpu_features() };
	struct run_result res = { 0 };
	struct reclaim r;
	struct job j;
	int rc;

	memset(e, 0, sizeof *e);
	rc = reclaim_open(&r, io, dir, out, e);
	o.ckpt.gone = r.n_gone ? &r.gone : NULL;
	if (!rc && !(rc = job_open(&j, io, dir, &o, e))) {
		rc = reclaim_plan(&r, &j, out, call->word ? call->word : j.conversion.hash, tool,
			e);
		ro.budget = j.b;
		ro.budget.piece = 256 << 10;
		ro.expected = j.has_expected ? &j.expected : NULL;
		ro.reclaim = &r;
		ro.forecast = &r.forecast;
		if (!rc && call->note)
			rc_note(call->note, &r);
		call->peak = r.forecast.peak;
		rc = rc ? rc : run_conversion(&j.conversion, &ro, &res, e);
		call->freed = res.freed;
		run_result_free(&res);
		job_close(&j);
	}
	reclaim_close(&r);
	return rc;
}

static void rc_shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void rc_shell(const char *fmt, ...)
{
	char line[2400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	if (system(line)) {
		fprintf(stderr, "%s\n", line);
		exit(2);
	}
}

/* A copy of the source, whose shards a run may free. */
static struct path rc_copy(void)
{
	struct path src = dirs_new("src");

	model_fill(rc_source.s, src.s, false);
	return src;
}

static bool rc_equal(const char *a, const char *b)
{
	size_t n, m;
	uint8_t *x = file_get_all(a, &n), *y = file_get_all(b, &m);
	bool same = x && y && n == m && !memcmp(x, y, n);

	free(x);
	free(y);
	return same;
}

/* Both folders hold the same files and folders. */
static bool rc_same_tree(const char *a, const char *b)
{
	bool same = model_entries(a) == model_entries(b);
	DIR *h = opendir(a);
	struct dirent *d;
	struct path x, y;
	struct stat st;

	while (same && h && (d = readdir(h))) {
		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		x = model_file(a, d->d_name);
		y = model_file(b, d->d_name);
		same = !lstat(x.s, &st) &&
			(S_ISDIR(st.st_mode) ? rc_same_tree(x.s, y.s) : rc_equal(x.s, y.s));
		if (!same)
			fprintf(stderr, "%s: not as %s\n", x.s, y.s);
	}
	if (h)
		closedir(h);
	return h && same;
}

/* The source, and an undisturbed run of every way: it has the bytes that a run without --reclaim has. */
static void rc_set_up(void)
{
	struct path sums = dirs_path("sums"), plain = dirs_path("plain"), src;
	struct job_opts o;
	struct err e;
	size_t i;

	if (rc_source.s[0])
		return;
	setenv("TMPDIR", "/dev/shm", 0);
	rc_source = dirs_path("mini");
	if (!ends(0, NULL, "dsv4-convert", "slice " FLASH " -o %s --layers 0-1 --experts 4 -q",
		    rc_source.s))
		exit(2);
	rc_shell(
		"cd '%s' && rm -f *manifest.json && echo '{}' >tokenizer.json && echo mine >README.md && sha256sum *.safetensors >'%s'",
		rc_source.s, sums.s);
	for (i = 0; i < RC_WAYS; i++) {
		struct rc_call call = { .note = &rc_clean[i] };

		rc_clean[i].out = dirs_path(rc_ways[i].name);
		src = rc_copy();
		if (rc_run(io_posix(), &rc_ways[i], src.s, rc_clean[i].out.s, &call, &e)) {
			fprintf(stderr, "%s: the undisturbed run: %s\n", rc_ways[i].name, e.text);
			exit(2);
		}
		CHECK_IN(rc_ways[i].name, call.freed == RC_SHARDS);
		o = rc_opts(&rc_ways[i], sums.s, 1);
		dirs_remove(plain.s);
		CHECK_IN(rc_ways[i].name, set_makes(rc_source.s, plain.s, &o));
		/* It has the list of what it may be the only copy of, besides. */
		rc_shell("cp '%s/" FREED_KEPT "' '%s'", rc_clean[i].out.s, plain.s);
		CHECK_IN(rc_ways[i].name, rc_same_tree(rc_clean[i].out.s, plain.s));
	}
}

/* File f of the conversion is in out with all that belongs to it, as the undisturbed run has left it. */
static bool rc_has_file(const struct rc_clean *c, const char *out, const char *file)
{
	static const char *const ends_with[] = { "", MAN_SIDECAR, MAN_DROPPED };
	char name[500];
	size_t i;

	for (i = 0; i < 3; i++) {
		snprintf(name, sizeof name, "%s%s", file, ends_with[i]);
		if (is_file(model_file(c->out.s, name).s) &&
			!rc_equal(model_file(out, name).s, model_file(c->out.s, name).s))
			return false;
	}
	return true;
}

/* All that shard s went into lies in out. */
static bool rc_has_outputs(const struct rc_clean *c, size_t s, const char *out)
{
	char header[200];
	size_t i;

	snprintf(header, sizeof header, "source/%s" CKPT_HEADER, c->shard[s]);
	if (!rc_equal(model_file(out, header).s, model_file(c->out.s, header).s))
		return false;
	for (i = 0; i < c->files; i++)
		if (c->needs[i][s] && !rc_has_file(c, out, c->file[i]))
			return false;
	return true;
}

/* Of every tensor source or output is there. Returns how many shards are. */
static size_t rc_look(const struct rc_clean *c, const char *dir, const char *out, const char *what)
{
	static const char *const stay[] = { "config.json", "README.md", "tokenizer.json",
		CKPT_INDEX };
	struct path shard;
	size_t s, n = 0, i;

	for (s = 0; s < c->shards; s++) {
		shard = model_file(dir, c->shard[s]);
		n += is_file(shard.s);
		if (is_file(shard.s))
			CHECK_IN(what, rc_equal(shard.s, model_file(rc_source.s, c->shard[s]).s));
		else
			CHECK_IN(what, rc_has_outputs(c, s, out));
	}
	for (i = 0; i < sizeof stay / sizeof *stay; i++)
		CHECK_IN(what,
			rc_equal(model_file(dir, stay[i]).s, model_file(rc_source.s, stay[i]).s));
	return n;
}

/* The same call once more ends as if nothing had happened. */
static void rc_resume(const struct rc_way *w, const char *dir, const char *out, const char *what)
{
	const struct rc_clean *c = &rc_clean[w - rc_ways];
	struct rc_call call = { 0 };
	struct err e;

	CHECK_IN(what, !rc_run(io_posix(), w, dir, out, &call, &e));
	if (e.kind)
		fprintf(stderr, "%s: then %s\n", what, e.text);
	CHECK_IN(what, !rc_look(c, dir, out, what));
	CHECK_IN(what, rc_same_tree(out, c->out.s));
	CHECK_IN(what, model_entries(dir) == 5); /* four that stay, and the list */
}

/* Fails with that rule, and frees nothing. */
static bool rc_refuses(struct rc_call *call, const char *dir, const char *rule, const char *word)
{
	struct path out = dirs_path("refused");
	struct err e;
	int rc = rc_run(io_posix(), &rc_ways[0], dir, out.s, call, &e);

	if (rc && e.rule && !strcmp(e.rule, rule) && strstr(e.text, word))
		return true;
	fprintf(stderr, "expected %s, got %d %s: %s\n", rule, rc, e.rule ? e.rule : "", e.text);
	return false;
}
#endif
