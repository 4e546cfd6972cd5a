/* forward_attn.c -- the attention sub-block: queries, window and compressed keys, indexer, output.
 *
 * Keys of all tokens come first (attn_keys.c), then queries block by block.
 *
 * SPDX-License-Identifier: MIT */
#include "kernels/forward/attn.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- weights --- */

static int load_squeeze(struct attn *a, struct squeeze *c, const char *at, uint64_t dim,
	struct err *e)
{
	struct weights *w = a->f->w;
	char name[64];
	struct matrix_form form = { 0, a->f->c->D, false };
	int rc;

	c->ratio = a->ratio;
	c->lap = a->ratio == RATIO_INDEXED ? 2 : 1;
	c->dim = (uint32_t)dim;
	form.rows = c->lap * dim;
	snprintf(name, sizeof name, "%scompressor.wkv", at);
	rc = weights_matrix(w, &c->wkv, a->prefix, name, form, e);
	snprintf(name, sizeof name, "%scompressor.wgate", at);
	rc = rc ? rc : weights_matrix(w, &c->wgate, a->prefix, name, form, e);
	snprintf(name, sizeof name, "%scompressor.ape", at);
	rc = rc ? rc : weights_floats(w, &c->ape, a->prefix, name, c->ratio * form.rows, e);
	snprintf(name, sizeof name, "%scompressor.norm.weight", at);
	return rc ? rc : weights_floats(w, &c->norm, a->prefix, name, dim, e);
}

static void drop_squeeze(struct attn *a, struct squeeze *c)
{
	weights_drop(a->f->w, &c->wkv);
	weights_drop(a->f->w, &c->wgate);
	weights_free(a->f->w, c->ape, 4 * (uint64_t)c->ratio * c->lap * c->dim);
	weights_free(a->f->w, c->norm, 4 * (uint64_t)c->dim);
}

static int load(struct attn *a, struct err *e)
{
	const struct config *c = a->f->c;
	struct weights *w = a->f->w;
	const struct {
		struct weight_matrix *m;
		const char *name;
		struct matrix_form form;
	} all[] = {
		{ &a->wq_a, "attn.wq_a", { c->QL, c->D, true } },
		{ &a->wq_b, "attn.wq_b", { c->H * c->hd, c->QL, true } },
		{ &a->wkv, "attn.wkv", { c->hd, c->D, true } },
		{ &a->wo_a, "attn.wo_a", { c->G * c->R, c->H * c->hd / c->G, false } },
		{ &a->wo_b, "attn.wo_b", { c->D, c->G * c->R, true } },
		{ &a->iq, "attn.indexer.wq_b", { c->IH * c->IHD, c->QL, true } },
		{ &a->iw, "attn.indexer.weights_proj", { c->IH, c->D, false } },
	};
	unsigned i;

	for (i = 0; i < (a->ratio == RATIO_INDEXED ? 7u : 5u); i++)
		if (weights_matrix(w, all[i].m, a->prefix, all[i].name, all[i].form, e))
			return -1;
	if (weights_floats(w, &a->q_norm, a->prefix, "attn.q_norm.weight", c->QL, e) ||
		weights_floats(w, &a->kv_norm, a->prefix, "attn.kv_norm.weight", c->hd, e) ||
		weights_floats(w, &a->sink, a->prefix, "attn.attn_sink", c->H, e))
		return -1;
	if (a->ratio && load_squeeze(a, &a->main, "attn.", c->hd, e))
		return -1;
	return a->ratio == RATIO_INDEXED ? load_squeeze(a, &a->index, "attn.indexer.", c->IHD, e)
					 : 0;
}

static void drop(struct attn *a)
{
	struct weight_matrix *m[] = { &a->wq_a, &a->wq_b, &a->wkv, &a->wo_a, &a->wo_b, &a->iq,
		&a->iw };
	struct weights *w = a->f->w;
	unsigned i;

	for (i = 0; i < sizeof m / sizeof *m; i++)
		weights_drop(w, m[i]);
	weights_free(w, a->q_norm, 4 * a->f->c->QL);
	weights_free(w, a->kv_norm, 4 * a->f->c->hd);
	weights_free(w, a->sink, 4 * a->f->c->H);
	drop_squeeze(a, &a->main);
	drop_squeeze(a, &a->index);
	scratch_drop(&a->s);
}

