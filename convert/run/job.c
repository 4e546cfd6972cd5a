/* SPDX-License-Identifier: MIT */
#include "convert/run/job.h"

#include "convert/plan/target.h"
#include "formats/layout/engine.h"
#include "quant/uncast.h"

#include <string.h>

static int make(struct job *j, struct job_opts *o, const struct audit *a, const struct io *io,
	struct err *e)
{
	struct plan_opts source;

	if (o->placement) {
		if (placement_read(&j->placement, io, o->placement, o->plan.share.ranks,
			    j->c.config.E, e))
			return -1;
		o->plan.share.placement = &j->placement;
	}
	j->is_set = engine_find(o->plan.target);
	if (j->is_set)
		return set_make(&j->s, a, &o->plan, e);
	o->plan.back = o->plan.back && !strcmp(o->plan.target, "hf");
	if (plan_make(&j->p, a, &o->plan, e))
		return -1;
	if (!o->plan.back)
		return 0;
	source = o->plan;
	source.target = source_target.name;
	source.back = false;
	return plan_make(&j->back, a, &source, e);
}

static int plan_job(struct job *j, struct job_opts *o, const struct io *io, struct findings *f,
	struct err *e)
{
	struct audit a;
	int rc;

	if (audit_make(&a, &j->c, o->assume, f, e))
		return -1;
	rc = finding_first(f, e);
	rc = rc ? rc : make(j, o, &a, io, e);
	audit_free(&a);
	if (rc)
		return -1;
	return j->is_set ? set_budget(&j->s, o->threads, o->max_memory, &j->b, e)
			 : budget_make(&j->b, &j->p, o->threads, o->max_memory, e);
}

/* Opens dir as j->c: as it is, or as the source that a conversion was made of. */
static int open_source(struct job *j, const struct io *io, const char *dir, struct job_opts *o,
	struct findings *f, struct err *e)
{
	static const struct joined_uncast undo = { uncast_work, uncast };
	struct folder at;
	int rc = 0;

	if (folder_open(&at, io, dir, o->use, &o->ckpt, e))
		return -1;
	if (at.has_ckpt) {
		folder_take(&at, &j->c);
		*f = at.found;
		at.found = (struct findings){ 0 };
	} else {
		rc = joined_open(&j->joined, &j->c, io, dir, o->ckpt.header_cap, o->features, &undo,
			f, e);
		if (!rc && !o->plan.target)
			o->plan.target = j->joined.target;
	}
	folder_close(&at);
	return rc;
}

/* What the shards should be: as the user says, or as the hub's cache has named their blobs. */
static int expect(struct job *j, const struct job_opts *o, struct err *e)
{
	bool hub = false;
	long unsaid;
	size_t i;

	if (o->source_sha256) {
		j->has_expected = !expected_read(&j->expected, &j->c, o->source_sha256, e);
		return j->has_expected ? 0 : -1;
	}
	for (i = 0; i < j->c.n_shards; i++)
		hub = hub || j->c.shards[i].blob;
	if (!hub)
		return 0;
	unsaid = expected_of_blobs(&j->expected, &j->c, e);
	j->has_expected = !unsaid;
	j->unsaid = unsaid > 0 ? (size_t)unsaid : 0;
	return unsaid < 0 ? -1 : 0;
}

int job_open(struct job *j, const struct io *io, const char *dir, const struct job_opts *opts,
	struct err *e)
{
	struct job_opts o = *opts;
	struct findings f = { 0 };
	int rc;

	memset(j, 0, sizeof *j);
	rc = open_source(j, io, dir, &o, &f, e);
	rc = rc ? rc : plan_job(j, &o, io, &f, e);
	finding_free(&f);
	rc = rc ? rc : expect(j, &o, e);
	if (rc)
		job_close(j);
	return rc;
}

void job_close(struct job *j)
{
	if (j->has_expected)
		expected_free(&j->expected);
	if (j->is_set)
		set_free(&j->s);
	else
		plan_free(&j->p);
	plan_free(&j->back);
	placement_free(&j->placement);
	joined_close(&j->joined);
	ckpt_close(&j->c);
	memset(j, 0, sizeof *j);
}
