/* SPDX-License-Identifier: MIT */
#include "convert/run/job.h"

#include "quant/back.h"

#include <string.h>

/* Opens dir as j->c: as it is, or as the source that a conversion was made of. */
static int open_source(struct job *j, const struct io *io, const char *dir,
	const struct job_opts *o, struct findings *f, struct err *e)
{
	struct folder at;
	int rc = 0;

	if (o->experts_from) /* of which the experts may be in any form */
		return ckpt_open(&j->c, io, dir, &o->ckpt, f, e);
	if (folder_open(&at, io, dir, o->use, &o->ckpt, e))
		return -1;
	if (at.has_ckpt && !(o->of_source && at.kind == KIND_HF_SOURCE)) {
		folder_take(&at, &j->c);
		*f = at.found;
		at.found = (struct findings){ 0 };
	} else {
		const struct joined_opts jo = { .header_cap = o->ckpt.header_cap,
			.features = o->features,
			.uncast = &quant_back };

		rc = joined_open(&j->joined, &j->c, io, at.dir, &jo, f, e);
	}
	folder_close(&at);
	return rc;
}

static int plan(struct job *j, const struct job_opts *o, const struct audit *a, struct err *e)
{
	struct plan_opts p = o->plan;

	if (!p.target)
		p.target = j->joined.target;
	if (o->placement) {
		if (placement_read(&j->placement, j->c.io, o->placement, p.share.ranks,
			    j->c.config.E, e))
			return -1;
		p.share.placement = &j->placement;
	}
	if (o->input_scale) {
		if (inputs_read(&j->inputs, a, o->input_scale, e))
			return -1;
		p.inputs = &j->inputs;
		p.reads[0] = j->inputs.has_folder ? &j->inputs.folder : NULL;
	}
	if (j->graft.open) {
		p.experts_from = j->graft.said;
		p.grafted = j->graft.id;
		p.reads[1] = &j->graft.folder;
		p.back = false; /* there is no one folder that it was made of */
	}
	return conversion_make(&j->conversion, a, &p, e);
}

/* Whether the source may lack its drafts: they are not wanted, or the conversion that goes back was made of such a one. */
static bool goes_without_drafts(const struct job_opts *o)
{
	return o->plan.drafts == DRAFTS_DROP || o->use == USE_RESTORE;
}

static bool has_drafts(const struct ckpt *c)
{
	size_t i;

	for (i = 0; i < c->n && !drafts_own(c->tensors[i].name); i++)
		;
	return i < c->n;
}

/* Puts the experts of another form into the source. */
static int graft(struct job *j, const struct job_opts *o, const struct findings *f, struct err *e)
{
	if (finding_first(f, e))
		return -1;
	if (!j->c.config.family)
		return err_rule(e, RULE_CONFIG_MISSING, ERR_NOPOS, "there is no config.json");
	return graft_open(&j->graft, &j->c, o->experts_from, o->plan.lossy, e);
}

static int audit_and_plan(struct job *j, const struct job_opts *o, struct findings *f,
	struct err *e)
{
	struct audit a;
	int rc;

	if (goes_without_drafts(o) && !has_drafts(&j->c))
		drafts_take_out(&j->c.config);
	if (o->experts_from && graft(j, o, f, e))
		return -1;
	if (audit_make(&a, &j->c, o->assume, f, e))
		return -1;
	rc = finding_first(f, e);
	if (o->plan.drafts == DRAFTS_DROP)
		drafts_take_out(&j->c.config);
	rc = rc || plan(j, o, &a, e) ? -1 : 0;
	audit_free(&a);
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

int job_open(struct job *j, const struct io *io, const char *dir, const struct job_opts *o,
	struct err *e)
{
	struct findings f = { 0 };
	int rc;

	memset(j, 0, sizeof *j);
	rc = open_source(j, io, dir, o, &f, e) || audit_and_plan(j, o, &f, e) ? -1 : 0;
	finding_free(&f);
	rc = rc ? rc : expect(j, o, e);
	rc = rc ? rc
		: budget_make(&j->b, &j->conversion, j->has_expected, o->threads, o->max_memory, e);
	if (!rc && j->graft.open && o->use == USE_RUN)
		rc = graft_prove(&j->graft, j->b.threads, e);
	if (rc)
		job_close(j);
	return rc;
}

void job_close(struct job *j)
{
	if (j->has_expected)
		expected_free(&j->expected);
	conversion_free(&j->conversion);
	placement_free(&j->placement);
	inputs_free(&j->inputs);
	joined_close(&j->joined);
	ckpt_close(&j->c);
	graft_close(&j->graft);
	memset(j, 0, sizeof *j);
}
