/* sglang.c -- the folder that SGLang's presharded loader reads: what in it is other than in files of ranks for vLLM
 * (vllm.c).
 *
 *	model-rank-R-part-P.safetensors   parameters of rank R as SGLang holds them after it has processed its weights
 *	kept.safetensors                  what these are in another form than in the source, as it is there; and drafts
 *	checksum.json                     which rank reads what, digests, shard_config
 *	READY                             written behind it: without it SGLang reads nothing
 *
 * What the launch has is not guessed: --shard-config says it, parameter by parameter, and the plan is held to that.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/plan/shard_config.h"
#include "convert/plan/vllm.h"
#include "core/text.h"
#include "formats/conversion/presharded.h"
#include "formats/conversion/vllm_form.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sglang_check(const struct layout *l)
{
	const struct shard_config *c = l->p->opts.shard_config;
	enum codec experts = l->a->forms.experts;
	const char *want = experts == CODEC_MXFP4 ? SGLANG_PACKED : "fp8";

	if (!c)
		return err_set(l->e, ERR_USAGE,
			"--target " SGLANG_TARGET
			" wants --shard-config FILE, which loaders/sglang_probe.py writes where SGLang runs");
	if (vllm_check_experts(l))
		return -1;
	if (!strcmp(c->experts, want))
		return 0;
	return err_rule(l->e, RULE_PLAN_ENGINE_FORM, ERR_NOPOS,
		"experts are %s, which are written as %s, and the launch of --shard-config has them as %s",
		codecs[experts].name, want, text_quote(c->experts).s);
}

/* --- steps --- */

/* Codes and scales of wo_a, in BF16: of the codes the rank's rows. */
static int dequantize(struct layout *l, const struct group *g, uint64_t rank, struct step *s)
{
	const struct tensor *t = &l->p->ckpt->tensors[g->e[0].i];
	uint32_t scale = g->e[1].i;
	uint64_t n = g->cut ? l->p->opts.share.ranks : 1;
	enum codec from = codec_of_types(t->dtype, l->p->ckpt->tensors[scale].dtype);
	const struct recode *how = recode_find(from, CODEC_BF16);

	*s = (struct step){ .op = OP_DEQUANT, .take = step_all(t), .out.rank = t->rank };
	s->take.rows = t->dim[0] / n;
	s->take.row = rank * s->take.rows;
	s->as.recode = (struct step_recode){ g->e[0].i, scale, how };
	s->record = (uint8_t)(rank || l->p->opts.back ? 0 : 3);
	layout_fate(l, g->e[0].i, FATE_DEQUANT);
	layout_fate(l, scale, FATE_MERGE);
	if (!how)
		return err_rule(l->e, RULE_PLAN_ENGINE_FORM, ERR_NOPOS,
			"tensor %s is no FP8 matrix", text_quote(t->name).s);
	s->out.dim = layout_dim(l, s->take.rows, t->dim[1]);
	return s->out.dim ? 0 : -1;
}

static int halve(struct layout *l, const struct group *g, uint64_t rank, struct step *s)
{
	if (layout_whole(l, g->e->i, s))
		return -1;
	s->op = OP_HALVES;
	s->record = !rank && !l->p->opts.back;
	layout_fate(l, g->e->i, FATE_TILE);
	return 0;
}

/* Experts one after the other, each laid out. */
static int lay_out(struct layout *l, const struct group *g, uint64_t rank, struct step *s)
{
	const struct engine *engine = engine_find(SGLANG_PACKED);
	const struct tensor *t = &l->p->ckpt->tensors[g->e->i];
	struct step_tile *tile = layout_alloc(l, sizeof *tile);
	uint32_t *src = layout_alloc(l, g->n * sizeof *src), k;
	bool two = g->e->parts == 2;
	uint64_t *dim, cols;
	char why[256];

	if (!tile || !src)
		return -1;
	*s = (struct step){ .op = OP_TILE, .take = step_all(t), .record = 1, .as.tile = tile };
	group_take(l, g, rank, s);
	for (k = 0; k < g->n; k++) {
		src[k] = g->e[k].i;
		layout_fate(l, src[k], FATE_TILE);
	}
	*tile = (struct step_tile){ .src = src,
		.experts = (uint32_t)(g->n / g->e->parts),
		.parts = g->e->parts,
		.e_min = engine->e_min,
		.e_max = engine->e_max,
		.engine = engine->name,
		.scale = t->dtype == DT_F8_E8M0 };
	cols = tile->scale ? s->take.cols * codecs[CODEC_MXFP4].cols
			   : codec_cols(CODEC_MXFP4, s->take.cols);
	if (!engine_fit(engine, two ? ENGINE_W13 : ENGINE_W2, tile->scale,
		    (uint32_t)(s->take.rows * tile->parts), (uint32_t)cols, &tile->fit, why,
		    sizeof why))
		return err_rule(l->e, RULE_PLAN_SPLIT, ERR_NOPOS, "%s: %s", SGLANG_PACKED, why);
	dim = layout_alloc(l, (size_t)(tile->fit.rank + 1) * sizeof *dim);
	if (!dim)
		return -1;
	dim[0] = tile->experts;
	memcpy(dim + 1, tile->fit.shape, tile->fit.rank * sizeof *dim);
	s->out.dim = dim;
	s->out.rank = (uint8_t)(tile->fit.rank + 1);
	return 0;
}

