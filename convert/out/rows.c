/* SPDX-License-Identifier: MIT */
#include "convert/out/rows.h"

#include <string.h>

static void lost_at(const void *ctx, uint64_t i, uint32_t at[2])
{
	const struct lost_block *b = ctx;

	at[0] = b[i].row;
	at[1] = b[i].col;
}

static void source_at(const void *ctx, uint64_t k, struct man_source *out)
{
	const struct rows *r = ctx;
	const struct ckpt *c = r->p->ckpt;
	const struct step *s = r->step;
	const struct tensor *t = &c->tensors[step_source(s, (uint32_t)k)];

	out->shard = c->shards[t->shard].name;
	out->tensor = t->name;
	out->part = s->op == OP_TILE && s->take.rows * s->take.cols < t->end - t->begin;
	out->xxh = !step_records(s, (uint32_t)k) ? NULL
		: step_many(s)                   ? &r->res->many[k]
						 : &r->res->src[k];
}

/* Which part of its sources the step takes, if it is a part. */
static void describe_slice(const struct ckpt *c, const struct step *s, struct man_tensor *t)
{
	const struct tensor *src = &c->tensors[step_source(s, 0)];

	if (s->take.rows < step_tensor_rows(src))
		t->rows = (struct man_range){ s->take.row, s->take.row + s->take.rows };
	if (s->take.cols < step_row_bytes(src))
		t->cols = (struct man_range){ s->take.col, s->take.col + s->take.cols };
}

static void describe_reform(const struct step *s, struct man_tensor *t)
{
	const struct step_reform *f = s->as.reform.of;

	t->from = codecs[f->how->from].name;
	t->to = codecs[f->how->to].name;
	t->of = op_parts[s->as.reform.part];
	t->unsigned_zeros = f->how->second && !f->signs;
}

void rows_give(void *ctx, uint64_t i, struct man_tensor *t)
{
	struct rows *r = ctx;
	const struct step *s = &r->f->steps[i];
	const struct step_result *res = &r->s->res[i];
	const struct step_tile *g = step_tile(s);
	const struct maker *m = &r->s->maker;

	t->name = s->out.name;
	t->transform = ops[s->op].name;
	t->dtype = s->out.dtype;
	t->dim = s->out.dim;
	t->rank = s->out.rank;
	t->begin = s->out.begin;
	t->end = s->out.end;
	t->xxh = res->out;
	r->step = s;
	r->res = res;
	t->sources = step_sources(s);
	t->source = source_at;
	t->source_ctx = r;
	describe_slice(r->p->ckpt, s, t);
	if (g) {
		t->layout = g->fit.tile->name;
		t->version = g->fit.tile->version;
		t->map = g->fit.map->name;
		t->parts = g->parts;
		t->scaled = g->scale;
		memcpy(t->scales, res->scales, sizeof t->scales);
	}
	if (s->op == OP_REFORM)
		describe_reform(s, t);
	t->rescued = res->rescued;
	t->dropped = res->dropped;
	t->blocks = res->blocks;
	t->inexact = res->inexact;
	t->lost = lost_at;
	t->lost_ctx = m->n_lost ? m->lost + r->lost : NULL;
	for (; r->lost < m->n_lost && m->lost[r->lost].step == i; r->lost++)
		t->n_lost++;
}
