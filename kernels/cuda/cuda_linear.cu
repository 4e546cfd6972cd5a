/* cuda_linear.cu -- linears: a warp for each output and up to eight tokens, so that a weight is read once
 * for them.
 *
 * Weights are read in the layout they lie in. Places add up in every layout of the table: that of (row,
 * column) is that of (row, 0) plus that of (0, column) (test_cuda.c holds them to it). So the address
 * functions are called by the host, once for each row and each column, and the device adds two numbers of
 * a short table.
 *
 * Bytes that must move: codes and scales once for eight tokens; tables, 8 bytes for each row and column of
 * codes and scales, come to about 1 % of an expert.
 *
 * SPDX-License-Identifier: MIT */
#include "kernels/cuda/cuda.cuh"

#include <stdlib.h>
#include <string.h>

enum { TOKENS = 8 };

/* A weight_piece as the device sees it; elements of bits, twisted or not. */
struct piece {
	const uint8_t *codes, *scales;
	const uint64_t *row_at, *col_at, *sf_row_at, *sf_col_at;
	uint32_t row, rows, col, cols;
	uint32_t bits, twisted;
};

struct linear_args {
	float *y;
	const uint8_t *q; /* linear_q */
	const float *s;
	const float *x; /* linear */
	const uint8_t *codes, *scales;
	const struct piece *pieces;
	uint32_t n_pieces, type, f32_scales, round;
	uint32_t rows, cols, n, ldx, ldy;
	uint32_t sum, sf_rows, sf_cols; /* of struct weight; sf_cols 0: there are no scales */
	float second;
};

/* --- weights, one value at a time --- */

static __device__ inline float fp4_in_piece(const struct piece &p, uint32_t row, uint32_t col)
{
	uint32_t per = p.bits / 4, word;
	uint64_t bit = (p.row_at[row] + p.col_at[col / per]) * p.bits + col % per * 4;

	if (!p.twisted)
		return num_e2m1(p.codes[bit / 8] >> (bit % 8) & 15);
	word = ((const uint32_t *)p.codes)[bit / 32];
	return num_e2m1(tile_untwist(word) >> (bit % 32) & 15);
}

static __device__ inline float scale_of(const struct linear_args &p, uint64_t at)
{
	if (p.type == WEIGHT_NVFP4)
		return num_e4m3(p.scales[at]) * p.second;
	return p.f32_scales ? ((const float *)p.scales)[at] : num_e8m0(p.scales[at]);
}

/* The value of a code, without its scale. */
static __device__ inline float code_of(const struct linear_args &p, uint64_t at)
{
	switch (p.type) {
	case WEIGHT_F32:
		return ((const float *)p.codes)[at];
	case WEIGHT_BF16:
		return num_bf16(((const uint16_t *)p.codes)[at]);
	case WEIGHT_FP8:
	case WEIGHT_MXFP8:
		return num_e4m3(p.codes[at]);
	default:
		return num_e2m1(p.codes[at / 2] >> (at % 2 * 4) & 15);
	}
}

/* The scale of column k of row o; 1 where the type has none. */
static __device__ inline float scale_at(const struct linear_args &p, uint64_t o, uint32_t k)
{
	if (!p.sf_cols)
		return 1.0f;
	return scale_of(p, o / p.sf_rows * ((p.cols + p.sf_cols - 1) / p.sf_cols) + k / p.sf_cols);
}

/* --- linear_q --- */

/* Columns of `block`, of which lane l has l, l + 32, ..: adds to the lane's sum of each token. */
static __device__ inline void add_block(const struct linear_args &p, float *sum, uint32_t t0,
	uint32_t col, uint32_t parts, const float *w, float scale)
{
#pragma unroll
	for (int i = 0; i < TOKENS; i++) {
		uint64_t t = t0 + i;
		const uint8_t *q = p.q + t * p.cols + col + this_lane();
		float part = 0.0f, f;

		if (t >= p.n)
			continue;
#pragma unroll
		for (int k = 0; k < 4; k++) {
			if ((uint32_t)k < parts)
				part = fmaf(num_e4m3(q[32 * k]), w[k], part);
		}
		f = p.s[t * (p.cols / DEV_ACT) + col / DEV_ACT] * scale;
		sum[i] = fmaf(part, f, sum[i]);
	}
}

static __device__ void fp8_blocks(const struct linear_args &p, float *sum, uint32_t o, uint32_t t0)
{
	float w[4];

	for (uint32_t b = 0; b < p.cols; b += DEV_ACT) {
		const uint8_t *c = p.codes + (uint64_t)o * p.cols + b + this_lane();

#pragma unroll
		for (int k = 0; k < 4; k++)
			w[k] = num_e4m3(c[32 * k]);
		add_block(p, sum, t0, b, 4, w,
			scale_of(p, (uint64_t)(o / 128) * (p.cols / 128) + b / 128));
	}
}

