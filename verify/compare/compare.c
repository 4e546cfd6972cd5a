/* SPDX-License-Identifier: MIT */
#include "verify/compare/compare.h"

#include "formats/conversion/copies.h"
#include "formats/model/changed.h"
#include "formats/model/family.h"
#include "formats/gguf/gguf_set.h"
#include "formats/model/gguf_name.h"
#include "formats/model/sglang_name.h"
#include "core/file.h"
#include "core/hash/hash_file.h"
#include "formats/folder/folder.h"
#include "formats/conversion/joined.h"
#include "formats/conversion/block_roles.h"
#include "formats/conversion/manifest.h"
#include "formats/model/inventory.h"
#include "formats/model/recipes.h"
#include "formats/model/selection.h"
#include "verify/compare/file_work.h"
#include "verify/compare/gguf_head.h"
#include "verify/compare/mix_said.h"
#include "verify/compare/slice_said.h"
#include "verify/compare/small.h"
#include "verify/compare/source_made.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- all files --- */

/* What the casts of a file did not keep cannot be told from the values: NAME.dropped is held to its digest in the
 * sidecar, the source to that of its tensors (source_digests.h), and restore holds what it makes to those too. */
static void compare_dropped(struct compare *c, const struct walk_file *f)
{
	struct report_place at = { 0 };
	struct err e = { 0 };
	uint64_t size = 0;
	uint8_t sha[32];
	char name[300], path[sizeof f->path + sizeof MAN_DROPPED];
	int fd;

	if (!f->s->dropped_bytes)
		return;
	snprintf(name, sizeof name, "%s" MAN_DROPPED, f->f->name);
	snprintf(path, sizeof path, "%s" MAN_DROPPED, f->path);
	at.file = path;
	if (chain_open(f->d, name, f->s->dropped_bytes, &fd, &size, &e)) {
		report_take(c->r, &at, &e);
		return;
	}
	if (size != f->s->dropped_bytes || hash_file(c->o->io, fd, size, NULL, sha, &e))
		report_add(c->r, RULE_COMPARE_FILE, &at,
			"it has not the size that its sidecar says");
	else if (memcmp(sha, f->s->dropped_sha256, sizeof sha) != 0)
		report_add(c->r, RULE_COMPARE_FILE, &at, "its SHA-256 is not that of its sidecar");
	else
		report_count(c->r, "compared", "files of what casts drop, by their digests", 1,
			size);
	(void)c->o->io->close(c->o->io, fd); /* read only */
}

/* The blocks that the option --layers of the manifest names: all others may be missing, and none of these. */
static int take_selection(struct compare *c, const struct walk_file *f, struct err *e)
{
	const struct config *config = &c->source.config;
	const char *layers = f->d->m->layers;
	struct err why = { 0 };

	c->places = (size_t)config->L + 2 + config->stages;
	c->on = calloc(c->places, sizeof *c->on);
	if (!c->on)
		return err_nomem(e);
	if (selection_read(c->on, c->places, config, *layers ? layers : NULL, &why))
		report_add(c->r, RULE_COMPARE_LOST, &(struct report_place){ .file = MAN_NAME },
			"its option layers is \"%s\", which names no blocks of the source",
			text_quote(layers).s);
	else if (*layers)
		report_row(c->r, "compared", "of some layers only, by manifest.json", 0, 0,
			text_quote(layers).s);
	return 0;
}

/* Every matrix has the tensors that its format has beside codes and scales, and the scale of its activations where the recipe
 * has such. Names are those of the matrices and none is there twice, so that it is enough to count. */
static void count_beside(struct compare *c, const struct walk_file *f)
{
	const struct recipe *r = recipe_find(f->d->m->target);
	struct report_place at = { .file = f->path };
	uint64_t n[PART_COUNT] = { 0 }, want[PART_COUNT] = { 0 };
	unsigned k;
	size_t i;

	for (i = 0; i < f->s->n; i++) {
		const struct sidecar_tensor *t = &f->s->tensors[i];
		const struct codec_form *to = &codecs[t->to];
		uint64_t one = t->op == OP_REFORM && t->of == PART_CODES;

		n[t->of] += t->op == OP_REFORM;
		want[PART_SECOND] += to->second.name ? one : 0;
		want[PART_INPUT] += to->second.name && r && r->input ? one : 0;
		want[PART_SHAPE] += to->shape ? one : 0;
		want[PART_ZEROS] += to->zeros ? one : 0;
	}
	for (k = PART_SECOND; r && k < PART_COUNT; k++)
		if (n[k] != want[k])
			report_add(c->r, RULE_COMPARE_LOST, &at,
				"%llu matrices are to have a tensor (%s) beside codes and scales, and %llu have it",
				(unsigned long long)want[k], op_parts[k], (unsigned long long)n[k]);
}

