/* dev.h -- what a machine must be able to do to run DeepSeek-V4: one table of operations, whose formulas
 * are the contract.
 *
 * Not the model (kernels/forward/forward.h writes that once, against this table) and no place for cleverness: a
 * device fills the table, and each of its rows gives the same bits as the plain C of ref.c. The order of
 * every sum is part of the formula:
 *
 *	dot(a, b)  32 lanes; element k goes to lane k mod 32, a lane accumulates with fmaf in ascending k;
 *	           lanes are combined by the xor tree 16, 8, 4, 2, 1        (docs/numbers.md)
 *	seq(...)   one accumulator from 0, ascending
 *
 * Activations are float, row-major, contiguous unless a stride ("ld", in elements) is given. "bf" beside
 * one says that its values are BF16, rounded to nearest even, kept as float: bf(x). n counts tokens, rows
 * or entries. exp, sigmoid, softplus are fmath.h's; sqrt and division are IEEE; max(a, b) is a > b ? a : b.
 * All pointers but those to operands, struct weight and err are memory of the device; weights' codes and scales too.
 * A call may return before its work is done: sync waits, and get does.
 *
 * Source: section E of the specification of the reference (revision B), formula by formula.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_DEV_H
#define KERNELS_DEV_H
#include "core/err.h"
#include "kernels/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
	DEV_HC = 4,     /* residual streams */
	DEV_MIX = 24,   /* values of fn: pre[4], post[4], comb[4][4] */
	DEV_CHUNK = 64, /* columns that attention takes together */
	DEV_ACT = 128,  /* columns of an activation that share a scale */
	DEV_KEY = 64,   /* columns of an entry of the cache that share a scale */
	DEV_LANES = 32, /* sums of a dot product */
	DEV_TOPK_MAX = 4096
};

/* Operands of the operations, each described beside the operation of its name below. Pointers to what is only read
 * are const; a pointer that may be NULL is said there. */
struct dev_embed {
	float *x;
	const uint16_t *row;
	uint32_t n, dim;
};
struct dev_gather {
	void *to;
	const void *from;
	const uint32_t *index;
	uint32_t n, bytes;
};
struct dev_scatter_add {
	float *y;
	const float *x;
	const uint32_t *index;
	uint32_t n, dim;
};
struct dev_add {
	float *y;
	const float *a, *b;
	uint64_t n;
};
struct dev_scale {
	float *x, c;
	uint64_t n;
};
struct dev_hc_pre {
	float *y, *post, *comb;
	const float *x, *fn, *scale, *base;
	uint32_t n, dim, iters;
	float eps, hc_eps;
};
struct dev_hc_post {
	float *x;
	const float *o, *post, *comb;
	uint32_t n, dim;
};
struct dev_hc_head {
	float *y;
	const float *x, *fn, *scale, *base;
	uint32_t n, dim;
	float eps, hc_eps;
};
struct dev_rmsnorm {
	float *y;
	const float *x, *w;
	uint32_t n, dim;
	float eps;
};
struct dev_head_norm {
	float *x;
	uint32_t n, dim;
	float eps;
};
struct dev_rope {
	float *x;
	const float *cos, *sin;
	uint32_t n, heads, dim, pairs;
	bool inverse;
};
struct dev_fake_fp8 {
	float *x;
	uint32_t n, ld, cols, block;
};
struct dev_fake_fp4 {
	float *x;
	uint32_t n, dim;
};
struct dev_hadamard {
	float *x;
	uint32_t n, dim;
};
struct dev_act_quant {
	uint8_t *q;
	float *s;
	const float *x;
	uint32_t n, dim;
};
struct dev_linear_q {
	float *y;
	uint32_t ld;
	const uint8_t *q;
	const float *s;
	uint32_t n;
	const struct weight *w;
};
struct dev_linear {
	float *y;
	uint32_t ldy;
	const float *x;
	uint32_t ldx, n;
	const struct weight *w;
	bool round;
};
struct dev_compress {
	float *e;
	const float *kv, *sc, *ape;
	uint32_t first, n, ratio, dim, lap;
};
struct dev_index_score {
	float *score;
	const float *q, *k, *w;
	uint32_t n, m, heads, dim, pos, ratio;
};
struct dev_topk {
	int32_t *pick;
	uint32_t ld;
	const float *score;
	uint32_t n, m, k;
	int32_t base;
};
struct dev_columns {
	int32_t *index;
	uint32_t ld, n, pos, window, m, ratio;
	bool with_all;
	int32_t base;
};
struct dev_attend {
	float *o;
	const float *q, *kv;
	const int32_t *index;
	const float *sink;
	uint32_t n, heads, dim, cols;
	float scale;
};
struct dev_gate {
	int32_t *id;
	float *weight;
	const float *logits, *bias;
	const int32_t *hash;
	uint32_t n, experts, k;
	float route_scale;
};
struct dev_swiglu {
	float *a;
	const float *g, *u, *weight;
	uint32_t n, dim;
	float limit;
};

