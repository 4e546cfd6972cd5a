/* forward_moe.c -- the MoE sub-block: routing, the chosen experts one after the other, the shared expert.
 *
 * SPDX-License-Identifier: MIT */
#include "core/par.h"
#include "kernels/forward/step.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct moe {
	struct forward *f;
	char prefix[32];
	uint32_t layer, dim, inner; /* inner: of the widest expert */
	struct scratch s;
	struct act all, some, inside; /* quantized: all tokens, those of an expert, inside it */
	float *rows;                  /* [block][dim] of those of an expert, in FP32 arithmetic */
	float *g, *u, *a, *out, *acc, *factor;
	uint32_t *index; /* device */
	/* ordinary memory */
	uint32_t *tokens; /* owns; [n] of the expert */
	float *factors;   /* owns; [n] */
};

static int room(struct moe *m, struct err *e)
{
	uint64_t n = m->f->n, b = m->f->block, dim = m->dim, inner = m->inner;
	struct scratch *s = &m->s;

	s->dev = m->f->dev;
	m->all.q = scratch_get(s, n * dim, e);
	m->all.s = scratch_floats(s, n * (dim / DEV_ACT), e);
	m->some.q = scratch_get(s, b * dim, e);
	m->some.s = scratch_floats(s, b * (dim / DEV_ACT), e);
	m->inside.q = scratch_get(s, b * inner, e);
	m->inside.s = scratch_floats(s, b * (inner / DEV_ACT), e);
	m->g = scratch_floats(s, b * inner, e);
	m->u = scratch_floats(s, b * inner, e);
	m->a = scratch_floats(s, b * inner, e);
	m->out = scratch_floats(s, b * dim, e);
	m->acc = scratch_floats(s, n * dim, e);
	m->factor = scratch_floats(s, b, e);
	m->index = scratch_get(s, 4 * b, e);
	m->rows = scratch_floats(s, m->f->dev->fp32 ? b * dim : 1, e);
	m->tokens = host_get(m->f->dev, 4 * n);
	m->factors = host_get(m->f->dev, 4 * n);
	if (!m->tokens || !m->factors)
		return err_nomem(e);
	return s->n < 14 ? -1 : 0;
}

/* --- routing --- */

static bool by_hash(const struct moe *m)
{
	return m->layer < m->f->c->n_hash;
}

/* Rows of tid2eid of the tokens, as int32 on the device. */
static int32_t *hashed(struct moe *m, struct scratch *s, struct err *e)
{
	uint64_t k = m->f->c->K, n = m->f->n, i;
	int64_t *wide = host_get(m->f->dev, 8 * n * k);
	int32_t *ids = host_get(m->f->dev, 4 * n * k), *dev = NULL;

	if (!wide || !ids) {
		err_nomem(e);
		goto out;
	}
	if (weights_rows(m->f->w, m->prefix, "ffn.gate.tid2eid", DT_I64, k, m->f->ids, m->f->n,
		    wide, e))
		goto out;
	for (i = 0; i < n * k; i++) {
		if (wide[i] < 0 || (uint64_t)wide[i] >= m->f->c->E) {
			err_rule(e, RULE_DATA_EXPERT_ID, ERR_NOPOS,
				"%s: %sffn.gate.tid2eid: token %u goes to expert %lld of %llu",
				text_quote(m->f->w->path).s, m->prefix, m->f->ids[i / k],
				(long long)wide[i], (unsigned long long)m->f->c->E);
			goto out;
		}
		ids[i] = (int32_t)wide[i];
	}
	dev = scratch_get(s, 4 * n * k, e);
	if (dev && m->f->dev->put(m->f->dev, dev, ids, (size_t)(4 * n * k), e))
		dev = NULL;
out:
	host_drop(m->f->dev, wide, 8 * n * k);
	host_drop(m->f->dev, ids, 4 * n * k);
	return dev;
}

