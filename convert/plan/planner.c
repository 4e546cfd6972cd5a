/* SPDX-License-Identifier: MIT */
#include "convert/plan/planner.h"

#include "convert/plan/plan_hash.h"
#include "convert/plan/target.h"
#include "formats/model/family.h"
#include "formats/model/selection.h"
#include "core/near.h"
#include "formats/model/sglang_name.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static int by_file_order(const void *a, const void *b)
{
	return st_order(&((const struct step *)a)->out, &((const struct step *)b)->out);
}

/* What is a multiple of 4096 bytes comes first, so that all of it begins at one. */
static int by_aligned_order(const void *a, const void *b)
{
	const struct tensor *x = &((const struct step *)a)->out,
			    *y = &((const struct step *)b)->out;
	bool even = x->end % PLAN_ALIGN == 0;

	return even != (y->end % PLAN_ALIGN == 0) ? (even ? -1 : 1) : st_order(x, y);
}

/* The same in files with several blocks: block by block, in each as engines build a model, a weight before its scale. */
static int by_loading_order(const void *a, const void *b)
{
	const struct step *x = a, *y = b;
	bool even = x->out.end % PLAN_ALIGN == 0;

	if (even != (y->out.end % PLAN_ALIGN == 0))
		return even ? -1 : 1;
	return x->order != y->order ? (x->order < y->order ? -1 : 1) : st_order(&x->out, &y->out);
}

/* The order of a source, where the header is the source's own. */
static int by_offset(const void *a, const void *b)
{
	const struct tensor *x = &((const struct step *)a)->out,
			    *y = &((const struct step *)b)->out;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	return x->end != y->end ? (x->end < y->end ? -1 : 1)
				: (x->pos > y->pos) - (x->pos < y->pos);
}
/* A file whose header is the source's own, byte for byte. */
static void settle_raw(struct plan_file *f)
{
	if (f->n)
		qsort(f->steps, f->n, sizeof *f->steps, by_offset);
	f->bytes = f->header_bytes + (f->n ? f->steps[f->n - 1].out.end : 0);
}

/* Orders the payload and sets offsets; *payload, 0 before, becomes the bytes of all. */
static int settle_steps(const struct plan *p, struct plan_file *f, uint64_t *payload, struct err *e)
{
	uint64_t bytes;
	struct tensor *t;
	size_t i;

	for (i = 0; i < f->n; i++) { /* sizes, for the order */
		t = &f->steps[i].out;
		t->begin = 0;
		if (!st_bytes(t->dtype, t->dim, t->rank, &t->end))
			return err_set(e, ERR_UNSUPPORTED,
				"tensor %s is no whole number of bytes in %s",
				text_quote(t->name).s, dtypes[t->dtype].name);
	}
	if (f->n)
		qsort(f->steps, f->n, sizeof *f->steps,
			p->opts.file_size                ? by_loading_order
				: p->align == PLAN_ALIGN ? by_aligned_order
							 : by_file_order);
	for (i = 0; i < f->n; i++) {
		t = &f->steps[i].out;
		bytes = t->end;
		t->begin = *payload;
		if (!mem_add(*payload, bytes, payload))
			return err_set(e, ERR_UNSUPPORTED, "%s would be too big", f->name);
		t->end = *payload;
	}
	return 0;
}

/* Settles a file, and returns its header in *header, which is empty before. */
static int settle_file(const struct plan *p, struct plan_file *f, struct text *header,
	struct err *e)
{
	uint64_t payload = 0;

	if (f->raw) {
		settle_raw(f);
		return plan_header(p, f, header, e);
	}
	if (settle_steps(p, f, &payload, e) || plan_header(p, f, header, e))
		return -1;
	f->header_bytes = header->n;
	f->bytes = header->n + payload;
	if (f->header_bytes - 8 > ST_HEADER_CAP)
		return err_set(e, ERR_UNSUPPORTED,
			"%s would need a header of %llu bytes, readers take %u", f->name,
			(unsigned long long)f->header_bytes - 8, ST_HEADER_CAP);
	return 0;
}

/* Settles all files and makes the plan's hash: each header is text for this once. */
static int settle(struct plan *p, struct err *e)
{
	struct plan_hash h;
	struct text header = { 0 };
	size_t i;
	int rc = plan_hash_begin(&h, p, e);

	for (i = 0; !rc && i < p->n_files; i++) {
		header.n = 0;
		rc = settle_file(p, &p->files[i], &header, e) ||
				plan_hash_file(&h, &p->files[i], &header, e)
			? -1
			: 0;
	}
	text_free(&header);
	return plan_hash_end(&h, rc, p->hash, e);
}