/* --- memory for a block --- */

static uint64_t max3(uint64_t a, uint64_t b, uint64_t c)
{
	a = a > b ? a : b;
	return a > c ? a : c;
}

static int room(struct attn *a, struct err *e)
{
	const struct config *c = a->f->c;
	uint64_t b = a->f->block, pairs = a->f->p->rope_dim / 2, n = a->f->n;
	uint64_t widest = max3(c->D, c->QL, c->G * c->R);
	struct scratch *s = &a->s;

	s->dev = a->f->dev;
	a->kv = scratch_floats(s, (n + a->entries) * c->hd, e);
	a->cos = scratch_floats(s, b * pairs, e);
	a->sin = scratch_floats(s, b * pairs, e);
	a->y = scratch_floats(s, b * c->QL, e);
	a->q = scratch_floats(s, b * c->H * c->hd, e);
	a->o = scratch_floats(s, b * c->H * c->hd, e);
	a->z = scratch_floats(s, b * c->G * c->R, e);
	a->act.q = scratch_get(s, b * widest, e);
	a->act.s = scratch_floats(s, b * (widest / DEV_ACT), e);
	a->list = scratch_get(s, 4 * b * a->cols, e);
	if (s->n < 10)
		return -1;
	if (a->ratio != RATIO_INDEXED)
		return 0;
	a->ik = scratch_floats(s, (uint64_t)a->entries * c->IHD + 1, e);
	a->iqv = scratch_floats(s, b * c->IH * c->IHD, e);
	a->iwv = scratch_floats(s, b * c->IH, e);
	a->score = scratch_floats(s, b * a->entries + 1, e);
	return s->n < 14 ? -1 : 0;
}

/* --- queries --- */

/* Scores of the entries for n tokens from t on; act holds the queries' low rank. */
static int scores(struct attn *a, uint32_t t, uint32_t n, struct err *e)
{
	uint32_t ih = (uint32_t)a->f->c->IH, ihd = (uint32_t)a->f->c->IHD;
	float weight = (float)(1.0 / sqrt((double)ihd) / sqrt((double)ih));
	struct dev *d = a->f->dev;
	const struct dev_hadamard turn = { .x = a->iqv, .n = n * ih, .dim = ihd };
	const struct dev_fake_fp4 round = { .x = a->iqv, .n = n * ih, .dim = ihd };
	const struct dev_scale scale = { .x = a->iwv, .c = weight, .n = (uint64_t)n * ih };
	const struct dev_index_score score = { .score = a->score,
		.q = a->iqv,
		.k = a->ik,
		.w = a->iwv,
		.n = n,
		.m = a->entries,
		.heads = ih,
		.dim = ihd,
		.pos = t,
		.ratio = a->ratio };

	return attn_rope(a, a->iqv, n, ih, ihd, false, e) || d->hadamard(d, &turn, e) ||
			d->fake_fp4(d, &round, e) || d->scale(d, &scale, e) ||
			d->index_score(d, &score, e)
		? -1
		: 0;
}

/* Picks of the indexer for n tokens from t on, into the index list. */
static int picks(struct attn *a, uint32_t t, uint32_t n, struct err *e)
{
	const struct config *c = a->f->c;
	uint32_t ih = (uint32_t)c->IH, width = ih * (uint32_t)c->IHD, dim = (uint32_t)c->D;
	struct dev *d = a->f->dev;
	const struct dev_linear weights = { .y = a->iwv,
		.ldy = ih,
		.x = a->f->y + (uint64_t)t * dim,
		.ldx = dim,
		.n = n,
		.w = &a->iw.w,
		.round = true };
	const struct dev_topk best = { .pick = a->list + a->window,
		.ld = a->cols,
		.score = a->score,
		.n = n,
		.m = a->entries,
		.k = a->cols - a->window,
		.base = (int32_t)a->f->n };

	if (attn_took(a, "attn.indexer.wq_b", a->y, n, (uint32_t)c->QL, e) ||
		attn_took(a, "attn.indexer.weights_proj", weights.x, n, dim, e) ||
		step_codes(a->f, a->iqv, width, &a->act, n, &a->iq.w, e) ||
		d->linear(d, &weights, e) ||
		attn_told(a, "attn.indexer.wq_b", a->iqv, n, width, t, e) ||
		attn_told(a, "attn.indexer.weights_proj", a->iwv, n, ih, t, e) ||
		scores(a, t, n, e))
		return -1;
	return d->topk(d, &best, e);
}

