/* SPDX-License-Identifier: MIT */
#include "convert/cli/follow_call.h"

#include "convert/cli/show.h"
#include "convert/follow/follow.h"
#include "core/cli/cli.h"

#include <unistd.h>

/* Seconds of rest of the folder after the last shard, in which a download that has more files begins the next one. */
static const double SETTLE = 1;

int follow_call_check(const struct call *o, struct err *e)
{
	if (!o->follow)
		return 0;
	if (o->base || o->engram_from)
		return err_set(e, ERR_USAGE,
			"--base, --engram-from: which files are the same is known when the download has ended");
	if (o->job.experts_from)
		return err_set(e, ERR_USAGE,
			"--experts-from: the experts are held to the source when the download has ended");
	if (o->reclaim)
		return err_set(e, ERR_USAGE,
			"--reclaim: a download that has not ended would fetch again what is freed");
	if (o->budget)
		return err_set(e, ERR_USAGE,
			"--budget: what types tensors get is chosen when the download has ended");
	if (o->overwrite)
		return err_set(e, ERR_USAGE,
			"--overwrite: --follow needs an output folder that is empty, or its own");
	return 0;
}

static void note(const char *s)
{
	struct text t = { 0 };

	text_fmt(&t, "%s\n", s);
	cli_note(&t);
}

static unsigned threads_of(const struct call *o)
{
	long n = o->threads ? (long)o->threads : sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? (unsigned)n : 1;
}

int follow_call_run(const struct call *o, const struct job_opts *jo, const char *dir,
	const struct call_tool *tool, struct err *e)
{
	const struct follow_opts fo = { .io = o->io,
		.dir = dir,
		.out = o->out,
		.job = jo,
		.tool = tool->made_by,
		.timeout = (double)o->follow_timeout,
		.settle = SETTLE,
		.threads = threads_of(o),
		.watch = o->quiet ? NULL : tool->watch,
		.stop = tool->stop,
		.note = o->quiet ? NULL : note };
	double began = progress_now();
	struct text t = { 0 }, said = { 0 };
	struct run_result r;
	struct job j;
	int rc;

	if (follow_run(&fo, &j, &r, e))
		return -1;
	if (o->json)
		show_run_json(&t, &j.conversion, &r, o->more_json, NULL);
	else
		show_run_text(&t, &j.conversion, &r);
	rc = cli_print(&t, e);
	if (!o->quiet)
		text_fmt(&said,
			"%s: %zu files made (%s), %zu kept, in %.1f s; all shards had their published SHA-256\n",
			text_quote(o->out).s, r.sum.made, text_bytes(r.sum.written).s, r.sum.kept,
			progress_now() - began);
	cli_note(&said);
	run_result_free(&r);
	job_close(&j);
	return rc;
}