/* The metadata of a GGUF, which are what config.json is beside other weights. */
static void compare_head(struct compare *c, const struct walk_file *f)
{
	struct report_place at = { .file = f->path };
	struct err why = { 0 };
	bool same = true;

	if (!gguf_named(f->s->name))
		return;
	if (gguf_head_same(&c->source, f->s, f->d->m->recipe, f->fd, &same, &why))
		report_take(c->r, &at, &why);
	else if (!same)
		report_add(c->r, RULE_COMPARE_FILE, &at,
			"its metadata are not what config.json and tokenizer of the source make");
}

/* Every small file that the recipe of the target makes is there. */
static void want_smalls(struct compare *c, const struct manifest *m)
{
	const struct recipe *r = recipe_find(m->target);
	const struct recipe_small *s = r ? r->smalls : NULL;

	for (; s && s->name; s++)
		if (!manifest_find(&m->files, s->name))
			report_add(c->r, RULE_COMPARE_LOST,
				&(struct report_place){ .file = MAN_NAME },
				"it names no %s, which target %s makes", s->name, r->name);
}

/* Where its experts came from. What was proved of that folder is what was proved of it when the conversion was made. */
static int hear_experts(struct compare *c, const struct manifest *m, struct err *e)
{
	if (c->graft.open && !m->experts_from[0])
		return err_set(e, ERR_USAGE,
			"--experts-from: " MAN_NAME
			" does not say that the experts came from another folder than the source");
	if (!c->graft.open)
		snprintf(c->experts_from, sizeof c->experts_from, "%s", m->experts_from);
	else if (strcmp(m->experts_from, c->graft.said) != 0)
		report_add(c->r, RULE_COMPARE_COUNTS, &(struct report_place){ .file = MAN_NAME },
			"its option experts_from is \"%s\", and that folder gives \"%s\"",
			text_quote(m->experts_from).s, c->graft.said);
	return 0;
}

/* The importance that its encoders went by is the file that is given, and one was given. */
static int hear_imatrix(const struct compare *c, const struct manifest *m, struct err *e)
{
	if (!strcmp(m->imatrix, c->imatrix_sha256))
		return 0;
	if (!c->o->imatrix)
		return err_set(e, ERR_USAGE,
			"its encoders weighed errors by a file of importance: say --imatrix FILE, with that file (SHA-256 %s)",
			text_quote(m->imatrix).s);
	return err_set(e, ERR_USAGE,
		"--imatrix: " MAN_NAME " names %s%s and not this file (SHA-256 %s)",
		*m->imatrix ? "SHA-256 " : "no file of importance", text_quote(m->imatrix).s,
		c->imatrix_sha256);
}

/* Takes the types that the recipe of the manifest gives, and holds what the manifest says of formats to them. */
static void take_mix(struct compare *c, const struct manifest *m)
{
	struct report_place at = { .file = MAN_NAME };
	struct err why = { 0 };

	if ((m->recipe && !c->mix.n &&
		    mix_read(&c->mix, m->recipe, strlen(m->recipe), "its recipe", &c->source.config,
			    &why)) ||
		mix_said_check(m, &c->mix, &c->source.config, &why))
		report_take(c->r, &at, &why);
}

/* The types of a GGUF without recipe are those of the option dense. */
static void compare_dense(struct compare *c, const struct walk_file *f)
{
	struct report_place at = { .file = f->path };
	struct err why = { 0 };

	if (gguf_named(f->s->name) && !c->mix.n &&
		mix_said_dense(f->d->m, f->s, &c->source.config, &why))
		report_take(c->r, &at, &why);
}

/* What the manifest of the file's folder says, once for each folder. Files of a folder come one after the other. */
static int hear_manifest(struct compare *c, const struct walk_file *f, struct err *e)
{
	if (!said_is_new(&c->said, f->d->name))
		return 0;
	if (source_made_hold(&c->source_of, &c->source, f->d->m, e))
		return -1;
	if (strcmp(f->d->name, SET_SOURCE) != 0)
		want_smalls(c, f->d->m);
	if (strcmp(f->d->name, SET_SOURCE) != 0)
		take_mix(c, f->d->m);
	if (hear_imatrix(c, f->d->m, e))
		return -1;
	if (hear_experts(c, f->d->m, e))
		return -1;
	return said_hear(&c->said, f->d->name, f->d->m, e);
}

