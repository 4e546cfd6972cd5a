/* SPDX-License-Identifier: MIT */
#include "kernels/fmath.h"
#include "kernels/ref/ref.h"

#include <math.h>

enum { CANDIDATES_MAX = 256 };

/* Where candidate i of channel ch of entry j lies in kv and sc; -1: there is none. */
struct pool {
	uint32_t ratio, dim, lap;
};

static int64_t candidate(const struct pool *p, uint32_t j, uint32_t i, uint32_t ch)
{
	uint32_t width = p->lap * p->dim, old = p->lap == 2 && i < p->ratio;
	int64_t token = (int64_t)j * p->ratio + i % p->ratio - (old ? p->ratio : 0);

	if (token < 0)
		return -1;
	return token * width + (p->lap == 2 && !old ? p->dim : 0) + ch;
}

static float pool_channel(const struct pool *p, const float *kv, const float *sc, const float *ape,
	uint32_t j, uint32_t ch)
{
	uint32_t width = p->lap * p->dim, n = p->lap * p->ratio, i, half;
	float z[CANDIDATES_MAX], max = -INFINITY, sum = 0, acc = 0;
	int64_t at;

	for (i = 0; i < n; i++) {
		at = candidate(p, j, i, ch);
		half = p->lap == 2 && i >= p->ratio ? p->dim : 0;
		z[i] = at < 0 ? -INFINITY : sc[at] + ape[i % p->ratio * width + half + ch];
		max = z[i] > max ? z[i] : max;
	}
	for (i = 0; i < n; i++) {
		z[i] = candidate(p, j, i, ch) < 0 ? 0.0f : fm_exp(z[i] - max);
		sum += z[i];
	}
	for (i = 0; i < n; i++) {
		at = candidate(p, j, i, ch);
		if (at >= 0)
			acc = fmaf(z[i] / sum, kv[at], acc);
	}
	return fm_bf16(acc);
}

static int compress(struct dev *dev, const struct dev_compress *op, struct err *e)
{
	struct pool p = { op->ratio, op->dim, op->lap };
	uint32_t j, ch;

	(void)dev;
	if (op->lap * op->ratio > CANDIDATES_MAX)
		return err_set(e, ERR_UNSUPPORTED, "a compressor of op->ratio %u", op->ratio);
	for (j = 0; j < op->n; j++)
		for (ch = 0; ch < op->dim; ch++)
			op->e[(uint64_t)j * op->dim + ch] =
				pool_channel(&p, op->kv, op->sc, op->ape, op->first + j, ch);
	return 0;
}

static float index_one(const float *q, const float *k, const float *w, uint32_t heads, uint32_t dim)
{
	float lane[32] = { 0 }, s;
	uint32_t h;

	for (h = 0; h < heads; h++) {
		s = fm_bf16(ref_dot(q + (uint64_t)h * dim, k, dim));
		s = s > 0.0f ? s : 0.0f;
		lane[h % 32] += fm_bf16(s * w[h]);
	}
	return fm_bf16(fm_tree32(lane));
}

static int index_score(struct dev *dev, const struct dev_index_score *op, struct err *e)
{
	uint32_t t, j, seen;

	(void)dev, (void)e;
	for (t = 0; t < op->n; t++) {
		seen = (op->pos + t + 1) / op->ratio;
		for (j = 0; j < op->m; j++)
			op->score[(uint64_t)t * op->m + j] = j < seen
				? index_one(op->q + (uint64_t)t * op->heads * op->dim,
					  op->k + (uint64_t)j * op->dim,
					  op->w + (uint64_t)t * op->heads, op->heads, op->dim)
				: -INFINITY;
	}
	return 0;
}

/* Puts j into the k best so far, which are sorted. */
static void insert(int32_t *pick, uint32_t *have, uint32_t k, const float *score, uint32_t j)
{
	uint32_t at = *have < k ? *have : k;

	if (at == k) {
		if (!(score[j] > score[pick[k - 1]]))
			return;
		at = k - 1;
	} else {
		++*have;
	}
	for (; at && score[j] > score[pick[at - 1]]; at--)
		pick[at] = pick[at - 1];
	pick[at] = (int32_t)j;
}

static int topk(struct dev *dev, const struct dev_topk *op, struct err *e)
{
	const float *score = op->score;
	uint32_t t, j, have;
	int32_t *p;

	(void)dev, (void)e;
	for (t = 0; t < op->n; t++, score += op->m) {
		p = op->pick + (uint64_t)t * op->ld;
		for (j = 0, have = 0; j < op->m; j++)
			if (score[j] > -INFINITY)
				insert(p, &have, op->k, score, j);
		for (j = 0; j < op->k; j++)
			p[j] = j < have ? p[j] + op->base : -1;
	}
	return 0;
}

void ref_compress(struct dev *d)
{
	d->compress = compress;
	d->index_score = index_score;
	d->topk = topk;
}
