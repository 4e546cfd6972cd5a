/* SPDX-License-Identifier: MIT */
#include "kernels/forward/forward.h"

#include "kernels/forward/step.h"

#include "kernels/forward/rope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 256, HEAD_ROWS = 4096 };

/* --- opening --- */

static int check(const struct forward *f, struct err *e)
{
	uint32_t i;

	if (!f->n || f->n > FORWARD_TOKENS_MAX || f->pos + f->n > ROPE_POS_MAX)
		return err_set(e, ERR_USAGE,
			"%u tokens from position %llu on: 1 to %u are taken, up "
			"to position %u",
			f->n, (unsigned long long)f->pos, FORWARD_TOKENS_MAX, ROPE_POS_MAX - 1);
	for (i = 0; i < f->n; i++)
		if (f->ids[i] >= f->c->V)
			return err_set(e, ERR_USAGE, "token %u is %u, the vocabulary ends at %llu",
				i, f->ids[i], (unsigned long long)f->c->V - 1);
	return 0;
}

static int own(struct forward *f, float **p, uint64_t n, struct err *e)
{
	void *v;

	if (f->dev->alloc(f->dev, &v, (size_t)(4 * n), e))
		return -1;
	*p = v;
	return 0;
}

int forward_open(struct forward *f, struct dev *dev, struct weights *w, const uint32_t *ids,
	uint32_t n, uint64_t pos, uint32_t block, struct err *e)
{
	uint64_t dim;

	memset(f, 0, sizeof *f);
	*f = (struct forward){ .dev = dev,
		.w = w,
		.c = &w->c.config,
		.p = &w->p,
		.ids = ids,
		.n = n,
		.block = block ? block : BLOCK,
		.pos = pos };
	f->block = f->block < n ? f->block : n;
	dim = f->c->D;
	if (check(f, e))
		return -1;
	f->expert = host_get(dev, 4 * n * f->c->K);
	f->weight = host_get(dev, 4 * n * f->c->K);
	f->picked = host_get(dev, 4 * (uint64_t)n * f->p->topk);
	if (!f->expert || !f->weight || !f->picked) {
		err_nomem(e);
		goto err;
	}
	if (own(f, &f->x, n * DEV_HC * dim, e) || own(f, &f->y, n * dim, e) ||
		own(f, &f->o, n * dim, e) || own(f, &f->post, n * DEV_HC, e) ||
		own(f, &f->comb, n * DEV_HC * DEV_HC, e))
		goto err;
	return 0;
err:
	forward_close(f);
	return -1;
}

void forward_close(struct forward *f)
{
	if (!f->dev)
		return;
	f->dev->release(f->dev, f->x);
	f->dev->release(f->dev, f->y);
	f->dev->release(f->dev, f->o);
	f->dev->release(f->dev, f->post);
	f->dev->release(f->dev, f->comb);
	host_drop(f->dev, f->expert, 4 * f->n * f->c->K);
	host_drop(f->dev, f->weight, 4 * f->n * f->c->K);
	host_drop(f->dev, f->picked, 4 * (uint64_t)f->n * f->p->topk);
	memset(f, 0, sizeof *f);
}

/* --- the way in --- */

/* Rows of the embedding of all tokens, on the device. */
static uint16_t *embedded(struct forward *f, struct scratch *s, struct err *e)
{
	uint64_t row = 2 * f->c->D;
	uint16_t *host = host_get(f->dev, f->n * row), *dev = NULL;

	if (!host) {
		err_nomem(e);
		return NULL;
	}
	if (!weights_rows(f->w, "", "embed.weight", DT_BF16, f->c->D, f->ids, f->n, host, e))
		dev = scratch_get(s, f->n * row, e);
	if (dev && f->dev->put(f->dev, dev, host, (size_t)(f->n * row), e))
		dev = NULL;
	host_drop(f->dev, host, f->n * row);
	return dev;
}

