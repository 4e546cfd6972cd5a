/* forward_attn.c -- the attention sub-block: queries, window and compressed keys, indexer, output.
 *
 * Keys of all tokens come first (attn_keys.c), then queries block by block.
 *
 * SPDX-License-Identifier: MIT */
#include "kernels/forward/attn.h"

#include "kernels/forward/rope.h"

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
	c->lap = a->ratio == 4 ? 2 : 1;
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
		struct matrix *m;
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

	for (i = 0; i < (a->ratio == 4 ? 7u : 5u); i++)
		if (weights_matrix(w, all[i].m, a->prefix, all[i].name, all[i].form, e))
			return -1;
	if (weights_floats(w, &a->q_norm, a->prefix, "attn.q_norm.weight", c->QL, e) ||
		weights_floats(w, &a->kv_norm, a->prefix, "attn.kv_norm.weight", c->hd, e) ||
		weights_floats(w, &a->sink, a->prefix, "attn.attn_sink", c->H, e))
		return -1;
	if (a->ratio && load_squeeze(a, &a->main, "attn.", c->hd, e))
		return -1;
	return a->ratio == 4 ? load_squeeze(a, &a->index, "attn.indexer.", c->IHD, e) : 0;
}

static void drop(struct attn *a)
{
	struct matrix *m[] = { &a->wq_a, &a->wq_b, &a->wkv, &a->wo_a, &a->wo_b, &a->iq, &a->iw };
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
	a->qx = scratch_get(s, b * widest, e);
	a->sx = scratch_floats(s, b * (widest / DEV_ACT), e);
	a->list = scratch_get(s, 4 * b * a->cols, e);
	if (s->n < 10)
		return -1;
	if (a->ratio != 4)
		return 0;
	a->ik = scratch_floats(s, (uint64_t)a->entries * c->IHD + 1, e);
	a->iqv = scratch_floats(s, b * c->IH * c->IHD, e);
	a->iwv = scratch_floats(s, b * c->IH, e);
	a->score = scratch_floats(s, b * a->entries + 1, e);
	return s->n < 14 ? -1 : 0;
}

/* --- queries --- */

/* Picks of the indexer for n tokens from t on, into the index list; qx and sx hold the queries' low rank. */
static int picks(struct attn *a, uint32_t t, uint32_t n, struct err *e)
{
	const struct config *c = a->f->c;
	uint32_t ih = (uint32_t)c->IH, ihd = (uint32_t)c->IHD, dim = (uint32_t)c->D;
	uint32_t k = a->cols - a->window;
	const float *x = a->f->y + (uint64_t)t * dim;
	struct dev *d = a->f->dev;
	float weight = (float)(1.0 / sqrt((double)ihd) / sqrt((double)ih));

	if (d->linear_q(d,
		    &(struct dev_linear_q){ .y = a->iqv,
			    .ld = ih * ihd,
			    .q = a->qx,
			    .s = a->sx,
			    .n = n,
			    .w = &a->iq.w },
		    e) ||
		d->linear(d,
			&(struct dev_linear){ .y = a->iwv,
				.ldy = ih,
				.x = x,
				.ldx = dim,
				.n = n,
				.w = &a->iw.w,
				.round = true },
			e))
		return -1;
	if (a->f->tap.steps &&
		(forward_tell(a->f, a->prefix, "attn.indexer.wq_b", a->iqv, false, n, ih * ihd, t,
			 e) ||
			forward_tell(a->f, a->prefix, "attn.indexer.weights_proj", a->iwv, false, n,
				ih, t, e)))
		return -1;
	if (d->rope(d,
		    &(struct dev_rope){ .x = a->iqv,
			    .cos = a->cos,
			    .sin = a->sin,
			    .n = n,
			    .heads = ih,
			    .dim = ihd,
			    .pairs = a->f->p->rope_dim / 2,
			    .inverse = false },
		    e) ||
		d->hadamard(d, &(struct dev_hadamard){ .x = a->iqv, .n = n * ih, .dim = ihd }, e) ||
		d->fake_fp4(d, &(struct dev_fake_fp4){ .x = a->iqv, .n = n * ih, .dim = ihd }, e) ||
		d->scale(d, &(struct dev_scale){ .x = a->iwv, .c = weight, .n = (uint64_t)n * ih },
			e) ||
		d->index_score(d,
			&(struct dev_index_score){ .score = a->score,
				.q = a->iqv,
				.k = a->ik,
				.w = a->iwv,
				.n = n,
				.m = a->entries,
				.heads = ih,
				.dim = ihd,
				.pos = t,
				.ratio = a->ratio },
			e))
		return -1;
	return d->topk(d,
		&(struct dev_topk){ .pick = a->list + a->window,
			.ld = a->cols,
			.score = a->score,
			.n = n,
			.m = a->entries,
			.k = k,
			.base = (int32_t)a->f->n },
		e);
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
	float *score = malloc(bytes + 1);
	int rc;

	if (!score)
		return err_nomem(e);
	rc = a->f->dev->get(a->f->dev, score, a->score, bytes, e);
	for (i = 0; !rc && i < n; i++)
		prefer(a, list + (uint64_t)i * a->cols + a->window,
			score + (uint64_t)i * a->entries,
			a->f->prefer + (uint64_t)(t + i) * a->f->p->topk, k);
	free(score);
	rc = rc ? rc : a->f->dev->put(a->f->dev, a->list, list, 4 * (size_t)n * a->cols, e);
	return rc;
}