static int compare_file(void *ctx, const struct walk_file *f, struct err *e)
{
	struct compare *c = ctx;
	const struct compare_opts *o = c->o;
	struct file_work w = { .c = c, .f = f, .lock = PTHREAD_MUTEX_INITIALIZER };
	int rc;

	c->slice = c->slice || !strcmp(f->d->m->target, "slice");
	if ((!c->on && take_selection(c, f, e)) || hear_manifest(c, f, e))
		return -1;
	c->skips = c->skips || !strcmp(f->d->m->target, "official");
	if (gguf_named(f->f->name)) {
		c->skips = true;
		c->no_drafts = !gguf_drafts(&c->source.config);
	}
	if (f->d->m->drafts == DRAFTS_DROP) {
		drafts_take_out(&c->source.config);
		c->no_drafts = true;
	}
	if (f->d->m->engram == ENGRAM_DROP) {
		engram_take_out(&c->source.config);
		c->no_engram = true;
	}
	if (rank_target(f->d->m->target) &&
		!manifest_find(&f->d->m->files, rank_kept_file(f->d->m->target)))
		c->skips = c->no_drafts = true;
	if (!f->s)
		return small_compare(&(struct small){ .io = o->io,
					     .source = &c->source,
					     .r = c->r,
					     .on = c->slice ? c->on : NULL,
					     .places = c->places,
					     .open = c->experts_from[0] ? &c->undecided : NULL },
			f);
	compare_head(c, f);
	compare_dense(c, f);
	if (c->slice)
		slice_said_tensors(&(struct slice_said){ .io = o->io,
					   .source = &c->source,
					   .on = c->on,
					   .places = c->places,
					   .r = c->r },
			f);
	if (rank_counts_add(&c->by_rank, f, e) ||
		source_digests_add(&c->digests, &c->source, f->s, e))
		return -1;
	rc = file_work_run(&w, e);
	pthread_mutex_destroy(&w.lock);
	c->tensors += f->s->n;
	report_count(c->r, "compared", "tensors", f->s->n, 0);
	report_count(c->r, "compared", "parts", w.units, w.bytes);
	report_count(c->r, "compared", "files", 1, f->f->bytes);
	count_beside(c, f);
	compare_dropped(c, f);
	return rc ? rc : said_find(&c->said, f->s, e);
}

/* Copies of embedding and head in MTP blocks, which the official converter skips, as a GGUF does; drafts that a GGUF
 * has no place for. */
static bool is_skipped(const struct compare *c, const char *name)
{
	const char *at = strncmp(name, "mtp.", 4) ? NULL : strchr(name + 4, '.');
	const struct family *of = c->source.config.family;
	unsigned i;

	if ((c->no_drafts && at) || (c->no_engram && engram_own(name)))
		return true;
	if (!c->skips || !at || !of)
		return false;
	for (i = 0; i < of->n_roles; i++)
		if (of->roles[i].where == IN_MTP_EXTRA && !strcmp(of->roles[i].name, at + 1))
			return true;
	return false;
}

/* Whether the conversion has to have the whole tensor. */
static bool is_wanted(const struct compare *c, const char *name)
{
	size_t place = selection_place(&c->source.config, name);

	if (c->slice || is_skipped(c, name))
		return false;
	if (c->undecided && strstr(name, ".ffn.experts."))
		return false;
	return !c->on || place >= c->places || c->on[place];
}

/* Every source tensor that is wanted appears whole. */
static void account_for(struct compare *c)
{
	struct report_place at = { .file = NULL };
	const struct tensor *t;
	enum covered is;
	size_t i;

	coverage_sort(&c->used);
	for (i = 0; i < c->source.n; i++) {
		t = &c->source.tensors[i];
		is = coverage_of(&c->used, &c->source, (uint32_t)i);
		if (is == COVERED_WHOLE) {
			report_count(c->r, "source", "tensors that appear whole", 1,
				t->end - t->begin);
			continue;
		}
		if (!is_wanted(c, t->name)) {
			report_count(c->r, "source",
				is == COVERED_NOT
					? "tensors left out, as the target does"
					: "tensors of which a part is taken, as asked for",
				1, t->end - t->begin);
			continue;
		}
		at.tensors = &t->name;
		at.n_tensors = 1;
		report_add(c->r, RULE_COMPARE_LOST, &at, "source tensor %s, in %s, %s",
			text_quote(t->name).s, c->source.shards[t->shard].name,
			is == COVERED_NOT ? "appears nowhere" : "does not appear whole");
	}
}

/* Weights that nobody has made here lie beside those that were compared. What is wrong with copies is found by comparing
 * them. */
static int extras(struct report *r, const struct io *io, int dir, struct err *e)
{
	struct findings f = { 0 };
	int rc = copies_hold(io, dir, &f, e);
	size_t i;

	for (i = 0; !rc && i < f.n; i++)
		if (f.v[i].rule && !strcmp(f.v[i].rule, rules[RULE_CHECK_EXTRA].id))
			report_findings(r, &(struct findings){ .v = &f.v[i], .n = 1, .total = 1 });
	finding_free(&f);
	return rc;
}