int forward_embed(struct forward *f, struct err *e)
{
	struct scratch s = { .dev = f->dev };
	uint16_t *rows = embedded(f, &s, e);
	int rc = rows
		? f->dev->embed(f->dev,
			  &(struct dev_embed){
				  .x = f->x, .row = rows, .n = f->n, .dim = (uint32_t)f->c->D },
			  e)
		: -1;

	rc = rc ? rc : f->dev->sync(f->dev, e);
	scratch_drop(&s);
	return rc ? rc
		  : forward_tell(f, "layers.0.", "in", f->x, false, f->n,
			    (uint32_t)(DEV_HC * f->c->D), 0, e);
}

/* --- hyper-connections --- */

struct mixing {
	float *fn, *scale, *base, *norm;
	uint64_t n[4];
};

static int mixing_load(struct forward *f, struct mixing *m, const char *prefix, const char *what,
	uint64_t mixes, uint64_t scales, const char *norm, struct err *e)
{
	char name[3][32];

	snprintf(name[0], 32, "hc_%s_fn", what);
	snprintf(name[1], 32, "hc_%s_scale", what);
	snprintf(name[2], 32, "hc_%s_base", what);
	*m = (struct mixing){ .n = { mixes * DEV_HC * f->c->D, scales, mixes, f->c->D } };
	if (weights_floats(f->w, &m->fn, prefix, name[0], m->n[0], e) ||
		weights_floats(f->w, &m->scale, prefix, name[1], m->n[1], e) ||
		weights_floats(f->w, &m->base, prefix, name[2], m->n[2], e))
		return -1;
	return weights_floats(f->w, &m->norm, prefix, norm, m->n[3], e);
}

static void mixing_drop(struct forward *f, struct mixing *m)
{
	weights_free(f->w, m->fn, 4 * m->n[0]);
	weights_free(f->w, m->scale, 4 * m->n[1]);
	weights_free(f->w, m->base, 4 * m->n[2]);
	weights_free(f->w, m->norm, 4 * m->n[3]);
}

static const char *const subs[] = { "attn", "ffn" };

int forward_pre(struct forward *f, uint32_t layer, enum forward_sub sub, struct err *e)
{
	uint32_t dim = (uint32_t)f->c->D;
	char prefix[32], name[16];
	struct mixing m;
	int rc;

	forward_prefix(f, layer, prefix);
	snprintf(name, sizeof name, "%s_norm.weight", subs[sub]);
	name[sizeof name - 1] = 0;
	rc = mixing_load(f, &m, prefix, subs[sub], DEV_MIX, 3,
		sub == SUB_ATTN ? "attn_norm.weight" : "ffn_norm.weight", e);
	rc = rc ? rc
		: f->dev->hc_pre(f->dev,
			  &(struct dev_hc_pre){ .y = f->y,
				  .post = f->post,
				  .comb = f->comb,
				  .x = f->x,
				  .fn = m.fn,
				  .scale = m.scale,
				  .base = m.base,
				  .n = f->n,
				  .dim = dim,
				  .iters = f->p->hc_iters,
				  .eps = f->p->eps,
				  .hc_eps = f->p->hc_eps },
			  e);
	rc = rc ? rc : step_norm(f, f->y, f->y, m.norm, f->n, dim, e);
	rc = rc ? rc : f->dev->sync(f->dev, e);
	mixing_drop(f, &m);
	return rc ? rc
		  : forward_tell(f, prefix, sub == SUB_ATTN ? "attn.in" : "ffn.in", f->y, false,
			    f->n, dim, 0, e);
}

int forward_run(struct forward *f, uint32_t layer, enum forward_sub sub, struct err *e)
{
	uint32_t dim = (uint32_t)f->c->D;
	char prefix[32];

	forward_prefix(f, layer, prefix);
	if ((sub == SUB_ATTN ? forward_attn : forward_moe)(f, layer, e))
		return -1;
	return forward_tell(f, prefix, sub == SUB_ATTN ? "attn.out" : "ffn.out", f->o, false, f->n,
		dim, 0, e);
}

