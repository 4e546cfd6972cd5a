/* SPDX-License-Identifier: MIT */
#include "kernels/forward/step.h"

int step_norm(struct forward *f, float *y, const float *x, const float *w, uint32_t n, uint32_t dim,
	struct err *e)
{
	const struct dev_rmsnorm op = {
		.y = y, .x = x, .w = w, .n = n, .dim = dim, .eps = f->p->eps
	};

	return f->dev->rmsnorm(f->dev, &op, e);
}

int step_act(struct forward *f, struct act *a, const float *x, uint32_t n, uint32_t dim,
	struct err *e)
{
	const struct dev_act_quant op = { .q = a->q, .s = a->s, .x = x, .n = n, .dim = dim };

	a->x = x;
	return f->dev->fp32 ? 0 : f->dev->act_quant(f->dev, &op, e);
}

int step_codes(struct forward *f, float *y, uint32_t ld, const struct act *a, uint32_t n,
	const struct weight *w, struct err *e)
{
	const struct dev_linear_q op = { .y = y, .ld = ld, .q = a->q, .s = a->s, .n = n, .w = w };

	const struct dev_linear plain = {
		.y = y, .ldy = ld, .x = a->x, .ldx = w->cols, .n = n, .w = w
	};

	return f->dev->fp32 ? f->dev->linear(f->dev, &plain, e) : f->dev->linear_q(f->dev, &op, e);
}

int step_linear(struct forward *f, float *y, uint32_t ld, struct act *a, const float *x, uint32_t n,
	const struct weight *w, struct err *e)
{
	return step_act(f, a, x, n, w->cols, e) || step_codes(f, y, ld, a, n, w, e) ? -1 : 0;
}
