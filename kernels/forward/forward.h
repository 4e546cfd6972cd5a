/* forward.h -- the model, written once: section E of the specification against struct dev and struct weights.
 *
 * One prefill of n tokens in one sequence from position pos on (nothing before it is seen: pos only moves rotation,
 * for tests). A layer is two sub-blocks, attention and MoE, each
 *
 *	y = norm(hc_pre(x)); o = f(y); x = hc_post(x, o)
 *
 * and every step can be run by itself, so that a caller may compare, replace what goes in, or run two
 * models in step. Only the weights of the sub-block that runs are in memory, and of its experts one. Tokens are
 * taken in blocks; arithmetic does not depend on that, nor on threads or device (kernels/dev.h).
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_FORWARD_FORWARD_H
#define KERNELS_FORWARD_FORWARD_H
#include "kernels/forward/state.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ids below the vocabulary, 1 .. FORWARD_TOKENS_MAX of them, pos + n at most ROPE_POS_MAX; block 0: 256. */
int forward_open(struct forward *f, struct dev *dev, struct weights *w, const uint32_t *ids,
	uint32_t n, uint64_t pos, uint32_t block, struct err *e);
void forward_close(struct forward *f);

int forward_embed(struct forward *f, struct err *e); /* x */
/* Layer L (config.L + N: the block of mtp.N): y, post, comb from x; o from y; x from x and o. */
int forward_pre(struct forward *f, uint32_t layer, enum forward_sub sub, struct err *e);
int forward_run(struct forward *f, uint32_t layer, enum forward_sub sub, struct err *e);
int forward_post(struct forward *f, uint32_t layer, enum forward_sub sub, struct err *e);
int forward_layer(struct forward *f, uint32_t layer, struct err *e); /* all six */
/* x = what goes into the block of mtp.N, from x and the same ids. */
int forward_mtp(struct forward *f, uint32_t stage, struct err *e);
/* Logits [count][V] of tokens first .. first + count, with the head of the model (stage -1) or of mtp.N, into ordinary memory. */
int forward_logits(struct forward *f, int stage, uint32_t first, uint32_t count, float *logits,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
