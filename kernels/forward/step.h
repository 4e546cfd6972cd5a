/* step.h -- the operations of dev.h as the forward pass combines them: norms with the model's eps, activations
 * quantised once for several linears.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_FORWARD_STEP_H
#define KERNELS_FORWARD_STEP_H
#include "kernels/forward/state.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Activations on their way into linears whose weights are codes. Memory of the device, of the caller's. */
struct act {
	uint8_t *q;     /* E4M3 [n][dim] */
	float *s;       /* scales [n][dim / 128] */
	const float *x; /* in FP32 arithmetic: as they are, instead; kept by the caller. [n][dim] */
};

/* y = rmsnorm(x) [n][dim] with weights w; y may be x. */
int step_norm(struct forward *f, float *y, const float *x, const float *w, uint32_t n, uint32_t dim,
	struct err *e);
/* a = act_quant(x [n][dim]). */
int step_act(struct forward *f, struct act *a, const float *x, uint32_t n, uint32_t dim,
	struct err *e);
/* y [n][ld] = linear_q(a, w); in FP32 arithmetic linear(a->x, w). */
int step_codes(struct forward *f, float *y, uint32_t ld, const struct act *a, uint32_t n,
	const struct weight *w, struct err *e);
/* Both for a matrix that is the only one to take x [n][w->cols]. */
int step_linear(struct forward *f, float *y, uint32_t ld, struct act *a, const float *x, uint32_t n,
	const struct weight *w, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
