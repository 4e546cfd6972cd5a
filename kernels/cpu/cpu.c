/* cpu.c -- the device that is this processor: the rows of ref.c, those that cost time on several threads and
 * with the best way there is.
 *
 * The bits are those of ref.c, for any number of threads: work is divided by outputs and by tokens, never
 * inside a sum.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "core/par.h"
#include "kernels/linear/linear.h"
#include "kernels/ref/ref.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct cpu {
	struct dev one; /* the same on one thread */
	unsigned features, threads;
	const struct linear_way *way;
	uint8_t *scratch; /* owns; threads times room */
	size_t room;
};

/* Below so many multiplications another thread costs more than it brings. */
enum { WORTH = 1 << 18 };

static unsigned threads_for(const struct cpu *c, uint64_t work)
{
	uint64_t n = work / WORTH;

	return n < 1 ? 1 : n < c->threads ? (unsigned)n : c->threads;
}

/* --- linears: by outputs --- */

enum { BAND_MIN = 96, BAND_MAX = 384 }; /* outputs taken together */

struct bands {
	struct cpu *c;
	const struct linear_job *job;
	uint32_t band;
	atomic_uint next; /* output that nobody has taken */
};

/* Each call decodes the activations again, and of a layout whole slabs: long bands, but a few for each
 * thread. */
static uint32_t band_for(const struct cpu *c, const struct weight *w)
{
	uint32_t n = w->rows / (4 * c->threads) / BAND_MIN * BAND_MIN;

	if (w->n_pieces)
		return LINEAR_READ;
	return n < BAND_MIN ? BAND_MIN : n > BAND_MAX ? BAND_MAX : n;
}

static int some_bands(struct par *p, unsigned me, struct err *e)
{
	struct bands *b = par_ctx(p);
	uint32_t rows = b->job->w->rows, at;

	(void)e;
	while ((at = atomic_fetch_add(&b->next, b->band)) < rows)
		linear_run(b->c->way, b->job, at, rows - at < b->band ? rows - at : b->band,
			b->c->features, b->c->scratch + me * b->c->room);
	return 0;
}

static int run(struct dev *dev, const struct linear_job *job, struct err *e)
{
	struct cpu *c = dev->ctx;
	struct bands b = { .c = c, .job = job, .band = band_for(c, job->w) };
	size_t room = (linear_scratch(job->w, job->tokens) + 63) / 64 * 64;

	if (room > c->room) {
		free(c->scratch);
		c->room = 0;
		c->scratch = aligned_alloc(64, room * c->threads);
		if (!c->scratch)
			return err_nomem(e);
		c->room = room;
	}
	return par_run(threads_for(c, (uint64_t)job->tokens * job->w->rows * job->w->cols),
		some_bands, &b, e);
}

static int linear_q(struct dev *dev, float *y, uint32_t ld, const uint8_t *q, const float *s,
	uint32_t n, const struct weight *w, struct err *e)
{
	struct linear_job job = {
		.w = w, .tokens = n, .q = q, .s = s, .round = true, .y = y, .ldy = ld
	};

	return run(dev, &job, e);
}

static int linear(struct dev *dev, float *y, uint32_t ldy, const float *x, uint32_t ldx, uint32_t n,
	const struct weight *w, bool round, struct err *e)
{
	struct linear_job job = {
		.w = w, .tokens = n, .x = x, .ldx = ldx, .round = round, .y = y, .ldy = ldy
	};

	return run(dev, &job, e);
}

/* --- the rest: by tokens --- */

struct share {
	struct dev *one;
	int (*call)(const struct share *s, uint32_t first, uint32_t n, struct err *e);
	const void *args;
	uint32_t n, step;
	atomic_uint next;
};

static int some_tokens(struct par *p, unsigned me, struct err *e)
{
	struct share *s = par_ctx(p);
	uint32_t at;

	(void)me;
	while ((at = atomic_fetch_add(&s->next, s->step)) < s->n)
		if (s->call(s, at, s->n - at < s->step ? s->n - at : s->step, e))
			return -1;
	return 0;
}

static int divide(struct dev *dev,
	int (*call)(const struct share *, uint32_t, uint32_t, struct err *), const void *args,
	uint32_t n, uint64_t work, struct err *e)
{
	struct cpu *c = dev->ctx;
	struct share s = { .one = &c->one, .call = call, .args = args, .n = n, .step = 1 };

	return par_run(threads_for(c, work), some_tokens, &s, e);
}

struct attend_args {
	float *o;
	const float *q, *kv, *sink;
	const int32_t *index;
	uint32_t heads, dim, cols;
	float scale;
};

static int attend_some(const struct share *s, uint32_t first, uint32_t n, struct err *e)
{
	const struct attend_args *a = s->args;
	uint64_t at = (uint64_t)first * a->heads * a->dim;

	return s->one->attend(s->one, a->o + at, a->q + at, a->kv,
		a->index + (uint64_t)first * a->cols, a->sink, n, a->heads, a->dim, a->cols,
		a->scale, e);
}

