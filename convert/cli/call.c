/* SPDX-License-Identifier: MIT */
#include "convert/cli/call.h"

#include "convert/batch/stage.h"
#include "convert/cli/show.h"
#include "convert/out/outdir.h"
#include "convert/run/proof.h"
#include "convert/run/reclaim.h"
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

	o->io = io_posix();
	o->job.max_memory = BUDGET_DEFAULT;
	o->job.ckpt.header_cap = ST_HEADER_CAP;
	o->lease = 120;
	o->follow_timeout = 3600;
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
	if (o->engram)
		(void)engram_find(&j.plan.engram, o->engram); /* the option takes no other word */
	if (o->engram_layout)
		j.plan.record = rowrec_find(o->engram_layout); /* NULL: plain */
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
	struct show_plan s = { .limit = o->job.max_memory,
		.tensors = o->tensors,
		.more_text = o->more_text,
		.more_json = o->more_json };
	struct text t = { 0 };
	struct forecast f = { 0 };
	struct budget apart;
	struct job j;
	int rc;

	if (o->tasks && !o->job_dir)
		return err_set(e, ERR_USAGE, "--tasks is of a job, whose folder --job names");
	if (job_open(&j, o->io, dir, jo, e))
		return -1;
	apart = j.b;
	budget_apart(&apart);
	rc = run_look(&j.conversion, o->out, o->overwrite, o->atlas, &s.there, e);
	rc = rc ? rc : forecast_make(&f, &j.conversion, o->out, apart.teams * apart.lanes, e);
	if (!rc) {
		s.c = &j.conversion;
		s.budget = j.b;
		s.forecast = &f;
		s.beside = outdir_beside(&j.conversion.folders[0], o->out);
		s.room_known = outdir_free(io_posix(), o->out, &s.room);
		(o->json ? show_plan_json : show_plan_text)(&t, &s);
	}
	forecast_free(&f);
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

/* What files may be taken from; a path of NULL: nothing. */
static struct base_from base_of(const struct call *o)
{
	return o->engram_from ? (struct base_from){ o->engram_from, true }
			      : (struct base_from){ o->base, false };
}

/* Why nothing of the base was taken; NULL: something was, or may have been by an earlier run or before the source was touched. */
static const char *why_unused(const struct base *b, const struct conversion *c,
	const struct run_result *r)
{
	bool all_made = r->sum.made && !r->sum.kept && !r->sum.went_on && !r->sum.linked;

	return b && all_made && !r->proofs && !r->anew.n ? base_unused(b, c) : NULL;
}

/* unused: what why_unused says. */
static void say_done(struct text *t, const struct run_result *all, const struct base_from *from,
	const char *unused, double seconds, const char *out)
{
	const char *of = from->tables ? "the other conversion" : "the base";
	const struct run_counts *r = &all->sum;

	if (all->proofs)
		text_str(t,
			"the source was touched while it was read: every file was made once more and is "
			"equal\n");
	if (r->linked)
		text_fmt(t, "%zu file%s of %s taken (%s), of the same bytes\n", r->linked,
			r->linked == 1 ? "" : "s", of, text_bytes(r->linked_bytes).s);
	if (unused)
		text_fmt(t, "no file of %s taken: %s\n", of, unused);
	if (r->went_on)
		text_fmt(t,
			"%zu unfinished file%s went on from %s that were there and are as written\n",
			r->went_on, r->went_on == 1 ? "" : "s", text_bytes(r->went_on_bytes).s);
	if (all->anew.n)
		text_fmt(t, "%zu file%s begun anew: %s: %s\n", all->anew.n,
			all->anew.n == 1 ? "" : "s", text_quote(all->anew.name).s, all->anew.why);
	if (all->freed)
		text_fmt(t, "%zu shard%s of the source freed (%s); restore makes them again\n",
			all->freed, all->freed == 1 ? "" : "s", text_bytes(all->freed_bytes).s);
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
			r->inexact ? ", the others were rounded: the sidecars count them" : "");
}

/* --- */