int forward_post(struct forward *f, uint32_t layer, enum forward_sub sub, struct err *e)
{
	uint32_t dim = (uint32_t)f->c->D;
	char prefix[32];

	forward_prefix(f, layer, prefix);
	if (f->dev->hc_post(f->dev,
		    &(struct dev_hc_post){ .x = f->x,
			    .o = f->o,
			    .post = f->post,
			    .comb = f->comb,
			    .n = f->n,
			    .dim = dim },
		    e) ||
		f->dev->sync(f->dev, e))
		return -1;
	return forward_tell(f, prefix, sub == SUB_ATTN ? "mid" : "out", f->x, false, f->n,
		DEV_HC * dim, 0, e);
}

int forward_layer(struct forward *f, uint32_t layer, struct err *e)
{
	enum forward_sub s;

	for (s = SUB_ATTN; s <= SUB_FFN; s++)
		if (forward_pre(f, layer, s, e) || forward_run(f, layer, s, e) ||
			forward_post(f, layer, s, e))
			return -1;
	return 0;
}

/* --- the way out --- */

/* y [n][D] = linear of a matrix of codes, in blocks of tokens. */
static int project(struct forward *f, const char *prefix, const char *name, float *y,
	const float *x, uint32_t n, struct err *e)
{
	struct scratch s = { .dev = f->dev };
	uint32_t dim = (uint32_t)f->c->D, t, take;
	struct weight_matrix m;
	struct act a;
	uint64_t at;
	int rc;

	if (weights_matrix(f->w, &m, prefix, name, (struct matrix_form){ dim, dim, true }, e))
		return -1;
	a.q = scratch_get(&s, (uint64_t)f->block * dim, e);
	a.s = a.q ? scratch_floats(&s, (uint64_t)f->block * (dim / DEV_ACT), e) : NULL;
	rc = a.s ? 0 : -1;
	for (t = 0; !rc && t < n; t += take) {
		take = n - t < f->block ? n - t : f->block;
		at = (uint64_t)t * dim;
		rc = step_linear(f, y + at, dim, &a, x + at, take, &m.w, e);
	}
	rc = rc ? rc : f->dev->sync(f->dev, e);
	scratch_drop(&s);
	weights_drop(f->w, &m);
	return rc;
}

int forward_mtp(struct forward *f, uint32_t stage, struct err *e)
{
	struct scratch s = { .dev = f->dev };
	uint32_t dim = (uint32_t)f->c->D, n = f->n;
	float *en, *emb, *hn = NULL, *norm[2] = { 0 };
	uint16_t *rows = embedded(f, &s, e);
	char prefix[32];
	int rc = -1;

	forward_prefix(f, (uint32_t)f->c->L + stage, prefix);
	if (!rows || weights_floats(f->w, &norm[0], prefix, "enorm.weight", dim, e) ||
		weights_floats(f->w, &norm[1], prefix, "hnorm.weight", dim, e))
		goto out;
	emb = scratch_floats(&s, (uint64_t)n * DEV_HC * dim, e);
	en = emb ? scratch_floats(&s, (uint64_t)n * DEV_HC * dim, e) : NULL;
	hn = en ? scratch_floats(&s, (uint64_t)n * DEV_HC * dim, e) : NULL;
	if (!hn)
		goto out;
	/* The embedding is the same in each stream, and so is what becomes of it. */
	if (f->dev->embed(f->dev, &(struct dev_embed){ .x = emb, .row = rows, .n = n, .dim = dim },
		    e) ||
		step_norm(f, en, emb, norm[0], n * DEV_HC, dim, e) ||
		step_norm(f, hn, f->x, norm[1], n * DEV_HC, dim, e) ||
		project(f, prefix, "e_proj", emb, en, n * DEV_HC, e) ||
		project(f, prefix, "h_proj", en, hn, n * DEV_HC, e))
		goto out;
	rc = f->dev->add(f->dev,
		&(struct dev_add){ .y = f->x, .a = emb, .b = en, .n = (uint64_t)n * DEV_HC * dim },
		e);
	rc = rc ? rc : f->dev->sync(f->dev, e);
out:
	weights_free(f->w, norm[0], 4 * (uint64_t)dim);
	weights_free(f->w, norm[1], 4 * (uint64_t)dim);
	scratch_drop(&s);
	return rc ? rc : forward_tell(f, prefix, "in", f->x, false, n, DEV_HC * dim, 0, e);
}