/* The source is a conversion that was made without the draft that the tensor is of. */
static int no_drafts(const char *tensor, struct err *e)
{
	return err_rule(e, RULE_PLAN_DRAFTS, ERR_NOPOS,
		"tensor %s is of a draft, and the conversion was made without drafts (--drafts drop)",
		text_quote(tensor).s);
}

/* The source is a conversion that was made without Engram. */
static int no_engram(const char *tensor, struct err *e)
{
	return err_rule(e, RULE_SET_NOT_KEPT, ERR_NOPOS,
		"tensor %s is of Engram, and the conversion was made without it (--engram drop): it is not kept anywhere",
		text_quote(tensor).s);
}

/* A source that is joined from converted folders may lack some. */
static int check_there(const struct plan *p, struct err *e)
{
	const struct ckpt_payload *from = p->ckpt->payload;
	size_t f, i;
	uint32_t k, t;

	for (f = 0; from && f < p->n_files; f++)
		for (i = 0; i < p->files[f].n; i++)
			for (k = 0; k < step_sources(&p->files[f].steps[i]); k++) {
				t = step_source(&p->files[f].steps[i], k);
				if (!from->has(from->ctx, t) && !from->missing(from->ctx) &&
					drafts_own(p->ckpt->tensors[t].name))
					return no_drafts(p->ckpt->tensors[t].name, e);
				if (!from->has(from->ctx, t) && !from->missing(from->ctx) &&
					engram_own(p->ckpt->tensors[t].name))
					return no_engram(p->ckpt->tensors[t].name, e);
				if (!from->has(from->ctx, t))
					return err_rule(e, RULE_SET_INCOMPLETE, ERR_NOPOS,
						"tensor %s is not whole in the folders that are "
						"there; missing: %s",
						text_quote(p->ckpt->tensors[t].name).s,
						from->missing(from->ctx) ? from->missing(from->ctx)
									 : "none");
			}
	return 0;
}

static int sum_up(struct plan *p, struct err *e)
{
	size_t i;
	uint64_t bytes;

	for (i = 0; i < p->ckpt->n; i++) {
		bytes = p->ckpt->tensors[i].end - p->ckpt->tensors[i].begin;
		p->fate_n[p->fate[i]]++;
		p->fate_bytes[p->fate[i]] += bytes;
		assert(p->fate[i] != FATE_NONE); /* a target that forgets a tensor is a bug */
	}
	for (i = 0; i < p->n_files; i++)
		if (!mem_add(p->bytes, p->files[i].bytes, &p->bytes))
			return err_set(e, ERR_UNSUPPORTED, "the output would be too big");
	return 0;
}

static int add_copy(struct plan *p, const char *name, const struct stat *st, struct err *e)
{
	if (mem_grow(&p->smalls, &p->smalls_cap, p->n_smalls + 1, sizeof *p->smalls))
		return err_nomem(e);
	p->smalls[p->n_smalls++] = (struct plan_small){
		.name = name, .kind = SMALL_COPY, .bytes = (uint64_t)st->st_size, .st = *st
	};
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct plan_small *)a)->name, ((const struct plan_small *)b)->name);
}

