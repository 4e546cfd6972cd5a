/* stack.c -- the part of a plan that writes the routed experts of a block one after the other, as MLX has them: a tensor of
 * weights and one of scales for each of w1, w2 and w3, in which the bytes are those of the source.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/plan/target.h"

#include "core/text.h"
#include "formats/model/mlx.h"

#include <stdio.h>
#include <string.h>

bool layout_stacks(const struct layout *l, size_t i)
{
	const struct want *w = l->a->want[i];
	bool stays = l->p->opts.drafts == DRAFTS_KEEP && w->stage >= 0;

	return l->p->recipe && l->p->recipe->stacked && w->role->store == STORE_EXPERT && !stays;
}

uint64_t layout_stack_bytes(const struct layout *l, size_t i)
{
	const struct tensor *w = &l->p->ckpt->tensors[i],
			    *s = &l->p->ckpt->tensors[audit_partner(l->a, i)];

	return l->p->ckpt->config.E * (w->end - w->begin + s->end - s->begin);
}

/* The tensors of all experts whose first is tensor i, in the arena; NULL without memory, or where one is missing. */
static const uint32_t *sources_of(struct layout *l, size_t i)
{
	static const char mid[] = ".ffn.experts.";
	const struct ckpt *c = l->p->ckpt;
	const char *name = c->tensors[i].name, *id = strstr(name, mid) + sizeof mid - 1;
	uint32_t *v = layout_alloc(l, (size_t)c->config.E * sizeof *v), e;
	char other[ST_NAME_MAX + 32];
	const struct tensor *t;

	for (e = 0; v && e < c->config.E; e++) {
		snprintf(other, sizeof other, "%.*s%u%s", (int)(id - name), name, e,
			strchr(id, '.'));
		t = ckpt_find(c, other);
		if (!t) {
			err_rule(l->e, RULE_MODEL_MISSING, ERR_NOPOS, "tensor %s is not there",
				text_quote(other).s);
			return NULL;
		}
		v[e] = (uint32_t)(t - c->tensors);
	}
	return v;
}

/* The stack of the experts' weights, or scales, of which i is the first. */
static int stack_step(struct layout *l, size_t i, struct step *s)
{
	const struct tensor *src = &l->p->ckpt->tensors[i];
	struct step_tile *t = layout_alloc(l, sizeof *t);
	uint64_t *dim = layout_alloc(l, 3 * sizeof *dim), cols = step_row_bytes(src);
	char name[ST_NAME_MAX + 1];
	uint32_t id;

	if (!t || !dim)
		return -1;
	t->scale = l->a->want[i]->scale;
	t->parts = 1;
	t->experts = (uint32_t)l->p->ckpt->config.E;
	t->src = sources_of(l, i);
	t->e_max = 254;
	t->engine = "MLX";
	t->fit.tile = tile_find("rows");
	t->fit.map = rowmap_find("same");
	t->fit.dim = tile_dim(t->fit.tile, (uint32_t)src->dim[0], cols);
	t->fit.bytes = tile_bytes(t->fit.tile, t->fit.dim);
	t->fit.dtype = t->scale ? DT_U8 : DT_U32;
	dim[0] = t->experts;
	dim[1] = src->dim[0];
	dim[2] = cols / (dtypes[t->fit.dtype].bits / 8);
	*s = (struct step){ .op = OP_TILE, .as.tile = t, .take = step_all(src), .record = 1 };
	s->out.dtype = t->fit.dtype;
	s->out.rank = 3;
	s->out.dim = dim;
	if (!t->src)
		return -1;
	if (!mlx_stacked(name, sizeof name, src->name, &id))
		return err_set(l->e, ERR_UNSUPPORTED, "tensor %s has no name in MLX",
			text_quote(src->name).s);
	s->out.name = arena_strndup(&l->p->arena, name, strlen(name));
	return s->out.name ? 0 : err_nomem(l->e);
}

int layout_stack(struct layout *l, size_t i, struct step s[PART_COUNT])
{
	if (stack_step(l, i, &s[0]) || stack_step(l, (size_t)audit_partner(l->a, i), &s[1]))
		return -1;
	return 2;
}