/* Takes the picks that are preferred, if their scores are those of the list's. */
static void prefer(const struct attn *a, int32_t *list, const float *score, const int32_t *want,
	uint32_t k)
{
	int32_t base = (int32_t)a->f->n;
	uint32_t j;

	for (j = 0; j < k; j++)
		if (want[j] < 0 ? list[j] >= 0
				: list[j] < 0 || want[j] >= (int32_t)a->entries ||
					memcmp(&score[want[j]], &score[list[j] - base], 4) != 0)
			return;
	for (j = 0; j < k; j++)
		list[j] = want[j] < 0 ? -1 : want[j] + base;
}

static int prefer_all(struct attn *a, int32_t *list, uint32_t t, uint32_t n, struct err *e)
{
	size_t bytes = 4 * (size_t)n * a->entries;
	uint32_t k = a->cols - a->window, i;
	float *score = host_get(a->f->dev, bytes);
	int rc;

	if (!score)
		return err_nomem(e);
	rc = a->f->dev->get(a->f->dev, score, a->score, bytes, e);
	for (i = 0; !rc && i < n; i++)
		prefer(a, list + (uint64_t)i * a->cols + a->window,
			score + (uint64_t)i * a->entries,
			a->f->prefer + (uint64_t)(t + i) * a->f->p->topk, k);
	host_drop(a->f->dev, score, bytes);
	rc = rc ? rc : a->f->dev->put(a->f->dev, a->list, list, 4 * (size_t)n * a->cols, e);
	return rc;
}

/* Brings the picks of a block home: f->picked. */
static int keep_picks(struct attn *a, uint32_t t, uint32_t n, struct err *e)
{
	uint32_t k = a->cols - a->window, topk = a->f->p->topk, i, j;
	uint64_t bytes = 4 * (uint64_t)n * a->cols;
	int32_t *list = host_get(a->f->dev, bytes), *to, v;
	int rc;

	if (!list)
		return err_nomem(e);
	rc = a->f->dev->get(a->f->dev, list, a->list, 4 * (size_t)n * a->cols, e);
	if (!rc && a->f->prefer)
		rc = prefer_all(a, list, t, n, e);
	for (i = 0; !rc && !a->f->dev->counts && i < n; i++)
		for (j = 0; j < topk; j++) {
			to = a->f->picked + (uint64_t)(t + i) * topk + j;
			v = j < k ? list[(uint64_t)i * a->cols + a->window + j] : -1;
			*to = v < 0 ? -1 : v - (int32_t)a->f->n;
		}
	host_drop(a->f->dev, list, bytes);
	return rc;
}

static int queries(struct attn *a, uint32_t t, uint32_t n, struct err *e)
{
	const struct config *c = a->f->c;
	uint32_t ql = (uint32_t)c->QL, h = (uint32_t)c->H, hd = (uint32_t)c->hd, width = h * hd;
	struct dev *d = a->f->dev;
	const struct dev_head_norm norm = { .x = a->q, .n = n * h, .dim = hd, .eps = a->f->p->eps };
	const struct dev_columns columns = { .index = a->list,
		.ld = a->cols,
		.n = n,
		.pos = t,
		.window = a->window,
		.m = a->entries,
		.ratio = a->ratio ? a->ratio : 1,
		.with_all = a->ratio == RATIO_WIDE,
		.base = (int32_t)a->f->n };
	const float *y = a->f->y + (uint64_t)t * c->D;

	if (attn_took(a, "attn.wq_a", y, n, (uint32_t)c->D, e) ||
		step_linear(a->f, a->y, ql, &a->act, y, n, &a->wq_a.w, e) ||
		attn_told(a, "attn.wq_a", a->y, n, ql, t, e) ||
		step_norm(a->f, a->y, a->y, a->q_norm, n, ql, e) ||
		attn_took(a, "attn.wq_b", a->y, n, ql, e) ||
		step_linear(a->f, a->q, width, &a->act, a->y, n, &a->wq_b.w, e) ||
		attn_told(a, "attn.wq_b", a->q, n, width, t, e) || d->head_norm(d, &norm, e) ||
		attn_rotation(a, a->f->pos + t, 1, n, e) ||
		attn_rope(a, a->q, n, h, hd, false, e) || d->columns(d, &columns, e))
		return -1;
	if (a->ratio != RATIO_INDEXED || !a->entries)
		return 0;
	return picks(a, t, n, e) || keep_picks(a, t, n, e) ? -1 : 0;
}