struct dev {
	const char *name; /* "cpu", "cpu avx2", "cuda" */
	void *ctx;        /* the device's own */
	bool host;        /* its memory is ordinary memory: put and get may be left out */
	bool fp32;        /* bf(x) is x, and fake_fp8 and fake_fp4 do nothing (dev_cpu_fp32) */
	bool counts; /* it computes and holds nothing, but counts memory (kernels/forward/tally.h) */

	/* Is told of ordinary memory that the caller takes (bytes) and gives back (-bytes). NULL: not wanted. */
	void (*note)(struct dev *, int64_t bytes);
	/* Bytes that a linear with w and n tokens makes the device hold for itself until it is closed. NULL: none. */
	size_t (*room)(struct dev *, const struct weight *w, uint32_t n);

	/* None of these is NULL. */

	/* 0 or -1; *p is undefined memory for n bytes, aligned to 256. */
	int (*alloc)(struct dev *, void **p, size_t n, struct err *);
	void (*release)(struct dev *, void *p); /* NULL: nothing */
	int (*put)(struct dev *, void *to, const void *from, size_t n, struct err *);
	int (*get)(struct dev *, void *to, const void *from, size_t n, struct err *);
	int (*zero)(struct dev *, void *p, size_t n, struct err *); /* n bytes */
	int (*sync)(struct dev *, struct err *);
	void (*close)(struct dev *);

	/* --- moves --- */

	/* x[t][j][d] = row[t][d] for the 4 streams; row holds BF16 bits [n][dim]; x bf. */
	int (*embed)(struct dev *, const struct dev_embed *, struct err *);
	/* to[i] = from[index[i]], rows of so many bytes (a multiple of 4). */
	int (*gather)(struct dev *, const struct dev_gather *, struct err *);
	/* y[index[i]][d] = y[index[i]][d] + x[i][d]; no index twice. */
	int (*scatter_add)(struct dev *, const struct dev_scatter_add *, struct err *);
	/* y = bf(a + b), n values. */
	int (*add)(struct dev *, const struct dev_add *, struct err *);
	/* x = bf(x * c), n values in place. */
	int (*scale)(struct dev *, const struct dev_scale *, struct err *);
	/* --- hyper-connections; x [n][4][dim] bf; v = x[t] as 4 * dim values --- */

