/* SPDX-License-Identifier: MIT */
#include "convert/cli/task_call.h"

#include "convert/batch/again.h"
#include "convert/batch/final.h"
#include "convert/batch/receipt.h"
#include "convert/batch/slot.h"
#include "convert/batch/source_id.h"
#include "convert/batch/stage.h"
#include "convert/batch/task.h"
#include "convert/cli/show.h"
#include "convert/out/outdir.h"
#include "core/cli/cli.h"
#include "core/cli/parse.h"
#include "core/cpu.h"
#include "formats/format_id.h"
#include "formats/json/jwrite.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- options as words --- */

/* Options of a call that are not kept: they belong to the machine, to the call, or stand elsewhere in job.json. */
static bool is_kept(const char *name)
{
	static const char *const not [] = { "threads", "max-memory", "json", "quiet", "tensors",
		"job", "tasks", "lease", "out", "task", "steal", "launcher", "hf-cache" };
	size_t i;

	for (i = 0; i < sizeof not / sizeof *not ; i++)
		if (!strcmp(not [i], name))
			return false;
	return true;
}

/* A path as it is from everywhere; whatever is no path that is there stays as it is. Returns text, which the caller
 * frees, or NULL without memory. */
static char *from_everywhere(const struct cli_opt *opt, const char *value)
{
	bool path = strstr(opt->arg, "FILE") || strstr(opt->arg, "DIR") ||
		!strcmp(opt->name,
			"source-sha256"); /* its LIST is a file, that of --layers is none */
	char *real = path ? realpath(value, NULL) : NULL;

	return real ? real : strdup(value);
}

static int add_word(struct batch *b, const struct cli_opt *opt, const char *value, struct err *e)
{
	struct text t = { 0 };
	const char *w;

	text_fmt(&t, "--%s%s%s", opt->name, value ? "=" : "", value ? value : "");
	w = t.failed ? NULL : arena_strndup(&b->arena, t.s, t.n);
	if (w && b->n_words < BATCH_WORDS && t.n < BATCH_WORD) {
		b->words[b->n_words++] = w;
		text_free(&t);
		return 0;
	}
	text_free(&t);
	return w ? err_set(e, ERR_USAGE, "--%s is too long for a job folder", opt->name)
		 : err_nomem(e);
}

/* Puts what o says otherwise than defaults into words. */
static int put_word(struct batch *b, const struct cli_opt *opt, const void *o, const void *defaults,
	struct err *e)
{
	const char *at = (const char *)o + opt->at, *was = (const char *)defaults + opt->at;
	const char *s;
	char number[24], *value;
	uint64_t v, w;
	bool flag;
	int rc;

	switch (opt->kind) {
	case CLI_FLAG:
		memcpy(&flag, at, sizeof flag);
		return flag ? add_word(b, opt, NULL, e) : 0;
	case CLI_TEXT:
	case CLI_CHOICE:
		memcpy(&s, at, sizeof s);
		if (!s)
			return 0;
		value = from_everywhere(opt, s);
		rc = value ? add_word(b, opt, value, e) : err_nomem(e);
		free(value);
		return rc;
	default:
		memcpy(&v, at, sizeof v);
		memcpy(&w, was, sizeof w);
		snprintf(number, sizeof number, "%llu", (unsigned long long)v);
		return v == w ? 0 : add_word(b, opt, number, e);
	}
}

static int put_words(struct batch *b, const struct call *o, const struct task_tool *tool,
	const char *verb, struct err *e)
{
	const struct cli_opt *opt = parse_verb(tool->cli, verb)->opts;
	struct call defaults = { 0 };

	tool->cli->defaults(&defaults);
	for (; opt->name; opt++)
		if (is_kept(opt->name) && put_word(b, opt, o, &defaults, e))
			return -1;
	return 0;
}

