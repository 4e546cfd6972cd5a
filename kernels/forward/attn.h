/* attn.h -- between the files of the attention sub-block: one of it on its way.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_FORWARD_ATTN_H
#define KERNELS_FORWARD_ATTN_H
#include "kernels/forward/step.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Weights of a compressor. */
struct squeeze {
	struct weight_matrix wkv, wgate;
	float *ape, *norm;
	uint32_t ratio, lap, dim; /* lap * dim channels a token */
};

struct attn {
	struct forward *f;
	uint32_t layer, ratio, entries, window, cols; /* cols of the index list */
	char prefix[32];
	struct weight_matrix wq_a, wq_b, wkv, wo_a, wo_b, iq, iw;
	float *q_norm, *kv_norm, *sink;
	struct squeeze main, index;
	struct scratch s;
	float *kv;                /* [n + entries][hd] */
	float *ik;                /* [entries][IHD] */
	float *cos, *sin;         /* of a block of tokens */
	float *y, *q, *o, *z, *g; /* of a block */
	float *iqv, *iwv, *score;
	struct act act; /* of a block */
	int32_t *list, *pick;
};

/* Puts the rotation of n positions from first on, step apart, into a->cos and a->sin; n is at most a block. */
int attn_rotation(struct attn *a, uint64_t first, uint64_t step, uint32_t n, struct err *e);
/* Rotates heads of a block, n tokens [heads][dim] at x, by a->cos and a->sin. */
int attn_rope(struct attn *a, float *x, uint32_t n, uint32_t heads, uint32_t dim, bool inverse,
	struct err *e);
/* Hands the result of a step to the tap, if steps are wanted. */
int attn_told(struct attn *a, const char *name, const float *v, uint32_t n, uint32_t cols,
	int64_t token, struct err *e);
/* Hands what goes into a matrix, n rows one behind the other, to the tap, if that is wanted. */
int attn_took(struct attn *a, const char *name, const float *x, uint32_t n, uint32_t cols,
	struct err *e);
/* Makes a->kv, and a->ik where there is an indexer, from the sub-block's input. */
int attn_keys(struct attn *a, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