/* Brings the picks of a block home: f->picked. */
static int keep_picks(struct attn *a, uint32_t t, uint32_t n, struct err *e)
{
	uint32_t k = a->cols - a->window, topk = a->f->p->topk, i, j;
	int32_t *list = malloc(4 * (size_t)n * a->cols + 1), *to, v;
	int rc;

	if (!list)
		return err_nomem(e);
	rc = a->f->dev->get(a->f->dev, list, a->list, 4 * (size_t)n * a->cols, e);
	if (!rc && a->f->prefer)
		rc = prefer_all(a, list, t, n, e);
	for (i = 0; !rc && i < n; i++)
		for (j = 0; j < topk; j++) {
			to = a->f->picked + (uint64_t)(t + i) * topk + j;
			v = j < k ? list[(uint64_t)i * a->cols + a->window + j] : -1;
			*to = v < 0 ? -1 : v - (int32_t)a->f->n;
		}
	free(list);
	return rc;
}

static int queries(struct attn *a, uint32_t t, uint32_t n, struct err *e)
{
	const struct config *c = a->f->c;
	uint32_t ql = (uint32_t)c->QL, dim = (uint32_t)c->D, h = (uint32_t)c->H;
	uint32_t hd = (uint32_t)c->hd, width = h * hd;
	const float *x = a->f->y + (uint64_t)t * dim;
	struct dev *d = a->f->dev;
	bool steps = a->f->tap.steps;

	if (d->act_quant(d,
		    &(struct dev_act_quant){ .q = a->qx, .s = a->sx, .x = x, .n = n, .dim = dim },
		    e) ||
		d->linear_q(d,
			&(struct dev_linear_q){ .y = a->y,
				.ld = ql,
				.q = a->qx,
				.s = a->sx,
				.n = n,
				.w = &a->wq_a.w },
			e) ||
		(steps && forward_tell(a->f, a->prefix, "attn.wq_a", a->y, false, n, ql, t, e)) ||
		d->rmsnorm(d,
			&(struct dev_rmsnorm){ .y = a->y,
				.x = a->y,
				.w = a->q_norm,
				.n = n,
				.dim = ql,
				.eps = a->f->p->eps },
			e) ||
		d->act_quant(d,
			&(struct dev_act_quant){
				.q = a->qx, .s = a->sx, .x = a->y, .n = n, .dim = ql },
			e) ||
		d->linear_q(d,
			&(struct dev_linear_q){ .y = a->q,
				.ld = width,
				.q = a->qx,
				.s = a->sx,
				.n = n,
				.w = &a->wq_b.w },
			e) ||
		(steps && forward_tell(a->f, a->prefix, "attn.wq_b", a->q, false, n, width, t, e)))
		return -1;
	if (d->head_norm(d,
		    &(struct dev_head_norm){
			    .x = a->q, .n = n * h, .dim = hd, .eps = a->f->p->eps },
		    e) ||
		attn_rotation(a, a->f->pos + t, 1, n, e) ||
		d->rope(d,
			&(struct dev_rope){ .x = a->q,
				.cos = a->cos,
				.sin = a->sin,
				.n = n,
				.heads = h,
				.dim = hd,
				.pairs = a->f->p->rope_dim / 2,
				.inverse = false },
			e) ||
		d->columns(d,
			&(struct dev_columns){ .index = a->list,
				.ld = a->cols,
				.n = n,
				.pos = t,
				.window = a->window,
				.m = a->entries,
				.ratio = a->ratio ? a->ratio : 1,
				.with_all = a->ratio == 128,
				.base = (int32_t)a->f->n },
			e))
		return -1;
	if (a->ratio != 4 || !a->entries)
		return 0;
	return picks(a, t, n, e) || keep_picks(a, t, n, e) ? -1 : 0;
}