/* The options that a job keeps; what belongs to the machine comes from the call o. *c borrows the words. */
static int take_words(struct call *c, struct batch *b, const struct call *o,
	const struct task_tool *tool, struct err *e)
{
	char *argv[BATCH_WORDS + 2], dir[] = "DIR"; /* the verb wants one */
	enum parsed what;
	size_t i;
	int n;

	for (i = 0; i < b->n_words; i++)
		argv[i] = (char *)(uintptr_t)b->words[i];
	argv[b->n_words] = dir;
	argv[b->n_words + 1] = NULL;
	memset(c, 0, sizeof *c);
	tool->cli->defaults(c);
	n = parse_options(tool->cli, parse_verb(tool->cli, "run"), (int)b->n_words + 1, argv, c,
		&what, e);
	if (n < 0)
		return -1;
	if (n != 1 || what != PARSED_CALL)
		return err_rule(e, RULE_JOB_FORM, ERR_NOPOS,
			BATCH_NAME ": it has words that are no options");
	c->out = b->out;
	c->threads = o->threads;
	c->job.max_memory = o->job.max_memory;
	c->json = o->json;
	c->quiet = o->quiet;
	return 0;
}

/* --- plan --- */

static int check_plan(const struct call *o, struct err *e)
{
	if (!o->tasks)
		return err_set(e, ERR_USAGE,
			"--job: --tasks says how many processes there will be");
	if (o->overwrite)
		return err_set(e, ERR_USAGE,
			"--overwrite: a job needs an output folder that is empty");
	return 0;
}

/* The path of a folder that may not be there yet. */
static int whole_path(const char *path, char to[BATCH_WORD], struct err *e)
{
	char *real = realpath(path, NULL), *cwd = NULL;
	int n;

	if (!real && *path != '/') {
		cwd = realpath(".", NULL);
		n = cwd ? snprintf(to, BATCH_WORD, "%s/%s", cwd, path) : -1;
	} else {
		n = snprintf(to, BATCH_WORD, "%s", real ? real : path);
	}
	free(real);
	free(cwd);
	return n >= 0 && n < BATCH_WORD
		? 0
		: err_set(e, ERR_USAGE, "%s: the path is too long", text_quote(path).s);
}

/* "8 tasks, 500 files; a task has 12.3 to 12.4 GB" */
static void say_balance(struct text *t, const struct batch *b, const char *path)
{
	uint64_t *has = calloc(b->tasks, sizeof *has), min = UINT64_MAX, max = 0;
	size_t i;

	for (i = 0; has && i < b->n; i++)
		has[b->units[i].task] += b->units[i].bytes;
	for (i = 0; has && i < b->tasks; i++) {
		min = has[i] < min ? has[i] : min;
		max = has[i] > max ? has[i] : max;
	}
	text_fmt(t, "job %.12s in %s: %zu files for %llu tasks, of %s to %s each\n", b->id,
		text_quote(path).s, b->n, (unsigned long long)b->tasks, text_bytes(has ? min : 0).s,
		text_bytes(max).s);
	free(has);
}

static int make_job(struct batch *b, const struct call *o, const struct job *j, const char *dir,
	const struct task_tool *tool, struct err *e)
{
	*b = (struct batch){
		.tasks = o->tasks, .lease = o->lease, .dir = -1, .leases = -1, .receipts = -1
	};
	snprintf(b->tool, sizeof b->tool, "%s", tool->run->made_by);
	snprintf(b->plan, sizeof b->plan, "%s", j->conversion.hash);
	if (outdir_outside(o->io, o->job_dir, dir, "the input folder", e))
		return err_at(e, "--job");
	if (source_id(j, b->source_id, e) || whole_path(dir, b->source, e) ||
		batch_units(b, &j->conversion, e) || put_words(b, o, tool, "plan", e) ||
		stage_share(&j->conversion, o->out, false, e) || whole_path(o->out, b->out, e))
		return -1;
	/* Else OUT would hold what no conversion writes, and every task would be refused. */
	if (outdir_outside(o->io, o->job_dir, o->out, "the output folder", e))
		return err_at(e, "--job");
	/* Manifests of a finished OUT go when nothing can refuse the job any more. */
	return batch_create(b, io_posix(), o->job_dir, e) ||
			stage_share(&j->conversion, o->out, true, e)
		? -1
		: 0;
}

int task_call_plan(const struct call *o, const char *dir, const struct task_tool *tool,
	struct err *e)
{
	struct text note = { 0 };
	struct job_opts jo;
	struct batch b = { .dir = -1, .leases = -1, .receipts = -1 };
	struct job j;
	uint64_t there;
	int rc;