static __device__ void fp4_blocks(const struct linear_args &p, float *sum, uint32_t o, uint32_t t0)
{
	float w[4] = { 0, 0, 0, 0 };

	for (uint32_t b = 0; b < p.cols; b += 32) {
		uint64_t at = (uint64_t)o * p.cols + b + this_lane();

		w[0] = num_e2m1(p.codes[at / 2] >> (at % 2 * 4) & 15);
		add_block(p, sum, t0, b, 1, w,
			num_e8m0(p.scales[(uint64_t)o * (p.cols / 32) + b / 32]));
	}
}

/* A matrix of any type; for FP8 and FP4 it gives what those above do, which read their scale once for a block. */
static __device__ void any_blocks(const struct linear_args &p, float *sum, uint32_t o, uint32_t t0)
{
	float w[4] = { 0, 0, 0, 0 };
	uint32_t parts = p.sum / 32;

	for (uint32_t b = 0; b < p.cols; b += p.sum) {
		for (uint32_t k = 0; k < 4; k++) {
			if (k < parts)
				w[k] = code_of(p, (uint64_t)o * p.cols + b + 32 * k + this_lane());
		}
		add_block(p, sum, t0, b, parts, w, scale_at(p, o, b + this_lane()));
	}
}

static __device__ void fp4_pieces(const struct linear_args &p, float *sum, uint32_t o, uint32_t t0)
{
	float w[4] = { 0, 0, 0, 0 }, scale;

	for (uint32_t i = 0; i < p.n_pieces; i++) {
		const struct piece &c = p.pieces[i];
		uint32_t r = o - c.row;

		if (o < c.row || r >= c.rows)
			continue;
		for (uint32_t b = 0; b < c.cols; b += 32) {
			w[0] = fp4_in_piece(c, r, b + this_lane());
			scale = num_e8m0(c.scales[c.sf_row_at[r] + c.sf_col_at[b / 32]]);
			add_block(p, sum, t0, c.col + b, 1, w, scale);
		}
	}
}

extern "C" __global__ void k_linear_q(struct linear_args p)
{
	uint64_t o = this_warp();
	uint32_t t0 = blockIdx.y * TOKENS;
	float sum[TOKENS];

	if (o >= p.rows)
		return;
#pragma unroll
	for (int i = 0; i < TOKENS; i++)
		sum[i] = 0.0f;
	if (p.n_pieces)
		fp4_pieces(p, sum, (uint32_t)o, t0);
	else if (p.type == WEIGHT_FP8 && p.sum == DEV_ACT)
		fp8_blocks(p, sum, (uint32_t)o, t0);
	else if (p.type == WEIGHT_FP4)
		fp4_blocks(p, sum, (uint32_t)o, t0);
	else
		any_blocks(p, sum, (uint32_t)o, t0);
#pragma unroll
	for (int i = 0; i < TOKENS; i++) {
		float v;

		if (t0 + i >= p.n)
			continue;
		v = fm_bf16(warp_sum(sum[i]));
		if (this_lane() == 0)
			p.y[(uint64_t)(t0 + i) * p.ldy + o] = v;
	}
}

/* --- linear --- */

static __device__ inline float value(const struct linear_args &p, uint64_t o, uint32_t k)
{
	float v = code_of(p, o * p.cols + k);

	return p.sf_cols ? fm_bf16(v * scale_at(p, o, k)) : v;
}

extern "C" __global__ void k_linear(struct linear_args p)
{
	uint64_t o = this_warp();
	uint32_t t0 = blockIdx.y * TOKENS;
	float sum[TOKENS], w;

	if (o >= p.rows)
		return;
#pragma unroll
	for (int i = 0; i < TOKENS; i++)
		sum[i] = 0.0f;
	for (uint32_t k = this_lane(); k < p.cols; k += 32) {
		w = value(p, o, k);
#pragma unroll
		for (int i = 0; i < TOKENS; i++) {
			if (t0 + i < p.n)
				sum[i] = fmaf(p.x[(uint64_t)(t0 + i) * p.ldx + k], w, sum[i]);
		}
	}
#pragma unroll
	for (int i = 0; i < TOKENS; i++) {
		float v;

		if (t0 + i >= p.n)
			continue;
		v = warp_sum(sum[i]);
		if (this_lane() == 0)
			p.y[(uint64_t)(t0 + i) * p.ldy + o] = p.round ? fm_bf16(v)
				: v != v                              ? fm_nan()
								      : v;
	}
}

/* --- tables of layouts --- */

/* Words of 8 bytes that a piece's tables take. */
static uint64_t words_of(const struct weight_piece *w)
{
	return w->rows + w->cols / (w->tile->bits / 4) + w->rows + w->cols / 32;
}

static void fill(uint64_t *row, uint64_t *col, const struct tile *t, struct tile_dim d,
	const struct weight_piece *w, uint32_t cols)
{
	uint64_t zero = t->at(d, 0, 0);

	for (uint32_t i = 0; i < w->rows; i++)
		row[i] = t->at(d, w->map->to(w->part, i, w->rows), 0);
	for (uint32_t i = 0; i < cols; i++)
		col[i] = t->at(d, 0, i) - zero;
}

