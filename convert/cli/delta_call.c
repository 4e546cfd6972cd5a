/* SPDX-License-Identifier: MIT */
#include "convert/cli/delta_call.h"

#include "convert/cli/delta_show.h"
#include "core/cli/cli.h"

#include <stdlib.h>

/* Takes the tensors of a release while its audit is there; the ctx of a struct job_look. */
struct taking {
	struct delta *d;
	unsigned side;
};

static int take(void *ctx, const struct job *j, const struct audit *a, struct err *e)
{
	const struct taking *t = ctx;

	(void)j;
	return delta_take(t->d, t->side, a, e);
}

struct releases {
	struct job was, now; /* zeroed where they are not open */
	struct delta d;
};

/* Opens and plans one of the two. */
static int open_side(struct job *j, struct delta *d, unsigned side, const struct call *o,
	const struct job_opts *jo, const char *dir, struct err *e)
{
	struct taking t = { d, side };
	const struct job_look look = { take, &t };
	struct job_opts with = *jo;

	with.look = &look;
	if (job_open(j, o->io, dir, &with, e))
		return err_at(e, "%s", side == DELTA_OLD ? "OLD" : "NEW");
	return 0;
}

static int compare(struct releases *r, const struct call *o, const struct call_tool *tool,
	struct err *e)
{
	struct progress *progress =
		progress_start(o->quiet ? NULL : tool->watch, "comparing", delta_work(&r->d));
	int rc = delta_tensors(&r->d, r->now.b.threads, tool->stop, progress, e);

	progress_stop(progress);
	if (!rc && o->job.plan.target)
		rc = delta_files(&r->d, &r->was.conversion, &r->now.conversion, e);
	return rc;
}

int delta_call(const struct call *o, const struct job_opts *jo, const char *was, const char *now,
	const struct call_tool *tool, struct err *e)
{
	struct releases *r = calloc(1, sizeof *r);
	struct text t = { 0 };
	int rc = -1;

	if (!r)
		return err_nomem(e);
	if (open_side(&r->was, &r->d, DELTA_OLD, o, jo, was, e))
		goto free;
	if (open_side(&r->now, &r->d, DELTA_RECENT, o, jo, now, e))
		goto close_was;
	if (compare(r, o, tool, e))
		goto close_now;
	(o->json ? delta_show_json : delta_show_text)(&t, &r->d, o->job.plan.target, o->tensors);
	rc = cli_print(&t, e);
close_now:
	job_close(&r->now);
close_was:
	job_close(&r->was);
free:
	delta_free(&r->d);
	free(r);
	return rc;
}
