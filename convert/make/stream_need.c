/* stream_need.c -- the memory that a file of a plan takes while it is made.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/make/stream.h"
#include "convert/make/tiling.h"

enum { STAGE = 512 << 10, BAND = FP4TO8_BLOCK };

static uint64_t row_bytes(const struct tensor *t)
{
	uint64_t rows = t->rank ? t->dim[0] : 1;

	return rows ? (t->end - t->begin) / rows : 0;
}

static size_t larger(size_t a, uint64_t b)
{
	return b > a ? (size_t)b : a;
}

/* What one step needs more than n has. */
static void widen(struct stream_need *n, const struct plan *p, const struct step *s)
{
	const struct tensor *src, *scale;
	struct tiling_need g;
	size_t drop;

	if (s->op == OP_COPY || s->op == OP_ROWS)
		return;
	if (s->tile) {
		g = tiling_need(p->ckpt, s->tile);
		n->stage = larger(n->stage, g.stage);
		n->row = larger(n->row, g.slab);
		n->rows = larger(n->rows, g.rows);
		n->map = larger(n->map, g.map);
		return;
	}
	src = &p->ckpt->tensors[s->src[0]];
	n->stage = larger(n->stage, row_bytes(src));
	n->row = larger(n->row, row_bytes(&s->out));
	if (s->op == OP_COLS || s->op == OP_REMAP || s->op == OP_WIDEN)
		return;
	scale = &p->ckpt->tensors[s->src[s->n_src - 1]];
	n->scales = larger(n->scales, row_bytes(scale) * (s->op == OP_DEQUANT ? 1 : BAND));
	if (s->op == OP_CAST && p->opts.back) {
		drop = dropped_room(s->out.dim[0], s->out.dim[1]);
		n->frame = larger(n->frame, dropped_frame(drop));
		n->drop = larger(n->drop, n->frame + drop);
	}
	n->blocks =
		larger(n->blocks, s->op == OP_CAST_SCALE ? s->out.dim[1] : s->out.dim[1] / BAND);
	if (s->op == OP_DEQUANT)
		n->luts = n->blocks * sizeof(struct fp8to16_table);
}

struct stream_need stream_need(const struct plan *p, const struct plan_file *f)
{
	struct stream_need n = { .stage = STAGE };
	size_t i;

	for (i = 0; i < f->n; i++)
		widen(&n, p, &f->steps[i]);
	if (n.luts)
		n.luts = n.blocks * sizeof(struct fp8to16_table); /* blocks may have grown since */
	n.total = (p->ckpt->payload ? p->ckpt->payload->need(p->ckpt->payload->ctx) : 0) + n.stage +
		n.row + n.scales + 2 * n.blocks + n.rows + n.map + n.drop + n.luts;
	return n;
}