	/* rho = 1 / sqrt(dot(v, v) / (4 dim) + eps); mix[i] = dot(fn[i], v) * rho; fn [24][4 dim];
	 *	pre[j]   = sigmoid(fmaf(mix[j], scale[0], base[j])) + hc_eps
	 *	post[j]  = 2 * sigmoid(fmaf(mix[4 + j], scale[1], base[4 + j]))
	 *	C[j][k]  = fmaf(mix[8 + 4j + k], scale[2], base[8 + 4j + k])
	 *	row softmax: C[j][k] = exp(C[j][k] - max_k) / seq_k(exp) + hc_eps
	 *	columns:     C[j][k] = C[j][k] / (seq_j(C[j][k]) + hc_eps)
	 *	iters - 1 times: rows (C / (seq_k + hc_eps)), then columns
	 * y[t][d] = bf(((pre[0] x0 + pre[1] x1) + pre[2] x2) + pre[3] x3), products and sums rounded;
	 * post [n][4], comb = C [n][16]. */
	int (*hc_pre)(struct dev *, const struct dev_hc_pre *, struct err *);
	/* x'[t][k][d] = bf(post[k] * o[t][d] + (((C[0][k] x0 + C[1][k] x1) + C[2][k] x2) + C[3][k] x3)),
	 * products and sums rounded, in place; o [n][dim] bf. */
	int (*hc_post)(struct dev *, const struct dev_hc_post *, struct err *);
	/* As hc_pre with fn [4][4 dim], scale[1], base[4], pre only. */
	int (*hc_head)(struct dev *, const struct dev_hc_head *, struct err *);

	/* --- norms, rotation, rounding of rows --- */

	/* y = bf(w[d] * (x[d] * rho)), rho = 1 / sqrt(dot(x, x) / dim + eps); y may be x. */
	int (*rmsnorm)(struct dev *, const struct dev_rmsnorm *, struct err *);
	/* Each row in place: u = bf(x x); v = bf(dot(u, 1) / dim); w = bf(v + eps);
	 * g = bf(1 / sqrt(w)); x = bf(x g). */
	int (*head_norm)(struct dev *, const struct dev_head_norm *, struct err *);
	/* x [n][heads][dim] bf, the last 2 * pairs of each row in place, in pairs (2i, 2i + 1):
	 * (a, b) -> (bf(a c - b s), bf(a s + b c)), products rounded; c, s = cos, sin [n][pairs];
	 * inverse: s is -sin. */
	int (*rope)(struct dev *, const struct dev_rope *, struct err *);
	/* The first cols of each row of ld, in place, blocks of block: as act_quant, then back:
	 * bf(e4m3 * s). */
	int (*fake_fp8)(struct dev *, const struct dev_fake_fp8 *, struct err *);
	/* Rows of dim in place, blocks of 32: a = max(amax, 6 * 2^-126), t = a * f32(1/6),
	 * s = 2^ceil(log2 t), bf(e2m1(clamp(x / s, 6)) * s). */
	int (*fake_fp4)(struct dev *, const struct dev_fake_fp4 *, struct err *);
	/* Rows of dim (a power of two) in place: butterflies with strides 1, 2, 4 .., (a + b, a - b),
	 * then bf(x * f32(1 / sqrt(dim))). */
	int (*hadamard)(struct dev *, const struct dev_hadamard *, struct err *);

	/* --- linears --- */

	/* Blocks of 128: a = max(amax, 1e-4f), t = a * f32(1/448), s = 2^ceil(log2 t);
	 * q = e4m3(clamp(x / s, 448)) [n][dim], s [n][dim / 128]. x bf. */
	int (*act_quant)(struct dev *, const struct dev_act_quant *, struct err *);
	/* y[t][o] = bf(sum) with weights of any type: for each weight_sum(w) columns a fresh lane partial of
	 * fmaf(q, w, .), then lane = fmaf(partial, s_x * s_w, lane), with the scale s_w of the lane's columns, 1 where
	 * the type has none; lanes by the xor tree. y [n][ld] from its first column, ld >= w->rows. */
	int (*linear_q)(struct dev *, const struct dev_linear_q *, struct err *);
	/* y[t][o] = dot(x[t], w[o]), rounded to bf if round. Weights BF16, F32, or of the other types bf(code * scale).
	 * x [n][ldx], y [n][ldy]. */
	int (*linear)(struct dev *, const struct dev_linear *, struct err *);

	/* --- attention --- */