static int find_smalls(struct plan *p, const struct target *t, struct err *e)
{
	const struct ckpt *c = p->ckpt;
	const char *const *name;
	char actual[CKPT_PATH];
	struct stat st;
	bool there;

	for (name = t->copied; *name; name++) {
		if (ckpt_file(c, *name, actual, &st, &there, e))
			return -1;
		if (there && add_copy(p, *name, &st, e))
			return -1;
	}
	if (p->n_smalls)
		qsort(p->smalls, p->n_smalls, sizeof *p->smalls, by_name);
	return 0;
}
/* Decides what the scales of the output are, and whether that can be had. */
static int settle_scales(struct plan *p, const struct audit *a, struct err *e)
{
	bool hf = !strcmp(p->opts.target, "hf") || (p->recipe && p->recipe->native);
	const struct family *f = p->ckpt->config.family;

	p->f32_scales = hf && family_fp8(f) == CODEC_FP8 &&
		(p->opts.scales == SCALES_F32 ||
			(p->opts.scales == SCALES_UNSAID &&
				(p->recipe ? p->recipe->forms.experts == CODEC_FP8_F32
					   : p->opts.experts == CODEC_FP8)));
	if (p->opts.scales != SCALES_UNSAID && !hf && strcmp(p->opts.target, source_target.name))
		return err_rule(e, RULE_PLAN_SCALE_DTYPE, ERR_NOPOS,
			"--scale-dtype belongs to target hf; target %s has scales of one type",
			p->opts.target);
	if (p->opts.scales == SCALES_F32 && family_fp8(f) != CODEC_FP8)
		return err_rule(e, RULE_PLAN_SCALE_DTYPE, ERR_NOPOS,
			"--scale-dtype f32 is not for %s: whoever reads its FP8 takes E8M0 scales",
			f->what);
	if (hf && p->opts.scales == SCALES_F32 && p->experts == CODEC_MXFP4)
		return err_rule(e, RULE_PLAN_SCALE_DTYPE, ERR_NOPOS,
			"--scale-dtype f32 belongs to FP8 experts (--experts fp8): beside FP4 experts "
			"engines take dense scales as E8M0");
	if (hf && p->opts.scales == SCALES_E8M0 &&
		(a->forms.dense == CODEC_FP8_F32 || a->forms.experts == CODEC_FP8_F32))
		return err_rule(e, RULE_PLAN_SCALE_DTYPE, ERR_NOPOS,
			"the scales are F32 here, and --scale-dtype e8m0 is not made of those");
	return 0;
}

/* Says which there are, and which was probably meant. Returns -1. */
static int no_target(const char *name, struct err *e)
{
	struct near near = { .typed = name };
	const struct target *t;
	struct text all = { 0 };
	unsigned i;

	for (t = targets; t->name; t++) {
		near_try(&near, t->name);
		text_fmt(&all, " %s", t->name);
	}
	for (i = 0; i < n_engines; i++) {
		near_try(&near, engines[i].name);
		text_fmt(&all, " %s", engines[i].name);
	}
	err_set(e, ERR_USAGE, "no target %s.%s%s%s There are:%s", text_quote(name).s,
		near.word ? " Did you mean " : "", near.word ? near.word : "", near.word ? "?" : "",
		all.failed ? "" : all.s);
	text_free(&all);
	return -1;
}

/* What a name of dsv4-quant makes of the model's number formats. */
static void settle_recipe(struct plan *p, const struct audit *a)
{
	const struct model_forms f =
		recipe_forms(p->recipe, p->ckpt->config.family, p->opts.scales == SCALES_E8M0);

	p->forms.dense = f.dense == CODEC_NONE ? a->forms.dense : f.dense;
	p->forms.experts = f.experts == CODEC_NONE ? a->forms.experts : f.experts;
	p->experts =
		p->recipe->native ? codec_of_expert(codec_expert(p->forms.experts)) : a->experts;
}

/* Makes the small files of a name once, so that one that cannot be made is refused before anything is written. */
static int try_smalls(const struct plan *p, struct err *e)
{
	const struct recipe_made m = { p->recipe, &p->ckpt->doc, &p->ckpt->config, p->forms,
		p->opts.drafts };
	const struct recipe_small *s;
	struct text t = { 0 };
	int rc = 0;

	for (s = p->recipe->smalls; !rc && s && s->name; s++) {
		t.n = 0;
		rc = recipe_small_put(s, &t, &m, e);
	}
	text_free(&t);
	return rc;
}

/* Nothing records which values of a GGUF were rounded, so that --lossy is not for those. */
static int check_lossy(const struct plan *p, struct err *e)
{
	return p->opts.lossy && p->recipe->container == CONTAINER_GGUF && !p->opts.mix
		? err_set(e, ERR_USAGE,
			  "--lossy: a GGUF has values that are rounded with a recipe or --dense q8_0 alone")
		: 0;
}

/* FP8 experts have a scale for 128 x 128, which MLX repeats when it stacks them itself. */
static int check_stacked(const struct plan *p, const struct audit *a, struct err *e)
{
	return p->recipe->stacked && a->forms.experts != CODEC_MXFP4
		? err_rule(e, RULE_PLAN_NO_WAY, ERR_NOPOS,
			  "the experts are %s: %s stacks those in FP4 (--to mlx without --stack takes both)",
			  codecs[a->forms.experts].name, p->recipe->name)
		: 0;
}