/* reclaim: what frees shards, or NULL. */
static int execute(struct job *j, const struct proof_source *from, const struct call *o,
	const struct call_tool *tool, struct reclaim *reclaim, struct err *e)
{
	const struct conversion *c = &j->conversion;
	struct run_opts ro = { .out = o->out,
		.overwrite = o->overwrite,
		.atlas = o->atlas,
		.tool = tool->made_by,
		.budget = j->b,
		.features = cpu_features(),
		.expected = j->has_expected ? &j->expected : NULL,
		.stop = tool->stop,
		.reclaim = reclaim,
		.forecast = reclaim ? &reclaim->forecast : NULL };
	const struct base_from files = base_of(o);
	struct base base = { .top = -1 };
	struct run_result r = { 0 };
	struct text t = { 0 }, note = { 0 }, said = { 0 }, json = { 0 };
	const char *unused = NULL;
	double began = progress_now(), seconds;
	int rc = 0;

	if (!o->quiet) {
		say_begin(&note, j, &ro);
		text_str(&note, o->more_text ? o->more_text : "");
	}
	say_unsaid(&note, j);
	cli_note(&note);
	ro.progress = progress_start(o->quiet ? NULL : tool->watch, "converting", run_work(c, &ro));
	if (files.path) {
		rc = base_open(&base, &j->c, &files, tool->made_by, j->b.threads, tool->stop,
			ro.progress, e);
		ro.base = &base;
	}
	/* What frees shards does not read them once more: it ends where one was touched, and the same call goes on. */
	if (!rc)
		rc = reclaim ? run_conversion(c, &ro, &r, e) : proof_run(j, from, &ro, &r, e);
	progress_stop(ro.progress);
	if (!rc)
		unused = why_unused(ro.base, c, &r);
	base_close(&base);
	seconds = progress_now() - began;
	if (!rc && tool->then)
		rc = tool->then(tool->ctx, &said, &json, e);
	if (!rc) {
		if (o->json)
			show_run_json(&t, c, &r, o->more_json, json.s);
		else
			show_run_text(&t, c, &r);
		rc = json.failed ? err_nomem(e) : cli_print(&t, e);
		if (!o->quiet) {
			say_done(&note, &r, &files, unused, seconds, o->out);
			text_str(&note, said.failed || !said.s ? "" : said.s);
		}
		cli_note(&note);
	}
	text_free(&said);
	text_free(&json);
	run_result_free(&r);
	return rc;
}

/* What does not go together with --reclaim, and why not. */
static int check_reclaim(const struct call *o, struct err *e)
{
	const char *why = NULL;

	if (!o->job.source_sha256)
		return err_set(e, ERR_USAGE,
			"--reclaim needs --source-sha256: only shards that are as published are freed");
	if (o->base || o->engram_from)
		why = "--base and --engram-from: files would be shared with another folder";
	else if (o->overwrite)
		why = "--overwrite: what OUT holds may be the only copy of something";
	else if (o->no_sha256)
		why = "--no-sha256: outputs are held to their SHA-256 before a shard goes";
	else if (o->no_back)
		why = "--no-restore: the source could not be had back";
	return why ? err_set(e, ERR_USAGE, "--reclaim does not go with %s", why) : 0;
}

/* A run that frees shards of the source. */
static int run_reclaim(const struct call *o, const struct job_opts *jo, const char *dir,
	const struct call_tool *tool, struct err *e)
{
	struct job_opts own = *jo;
	const struct proof_source from = { .io = o->io, .dir = dir, .o = &own };
	struct reclaim r;
	struct job j;
	int rc;

	if (check_reclaim(o, e))
		return -1;
	rc = reclaim_open(&r, o->io, dir, o->out, e);
	own.ckpt.gone = r.n_gone ? &r.gone : NULL;
	if (!rc && !(rc = job_open(&j, o->io, dir, &own, e))) {
		rc = reclaim_plan(&r, &j, o->out, o->reclaim, tool->made_by, e);
		rc = rc ? rc : execute(&j, &from, o, tool, &r, e);
		job_close(&j);
	}
	reclaim_close(&r);
	return rc;
}

int call_run(const struct call *o, const struct job_opts *jo, const char *dir,
	const struct call_tool *tool, struct err *e)
{
	const struct proof_source from = { .io = o->io, .dir = dir, .o = jo };
	const char *base = base_of(o).path;
	struct job j;
	int rc;

	if (o->reclaim)
		return run_reclaim(o, jo, dir, tool, e);
	if ((base && outdir_apart(o->io, o->out, base, e)) || job_open(&j, from.io, dir, jo, e))
		return -1;
	rc = execute(&j, &from, o, tool, NULL, e);
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