	/* Entries first .. first + n of a compressor: e [n][dim] bf. kv, sc [tokens][lap * dim] of the
	 * whole sequence from token 0; ape [ratio][lap * dim]; lap is 2 if windows overlap, else 1.
	 * Candidates of channel ch of entry j, in this order: lap 2: tokens ratio (j-1) .. ratio j - 1
	 * at ch (none for j = 0), then ratio j .. ratio (j+1) - 1 at dim + ch; lap 1: the latter at ch.
	 *	z = sc + ape[t mod ratio]; p = exp(z - max) / seq(exp); e = bf(seq fmaf(p, kv, .)) */
	int (*compress)(struct dev *, const struct dev_compress *, struct err *);
	/* score[t][j] = bf(dot_h(bf(relu(bf(dot(q[t][h], k[j]))) * w[t][h]), 1)) for j < seen(t) =
	 * min(m, (pos + t + 1) / ratio), -infinity beyond; q [n][heads][dim], k [m][dim],
	 * w [n][heads]; score [n][m]. */
	int (*index_score)(struct dev *, const struct dev_index_score *, struct err *);
	/* The k highest of each row of m, descending, of equal ones the lower index first, plus base;
	 * -1 for those that are -infinity. pick [n][ld] from its first column; k <= m. */
	int (*topk)(struct dev *, const struct dev_topk *, struct err *);
	/* Columns of the window and, if ratio, of all compressed entries: index [n][ld] int32.
	 * Token p = pos + t: column c < window is max(p - 127, 0) + c, -1 if > p; then, if with_all,
	 * columns window + j are base + j for j < m, -1 if j >= (p + 1) / ratio. */
	int (*columns)(struct dev *, const struct dev_columns *, struct err *);
	/* o, q [n][heads][dim] bf; kv [..][dim] bf; index [n][cols], -1: masked; sink [heads].
	 * Columns in chunks of 64, running max m = -infinity, sum = 0, o = 0:
	 *	s_c = dot(q, kv[c]) * scale; m' = max(m, s_c ..); a = exp(m - m') (0 for m = -infinity);
	 *	p_c = exp(s_c - m'), 0 if masked; sum = fmaf(sum, a, dot(p, 1));
	 *	o_d = o_d * a, then seq fmaf(bf(p_c), kv[c][d], o_d) over the chunk
	 * end: o = bf(o / (sum + exp(sink - m))). A chunk without a valid column changes nothing. */
	int (*attend)(struct dev *, const struct dev_attend *, struct err *);

	/* --- mixture of experts --- */

	/* g = sqrt(softplus(logits)) [n][experts]. By score (hash NULL): the k highest of g + bias
	 * (bias NULL: of g), of equal ones the lower id first; else the ids hash[t][0 .. k).
	 * weight = g[id] / seq(g[id]) * route_scale, in that order. id, weight [n][k]. */
	int (*gate)(struct dev *, const struct dev_gate *, struct err *);
	/* a = bf(w * ((g' / (1 + exp(-g'))) * u')), u' = u clamped to +-limit, g' = min(g, limit);
	 * limit 0: no clamp; w = weight[t], or without the factor if weight is NULL. */
	int (*swiglu)(struct dev *, const struct dev_swiglu *, struct err *);
};

/* Plain C: the meaning. */
int dev_open_ref(struct dev *d, struct err *e);
/* The same bits with the fast ways that a processor with these features (enum cpu_feature) has, on so
 * many threads. */
int dev_open_cpu(struct dev *d, unsigned features, unsigned threads, struct err *e);

/* Turns a device of dev_open_cpu, just opened, into one of FP32 arithmetic: nothing is quantised, nothing rounded to
 * BF16, every sum in the order stated above. act_quant and linear_q are not for it. */
void dev_cpu_fp32(struct dev *d);

/* Other legal orders of the same sums, for measuring what rounding alone makes of a model. */
enum dev_order {
	DEV_ORDER_WIDE, /* dot products of everything but codes in double, rounded once */
	DEV_ORDER_WIDE_NORMS /* those of norms and hyper-connections only: a second, independent sample */
};
/* Turns a device of dev_open_cpu, just opened, into one that sums in that order. */
void dev_cpu_order(struct dev *d, enum dev_order order);

#ifdef __cplusplus
}
#endif
#endif