/* f->expert and f->weight. */
static int route(struct moe *m, struct err *e)
{
	uint32_t n = m->f->n, ex = (uint32_t)m->f->c->E, k = (uint32_t)m->f->c->K;
	struct scratch s = { .dev = m->f->dev };
	struct dev *d = m->f->dev;
	int32_t *hash = NULL, *id;
	float *bias = NULL, *logits, *weight = NULL;
	struct weight_matrix w;
	int rc;

	if (weights_matrix(m->f->w, &w, m->prefix, "ffn.gate",
		    (struct matrix_form){ ex, m->dim, false }, e))
		return -1;
	rc = by_hash(m) ? -!(hash = hashed(m, &s, e))
			: weights_floats(m->f->w, &bias, m->prefix, "ffn.gate.bias", ex, e);
	logits = rc ? NULL : scratch_floats(&s, (uint64_t)n * ex, e);
	id = logits ? scratch_get(&s, 4 * (uint64_t)n * k, e) : NULL;
	weight = id ? scratch_floats(&s, (uint64_t)n * k, e) : NULL;
	rc = weight ? forward_took(m->f, "ffn.gate", m->f->y, m->dim, n, m->dim, e) : -1;
	rc = rc ? rc
		: d->linear(d,
			  &(struct dev_linear){ .y = logits,
				  .ldy = ex,
				  .x = m->f->y,
				  .ldx = m->dim,
				  .n = n,
				  .w = &w.w,
				  .round = false },
			  e);
	if (!rc && m->f->tap.steps)
		rc = forward_tell(m->f, m->prefix, "ffn.gate", logits, false, n, ex, 0, e);
	rc = rc ? rc
		: d->gate(d,
			  &(struct dev_gate){ .id = id,
				  .weight = weight,
				  .logits = logits,
				  .bias = bias,
				  .hash = hash,
				  .n = n,
				  .experts = ex,
				  .k = k,
				  .route_scale = m->f->p->route_scale },
			  e);
	rc = rc ? rc : d->get(d, m->f->expert, id, 4 * (size_t)n * k, e);
	rc = rc ? rc : d->get(d, m->f->weight, weight, 4 * (size_t)n * k, e);
	weights_drop(m->f->w, &w);
	weights_free(m->f->w, bias, 4 * (uint64_t)ex);
	scratch_drop(&s);
	rc = rc ? rc
		: forward_tell(m->f, m->prefix, "gate.experts", m->f->expert, true, n, k, 0, e);
	return rc ? rc
		  : forward_tell(m->f, m->prefix, "gate.weights", m->f->weight, false, n, k, 0, e);
}

/* --- experts --- */

struct expert {
	struct weight_matrix w[3]; /* w1, w3, w2 */
	char at[48];               /* "ffn.experts.3." */
	uint64_t inner;            /* outputs of w1 and w3 */
};

static const char *const parts[] = { "w1", "w3", "w2" };

static int load(struct moe *m, struct weights *w, struct expert *x, struct err *e)
{
	struct matrix_form form = { x->inner, m->dim, true };
	char name[64];
	unsigned i;

	for (i = 0; i < 3; i++)
		memset(&x->w[i], 0, sizeof x->w[i]);
	for (i = 0; i < 3; i++) {
		if (i == 2)
			form = (struct matrix_form){ m->dim, x->inner, true };
		snprintf(name, sizeof name, "%s%s", x->at, parts[i]);
		if (weights_matrix(w, &x->w[i], m->prefix, name, form, e))
			return -1;
	}
	return 0;
}

static void drop(struct moe *m, struct expert *x)
{
	unsigned i;

	for (i = 0; i < 3; i++)
		weights_drop(m->f->w, &x->w[i]);
}

static int told(struct moe *m, const struct expert *x, unsigned part, const float *v, uint32_t n,
	uint32_t cols, struct err *e)
{
	char name[64];

	if (!m->f->tap.steps)
		return 0;
	snprintf(name, sizeof name, "%s%s", x->at, parts[part]);
	return forward_tell(m->f, m->prefix, name, v, false, n, cols, -1, e);
}

/* Hands what goes into the matrices of an expert to the tap: rows of the layer's input that index names (NULL: all n that x
 * begins with), or with part 2 what is inside of it. */
static int took(struct moe *m, const struct expert *x, unsigned part, const float *rows,
	const uint32_t *index, uint32_t n, uint32_t cols, struct err *e)
{
	char name[64];
	uint32_t i;

	if (!m->f->tap.take)
		return 0;
	snprintf(name, sizeof name, "%s%s", x->at, parts[part]);
	if (!index)
		return forward_took(m->f, name, rows, cols, n, cols, e);
	for (i = 0; i < n; i++)
		if (forward_took(m->f, name, rows + (uint64_t)index[i] * cols, cols, 1, cols, e))
			return -1;
	return 0;
}

