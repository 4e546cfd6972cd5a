/* SPDX-License-Identifier: MIT */
#include "convert/run/job.h"

#include "core/file.h"
#include "core/hash/hash_file.h"
#include "core/hash/xxh.h"
#include "formats/model/sumlist.h"
#include "quant/back.h"
#include "quant/preset.h"

#include <fcntl.h>
#include <stdio.h>
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

/* The lines of the name that is asked for, or NULL where it is no mix. */
static const char *preset_of(const struct job_opts *o)
{
	const struct recipe *r = o->plan.target ? recipe_find(o->plan.target) : NULL;

	return r && r->mix ? preset_text(r->name) : NULL;
}

int job_put_recipe(const struct io *io, const struct job_opts *o, struct text *t, struct err *e)
{
	const char *preset = preset_of(o);

	if (o->recipe_text)
		text_str(t, o->recipe_text);
	else if (o->recipe && file_load(io, AT_FDCWD, o->recipe, MIX_BYTES, t, e))
		return err_of_call(e, "--recipe");
	if (o->recipe && preset) {
		text_str(t, "\nthen\n");
		preset = strchr(preset, '\n') + 1; /* its first line says what a recipe is */
	}
	if (preset)
		text_str(t, preset);
	return t->failed ? err_nomem(e) : 0;
}

/* Reads what types tensors get, and holds it to the model. */
static int read_recipe(struct job *j, const struct job_opts *o, const struct audit *a,
	struct err *e)
{
	const char *name = o->recipe ? o->recipe : o->plan.target;
	struct text t = { 0 };
	int rc = job_put_recipe(j->c.io, o, &t, e);

	if (!rc && t.n)
		rc = mix_read(&j->mix, t.s, t.n, name, &j->c.config, e) ||
				mix_check(&j->mix, name, &a->inv, &j->c.config,
					o->plan.drafts != DRAFTS_DROP, preset_of(o) != NULL, e)
			? -1
			: 0;
	else if (!rc && o->recipe)
		rc = err_rule(e, RULE_PLAN_RECIPE, ERR_NOPOS, "%s: it names nothing",
			text_quote(name).s);
	text_free(&t);
	return rc;
}

