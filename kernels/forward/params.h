/* params.h -- what of config.json only the forward pass needs: constants of norms, rotation, routing.
 *
 * Shapes are formats/model/config.h's. Every field is required and bounded; a model that would be computed
 * otherwise than section E says (another score function, another rope) is refused, not approximated.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_FORWARD_PARAMS_H
#define KERNELS_FORWARD_PARAMS_H
#include "core/err.h"
#include "formats/model/config.h"

#ifdef __cplusplus
extern "C" {
#endif

struct params {
	float eps, hc_eps;
	float route_scale, swiglu_limit;
	uint32_t hc_iters, topk, window, rope_dim; /* topk of the indexer */
	double theta, theta_compress, yarn_factor, yarn_original, beta_fast, beta_slow;
};

int params_read(struct params *p, const struct config *c, struct err *e);

/* Frequencies of the rope_dim / 2 pairs in FP32: plain, or with compress and YaRN as layers of ratio 4
 * and 128 have them. */
void params_freqs(const struct params *p, bool compress, float *freq);
/* cos and sin of f32(pos * freq[i]), [n][rope_dim / 2], for positions first, first + step, .. */
void params_rope(const struct params *p, bool compress, uint64_t first, uint64_t step, uint32_t n,
	float *cos, float *sin);

enum { PARAMS_POS_MAX = 1 << 20, PARAMS_ROPE_MAX = 256 };

#ifdef __cplusplus
}
#endif
#endif
