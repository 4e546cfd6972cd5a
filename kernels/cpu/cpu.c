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

static size_t room_for(const struct weight *w, uint32_t tokens)
{
	return (linear_scratch(w, tokens) + 63) / 64 * 64;
}

static size_t linear_room(struct dev *dev, const struct weight *w, uint32_t n)
{
	const struct cpu *c = dev->ctx;

	return room_for(w, n) * c->threads;
}

static int run(struct dev *dev, const struct linear_job *job, struct err *e)
{
	struct cpu *c = dev->ctx;
	struct bands b = { .c = c, .job = job, .band = band_for(c, job->w) };
	size_t room = room_for(job->w, job->tokens);

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

static int linear_q(struct dev *dev, const struct dev_linear_q *op, struct err *e)
{
	struct linear_job job = { .w = op->w,
		.tokens = op->n,
		.q = op->q,
		.s = op->s,
		.round = true,
		.y = op->y,
		.ldy = op->ld };

	return run(dev, &job, e);
}

static int linear(struct dev *dev, const struct dev_linear *op, struct err *e)
{
	struct linear_job job = { .w = op->w,
		.tokens = op->n,
		.x = op->x,
		.ldx = op->ldx,
		.round = op->round && !dev->fp32,
		.y = op->y,
		.ldy = op->ldy };

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

static int attend_some(const struct share *s, uint32_t first, uint32_t n, struct err *e)
{
	struct dev_attend op = *(const struct dev_attend *)s->args;
	uint64_t at = (uint64_t)first * op.heads * op.dim;

	op.o += at;
	op.q += at;
	op.index += (uint64_t)first * op.cols;
	op.n = n;
	return s->one->attend(s->one, &op, e);
}

static int attend(struct dev *dev, const struct dev_attend *op, struct err *e)
{
	return divide(dev, attend_some, op, op->n, (uint64_t)op->n * op->heads * op->dim * op->cols,
		e);
}

static int score_some(const struct share *s, uint32_t first, uint32_t n, struct err *e)
{
	struct dev_index_score op = *(const struct dev_index_score *)s->args;

	op.score += (uint64_t)first * op.m;
	op.q += (uint64_t)first * op.heads * op.dim;
	op.w += (uint64_t)first * op.heads;
	op.pos += first;
	op.n = n;
	return s->one->index_score(s->one, &op, e);
}

static int index_score(struct dev *dev, const struct dev_index_score *op, struct err *e)
{
	return divide(dev, score_some, op, op->n, (uint64_t)op->n * op->m * op->heads * op->dim, e);
}

static int pre_some(const struct share *s, uint32_t first, uint32_t n, struct err *e)
{
	struct dev_hc_pre op = *(const struct dev_hc_pre *)s->args;

	op.y += (uint64_t)first * op.dim;
	op.post += (uint64_t)first * DEV_HC;
	op.comb += (uint64_t)first * DEV_HC * DEV_HC;
	op.x += (uint64_t)first * DEV_HC * op.dim;
	op.n = n;
	return s->one->hc_pre(s->one, &op, e);
}

static int hc_pre(struct dev *dev, const struct dev_hc_pre *op, struct err *e)
{
	return divide(dev, pre_some, op, op->n, (uint64_t)op->n * op->dim * DEV_HC * DEV_MIX, e);
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
	d->room = linear_room;
	d->linear_q = linear_q;
	d->linear = linear;
	d->attend = attend;
	d->index_score = index_score;
	d->hc_pre = hc_pre;
	return 0;
}

/* --- FP32 arithmetic --- */

void dev_cpu_fp32(struct dev *d)
{
	struct cpu *c = d->ctx;
	struct dev own = *d;

	fp32_rows(&c->one, c->features);
	fp32_rows(d, c->features);
	d->linear = own.linear; /* what is divided among threads */
	d->linear_q = own.linear_q;
	d->attend = own.attend;
	d->index_score = own.index_score;
	d->hc_pre = own.hc_pre;
}

/* --- another order of sums --- */

static int linear_some(const struct share *s, uint32_t first, uint32_t n, struct err *e)
{
	struct dev_linear op = *(const struct dev_linear *)s->args;

	op.y += (uint64_t)first * op.ldy;
	op.x += (uint64_t)first * op.ldx;
	op.n = n;
	return s->one->linear(s->one, &op, e);
}

/* By tokens, some at a time: each call decodes the weights. */
static int linear_by_tokens(struct dev *dev, const struct dev_linear *op, struct err *e)
{
	struct cpu *c = dev->ctx;
	struct share s = { .one = &c->one,
		.call = linear_some,
		.args = op,
		.n = op->n,
		.step = (op->n + c->threads - 1) / c->threads };

	s.step = s.step ? s.step : 1;
	return par_run(threads_for(c, (uint64_t)op->n * op->w->rows * op->w->cols), some_tokens, &s,
		e);
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