static int plan(struct job *j, const struct job_opts *o, const struct audit *a, struct err *e)
{
	struct plan_opts p = o->plan;
	const struct recipe *r = p.target ? recipe_find(p.target) : NULL;

	/* before files are read that are for a name which the model does not have */
	if (r && j->c.config.family && family_meets(&j->c.config, r->need, e))
		return -1;
	if (!p.target)
		p.target = j->joined.target;
	if (o->placement) {
		if (placement_read(&j->placement, j->c.io, o->placement, p.share.ranks,
			    j->c.config.E, config_stage_experts(&j->c.config), e))
			return err_of_call(e, "--placement");
		p.share.placement = &j->placement;
	}
	if (o->shard_config) {
		if (shard_config_read(&j->shard_config, j->c.io, o->shard_config, e))
			return err_of_call(e, "--shard-config");
		p.shard_config = &j->shard_config;
		p.share.ranks = j->shard_config.ranks;
		p.share.experts_tp = j->shard_config.experts_tp;
	}
	if (o->input_scale) {
		if (inputs_read(&j->inputs, a, o->input_scale, e))
			return -1;
		p.inputs = &j->inputs;
		p.reads[0] = j->inputs.has_folder ? &j->inputs.folder : NULL;
	}
	if (read_recipe(j, o, a, e))
		return -1;
	p.mix = j->mix.n ? &j->mix : NULL;
	if (o->imatrix) {
		if (imatrix_open(&j->imatrix, j->c.io, o->imatrix, e))
			return err_of_call(e, "--imatrix");
		j->has_imatrix = true;
		if (imatrix_digest(&j->imatrix, j->imatrix_sha256, e))
			return err_of_call(e, "--imatrix");
		p.imatrix = &j->imatrix;
		p.imatrix_sha256 = j->imatrix_sha256;
	}
	if (j->graft.open) {
		p.experts_from = j->graft.said;
		p.grafted = j->graft.id;
		p.reads[1] = &j->graft.folder;
		p.back = false; /* there is no one folder that it was made of */
	}
	if (conversion_make(&j->conversion, a, &p, e))
		return -1;
	return o->look ? o->look->with(o->look->ctx, j, a, e) : 0;
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

/* What is asked about Engram wants a model that has it. */
static int take_engram(struct job *j, const struct job_opts *o, struct err *e)
{
	if (o->plan.engram == ENGRAM_KEEP)
		return 0;
	if (!j->c.config.engram)
		return err_rule(e, RULE_PLAN_ENGRAM, ERR_NOPOS,
			"--engram %s: config.json names no layer with Engram",
			engram_names[o->plan.engram]);
	if (o->plan.engram == ENGRAM_DROP)
		engram_take_out(&j->c.config);
	return 0;
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
	rc = rc || take_engram(j, o, e) ? -1 : 0;
	rc = rc || plan(j, o, &a, e) ? -1 : 0;
	audit_free(&a);
	return rc;
}

/* --- small files --- */

/* Whether the conversion reads or copies the file of that name. */
static bool reads_small(const struct job *j, const char *name)
{
	static const char *const always[] = { "config.json", CKPT_INDEX, "generation_config.json",
		"special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
		"chat_template.jinja" };
	const struct plan *p;
	size_t i;

	for (i = 0; i < sizeof always / sizeof *always; i++)
		if (!strcmp(name, always[i]))
			return true;
	for (p = j->conversion.folders; p < j->conversion.folders + j->conversion.n; p++)
		for (i = 0; i < p->n_smalls; i++)
			if (p->smalls[i].kind == SMALL_COPY && !strcmp(name, p->smalls[i].name))
				return true;
	return false;
}

static int hold_small(const struct ckpt *c, const struct sum *s, struct err *e)
{
	char actual[CKPT_PATH], got[65], want[65];
	uint8_t sha[32];
	struct stat st;
	bool there;
	int fd, rc;

	if (ckpt_file(c, s->name, actual, &st, &there, e))
		return -1;
	if (!there)
		return 0; /* what is needed and is not there is said elsewhere */
	if (file_open(c->io, c->dir, actual, &fd, &st, e))
		return -1;
	rc = hash_file(c->io, fd, (uint64_t)st.st_size, NULL, sha, e);
	(void)c->io->close(c->io, fd); /* read only */
	if (rc || !memcmp(sha, s->sha256, sizeof sha))
		return rc;
	hex_of(sha, sizeof sha, got);
	hex_of(s->sha256, sizeof sha, want);
	return err_rule(e, RULE_SOURCE_SHA256, ERR_NOPOS,
		"%s: its SHA-256 is %s, --source-sha256 says %s", text_quote(s->name).s, got, want);
}

int job_hold_smalls(const struct job *j, const struct sumlist *l, char name[LINK_NAME],
	struct err *e)
{
	size_t i;

	name[0] = 0;
	for (i = 0; !j->c.payload && i < l->n; i++) {
		if (!reads_small(j, l->v[i].name))
			continue;
		snprintf(name, LINK_NAME, "%s", l->v[i].name);
		if (hold_small(&j->c, &l->v[i], e))
			return -1;
	}
	name[0] = 0;
	return 0;
}

static int hold_to_list(const struct job *j, const char *path, struct err *e)
{
	char name[LINK_NAME];
	struct sumlist l;
	int rc;

	if (sumlist_read(&l, j->c.io, path, e))
		return err_at(e, "--source-sha256");
	rc = job_hold_smalls(j, &l, name, e);
	sumlist_free(&l);
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
		return j->has_expected ? hold_to_list(j, o->source_sha256, e) : -1;
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
	shard_config_free(&j->shard_config);
	inputs_free(&j->inputs);
	mix_free(&j->mix);
	if (j->has_imatrix)
		imatrix_close(&j->imatrix);
	joined_close(&j->joined);
	ckpt_close(&j->c);
	graft_close(&j->graft);
	memset(j, 0, sizeof *j);
}