	if (check_plan(o, e) || tool->settle(o, &jo, e) || job_open(&j, o->io, dir, &jo, e))
		return -1;
	rc = run_look(&j.conversion, o->out, false, false, &there, e) ||
			make_job(&b, o, &j, dir, tool, e)
		? -1
		: 0;
	job_close(&j);
	if (!rc && !o->quiet)
		say_balance(&note, &b, o->job_dir);
	cli_note(&note);
	batch_close(&b);
	return rc ? rc : call_plan(o, &jo, dir, e);
}

/* --- run --- */

bool task_call_is(const struct call *o, const char *dir)
{
	/* Where the system does not say, the job's call says why. */
	return o->task || o->steal || o->launcher || batch_is(io_posix(), dir, NULL);
}

/* Options of the plan are the job's; they are not said again. */
static int refuse_words(const struct call *o, const struct task_tool *tool, struct err *e)
{
	struct batch said = { .dir = -1, .leases = -1, .receipts = -1 };
	int rc = put_words(&said, o, tool, "run", e);

	if (!rc && (said.n_words || o->out))
		rc = err_rule(e, RULE_JOB_OTHER, ERR_NOPOS,
			"%s: a job has the options that it was planned with; say here --task, --steal, --threads, "
			"--max-memory only",
			said.n_words ? text_quote(said.words[0]).s : "--out");
	batch_close(&said);
	return rc;
}

static void note(const char *s)
{
	struct text t = { 0 };

	text_fmt(&t, "%s\n", s);
	cli_note(&t);
}

/* A job that was opened, and the conversion that it is about. */
struct opened {
	struct batch b;
	struct call c;
	struct job_opts jo;
	struct job j;
};

static int open_job(struct opened *w, const struct call *o, const char *dir,
	const struct task_tool *tool, struct err *e)
{
	if (batch_open(&w->b, io_posix(), dir, e))
		return -1;
	if (!take_words(&w->c, &w->b, o, tool, e) && !tool->settle(&w->c, &w->jo, e) &&
		!job_open(&w->j, o->io, w->b.source, &w->jo, e)) {
		if (!batch_hold(&w->b, &w->j, tool->run->made_by, e))
			return 0;
		job_close(&w->j);
	}
	batch_close(&w->b);
	return -1;
}

enum { SIGHT = 10 }; /* seconds until a machine should see what another one has just planned */

/* The same; what a network file system refuses (ESTALE, EIO), it tries some times, and waits a little for a job.json that is
 * not seen yet. */
static int open_with_tries(struct opened *w, const struct call *o, const char *dir,
	const struct task_tool *tool, struct err *e)
{
	struct again again = { .note = note, .stop = tool->run->stop };
	int seconds = 0;

	while (open_job(w, o, dir, tool, e)) {
		if (e->rule == rules[RULE_JOB_UNFINISHED].id && seconds++ < SIGHT &&
			!(again.stop && *again.stop)) {
			*e = (struct err){ 0 };
			again_rest(1, again.stop);
		} else if (!again_worth(&again, e)) {
			return -1;
		}
	}
	return 0;
}

static void close_job(struct opened *w)
{
	job_close(&w->j);
	batch_close(&w->b);
}

static struct run_opts run_opts_of(const struct opened *w, const struct task_tool *tool)
{
	return (struct run_opts){ .out = w->b.out,
		.tool = tool->run->made_by,
		.budget = w->j.b,
		.features = cpu_features(),
		.expected = w->j.has_expected ? &w->j.expected : NULL,
		.stop = tool->run->stop };
}

/* A line for each file made here, as sha256sum checks them below OUT. */
static void show_made(struct text *t, const struct batch *b, const struct task_result *r)
{
	char hex[65];
	size_t u;

	for (u = 0; u < b->n; u++) {
		if (!r->made[u])
			continue;
		hex_of(r->sha256[u], 32, hex);
		text_fmt(t, "%s  %s\n", hex, receipt_path(b, (uint32_t)u).s);
	}
}