/* Rows row .. row + take of the head, of all tokens, to their columns of logits. */
static int head_band(struct forward *f, const float *z, float *band, uint32_t count, uint32_t row,
	uint32_t take, float *host, float *logits, struct err *e)
{
	uint64_t vocab = f->c->V, t;
	struct weight_matrix m;
	int rc;

	if (weights_band(f->w, &m, "head.weight", f->c->D, row, take, e))
		return -1;
	rc = f->dev->linear(f->dev,
		&(struct dev_linear){ .y = band,
			.ldy = take,
			.x = z,
			.ldx = (uint32_t)f->c->D,
			.n = count,
			.w = &m.w,
			.round = false },
		e);
	rc = rc ? rc : f->dev->get(f->dev, host, band, (size_t)(4 * (uint64_t)count * take), e);
	weights_drop(f->w, &m);
	for (t = 0; !rc && !f->dev->counts && t < count; t++)
		memcpy(logits + t * vocab + row, host + t * take, 4 * (size_t)take);
	return rc;
}

int forward_logits(struct forward *f, int stage, uint32_t first, uint32_t count, float *logits,
	struct err *e)
{
	uint32_t dim = (uint32_t)f->c->D, row, take, vocab = (uint32_t)f->c->V;
	uint64_t rows = vocab < HEAD_ROWS ? vocab : HEAD_ROWS;
	const float *x = f->x + (uint64_t)first * DEV_HC * dim;
	struct scratch s = { .dev = f->dev };
	char prefix[32] = "";
	struct mixing m;
	float *z, *band, *host = NULL;
	int rc;

	if (stage >= 0)
		forward_prefix(f, (uint32_t)f->c->L + (uint32_t)stage, prefix);
	rc = mixing_load(f, &m, prefix, "head", DEV_HC, 1, "norm.weight", e);
	z = rc ? NULL : scratch_floats(&s, (uint64_t)count * dim, e);
	band = z ? scratch_floats(&s, (uint64_t)count * rows, e) : NULL;
	rc = band ? 0 : -1;
	if (!rc && !(host = host_get(f->dev, 4 * (uint64_t)count * rows)))
		rc = err_nomem(e);
	rc = rc ? rc
		: f->dev->hc_head(f->dev,
			  &(struct dev_hc_head){ .y = z,
				  .x = x,
				  .fn = m.fn,
				  .scale = m.scale,
				  .base = m.base,
				  .n = count,
				  .dim = dim,
				  .eps = f->p->eps,
				  .hc_eps = f->p->hc_eps },
			  e);
	rc = rc ? rc : step_norm(f, z, z, m.norm, count, dim, e);
	rc = rc ? rc : forward_tell(f, prefix, "norm", z, false, count, dim, first, e);
	for (row = 0; !rc && row < vocab; row += take) {
		take = vocab - row < HEAD_ROWS ? vocab - row : HEAD_ROWS;
		rc = head_band(f, z, band, count, row, take, host, logits, e);
	}
	host_drop(f->dev, host, 4 * (uint64_t)count * rows);
	mixing_drop(f, &m);
	scratch_drop(&s);
	return rc;
}