/* All pieces and their tables, as they will lie at `there` on the device. */
static void tables(char *here, const char *there, const struct weight *w)
{
	struct piece *p = (struct piece *)here;
	size_t at = w->n_pieces * sizeof *p;

	for (uint32_t i = 0; i < w->n_pieces; i++, p++) {
		const struct weight_piece *v = &w->pieces[i];
		uint32_t cols = v->cols / (v->tile->bits / 4);
		uint64_t *row = (uint64_t *)(here + at), *col = row + v->rows, *sf = col + cols;
		const uint64_t *dev = (const uint64_t *)(there + at);

		fill(row, col, v->tile, v->dim, v, cols);
		fill(sf, sf + v->rows, v->sf, v->sf_dim, v, v->cols / 32);
		p->codes = v->codes;
		p->scales = v->scales;
		p->row_at = dev;
		p->col_at = dev + v->rows;
		p->sf_row_at = dev + v->rows + cols;
		p->sf_col_at = dev + v->rows + cols + v->rows;
		p->row = v->row;
		p->rows = v->rows;
		p->col = v->col;
		p->cols = v->cols;
		p->bits = v->tile->bits;
		p->twisted = v->tile->untwist != NULL;
		at += words_of(v) * 8;
	}
}

/* Puts the tables of w where the next kernel finds them. */
static int put_tables(struct dev *d, const struct weight *w, const struct piece **out,
	struct err *e)
{
	struct cuda_dev *c = (struct cuda_dev *)d->ctx;
	size_t n = w->n_pieces * sizeof(struct piece);
	char *here;
	int rc;

	for (uint32_t i = 0; i < w->n_pieces; i++)
		n += words_of(&w->pieces[i]) * 8;
	if (n > c->table_size) {
		if (d->sync(d, e)) /* an earlier kernel may read the old ones */
			return -1;
		d->release(d, c->table);
		c->table = NULL;
		c->table_size = 0;
		if (d->alloc(d, &c->table, n, e))
			return -1;
		c->table_size = n;
	}
	if (!(here = (char *)malloc(n)))
		return err_nomem(e);
	tables(here, (const char *)c->table, w);
	rc = cuda_put(d, c->table, here, n, e);
	free(here);
	*out = (const struct piece *)c->table;
	return rc;
}

/* --- the rows of the table --- */

static int run(struct dev *d, void (*kernel)(struct linear_args), struct linear_args *a,
	const struct weight *w, struct err *e)
{
	unsigned y = cuda_blocks(a->n, TOKENS);

	if (y > 65535)
		return err_set(e, ERR_UNSUPPORTED, "CUDA: %u tokens at once", a->n);
	a->codes = (const uint8_t *)w->codes;
	a->scales = (const uint8_t *)w->scales;
	a->type = w->type;
	a->sum = weight_sum(w);
	a->sf_rows = weight_forms[w->type].rows;
	a->sf_cols = weight_forms[w->type].cols;
	a->second = w->second;
	a->f32_scales = w->f32_scales;
	a->rows = w->rows;
	a->cols = w->cols;
	a->n_pieces = w->type == WEIGHT_FP4 ? w->n_pieces : 0;
	if (a->n && a->n_pieces && put_tables(d, w, &a->pieces, e))
		return -1;
	return cuda_launch(d, kernel, cuda_blocks(w->rows, CUDA_WARPS), y, CUDA_THREADS, *a, e);
}

static int linear_q(struct dev *d, const struct dev_linear_q *op, struct err *e)
{
	struct linear_args a;

	memset(&a, 0, sizeof a);
	a.y = op->y;
	a.ldy = op->ld;
	a.q = op->q;
	a.s = op->s;
	a.n = op->n;
	return run(d, k_linear_q, &a, op->w, e);
}

static int linear(struct dev *d, const struct dev_linear *op, struct err *e)
{
	struct linear_args a;

	memset(&a, 0, sizeof a);
	a.y = op->y;
	a.ldy = op->ldy;
	a.x = op->x;
	a.ldx = op->ldx;
	a.n = op->n;
	a.round = op->round;
	return run(d, k_linear, &a, op->w, e);
}

struct act_args {
	uint8_t *q;
	float *s;
	const float *x;
	uint64_t n; /* blocks */
};
/* A warp for each block. */
extern "C" __global__ void k_act_quant(struct act_args p)
{
	uint64_t b = this_warp();
	const float *x = p.x + b * DEV_ACT + this_lane();
	float max = 0.0f, s;

	if (b >= p.n)
		return;
	for (int k = 0; k < 4; k++)
		max = fm_max(fm_abs(x[32 * k]), max);
	s = fm_scale_fp8(warp_max(max));
	for (int k = 0; k < 4; k++)
		p.q[b * DEV_ACT + this_lane() + 32 * k] = fm_e4m3(x[32 * k], s);
	if (this_lane() == 0)
		p.s[b] = s;
}

static int act_quant(struct dev *d, const struct dev_act_quant *op, struct err *e)
{
	struct act_args a = { op->q, op->s, op->x, (uint64_t)op->n * (op->dim / DEV_ACT) };

	return cuda_rows(d, k_act_quant, a.n, a, e);
}

void cuda_linear(struct dev *d)
{
	d->linear_q = linear_q;
	d->linear = linear;
	d->act_quant = act_quant;
}
