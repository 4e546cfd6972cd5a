/* importance.h -- what goes into the matrices of a layer while it runs: for every column the sum of squares over tokens, and
 * how many tokens that were, for each expert by itself.
 *
 *	struct importance m;
 *	importance_begin(&m, &config);
 *	f.tap = (struct forward_tap){ .ctx = &m, .take = importance_take };
 *	forward_layer(&f, 3, e);          of as many prompts as there are
 *	m.v[0 .. m.n): the matrices of layer 3
 *
 * Sums are doubles, in the order of prompts and tokens: the same for any number of threads, any way of computing, and any
 * division into blocks. What goes into w2 has the weight of the expert in it already, as this model computes it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_FORWARD_IMPORTANCE_H
#define KERNELS_FORWARD_IMPORTANCE_H
#include "kernels/forward/forward.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { IMPORTANCE_MATRICES = 24, IMPORTANCE_NAME = 48 };

struct importance_matrix {
	char name[IMPORTANCE_NAME]; /* below the layer: "attn.wq_a", "ffn.experts.w1" */
	uint32_t cols, mats;        /* mats: routed experts, else 1 */
	double *sum;                /* owns; [mats][cols] */
	double *count;              /* owns; [mats] */
};

struct importance {
	const struct config *c; /* borrows */
	struct importance_matrix v[IMPORTANCE_MATRICES];
	unsigned n;
};

/* Begins with no matrices; c is borrowed until importance_end. */
void importance_begin(struct importance *m, const struct config *c);
/* Adds n rows of cols columns, ld floats apart, to the sums of the matrix that they go into: a struct forward_tap.take. ctx: the
 * struct importance. All calls between a begin and an end are of one layer. Returns 0, or -1 where memory is out or the layer has
 * more matrices than IMPORTANCE_MATRICES. */
int importance_take(void *ctx, const char *name, const float *x, uint64_t ld, uint32_t n,
	uint32_t cols, struct err *e);
/* Frees the sums. */
void importance_end(struct importance *m);
/* Returns the bytes that the sums of one layer of the model take at most. */
uint64_t importance_bytes(const struct config *c);

#ifdef __cplusplus
}
#endif
#endif