static void show_made_json(struct text *t, const struct opened *w, const struct task_result *r,
	uint32_t index)
{
	struct jwrite o;
	size_t u;

	jwrite_begin(&o, t, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_u64(&o, "bytes", r->bytes);
	jwrite_open(&o, "files", '[');
	for (u = 0; u < w->b.n; u++) {
		if (!r->made[u])
			continue;
		jwrite_open(&o, NULL, '{');
		jwrite_str(&o, "name", receipt_path(&w->b, (uint32_t)u).s);
		if (w->jo.plan.sha256)
			jwrite_hex(&o, "sha256", r->sha256[u], 32);
		else
			jwrite_null(&o, "sha256");
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, ']');
	jwrite_str(&o, "format", FORMAT_TASK_JSON);
	jwrite_str(&o, "job", w->b.id);
	jwrite_u64(&o, "share", r->n_share);
	jwrite_u64(&o, "stolen", r->n_stolen);
	jwrite_u64(&o, "task", index);
	jwrite_close(&o, '}');
}

static int do_task(struct opened *w, const struct slot *s, const struct call *o,
	const struct task_tool *tool, struct err *e)
{
	struct run_opts ro = run_opts_of(w, tool);
	struct task_opts to = {
		.index = (uint32_t)s->index, .steal = o->steal, .run = &ro, .note = note
	};
	struct task_result r;
	struct text t = { 0 }, line = { 0 };
	double began = progress_now();
	int rc = task_run(&w->b, &w->j, &to, &r, e);

	if (r.made && r.sha256 &&
		(!rc || !o->json)) { /* what a task that was stopped has made stays */
		if (o->json)
			show_made_json(&t, w, &r, to.index);
		else if (w->jo.plan.sha256)
			show_made(&t, &w->b, &r);
		if (cli_print(&t, e))
			rc = -1;
	}
	if (!rc && !o->quiet)
		text_fmt(&line,
			"task %u: %zu files made (%s), %zu of them of other tasks; %zu of %zu of its share are there; %.1f s\n",
			to.index, r.n_made, text_bytes(r.bytes).s, r.n_stolen, r.n_done, r.n_share,
			progress_now() - began);
	cli_note(&line);
	task_result_free(&r);
	return rc;
}

int task_call_run(const struct call *o, const char *dir, const struct task_tool *tool,
	struct err *e)
{
	struct text line = { 0 };
	struct opened w;
	struct slot s;
	int rc;

	if (refuse_words(o, tool, e))
		return -1;
	if (!batch_is(io_posix(), dir, NULL))
		return batch_open(&w.b, io_posix(), dir, e); /* which says that it is none */
	if (slot_find(&s, o->task, o->launcher, tool->env, e) ||
		open_with_tries(&w, o, dir, tool, e))
		return -1;
	rc = slot_hold(&s, w.b.tasks, e);
	if (!rc)
		text_fmt(&line, "task %llu of %llu (%s), job %.12s\n", (unsigned long long)s.index,
			(unsigned long long)w.b.tasks, s.from, w.b.id);
	cli_note(&line);
	rc = rc ? rc : do_task(&w, &s, o, tool, e);
	close_job(&w);
	return rc;
}

/* --- finalize --- */

int task_call_finalize(const struct call *o, const char *dir, const struct task_tool *tool,
	struct err *e)
{
	struct text t = { 0 }, line = { 0 };
	struct run_result r;
	struct run_opts ro;
	struct again again = { .note = note, .stop = tool->run->stop };
	struct opened w;
	size_t read;
	int rc;

	if (open_with_tries(&w, o, dir, tool, e))
		return -1;
	ro = run_opts_of(&w, tool);
	while ((rc = final_run(&w.b, &w.j, &ro, o->full, &read, &r, e)) && again_worth(&again, e))
		run_result_free(&r);
	if (!rc) {
		if (o->json)
			show_run_json(&t, &w.j.conversion, &r, NULL, NULL);
		else
			show_run_text(&t, &w.j.conversion, &r);
		rc = cli_print(&t, e);
	}
	if (!rc && !o->quiet)
		text_fmt(&line,
			"%s: %zu files, each with its receipt; %zu of them were read again\n",
			text_quote(w.b.out).s, w.b.n, read);
	cli_note(&line);
	run_result_free(&r);
	close_job(&w);
	return rc;
}