static int attend(struct dev *dev, float *o, const float *q, const float *kv, const int32_t *index,
	const float *sink, uint32_t n, uint32_t heads, uint32_t dim, uint32_t cols, float scale,
	struct err *e)
{
	struct attend_args a = { o, q, kv, sink, index, heads, dim, cols, scale };

	return divide(dev, attend_some, &a, n, (uint64_t)n * heads * dim * cols, e);
}

struct score_args {
	float *score;
	const float *q, *k, *w;
	uint32_t m, heads, dim, pos, ratio;
};

static int score_some(const struct share *s, uint32_t first, uint32_t n, struct err *e)
{
	const struct score_args *a = s->args;

	return s->one->index_score(s->one, a->score + (uint64_t)first * a->m,
		a->q + (uint64_t)first * a->heads * a->dim, a->k, a->w + (uint64_t)first * a->heads,
		n, a->m, a->heads, a->dim, a->pos + first, a->ratio, e);
}

static int index_score(struct dev *dev, float *score, const float *q, const float *k,
	const float *w, uint32_t n, uint32_t m, uint32_t heads, uint32_t dim, uint32_t pos,
	uint32_t ratio, struct err *e)
{
	struct score_args a = { score, q, k, w, m, heads, dim, pos, ratio };

	return divide(dev, score_some, &a, n, (uint64_t)n * m * heads * dim, e);
}

struct pre_args {
	float *y, *post, *comb;
	const float *x, *fn, *scale, *base;
	uint32_t dim, iters;
	float eps, hc_eps;
};

static int pre_some(const struct share *s, uint32_t first, uint32_t n, struct err *e)
{
	const struct pre_args *a = s->args;

	return s->one->hc_pre(s->one, a->y + (uint64_t)first * a->dim, a->post + first * DEV_HC,
		a->comb + first * DEV_HC * DEV_HC, a->x + (uint64_t)first * DEV_HC * a->dim, a->fn,
		a->scale, a->base, n, a->dim, a->iters, a->eps, a->hc_eps, e);
}

static int hc_pre(struct dev *dev, float *y, float *post, float *comb, const float *x,
	const float *fn, const float *scale, const float *base, uint32_t n, uint32_t dim,
	uint32_t iters, float eps, float hc_eps, struct err *e)
{
	struct pre_args a = { y, post, comb, x, fn, scale, base, dim, iters, eps, hc_eps };

	return divide(dev, pre_some, &a, n, (uint64_t)n * dim * DEV_HC * DEV_MIX, e);
}

/* --- */

static void cpu_close(struct dev *dev)
{
	struct cpu *c = dev->ctx;

	free(c->scratch);
	free(c);
	memset(dev, 0, sizeof *dev);
}

int dev_open_cpu(struct dev *d, unsigned features, unsigned threads, struct err *e)
{
	struct cpu *c = calloc(1, sizeof *c);

	if (!c)
		return err_nomem(e);
	if (dev_open_ref(&c->one, e)) {
		free(c);
		return -1;
	}
	fma_rows(&c->one, features);
	c->features = features;
	c->threads = threads ? threads : 1;
	c->way = linear_best(features);
	*d = c->one;
	d->name = c->way->name;
	d->ctx = c;
	d->close = cpu_close;
	d->linear_q = linear_q;
	d->linear = linear;
	d->attend = attend;
	d->index_score = index_score;
	d->hc_pre = hc_pre;
	return 0;
}

/* --- another order of sums --- */

struct linear_args {
	float *y;
	const float *x;
	const struct weight *w;
	uint32_t ldy, ldx;
	bool round;
};

static int linear_some(const struct share *s, uint32_t first, uint32_t n, struct err *e)
{
	const struct linear_args *a = s->args;

	return s->one->linear(s->one, a->y + (uint64_t)first * a->ldy, a->ldy,
		a->x + (uint64_t)first * a->ldx, a->ldx, n, a->w, a->round, e);
}

/* By tokens, some at a time: each call decodes the weights. */
static int linear_by_tokens(struct dev *dev, float *y, uint32_t ldy, const float *x, uint32_t ldx,
	uint32_t n, const struct weight *w, bool round, struct err *e)
{
	struct linear_args a = { y, x, w, ldy, ldx, round };
	struct cpu *c = dev->ctx;
	struct share s = { .one = &c->one, .call = linear_some, .args = &a, .n = n };

	s.step = (n + c->threads - 1) / c->threads;
	s.step = s.step ? s.step : 1;
	return par_run(threads_for(c, (uint64_t)n * w->rows * w->cols), some_tokens, &s, e);
}

void dev_cpu_order(struct dev *d, enum dev_order order)
{
	struct cpu *c = d->ctx;

	wide_rows(&c->one, order);
	d->rmsnorm = c->one.rmsnorm;
	d->head_norm = c->one.head_norm;
	d->hc_post = c->one.hc_post;
	d->hc_head = c->one.hc_head;
	d->compress = c->one.compress;
	if (order == DEV_ORDER_WIDE)
		d->linear = linear_by_tokens;
}
