/* SPDX-License-Identifier: MIT */
#include "kernels/forward/order.h"

#include "formats/codec.h"
#include "kernels/forward/recast.h"
#include "quant/num.h"

#include <string.h>

bool order_remakes(const struct weight *w, uint32_t sum)
{
	const struct weight_form *f = &weight_forms[w->type];

	return !w->n_pieces && f->cols && f->cols < sum && w->rows % sum == 0 && w->cols % sum == 0;
}

/* The values of a row of codes as BF16 to dst; false where one is none. */
static bool row_values(const struct weight *w, const uint8_t *codes, const uint8_t *scales,
	uint8_t *dst)
{
	const struct weight_form *f = &weight_forms[w->type];
	uint32_t k;
	uint16_t h;
	float v, s;

	for (k = 0; k < w->cols; k++) {
		v = f->bits == 8 ? num_e4m3(codes[k]) : num_e2m1(codes[k / 2] >> (k % 2 * 4) & 15);
		s = w->type == WEIGHT_NVFP4 ? num_e4m3(scales[k / f->cols]) * w->second
					    : num_e8m0(scales[k / f->cols]);
		h = num_bf16_from(v * s);
		if ((double)num_bf16(h) != (double)v * (double)s)
			return false;
		memcpy(dst + 2 * (size_t)k, &h, sizeof h);
	}
	return true;
}

static bool to_values(const struct weight_matrix *m, uint8_t *dst)
{
	const struct weight_form *f = &weight_forms[m->w.type];
	size_t codes = (size_t)m->w.cols * f->bits / 8, scales = m->w.cols / f->cols;
	uint32_t r;

	for (r = 0; r < m->w.rows; r++)
		if (!row_values(&m->w, (const uint8_t *)m->own[0] + r * codes,
			    (const uint8_t *)m->own[1] + r * scales,
			    dst + 2 * (size_t)r * m->w.cols))
			return false;
	return true;
}

/* What m becomes, at to; 1 where that is the same matrix. */
static int remade(struct weights *w, const struct weight_matrix *m, void *const to[2],
	struct err *e)
{
	if (w->dev->counts)
		return 1;
	return m->w.type == WEIGHT_FP4
		? recast(m->own[0], m->own[1], m->w.rows, m->w.cols, to[0], to[1], e)
		: to_values(m, to[0]);
}

int order_remake(struct weights *w, struct weight_matrix *m, uint32_t sum, uint64_t n[2],
	struct err *e)
{
	bool fp8 = m->w.type == WEIGHT_FP4;
	uint64_t all = (uint64_t)m->w.rows * m->w.cols, dim[2],
		 next[2] = { fp8 ? all : 2 * all, 0 };
	void *to[2] = { NULL, NULL };
	int rc, i;

	codec_scale_dim(CODEC_FP8, m->w.rows, m->w.cols, dim);
	next[1] = fp8 ? dim[0] * dim[1] : 0;
	if (weights_take(w, &to[0], next[0], e))
		return -1;
	if (next[1] && weights_take(w, &to[1], next[1], e)) {
		weights_give_up(w, to[0], next[0]);
		return -1;
	}
	rc = remade(w, m, to, e);
	for (i = 0; i < 2; i++) { /* one of the two goes */
		if (rc == 1 ? !m->own[i] : !to[i])
			continue;
		weights_give_up(w, rc == 1 ? m->own[i] : to[i], rc == 1 ? n[i] : next[i]);
	}
	if (rc != 1)
		return rc;
	memcpy(m->own, to, sizeof to);
	memcpy(n, next, sizeof next);
	m->bytes = n[0] + n[1];
	m->w.type = fp8 ? WEIGHT_FP8 : WEIGHT_BF16;
	m->w.sum = sum;
	return 0;
}
