/* SPDX-License-Identifier: MIT */
#include "convert/out/rows.h"

#include <string.h>

void rows_source(void *ctx, uint32_t k, struct sidecar_source *x)
{
	const struct rows *r = ctx;
	const struct ckpt *c = r->p->ckpt;
	const struct step *s = r->step;
	const struct tensor *t = &c->tensors[step_source(s, k)];

	x->shard = t->shard;
	x->tensor = t->name;
	x->part = step_part(s, k, t);
	x->has_xxh = step_records(s, k);
	if (x->has_xxh)
		x->xxh = step_many(s) ? r->res->many[k] : r->res->src[k];
}

static void put_range(uint64_t to[2], uint64_t from, uint64_t n)
{
	to[0] = from;
	to[1] = from + n;
}

/* Which part of its sources the step takes, if it is a part. */
static void describe_slice(const struct ckpt *c, const struct step *s, struct sidecar_tensor *t)
{
	const struct tensor *src = &c->tensors[step_source(s, 0)];

	if (s->take.rows < step_tensor_rows(src))
		put_range(t->row, s->take.row, s->take.rows);
	if (s->take.cols < step_row_bytes(src))
		put_range(t->col, s->take.col, s->take.cols);
}

static void describe_tile(const struct step_tile *g, const struct step_result *res,
	struct sidecar_tensor *t)
{
	unsigned i;

	t->layout = g->fit.tile->name;
	t->version = g->fit.tile->version;
	t->map = g->fit.map->name;
	t->parts = (uint8_t)g->parts;
	t->scaled = g->scale;
	for (i = 0; i < 3; i++)
		t->e8m0[i] = (uint32_t)res->scales[i];
}

static void describe_reform(const struct step *s, struct sidecar_tensor *t)
{
	const struct step_reform *f = s->as.reform.of;

	t->from = (uint8_t)f->how->from;
	t->to = (uint8_t)f->how->to;
	t->of = (uint8_t)s->as.reform.part;
	t->unsigned_zeros = f->how->second && !f->signs;
}

void rows_tensor(void *ctx, size_t i, struct sidecar_tensor *t)
{
	struct rows *r = ctx;
	const struct step *s = &r->f->steps[i];
	const struct step_result *res = &r->s->res[i];

	r->step = s;
	r->res = res;
	t->name = s->out.name;
	t->op = (uint8_t)s->op;
	t->dtype = (uint8_t)s->out.dtype;
	t->dim = s->out.dim;
	t->rank = (uint8_t)s->out.rank;
	t->begin = s->out.begin;
	t->end = s->out.end;
	t->xxh = res->out;
	t->n = step_sources(s);
	describe_slice(r->p->ckpt, s, t);
	if (step_tile(s))
		describe_tile(step_tile(s), res, t);
	if (s->op == OP_REFORM)
		describe_reform(s, t);
	if (s->op == OP_GGML && s->out.dtype == DT_U8)
		t->ggml = (uint16_t)s->as.ggml->how->type;
	t->rescued = res->rescued;
	t->dropped[0] = res->dropped.from;
	t->dropped[1] = res->dropped.to;
	t->blocks = res->blocks;
	t->inexact = res->inexact;
	t->lost = res->n_lost ? r->s->maker.lost + res->lost : NULL;
	t->n_lost = res->n_lost;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool same_range(const uint64_t a[2], const uint64_t b[2])
{
	return a[0] == b[0] && a[1] == b[1];
}

bool rows_same_step(const struct sidecar_tensor *is, const struct sidecar_tensor *would)
{
	return !strcmp(is->name, would->name) && is->begin == would->begin &&
		is->end == would->end && is->op == would->op && is->dtype == would->dtype &&
		is->rank == would->rank &&
		!memcmp(is->dim, would->dim, is->rank * sizeof *is->dim) && is->n == would->n &&
		same_range(is->row, would->row) && same_range(is->col, would->col) &&
		same_text(is->layout, would->layout) && same_text(is->map, would->map) &&
		is->version == would->version && is->parts == would->parts &&
		is->scaled == would->scaled && is->ggml == would->ggml;
}
