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
#include "kernels/dev.h"
#include "kernels/forward/weights.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FORWARD_TOKENS_MAX = 1 << 16 };
enum forward_sub { SUB_ATTN, SUB_FFN };

/* Is told the result of each step, for comparing: name is that of the tensor whose weights made it ("layers.3.attn.wq_a", experts too) or of the
 * value ("layers.3.attn.in", "layers.3.gate.experts"); n rows of cols values, float or (whole) int32; token: that
 * of the first row, or -1 where rows are those of an expert. In ordinary memory, until the call returns. */
struct forward_tap {
	void *ctx;
	int (*see)(void *ctx, const char *name, const void *v, bool whole, uint32_t n,
		uint32_t cols, int64_t token, struct err *e);
	bool steps; /* each linear too, not only what goes in and out of sub-blocks */
};

struct forward {
	struct dev *dev;   /* borrows */
	struct weights *w; /* borrows */
	const struct config *c;
	const struct params *p;
	const uint32_t *ids; /* borrows; [n] */
	uint32_t n, block;
	uint64_t pos;
	struct forward_tap tap;
	/* memory of the device, all own */
	float *x;           /* [n][4][D] residual streams */
	float *y, *o;       /* [n][D] in and out of a sub-block */
	float *post, *comb; /* [n][4], [n][16] of the last hc_pre */
	/* ordinary memory: routing of the last MoE, picks of the last indexer ([n][topk], -1: none) */
	int32_t *expert; /* owns; [n][K] */
	float *weight;   /* owns; [n][K] */
	int32_t *picked; /* owns; [n][topk] */
	/* [n][topk]: entries that the indexer is to pick where they have the same scores as its own choice, in
	 * this order (of equal scores the reference leaves it open which are taken). NULL: none; borrows. */
	const int32_t *prefer;
};

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

/* --- between the files of forward --- */

/* Memory of the device that goes all at once. Zeroed with dev set: none. */
struct scratch {
	struct dev *dev;
	void *p[48];
	unsigned n;
};
/* NULL, and the error in e, where there is none. */
void *scratch_get(struct scratch *s, uint64_t bytes, struct err *e);
float *scratch_floats(struct scratch *s, uint64_t n, struct err *e);
void scratch_drop(struct scratch *s);

void forward_prefix(const struct forward *f, uint32_t layer, char prefix[32]);
int forward_attn(struct forward *f, uint32_t layer, struct err *e);
int forward_moe(struct forward *f, uint32_t layer, struct err *e);
/* Hands v, memory of the device, to the tap, if there is one. */
int forward_tell(struct forward *f, const char *prefix, const char *name, const void *v, bool whole,
	uint32_t n, uint32_t cols, int64_t token, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