static struct weight rows_of(const struct weight *w, uint32_t row, uint32_t n)
{
	uint64_t width = w->type == WEIGHT_FP8 ? 1 : w->type == WEIGHT_BF16 ? 2 : 4;
	struct weight v = *w;

	v.rows = n;
	v.codes = (const uint8_t *)w->codes + (uint64_t)row * w->cols * width;
	if (w->type == WEIGHT_FP8)
		v.scales = (const uint8_t *)w->scales +
			(uint64_t)(row / 128) * ((w->cols + 127) / 128) * (w->f32_scales ? 4 : 1);
	return v;
}

static int output(struct attn *a, uint32_t t, uint32_t n, struct err *e)
{
	const struct config *c = a->f->c;
	uint32_t h = (uint32_t)c->H, hd = (uint32_t)c->hd, r = (uint32_t)c->R, g;
	uint32_t groups = (uint32_t)c->G, in = h / groups * hd, all = groups * r;
	float *o = a->f->o + (uint64_t)t * c->D, scale = (float)(1.0 / sqrt((double)hd));
	struct dev *d = a->f->dev;
	struct weight w;

	if (d->attend(d,
		    &(struct dev_attend){ .o = a->o,
			    .q = a->q,
			    .kv = a->kv,
			    .index = a->list,
			    .sink = a->sink,
			    .n = n,
			    .heads = h,
			    .dim = hd,
			    .cols = a->cols,
			    .scale = scale },
		    e) ||
		d->rope(d,
			&(struct dev_rope){ .x = a->o,
				.cos = a->cos,
				.sin = a->sin,
				.n = n,
				.heads = h,
				.dim = hd,
				.pairs = a->f->p->rope_dim / 2,
				.inverse = true },
			e))
		return -1;
	if (a->f->tap.steps &&
		forward_tell(a->f, a->prefix, "attn.heads", a->o, false, n, h * hd, t, e))
		return -1;
	for (g = 0; g < groups; g++) {
		w = rows_of(&a->wo_a.w, g * r, r);
		if (d->linear(d,
			    &(struct dev_linear){ .y = a->z + g * r,
				    .ldy = all,
				    .x = a->o + g * in,
				    .ldx = h * hd,
				    .n = n,
				    .w = &w,
				    .round = true },
			    e))
			return -1;
	}
	if (a->f->tap.steps &&
		forward_tell(a->f, a->prefix, "attn.wo_a", a->z, false, n, all, t, e))
		return -1;
	if (d->act_quant(d,
		    &(struct dev_act_quant){
			    .q = a->qx, .s = a->sx, .x = a->z, .n = n, .dim = all },
		    e))
		return -1;
	return d->linear_q(d,
		&(struct dev_linear_q){ .y = o,
			.ld = (uint32_t)c->D,
			.q = a->qx,
			.s = a->sx,
			.n = n,
			.w = &a->wo_b.w },
		e);
}

int forward_attn(struct forward *f, uint32_t layer, struct err *e)
{
	struct attn a = { .f = f, .layer = layer, .ratio = (uint32_t)f->c->ratio[layer] };
	uint32_t t, take, k;
	int rc;

	forward_prefix(f, layer, a.prefix);
	a.entries = a.ratio ? f->n / a.ratio : 0;
	a.window = f->n < f->p->window ? f->n : f->p->window;
	k = a.ratio == 4 && f->p->topk < a.entries ? f->p->topk : a.entries;
	a.cols = a.window + k;
	for (t = 0; t < f->n * f->p->topk; t++)
		f->picked[t] = -1;
	rc = load(&a, e) || room(&a, e) || attn_keys(&a, e) ? -1 : 0;
	for (t = 0; !rc && t < f->n; t += take) {
		take = f->n - t < f->block ? f->n - t : f->block;
		rc = queries(&a, t, take, e) || output(&a, t, take, e) ? -1 : 0;
	}
	rc = rc ? rc : f->dev->sync(f->dev, e);
	drop(&a);
	if (!rc && a.ratio == 4 && f->tap.see) {
		char name[64];

		snprintf(name, sizeof name, "%sindexer.picked", a.prefix);
		rc = f->tap.see(f->tap.ctx, name, f->picked, true, f->n, f->p->topk, 0, e);
	}
	return rc;
}
