/* SPDX-License-Identifier: MIT */
#include "convert/cli/call.h"

#include "convert/cli/show.h"
#include "convert/out/outdir.h"
#include "convert/run/proof.h"
#include "core/cli/cli.h"
#include "core/cpu.h"
#include "formats/error_json.h"
#include "formats/version_text.h"
#include "quant/recode.h"

#include <string.h>

const char call_exit_text[] =
	"exit status: 0 done and true; 1 looked and found it false; 2 wrong call, or could not tell; "
	"75 not now: run the same task again\n";

void call_failed(const struct cli_failure *f)
{
	struct text t = { 0 };
	struct err ignored = { 0 };

	if (!cli_word(f->argc, f->argv, "json", true))
		return;
	error_json_put(&t, f->tool, f->verb, f->e);
	(void)cli_print(&t, &ignored); /* there is an error to report already */
}

void call_defaults(void *p)
{
	struct call *o = p;

	o->job.max_memory = BUDGET_DEFAULT;
	o->job.ckpt.header_cap = ST_HEADER_CAP;
	o->lease = 120;
}

enum codec call_form(const char *word)
{
	return word ? codec_of_expert(word) : CODEC_NONE;
}

static enum scale_form scales_of(const char *s)
{
	return !s ? SCALES_UNSAID : !strcmp(s, "f32") ? SCALES_F32 : SCALES_E8M0;
}

struct job_opts call_settle(const struct call *o, enum use use)
{
	struct job_opts j = o->job;

	j.use = use;
	j.plan.ranks = 1;
	j.plan.experts = call_form(o->experts);
	j.plan.scales = scales_of(o->scale_dtype);
	j.plan.back = !o->no_back;
	j.plan.sha256 = !o->no_sha256;
	j.assume = call_form(o->assume);
	j.features = cpu_features();
	j.threads = (unsigned)o->threads;
	return j;
}

int call_has_out(const struct call *o, struct err *e)
{
	return o->out ? 0 : err_set(e, ERR_USAGE, "-o says where to write");
}

int call_plan(const struct call *o, const struct job_opts *jo, const char *dir, struct err *e)
{
	struct show_plan s = { .limit = o->job.max_memory, .tensors = o->tensors };
	struct text t = { 0 };
	struct job j;
	int rc;

	if (job_open(&j, io_posix(), dir, jo, e))
		return -1;
	rc = run_look(&j.conversion, o->out, o->overwrite, &s.there, e);
	if (!rc) {
		s.c = &j.conversion;
		s.budget = j.b;
		s.room_known = outdir_free(io_posix(), o->out, &s.room);
		(o->json ? show_plan_json : show_plan_text)(&t, &s);
	}
	job_close(&j);
	return rc ? rc : cli_print(&t, e);
}

/* --- what a person watches --- */

static void say_begin(struct text *t, const struct job *j, const struct run_opts *ro)
{
	const struct conversion *c = &j->conversion;

	text_fmt(t, "plan %.12s: %llu file%s", c->hash, (unsigned long long)c->files,
		c->files == 1 ? "" : "s");
	if (c->n > 1)
		text_fmt(t, " in %zu folders", c->n);
	text_fmt(t, ", %s to pass through, %u thread%s\n", text_bytes(run_work(c, ro)).s,
		j->b.threads, j->b.threads == 1 ? "" : "s");
}

/* What a run does not verify of a hub's cache. */
static void say_unsaid(struct text *t, const struct job *j)
{
	if (j->unsaid)
		text_fmt(t,
			"the names of %zu blobs are no SHA-256: the source is not verified (dsv4-verify check "
			"does)\n",
			j->unsaid);
}

static void say_done(struct text *t, const struct run_result *all, double seconds, const char *out)
{
	const struct run_counts *r = &all->sum;

	if (all->proofs)
		text_str(t,
			"the source was touched while it was read: every file was made once more and is "
			"equal\n");
	if (r->went_on)
		text_fmt(t,
			"%zu unfinished file%s went on from %s that were there and are as written\n",
			r->went_on, r->went_on == 1 ? "" : "s", text_bytes(r->went_on_bytes).s);
	if (all->anew.n)
		text_fmt(t, "%zu unfinished file%s begun anew: %s: %s\n", all->anew.n,
			all->anew.n == 1 ? "" : "s", text_quote(all->anew.name).s, all->anew.why);
	text_fmt(t, "%s: %zu file%s made (%s), %zu kept, in %.1f s", text_quote(out).s, r->made,
		r->made == 1 ? "" : "s", text_bytes(r->written).s, r->kept, seconds);
	if (seconds > 0 && r->written)
		text_fmt(t, " (%.2f GB/s)", (double)r->written / seconds / 1e9);
	text_str(t, "\n");
	if (r->scales[0] || r->scales[1])
		text_fmt(t,
			"scale bytes of experts: %s are 0, %s above 247, %s of them above 249 (the target "
			"reads them; not every engine does)\n",
			text_thousands(r->scales[0]).s, text_thousands(r->scales[1]).s,
			text_thousands(r->scales[2]).s);
	if (r->blocks)
		text_fmt(t, "blocks in their new format: %s of %s exact%s\n",
			text_thousands(r->blocks - r->inexact).s, text_thousands(r->blocks).s,
			r->inexact ? ", the others were rounded (--lossy): the sidecars name them"
				   : "");
}

/* --- */

static int execute(struct job *j, const struct proof_source *from, const struct call *o,
	const struct call_tool *tool, struct err *e)
{
	const struct conversion *c = &j->conversion;
	struct run_opts ro = { .out = o->out,
		.overwrite = o->overwrite,
		.tool = tool->made_by,
		.budget = j->b,
		.features = cpu_features(),
		.expected = j->has_expected ? &j->expected : NULL,
		.stop = tool->stop };
	struct run_result r;
	struct text t = { 0 }, note = { 0 };
	double began = progress_now();
	int rc;

	if (!o->quiet)
		say_begin(&note, j, &ro);
	say_unsaid(&note, j);
	cli_note(&note);
	ro.progress = progress_start(o->quiet ? NULL : tool->watch, "converting", run_work(c, &ro));
	rc = proof_run(j, from, &ro, &r, e);
	progress_stop(ro.progress);
	if (!rc) {
		(o->json ? show_run_json : show_run_text)(&t, c, &r);
		rc = cli_print(&t, e);
		if (!o->quiet)
			say_done(&note, &r, progress_now() - began, o->out);
		cli_note(&note);
	}
	run_result_free(&r);
	return rc;
}

int call_run(const struct call *o, const struct job_opts *jo, const char *dir,
	const struct call_tool *tool, struct err *e)
{
	const struct proof_source from = { .io = io_posix(), .dir = dir, .o = jo };
	struct job j;
	int rc;

	if (job_open(&j, from.io, dir, jo, e))
		return -1;
	rc = execute(&j, &from, o, tool, e);
	job_close(&j);
	return rc;
}

void call_version(const char *name, struct text *out, bool json)
{
	const struct version_way ways[] = {
		{ "FP4 to FP8", recode_find(CODEC_MXFP4, CODEC_FP8)->way(cpu_features()) },
		{ NULL, NULL }
	};

	version_put(out, name, ways, json);
}

int call_table(const struct call *o, void (*text)(struct text *out), void (*json)(struct text *out),
	struct err *e)
{
	struct text t = { 0 };

	(o->json ? json : text)(&t);
	return cli_print(&t, e);
}