/* out = what the expert makes of n tokens; factor, their weights, may be NULL. */
static int compute(struct moe *m, const struct expert *x, const struct act *in, const float *factor,
	uint32_t n, struct err *e)
{
	uint32_t inner = x->w[0].w.rows;
	struct dev *d = m->f->dev;
	const struct dev_swiglu op = { .a = m->a,
		.g = m->g,
		.u = m->u,
		.weight = factor,
		.n = n,
		.dim = inner,
		.limit = m->f->p->swiglu_limit };

	if (step_codes(m->f, m->g, inner, in, n, &x->w[0].w, e) ||
		told(m, x, 0, m->g, n, inner, e) ||
		step_codes(m->f, m->u, inner, in, n, &x->w[1].w, e) ||
		told(m, x, 1, m->u, n, inner, e) || d->swiglu(d, &op, e) ||
		took(m, x, 2, m->a, NULL, n, inner, e) ||
		step_linear(m->f, m->out, m->dim, &m->inside, m->a, n, &x->w[2].w, e))
		return -1;
	return told(m, x, 2, m->out, n, m->dim, e);
}

/* some = the rows of all that index names. */
static int gathered(struct moe *m, uint32_t n, struct err *e)
{
	const struct dev_gather codes = {
		.to = m->some.q, .from = m->all.q, .index = m->index, .n = n, .bytes = m->dim
	};
	const struct dev_gather rows = {
		.to = m->rows, .from = m->all.x, .index = m->index, .n = n, .bytes = m->dim * 4
	};
	const struct dev_gather scales = { .to = m->some.s,
		.from = m->all.s,
		.index = m->index,
		.n = n,
		.bytes = m->dim / DEV_ACT * 4 };

	m->some.x = m->rows;
	if (m->f->dev->fp32)
		return m->f->dev->gather(m->f->dev, &rows, e);
	return m->f->dev->gather(m->f->dev, &codes, e) || m->f->dev->gather(m->f->dev, &scales, e)
		? -1
		: 0;
}

static int some_tokens(struct moe *m, const struct expert *x, uint32_t first, uint32_t n,
	struct err *e)
{
	struct dev *d = m->f->dev;
	const struct dev_scatter_add sum = {
		.y = m->acc, .x = m->out, .index = m->index, .n = n, .dim = m->dim
	};

	if (took(m, x, 0, m->f->y, m->tokens + first, n, m->dim, e) ||
		took(m, x, 1, m->f->y, m->tokens + first, n, m->dim, e) ||
		d->put(d, m->index, m->tokens + first, 4 * (size_t)n, e) ||
		d->put(d, m->factor, m->factors + first, 4 * (size_t)n, e) || gathered(m, n, e) ||
		compute(m, x, &m->some, m->factor, n, e) || d->scatter_add(d, &sum, e))
		return -1;
	return d->sync(d, e);
}

/* The tokens that chose expert id, ascending; their number. */
static uint32_t chosen(struct moe *m, uint32_t id)
{
	uint32_t k = (uint32_t)m->f->c->K, n = 0, i;

	for (i = 0; i < m->f->n * k; i++)
		if (m->f->expert[i] == (int32_t)id && (!n || m->tokens[n - 1] != i / k)) {
			m->tokens[n] = i / k;
			m->factors[n++] = m->f->weight[i];
		}
	return n;
}

/* The next expert from id on that a token chose, or E. */
static uint32_t next_used(const struct moe *m, uint32_t id)
{
	uint32_t i, all = m->f->n * (uint32_t)m->f->c->K, next = (uint32_t)m->f->c->E;

	if (m->f->dev->counts) /* nothing was routed; two experts are as much as many */
		return id < 2 && id < next ? id : next;
	for (i = 0; i < all; i++)
		if (m->f->expert[i] >= (int32_t)id && (uint32_t)m->f->expert[i] < next)
			next = (uint32_t)m->f->expert[i];
	return next;
}

