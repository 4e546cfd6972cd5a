/* state.h -- a forward pass on its way, and what its files share: memory that goes all at once, names, the tap.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_FORWARD_STATE_H
#define KERNELS_FORWARD_STATE_H
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
	/* Is told what goes into each matrix of a layer before it is rounded for it: name is that of the matrix below the layer
	 * ("attn.wq_a", "ffn.experts.3.w2"), x n rows of cols values, ld apart. NULL: not wanted. Only on a device whose
	 * memory is ordinary memory. */
	int (*take)(void *ctx, const char *name, const float *x, uint64_t ld, uint32_t n,
		uint32_t cols, struct err *e);
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
/* Hands what goes into a matrix to the tap, if that is wanted. */
int forward_took(struct forward *f, const char *name, const float *x, uint64_t ld, uint32_t n,
	uint32_t cols, struct err *e);
/* Hands v, memory of the device, to the tap, if there is one. */
int forward_tell(struct forward *f, const char *prefix, const char *name, const void *v, bool whole,
	uint32_t n, uint32_t cols, int64_t token, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
