/* SPDX-License-Identifier: MIT */
#include "kernels/fmath.h"
#include "kernels/ref/ref.h"

#include <math.h>

static int columns(struct dev *dev, const struct dev_columns *op, struct err *e)
{
	uint32_t t, c, p, first;
	int32_t *v;

	(void)dev, (void)e;
	for (t = 0; t < op->n; t++) {
		v = op->index + (uint64_t)t * op->ld;
		p = op->pos + t;
		first = p > 127 ? p - 127 : 0;
		for (c = 0; c < op->window; c++)
			v[c] = first + c > p ? -1 : (int32_t)(first + c);
		for (c = 0; op->with_all && c < op->m; c++)
			v[op->window + c] = c < (p + 1) / op->ratio ? op->base + (int32_t)c : -1;
	}
	return 0;
}

/* A head of a token on its way through the columns. */
struct head {
	float max, sum;
	float *o;
};

static void chunk(struct head *h, const float *q, const float *kv, const int32_t *index,
	uint32_t cols, uint32_t dim, float scale)
{
	float s[DEV_CHUNK], lane[32] = { 0 }, max = h->max, again, p, *o = h->o;
	uint32_t c, d;
	const float *row;

	for (c = 0; c < cols; c++) {
		if (index[c] < 0)
			continue;
		s[c] = ref_dot(q, kv + (uint64_t)index[c] * dim, dim) * scale;
		max = s[c] > max ? s[c] : max;
	}
	if (!(max > -INFINITY))
		return;
	again = h->max > -INFINITY ? fm_exp(h->max - max) : 0.0f;
	for (d = 0; d < dim; d++)
		o[d] *= again;
	for (c = 0; c < cols; c++) {
		if (index[c] < 0)
			continue;
		p = fm_exp(s[c] - max);
		lane[c % 32] += p;
		p = fm_bf16(p);
		row = kv + (uint64_t)index[c] * dim;
		for (d = 0; d < dim; d++)
			o[d] = fmaf(p, row[d], o[d]);
	}
	h->sum = fmaf(h->sum, again, fm_tree32(lane));
	h->max = max;
}

static int attend(struct dev *dev, const struct dev_attend *op, struct err *e)
{
	uint32_t t, h, c, d;
	uint64_t at;
	struct head x;
	float sum;

	(void)dev, (void)e;
	for (t = 0; t < op->n; t++)
		for (h = 0; h < op->heads; h++) {
			at = ((uint64_t)t * op->heads + h) * op->dim;
			x = (struct head){ .max = -INFINITY, .o = op->o + at };
			for (d = 0; d < op->dim; d++)
				x.o[d] = 0.0f;
			for (c = 0; c < op->cols; c += DEV_CHUNK)
				chunk(&x, op->q + at, op->kv,
					op->index + (uint64_t)t * op->cols + c,
					op->cols - c < DEV_CHUNK ? op->cols - c : DEV_CHUNK,
					op->dim, op->scale);
			sum = x.sum + fm_exp(op->sink[h] - x.max);
			for (d = 0; d < op->dim; d++)
				x.o[d] = fm_bf16(x.o[d] / sum);
		}
	return 0;
}

void ref_attn(struct dev *d)
{
	d->columns = columns;
	d->attend = attend;
}