/* Expert id, which is loaded, for the tokens that chose it. */
static int routed(struct moe *m, const struct expert *x, uint32_t id, struct err *e)
{
	uint32_t n = chosen(m, id), t, take;

	for (t = 0; t < n; t += take) {
		take = n - t < m->f->block ? n - t : m->f->block;
		if (some_tokens(m, x, t, take, e))
			return -1;
	}
	return 0;
}

static int load_id(struct moe *m, struct weights *w, struct expert *x, uint32_t id, struct err *e)
{
	memset(x, 0, sizeof *x);
	x->inner = m->f->c->I;
	if (id == m->f->c->E)
		return 0; /* no more */
	snprintf(x->at, sizeof x->at, "ffn.experts.%u.", id);
	return load(m, w, x, e);
}

/* While one expert computes, the next is read. */
struct turn {
	struct moe *m;
	struct weights *ahead;
	struct expert *now, *next;
	uint32_t id, next_id;
	atomic_uint item;
};

static int turn(struct par *p, unsigned me, struct err *e)
{
	struct turn *t = par_ctx(p);
	unsigned item;
	int rc = 0;

	(void)me;
	while (!rc && (item = atomic_fetch_add(&t->item, 1)) < 2)
		rc = item ? routed(t->m, t->now, t->id, e)
			  : load_id(t->m, t->ahead, t->next, t->next_id, e);
	return rc;
}

static int experts(struct moe *m, struct err *e)
{
	struct weights *w = m->f->w, ahead;
	struct expert x[2];
	uint32_t id = next_used(m, 0), i = 0;
	/* another device may want one thread only */
	unsigned threads = m->f->dev->host && !m->f->dev->counts ? 2 : 1;
	int rc;

	if (weights_beside(&ahead, w, e))
		return -1;
	memset(x, 0, sizeof x);
	rc = load_id(m, w, &x[0], id, e);
	for (; !rc && id < m->f->c->E; i = !i) {
		struct turn t = { m, &ahead, &x[i], &x[!i], id, next_used(m, id + 1), 0 };

		rc = par_run(threads, turn, &t, e);
		weights_joined(w, &ahead);
		drop(m, &x[i]);
		id = t.next_id;
	}
	drop(m, &x[0]);
	drop(m, &x[1]);
	weights_beside_close(&ahead);
	return rc;
}

static int shared(struct moe *m, struct err *e)
{
	struct expert x = { .at = "ffn.shared_experts.", .inner = m->f->c->I * m->f->c->S };
	struct dev *d = m->f->dev;
	struct dev_add sum = { .b = m->out };
	uint32_t t, take;
	struct act in;
	uint64_t at;
	int rc = load(m, m->f->w, &x, e);

	for (t = 0; !rc && t < m->f->n; t += take) {
		take = m->f->n - t < m->f->block ? m->f->n - t : m->f->block;
		at = (uint64_t)t * m->dim;
		in = (struct act){ m->all.q + at, m->all.s + at / DEV_ACT, m->all.x + at };
		sum.y = m->f->o + at;
		sum.a = m->acc + at;
		sum.n = (uint64_t)take * m->dim;
		rc = took(m, &x, 0, m->f->y + at, NULL, take, m->dim, e) ||
				took(m, &x, 1, m->f->y + at, NULL, take, m->dim, e) ||
				compute(m, &x, &in, NULL, take, e) || d->add(d, &sum, e) ||
				d->sync(d, e)
			? -1
			: 0;
	}
	drop(m, &x);
	return rc;
}

int forward_moe(struct forward *f, uint32_t layer, struct err *e)
{
	struct moe m = { .f = f, .layer = layer, .dim = (uint32_t)f->c->D };
	struct dev *d = f->dev;
	int rc;

	forward_prefix(f, layer, m.prefix);
	m.inner = (uint32_t)(f->c->I * (f->c->S > 1 ? f->c->S : 1));
	rc = room(&m, e) || route(&m, e) || step_act(f, &m.all, f->y, f->n, m.dim, e) ||
			d->zero(d, m.acc, 4 * (size_t)f->n * m.dim, e)
		? -1
		: 0;
	rc = rc ? rc : experts(&m, e);
	rc = rc ? rc : shared(&m, e);
	scratch_drop(&m.s);
	host_drop(d, m.tokens, 4 * (uint64_t)f->n);
	host_drop(d, m.factors, 4 * (uint64_t)f->n);
	return rc;
}
