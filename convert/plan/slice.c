/* slice.c -- the plan of a small checkpoint with the weights of a big one: some of its layers, and of
 * each the first so many routed experts, and of each column of an Engram table its first rows.
 *
 * It stays a valid model: layers are numbered anew, the router has the rows of the experts that are kept,
 * the table from token ids to experts names only those (an id that is gone becomes the next free one,
 * counting from the id modulo their number, so that a token's experts stay different), an Engram table has the rows
 * that the rule of primes demands, and config.json says all of it. Embedding, head, norms and the vision tower stay as they are.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/plan/target.h"
#include "formats/model/engram.h"
#include "formats/model/slice_cut.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- tensors --- */

static int rename_tensor(struct layout *l, const struct want *w, const struct slice_cut *k,
	struct step *s)
{
	char name[ST_NAME_MAX + 1];
	const char *rest;

	if (w->layer < 0)
		return 0;
	rest = strchr(s->out.name + strlen("layers."), '.');
	snprintf(name, sizeof name, "layers.%u%s", slice_layer(k, (uint64_t)w->layer), rest);
	s->out.name = arena_strndup(&l->p->arena, name, strlen(name));
	return s->out.name ? 0 : err_nomem(l->e);
}

/* Experts that stay of the block of w. */
static uint64_t experts_of(const struct want *w, const struct slice_cut *k)
{
	return w->stage >= 0 ? k->stage_experts : k->experts;
}

/* The step takes less rows: this many. */
static int fewer_rows(struct layout *l, struct step *s, uint64_t rows)
{
	uint64_t *dim = layout_alloc(l, 2 * sizeof *dim);

	if (!dim)
		return -1;
	memcpy(dim, s->out.dim, s->out.rank * sizeof *dim);
	dim[0] = rows;
	s->out.dim = dim;
	return 0;
}

/* The router: of E experts, the first so many. */
static int cut_router(struct layout *l, const struct want *w, const struct slice_cut *k,
	struct step *s)
{
	const struct role *r = w->role;

	if (!strcmp(r->name, "ffn.gate.tid2eid")) {
		if (k->experts == l->p->ckpt->config.E)
			return 0;
		s->op = OP_REMAP;
		s->as.remap = (struct step_remap){ s->as.copy.src, k->experts };
		return 0;
	}
	if ((strcmp(r->shape, "E,D") != 0 && strcmp(r->shape, "E") != 0) ||
		experts_of(w, k) == s->out.dim[0])
		return 0;
	s->op = OP_ROWS;
	s->take.rows = experts_of(w, k);
	return fewer_rows(l, s, s->take.rows);
}

/* A table of Engram: of each column the first rows, as many as its new prime. */
static int cut_table(struct layout *l, const struct want *w, const struct slice_cut *k,
	struct step *s)
{
	const struct config *c = &l->p->ckpt->config;
	struct config less = *c;
	struct step_firsts *f;
	uint64_t n, *from, *to;
	uint32_t table;

	if (!engram_table(w->name) || slice_rows(k, c, (uint64_t)w->layer) == s->out.dim[0])
		return 0;
	n = engram_columns(c);
	table = c->layer[w->layer].table;
	f = layout_alloc(l, sizeof *f);
	from = f ? layout_alloc(l, 2 * (size_t)(n + 1) * sizeof *from) : NULL;
	if (!from)
		return -1;
	to = from + n + 1;
	less.EV = k->vocab;
	(void)engram_bounds(c, table, from);
	*f = (struct step_firsts){ s->as.copy.src, s->as.copy.e8m0, (uint32_t)n, from, to };
	s->op = OP_FIRSTS;
	s->as.firsts = f;
	s->record = 0;
	return fewer_rows(l, s, engram_bounds(&less, table, to));
}

static int lay_tensor(struct layout *l, size_t i, const struct slice_cut *k, const long *file)
{
	const struct want *w = l->a->want[i];
	struct step s;

	if (layout_drops_engram(l, i)) {
		layout_fate(l, i, FATE_ENGRAM);
		return 0;
	}
	if (k->place[w->place] == SLICE_NONE ||
		(w->expert >= 0 && (uint64_t)w->expert >= experts_of(w, k))) {
		layout_fate(l, i, FATE_UNSELECTED);
		return 0;
	}
	if (layout_whole(l, i, &s) || rename_tensor(l, w, k, &s) || cut_router(l, w, k, &s) ||
		cut_table(l, w, k, &s))
		return -1;
	layout_fate(l, i, s.op == OP_COPY ? FATE_COPY : FATE_SPLIT);
	return layout_step(l, (size_t)file[k->place[w->place]], &s);
}

/* --- small files --- */

static int make_config(struct layout *l, const struct slice_cut *k)
{
	struct plan_small s = { .name = "config.json", .kind = SMALL_TEXT };
	char *text;

	if (slice_config(&text, k, l->p->ckpt, l->e))
		return -1;
	s.bytes = strlen(text);
	s.text = arena_strndup(&l->p->arena, text, strlen(text));
	free(text);
	return s.text ? layout_small(l, &s) : err_nomem(l->e);
}

/* --- */

static int lay_all(struct layout *l, const struct slice_cut *k, long *file)
{
	static const struct plan_small index = { .name = CKPT_INDEX, .kind = SMALL_INDEX };
	char name[64];
	uint32_t p;
	size_t i;

	for (p = 0; p < k->places; p++) {
		snprintf(name, sizeof name, "model-%05u-of-%05u.safetensors", p + 1, k->places);
		file[p] = layout_file(l, name);
		if (file[p] < 0)
			return -1;
	}
	for (i = 0; i < l->p->ckpt->n; i++)
		if (lay_tensor(l, i, k, file))
			return -1;
	return make_config(l, k) || layout_small(l, &index) ? -1 : 0;
}

static int lay_slice(struct layout *l)
{
	const struct slice_ask ask = { .ckpt = l->p->ckpt,
		.selected = l->selected,
		.places = l->a->inv.places,
		.keep = l->p->opts.keep,
		.vocab = l->p->opts.engram_vocab };
	struct slice_cut k;
	long *file;
	int rc;

	if (slice_cut_make(&k, &ask, l->e))
		return -1;
	file = malloc((k.places + 1) * sizeof *file);
	rc = file ? lay_all(l, &k, file) : err_nomem(l->e);
	free(file);
	slice_cut_free(&k);
	return rc;
}

static const char *const small[] = { "generation_config.json", "special_tokens_map.json",
	"tokenizer.json", "tokenizer_config.json", NULL };
const struct target slice_target = { "slice", "a small checkpoint with the same weights", lay_slice,
	small };