/* z [n][G * R]: wo_a, each group of heads with its own rows. */
static int groups(struct attn *a, uint32_t n, struct err *e)
{
	const struct config *c = a->f->c;
	uint32_t h = (uint32_t)c->H, hd = (uint32_t)c->hd, r = (uint32_t)c->R, g;
	uint32_t all = (uint32_t)(c->G * c->R), in = h / (uint32_t)c->G * hd;
	struct weight w;
	struct dev_linear op = { .ldy = all, .ldx = h * hd, .n = n, .w = &w, .round = true };

	for (g = 0; g < c->G; g++) {
		w = weight_rows(&a->wo_a.w, g * r, r); /* begins a block: shape_fits */
		op.y = a->z + g * r;
		op.x = a->o + g * in;
		if (a->f->dev->linear(a->f->dev, &op, e))
			return -1;
	}
	return 0;
}

static int output(struct attn *a, uint32_t t, uint32_t n, struct err *e)
{
	const struct config *c = a->f->c;
	uint32_t h = (uint32_t)c->H, hd = (uint32_t)c->hd, all = (uint32_t)(c->G * c->R);
	struct dev *d = a->f->dev;
	const struct dev_attend op = { .o = a->o,
		.q = a->q,
		.kv = a->kv,
		.index = a->list,
		.sink = a->sink,
		.n = n,
		.heads = h,
		.dim = hd,
		.cols = a->cols,
		.scale = (float)(1.0 / sqrt((double)hd)) };

	if (d->attend(d, &op, e) || attn_rope(a, a->o, n, h, hd, true, e) ||
		attn_told(a, "attn.heads", a->o, n, h * hd, t, e) ||
		attn_took(a, "attn.wo_a", a->o, n * (uint32_t)c->G, h * hd / (uint32_t)c->G, e) ||
		groups(a, n, e) || attn_told(a, "attn.wo_a", a->z, n, all, t, e) ||
		attn_took(a, "attn.wo_b", a->z, n, all, e))
		return -1;
	return step_linear(a->f, a->f->o + (uint64_t)t * c->D, (uint32_t)c->D, &a->act, a->z, n,
		&a->wo_b.w, e);
}

int forward_attn(struct forward *f, uint32_t layer, struct err *e)
{
	struct attn a = { .f = f, .layer = layer, .ratio = (uint32_t)f->c->ratio[layer] };
	uint32_t t, take, k;
	int rc;

	forward_prefix(f, layer, a.prefix);
	a.entries = a.ratio ? f->n / a.ratio : 0;
	a.window = f->n < f->p->window ? f->n : f->p->window;
	k = a.ratio == RATIO_INDEXED && f->p->topk < a.entries ? f->p->topk : a.entries;
	a.cols = a.window + k;
	for (t = 0; !f->dev->counts && t < f->n * f->p->topk; t++)
		f->picked[t] = -1;
	rc = load(&a, e) || room(&a, e) || attn_keys(&a, e) ? -1 : 0;
	for (t = 0; !rc && t < f->n; t += take) {
		take = f->n - t < f->block ? f->n - t : f->block;
		rc = queries(&a, t, take, e) || output(&a, t, take, e) ? -1 : 0;
	}
	rc = rc ? rc : f->dev->sync(f->dev, e);
	drop(&a);
	if (!rc && a.ratio == RATIO_INDEXED && f->tap.see) {
		char name[64];

		snprintf(name, sizeof name, "%sindexer.picked", a.prefix);
		rc = f->tap.see(f->tap.ctx, name, f->picked, true, f->n, f->p->topk, 0, e);
	}
	return rc;
}
