/* attn_keys.c -- keys of the attention sub-block, which are its values too: the window's of all tokens, then the
 * compressed ones behind them in one buffer; and keys of the indexer.
 *
 * SPDX-License-Identifier: MIT */
#include "kernels/forward/attn.h"
#include "kernels/forward/rope.h"

#include <stdio.h>

int attn_rotation(struct attn *a, uint64_t first, uint64_t step, uint32_t n, struct err *e)
{
	uint64_t bytes = 4 * (uint64_t)n * (a->f->p->rope_dim / 2);
	float *c = host_get(a->f->dev, 2 * bytes), *s = c + bytes / 4;
	int rc;

	if (!c)
		return err_nomem(e);
	if (!a->f->dev->counts)
		rope_tables(a->f->p, a->ratio > 0, first, step, n, c, s);
	rc = a->f->dev->put(a->f->dev, a->cos, c, (size_t)bytes, e);
	rc = rc ? rc : a->f->dev->put(a->f->dev, a->sin, s, (size_t)bytes, e);
	host_drop(a->f->dev, c, 2 * bytes);
	return rc;
}

int attn_rope(struct attn *a, float *x, uint32_t n, uint32_t heads, uint32_t dim, bool inverse,
	struct err *e)
{
	const struct dev_rope op = { .x = x,
		.cos = a->cos,
		.sin = a->sin,
		.n = n,
		.heads = heads,
		.dim = dim,
		.pairs = a->f->p->rope_dim / 2,
		.inverse = inverse };

	return a->f->dev->rope(a->f->dev, &op, e);
}

int attn_told(struct attn *a, const char *name, const float *v, uint32_t n, uint32_t cols,
	int64_t token, struct err *e)
{
	return a->f->tap.steps ? forward_tell(a->f, a->prefix, name, v, false, n, cols, token, e)
			       : 0;
}

int attn_took(struct attn *a, const char *name, const float *x, uint32_t n, uint32_t cols,
	struct err *e)
{
	return forward_took(a->f, name, x, cols, n, cols, e);
}

/* What of an entry is not rotated, as the cache holds it. */
static int cached(struct attn *a, float *kv, uint32_t n, struct err *e)
{
	uint32_t hd = (uint32_t)a->f->c->hd;
	const struct dev_fake_fp8 op = {
		.x = kv, .n = n, .ld = hd, .cols = hd - a->f->p->rope_dim, .block = DEV_KEY
	};

	return a->f->dev->fake_fp8(a->f->dev, &op, e);
}

static int window_keys(struct attn *a, uint32_t t, uint32_t n, struct err *e)
{
	uint32_t hd = (uint32_t)a->f->c->hd;
	float *kv = a->kv + (uint64_t)t * hd;
	const float *y = a->f->y + (uint64_t)t * a->f->c->D;

	if (attn_took(a, "attn.wkv", y, n, (uint32_t)a->f->c->D, e) ||
		step_linear(a->f, kv, hd, &a->act, y, n, &a->wkv.w, e) ||
		attn_told(a, "attn.wkv", kv, n, hd, t, e) ||
		step_norm(a->f, kv, kv, a->kv_norm, n, hd, e) ||
		attn_rotation(a, a->f->pos + t, 1, n, e) || attn_rope(a, kv, n, 1, hd, false, e))
		return -1;
	return cached(a, kv, n, e);
}

/* The entries of a compressor before its norm: from the sub-block's input. */
static int pool(struct attn *a, struct squeeze *c, const char *at, float *out, struct err *e)
{
	uint32_t width = c->lap * c->dim, dim = (uint32_t)a->f->c->D, n = a->entries * c->ratio;
	struct scratch s = { .dev = a->f->dev };
	struct dev *d = a->f->dev;
	float *kv = scratch_floats(&s, (uint64_t)n * width, e);
	float *sc = kv ? scratch_floats(&s, (uint64_t)n * width, e) : NULL;
	struct dev_linear kvs = {
		.y = kv, .ldy = width, .x = a->f->y, .ldx = dim, .n = n, .w = &c->wkv.w
	};
	struct dev_linear gates = kvs;
	const struct dev_compress op = { .e = out,
		.kv = kv,
		.sc = sc,
		.ape = c->ape,
		.n = a->entries,
		.ratio = c->ratio,
		.dim = c->dim,
		.lap = c->lap };
	char name[2][48];
	int rc;

	snprintf(name[0], sizeof name[0], "%s.wkv", at);
	snprintf(name[1], sizeof name[1], "%s.wgate", at);
	gates.y = sc;
	gates.w = &c->wgate.w;
	rc = !sc || attn_took(a, name[0], a->f->y, n, dim, e) ||
			attn_took(a, name[1], a->f->y, n, dim, e) || d->linear(d, &kvs, e) ||
			d->linear(d, &gates, e) || d->compress(d, &op, e) || d->sync(d, e)
		? -1
		: 0;
	scratch_drop(&s);
	return rc;
}

/* The entries of a compressor, rotated; not yet rounded further. */
static int squeeze(struct attn *a, struct squeeze *c, const char *name, float *out, struct err *e)
{
	uint32_t j, take;
	int rc;

	rc = pool(a, c, name, out, e) || attn_told(a, name, out, a->entries, c->dim, 0, e) ||
			step_norm(a->f, out, out, c->norm, a->entries, c->dim, e)
		? -1
		: 0;
	for (j = 0; !rc && j < a->entries; j += take) {
		take = a->entries - j < a->f->block ? a->entries - j : a->f->block;
		rc = attn_rotation(a, a->f->pos + (uint64_t)j * c->ratio, c->ratio, take, e);
		rc = rc ? rc : attn_rope(a, out + (uint64_t)j * c->dim, take, 1, c->dim, false, e);
	}
	return rc ? rc : a->f->dev->sync(a->f->dev, e);
}

int attn_keys(struct attn *a, struct err *e)
{
	uint32_t hd = (uint32_t)a->f->c->hd, ihd = (uint32_t)a->f->c->IHD, t, take;
	float *out = a->kv + (uint64_t)a->f->n * hd;
	struct dev *d = a->f->dev;

	for (t = 0; t < a->f->n; t += take) {
		take = a->f->n - t < a->f->block ? a->f->n - t : a->f->block;
		if (window_keys(a, t, take, e))
			return -1;
	}
	if (!a->entries)
		return 0;
	if (squeeze(a, &a->main, "attn.compressor", out, e) || cached(a, out, a->entries, e))
		return -1;
	if (a->ratio != RATIO_INDEXED)
		return 0;
	if (squeeze(a, &a->index, "attn.indexer.compressor", a->ik, e) ||
		d->hadamard(d, &(struct dev_hadamard){ .x = a->ik, .n = a->entries, .dim = ihd },
			e))
		return -1;
	return d->fake_fp4(d, &(struct dev_fake_fp4){ .x = a->ik, .n = a->entries, .dim = ihd }, e);
}
