/* SPDX-License-Identifier: MIT */
#include "kernels/forward/tally.h"

#include <stdlib.h>
#include <string.h>

static void count(struct tally *t, int64_t bytes)
{
	t->held += (uint64_t)bytes;
	if (bytes > 0 && t->held > t->peak)
		t->peak = t->held;
}

/* A handle is a word of ordinary memory that knows how much it stands for. */
static int get_handle(struct dev *d, void **p, size_t n, struct err *e)
{
	uint64_t *handle = malloc(sizeof *handle);

	if (!handle)
		return err_nomem(e);
	*handle = n;
	*p = handle;
	count(d->ctx, (int64_t)n);
	return 0;
}

static void drop_handle(struct dev *d, void *p)
{
	if (!p)
		return;
	count(d->ctx, -(int64_t) * (uint64_t *)p);
	free(p);
}

static int no_copy(struct dev *d, void *to, const void *from, size_t n, struct err *e)
{
	(void)d, (void)to, (void)from, (void)n, (void)e;
	return 0;
}

static int no_zero(struct dev *d, void *p, size_t n, struct err *e)
{
	(void)d, (void)p, (void)n, (void)e;
	return 0;
}

static int no_sync(struct dev *d, struct err *e)
{
	(void)d, (void)e;
	return 0;
}

static void note(struct dev *d, int64_t bytes)
{
	count(d->ctx, bytes);
}

static void no_close(struct dev *d)
{
	(void)d;
}

static void linear_room(struct tally *t, const struct weight *w, uint32_t n)
{
	uint64_t room = t->of->room ? t->of->room(t->of, w, n) : 0;

	t->room = room > t->room ? room : t->room;
}

static int count_linear(struct dev *d, const struct dev_linear *op, struct err *e)
{
	(void)e;
	linear_room(d->ctx, op->w, op->n);
	return 0;
}

static int count_linear_q(struct dev *d, const struct dev_linear_q *op, struct err *e)
{
	(void)e;
	linear_room(d->ctx, op->w, op->n);
	return 0;
}

/* The others need nothing. */
/* clang-format off */
#define OPERATIONS(X) \
	X(embed) X(gather) X(scatter_add) X(add) X(scale) X(hc_pre) X(hc_post) X(hc_head) X(rmsnorm) \
	X(head_norm) X(rope) X(fake_fp8) X(fake_fp4) X(hadamard) X(act_quant) X(compress) \
	X(index_score) X(topk) X(columns) X(attend) X(gate) X(swiglu)
/* clang-format on */
#define NOTHING(op)                                                                \
	static int no_##op(struct dev *d, const struct dev_##op *o, struct err *e) \
	{                                                                          \
		(void)d, (void)o, (void)e;                                         \
		return 0;                                                          \
	}
#define ENTRY(op) t->dev.op = no_##op;

OPERATIONS(NOTHING)

void tally_open(struct tally *t, struct dev *of)
{
	memset(t, 0, sizeof *t);
	t->of = of;
	t->dev = (struct dev){ .name = "tally",
		.ctx = t,
		.host = of->host,
		.fp32 = of->fp32,
		.counts = true,
		.alloc = get_handle,
		.release = drop_handle,
		.put = no_copy,
		.get = no_copy,
		.zero = no_zero,
		.sync = no_sync,
		.note = note,
		.close = no_close,
		.linear = count_linear,
		.linear_q = count_linear_q };
	OPERATIONS(ENTRY)
}