/* Whether the drafts can be what the option asks for. */
static int check_drafts(const struct plan *p, const struct audit *a, struct err *e)
{
	const struct recipe *r = p->recipe;

	if (p->opts.drafts != DRAFTS_KEEP || !p->ckpt->config.stages)
		return 0;
	if (r->container == CONTAINER_GGUF)
		return err_rule(e, RULE_PLAN_DRAFTS, ERR_NOPOS,
			"--drafts keep: drafts are GGUF files of their own, in the types that llama.cpp takes");
	if (r->native && (p->forms.dense != a->forms.dense || p->forms.experts != a->forms.experts))
		return err_rule(e, RULE_PLAN_DRAFTS, ERR_NOPOS,
			"--drafts keep: config.json of %s has one word for all experts, so that drafts in %s beside layers in %s would be misread",
			r->name, codecs[a->forms.experts].name, codecs[p->forms.experts].name);
	return 0;
}

/* Refuses a target for which something of the model is not known (family.gap). */
static int check_family(const struct plan *p, const struct audit *a, struct err *e)
{
	static const struct {
		const char *target;
		enum family_need need;
	} of[] = { { "official", NEED_OFFICIAL }, { VLLM_TARGET, NEED_VLLM },
		{ SGLANG_TARGET, NEED_SGLANG } };
	const struct config *c = &p->ckpt->config;
	size_t i;

	if (p->recipe)
		return family_meets(c, p->recipe->need, e);
	for (i = 0; i < sizeof of / sizeof *of; i++)
		if (!strcmp(p->opts.target, of[i].target))
			return family_meets(c, of[i].need, e);
	if (engine_find(p->opts.target))
		return family_meets(c, NEED_ENGINE, e);
	return p->experts == a->experts ? 0 : family_meets(c, NEED_CAST, e);
}

static int make(struct plan *p, const struct audit *a, struct err *e)
{
	const struct target *t = target_find(p->opts.target);
	struct layout l = { .p = p, .a = a, .engine = engine_find(p->opts.target), .e = e };
	bool *on;
	int rc;

	if (!t)
		return no_target(p->opts.target, e);
	if (check_family(p, a, e))
		return -1;
	if (p->recipe) {
		settle_recipe(p, a);
		if (check_lossy(p, e) || check_stacked(p, a, e) || check_drafts(p, a, e) ||
			try_smalls(p, e))
			return -1;
	}
	if (p->experts == CODEC_MXFP4 && a->experts == CODEC_FP8)
		return err_rule(e, RULE_PLAN_EXPERTS, ERR_NOPOS,
			"the experts are FP8 here; to make FP4 of them loses bits and is not a matter of "
			"resharding");
	if (settle_scales(p, a, e))
		return -1;
	if (p->recipe && p->recipe->input && !p->opts.inputs)
		return err_rule(e, RULE_PLAN_INPUT_SCALE, ERR_NOPOS,
			"%s has a scale of the activations of each expert, which weights do not tell: say --input-scale",
			p->recipe->name);
	on = calloc(a->inv.places + 1, sizeof *on);
	p->fate = calloc(p->ckpt->n + 1, sizeof *p->fate);
	if (!on || !p->fate)
		rc = err_nomem(e);
	else
		rc = selection_read(on, a->inv.places, &p->ckpt->config, p->opts.layers, e);
	l.selected = on;
	rc = rc ? rc : t->lay(&l);
	free(on);
	if (rc || find_smalls(p, t, e))
		return -1;
	return settle(p, e) || check_there(p, e) || sum_up(p, e) ? -1 : 0;
}

int plan_make(struct plan *p, const struct audit *a, const struct plan_opts *o, struct err *e)
{
	memset(p, 0, sizeof *p);
	p->align = engine_find(o->target) || rank_target(o->target) ? PLAN_ALIGN : 8;
	p->ckpt = a->ckpt;
	p->opts = *o;
	p->recipe = recipe_find(o->target);
	p->opts.lossy = o->lossy || (p->recipe && p->recipe->rounds && !p->recipe->mix);
	p->experts = o->experts == CODEC_NONE ? a->experts : o->experts;
	if (!make(p, a, e))
		return 0;
	plan_free(p);
	return -1;
}