int sglang_step(struct layout *l, const struct group *g, uint64_t rank, struct step *s)
{
	switch (g->e->form) {
	case FORM_BF16:
		return dequantize(l, g, rank, s);
	case FORM_HALVES:
		return halve(l, g, rank, s);
	default:
		return lay_out(l, g, rank, s);
	}
}

/* --- the parameters of the launch --- */

static int other(const struct layout *l, const struct tensor *t, const char *dtype,
	const uint64_t *dim, unsigned rank)
{
	struct text is = { 0 };
	unsigned i;
	int rc;

	for (i = 0; i < rank; i++)
		text_fmt(&is, i ? ", %llu" : "%llu", (unsigned long long)dim[i]);
	text_str(&is, "] there, ");
	text_fmt(&is, "torch.%s [", presharded_dtype(t->dtype));
	for (i = 0; i < t->rank; i++)
		text_fmt(&is, i ? ", %llu" : "%llu", (unsigned long long)t->dim[i]);
	rc = is.failed
		? err_nomem(l->e)
		: err_rule(l->e, RULE_PLAN_SHARD_CONFIG, ERR_NOPOS,
			  "parameter %s is %s [%s] made of the source: the launch of --shard-config is of another model, or holds it in another form",
			  text_quote(t->name).s, text_quote(dtype).s, is.s);
	text_free(&is);
	return rc;
}

/* A parameter is one of the launch, with its type and shape. */
static int hold(const struct layout *l, const struct tensor *t)
{
	const struct shard_config *c = l->p->opts.shard_config;
	const char *dtype;
	uint64_t dim[8];
	unsigned rank;

	if (!shard_config_find(c, t->name, &dtype, dim, &rank))
		return err_rule(l->e, RULE_PLAN_SHARD_CONFIG, ERR_NOPOS,
			"the launch of --shard-config has no parameter %s", text_quote(t->name).s);
	if (!strncmp(dtype, "torch.", 6) && !strcmp(dtype + 6, presharded_dtype(t->dtype)) &&
		rank == t->rank && (!rank || !memcmp(dim, t->dim, rank * sizeof *dim)))
		return 0;
	return other(l, t, dtype, dim, rank);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* All parameters of all ranks. Those of rank 0, whose names are those of all, go to names, which has room for them. */
static int hold_all(const struct layout *l, const char **names)
{
	const struct plan *p = l->p;
	const char *lacks;
	size_t f, i, n = 0;
	long rank;

	for (f = 0; f < p->n_files; f++) {
		rank = vllm_rank_of(p->files[f].name);
		for (i = 0; i < p->files[f].n; i++) {
			if (rank < 0)
				continue;
			if (hold(l, &p->files[f].steps[i].out))
				return -1;
			if (!rank)
				names[n++] = p->files[f].steps[i].out.name;
		}
	}
	if (n)
		qsort(names, n, sizeof *names, by_text);
	lacks = shard_config_other(p->opts.shard_config, names, n);
	return lacks
		? err_rule(l->e, RULE_PLAN_SHARD_CONFIG, ERR_NOPOS,
			  "the launch of --shard-config has a parameter %s, which nothing of the source becomes",
			  text_quote(lacks).s)
		: 0;
}

static int add_ready(struct layout *l)
{
	struct plan_small s = { .name = SGLANG_READY, .kind = SMALL_TEXT };
	struct text t = { 0 };

	presharded_ready(&t, l->p->opts.share.ranks);
	s.bytes = t.n;
	s.text = t.failed ? NULL : arena_strndup(&l->p->arena, t.s, t.n);
	text_free(&t);
	return s.text ? layout_small(l, &s) : err_nomem(l->e);
}

int sglang_end(struct layout *l)
{
	static const struct plan_small sum = { .name = SGLANG_CHECKSUM, .kind = SMALL_CHECKSUM };
	const char **names;
	size_t f, n = 0;
	int rc;

	for (f = 0; f < l->p->n_files; f++)
		n += l->p->files[f].n;
	names = malloc((n + 1) * sizeof *names);
	rc = names ? hold_all(l, names) : err_nomem(l->e);
	free(names);
	return rc || layout_small(l, &sum) || add_ready(l) ? -1 : 0;
}