/* Opens the source: one by itself, or any checkpoint with the experts of another. */
static int open_source(struct compare *c, const char *source, struct err *e)
{
	const struct compare_opts *o = c->o;
	struct ckpt_opts co = { .header_cap = o->header_cap, .follow_links = o->follow_links };
	struct findings f = { 0 };
	struct folder at;
	int rc;

	if (!o->experts_from) {
		if (folder_open(&at, o->io, source, USE_COMPARE_SOURCE, &co, e))
			return -1;
		source_made_read(&c->source_of, &at);
		folder_take(&at, &c->source);
		report_findings(c->r, &at.found);
		folder_close(&at);
		return 0;
	}
	if (ckpt_open(&c->source, o->io, source, &co, &f, e))
		return -1;
	rc = finding_first_but(&f, "config.", e);
	finding_free(&f);
	if (!rc && !c->source.config.family)
		rc = err_rule(e, RULE_CONFIG_MISSING, ERR_NOPOS,
			"%s: there is no config.json that could be read", text_quote(source).s);
	/* What is rounded is counted, and the manifest says the same of it. */
	if (rc || graft_open(&c->graft, &c->source, o->experts_from, true, e) ||
		graft_prove(&c->graft, o->threads, e)) {
		ckpt_close(&c->source);
		graft_close(&c->graft);
		return -1;
	}
	return 0;
}

static void close_source(struct compare *c)
{
	manifest_free(&c->source_of);
	ckpt_close(&c->source);
	graft_close(&c->graft);
}

/* Says once what is not known of experts that came from a folder that was not given. */
static void tell_undecided(struct compare *c)
{
	struct err why = { 0 };

	if (!c->undecided)
		return;
	err_set(&why, ERR_UNSUPPORTED,
		"its experts came from another folder (%s), and %llu tensors and files are not what the source "
		"alone makes: say --experts-from DIR, with that folder",
		text_quote(c->experts_from).s, (unsigned long long)c->undecided);
	report_take(c->r, &(struct report_place){ .file = MAN_NAME }, &why);
}

/* Opens the file of importance, if one is given. */
static int open_imatrix(struct compare *c, struct err *e)
{
	if (!c->o->imatrix)
		return 0;
	if (imatrix_open(&c->imatrix, c->o->io, c->o->imatrix, e))
		return err_of_call(e, "--imatrix");
	if (!imatrix_digest(&c->imatrix, c->imatrix_sha256, e))
		return 0;
	imatrix_close(&c->imatrix);
	return err_of_call(e, "--imatrix");
}

int compare_run(struct report *r, const char *source, const char *out, const struct compare_opts *o,
	struct err *e)
{
	struct compare c = { .o = o, .r = r };
	const struct ckpt_opts co = { .header_cap = o->header_cap,
		.follow_links = o->follow_links };
	struct walk w = {
		.io = o->io, .r = r, .header_cap = o->header_cap, .file = compare_file, .ctx = &c
	};
	struct folder made;
	int rc;

	if (open_source(&c, source, e))
		return -1;
	rc = open_imatrix(&c, e);
	if (rc || folder_open(&made, o->io, out, USE_COMPARE, &co, e)) {
		if (!rc && o->imatrix)
			imatrix_close(&c.imatrix);
		close_source(&c);
		return -1;
	}
	if (o->started)
		c.progress = o->started(c.source.bytes);
	rc = walk_run(&w, made.dir, e) || extras(r, o->io, made.dir, e) ? -1 : 0;
	folder_close(&made);
	progress_stop(c.progress);
	if (!rc && o->sample >= 100)
		rc = source_digests_hold(&c.digests, &c.source, o->threads,
			c.experts_from[0] ? &c.undecided : NULL, r, e);
	rc = rc ? rc : ckpt_unchanged(&c.source, e);
	if (!rc && c.graft.open && ckpt_unchanged(&c.graft.form, e))
		rc = graft_at(&c.graft, e);
	if (!rc) {
		if (!c.tensors)
			report_add(r, RULE_COMPARE_LOST, NULL,
				"the conversion has no tensor that could be compared");
		account_for(&c);
		tell_undecided(&c);
		rank_counts_hold(&c.by_rank, r);
		if (!r->errors && !r->unknown && o->sample >= 100)
			said_hold(&c.said, r);
		report_sort(r);
	}
	free(c.on);
	said_free(&c.said);
	rank_counts_free(&c.by_rank);
	source_digests_free(&c.digests);
	mix_free(&c.mix);
	if (o->imatrix)
		imatrix_close(&c.imatrix);
	coverage_free(&c.used);
	close_source(&c);
	return rc;
}
