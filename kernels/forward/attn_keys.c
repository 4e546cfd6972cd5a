/* attn_keys.c -- keys of the attention sub-block, which are its values too: the window's of all tokens, then the
 * compressed ones behind them in one buffer; and keys of the indexer.
 *
 * SPDX-License-Identifier: MIT */
#include "kernels/forward/attn.h"
#include "kernels/forward/rope.h"

#include <stdlib.h>

/* Rotation of n positions from first on, step apart, to a->cos and a->sin. */
int attn_rotation(struct attn *a, uint64_t first, uint64_t step, uint32_t n, struct err *e)
{
	uint64_t bytes = 4 * (uint64_t)n * (a->f->p->rope_dim / 2);
	float *c = malloc((size_t)(2 * bytes)), *s = c + bytes / 4;
	int rc;

	if (!c)
		return err_nomem(e);
	rope_tables(a->f->p, a->ratio > 0, first, step, n, c, s);
	rc = a->f->dev->put(a->f->dev, a->cos, c, (size_t)bytes, e);
	rc = rc ? rc : a->f->dev->put(a->f->dev, a->sin, s, (size_t)bytes, e);
	free(c);
	return rc;
}

static int window_keys(struct attn *a, uint32_t t, uint32_t n, struct err *e)
{
	const struct config *c = a->f->c;
	uint32_t hd = (uint32_t)c->hd, dim = (uint32_t)c->D, rd = a->f->p->rope_dim;
	struct dev *d = a->f->dev;
	float *kv = a->kv + (uint64_t)t * hd;
	const float *x = a->f->y + (uint64_t)t * dim;

	if (d->act_quant(d,
		    &(struct dev_act_quant){ .q = a->qx, .s = a->sx, .x = x, .n = n, .dim = dim },
		    e) ||
		d->linear_q(d,
			&(struct dev_linear_q){
				.y = kv, .ld = hd, .q = a->qx, .s = a->sx, .n = n, .w = &a->wkv.w },
			e) ||
		(a->f->tap.steps &&
			forward_tell(a->f, a->prefix, "attn.wkv", kv, false, n, hd, t, e)) ||
		d->rmsnorm(d,
			&(struct dev_rmsnorm){ .y = kv,
				.x = kv,
				.w = a->kv_norm,
				.n = n,
				.dim = hd,
				.eps = a->f->p->eps },
			e) ||
		attn_rotation(a, a->f->pos + t, 1, n, e) ||
		d->rope(d,
			&(struct dev_rope){ .x = kv,
				.cos = a->cos,
				.sin = a->sin,
				.n = n,
				.heads = 1,
				.dim = hd,
				.pairs = rd / 2,
				.inverse = false },
			e))
		return -1;
	return d->fake_fp8(d,
		&(struct dev_fake_fp8){ .x = kv, .n = n, .ld = hd, .cols = hd - rd, .block = 64 },
		e);
}

/* The entries of a compressor from the sub-block's input, rotated; not yet rounded further. */
static int squeeze(struct attn *a, struct squeeze *c, const char *name, float *out, struct err *e)
{
	uint32_t width = c->lap * c->dim, dim = (uint32_t)a->f->c->D, j, take;
	uint32_t b = a->f->block, n = a->entries * c->ratio, rd = a->f->p->rope_dim;
	struct scratch s = { .dev = a->f->dev };
	struct dev *d = a->f->dev;
	float *kv = scratch_floats(&s, (uint64_t)n * width, e), *sc;
	int rc;

	sc = kv ? scratch_floats(&s, (uint64_t)n * width, e) : NULL;
	rc = sc ? 0 : -1;
	rc = rc ? rc
		: d->linear(d,
			  &(struct dev_linear){ .y = kv,
				  .ldy = width,
				  .x = a->f->y,
				  .ldx = dim,
				  .n = n,
				  .w = &c->wkv.w,
				  .round = false },
			  e);
	rc = rc ? rc
		: d->linear(d,
			  &(struct dev_linear){ .y = sc,
				  .ldy = width,
				  .x = a->f->y,
				  .ldx = dim,
				  .n = n,
				  .w = &c->wgate.w,
				  .round = false },
			  e);
	rc = rc ? rc
		: d->compress(d,
			  &(struct dev_compress){ .e = out,
				  .kv = kv,
				  .sc = sc,
				  .ape = c->ape,
				  .first = 0,
				  .n = a->entries,
				  .ratio = c->ratio,
				  .dim = c->dim,
				  .lap = c->lap },
			  e);
	rc = rc ? rc : d->sync(d, e);
	if (!rc && a->f->tap.steps)
		rc = forward_tell(a->f, a->prefix, name, out, false, a->entries, c->dim, 0, e);
	rc = rc ? rc
		: d->rmsnorm(d,
			  &(struct dev_rmsnorm){ .y = out,
				  .x = out,
				  .w = c->norm,
				  .n = a->entries,
				  .dim = c->dim,
				  .eps = a->f->p->eps },
			  e);
	for (j = 0; !rc && j < a->entries; j += take) {
		take = a->entries - j < b ? a->entries - j : b;
		rc = attn_rotation(a, a->f->pos + (uint64_t)j * c->ratio, c->ratio, take, e);
		rc = rc ? rc
			: d->rope(d,
				  &(struct dev_rope){ .x = out + (uint64_t)j * c->dim,
					  .cos = a->cos,
					  .sin = a->sin,
					  .n = take,
					  .heads = 1,
					  .dim = c->dim,
					  .pairs = rd / 2,
					  .inverse = false },
				  e);
	}
	rc = rc ? rc : d->sync(d, e);
	scratch_drop(&s);
	return rc;
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
	if (squeeze(a, &a->main, "attn.compressor", out, e) ||
		d->fake_fp8(d,
			&(struct dev_fake_fp8){ .x = out,
				.n = a->entries,
				.ld = hd,
				.cols = hd - a->f->p->rope_dim,
				.block = 64 },
			e))
		return -1;
	if (a->ratio != 4)
		return 0;
	if (squeeze(a, &a->index, "attn.indexer.compressor", a->ik, e) ||
		d->hadamard(d, &(struct dev_hadamard){ .x = a->ik, .n = a->entries, .dim = ihd },
			e))
		return -1;
	return d->fake_fp4(d, &(struct dev_fake_fp4){ .x = a->ik, .n = a->entries, .dim = ihd }, e);
}
