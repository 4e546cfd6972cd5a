/* SPDX-License-Identifier: MIT */
#include "quant/cli/units.h"

#include "core/text.h"
#include "formats/gguf/gguf_write.h"
#include "quant/ggml_search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct finding_units {
	struct units *u;
	const struct job *j;
	const struct audit *a;
	struct err *e;
};

/* --- what a tensor of the plan is --- */

/* enum ggml_type of what a step makes. */
static uint32_t type_of(const struct step *s)
{
	static const struct {
		enum dtype dtype;
		uint32_t type;
	} plain[] = { { DT_F32, GGML_F32 }, { DT_F16, GGML_F16 }, { DT_BF16, GGML_BF16 } };
	size_t i;

	if (s->op == OP_GGML)
		return s->as.ggml->how->type;
	for (i = 0; i < sizeof plain / sizeof *plain && plain[i].dtype != s->out.dtype; i++)
		;
	return i < sizeof plain / sizeof *plain ? plain[i].type : GGML_I32;
}

/* Whether its type can be chosen: a quantized matrix, the embedding or the head. */
static bool is_free(const struct want *w)
{
	if (w->role->store == STORE_DENSE || w->role->store == STORE_EXPERT)
		return true;
	return !strcmp(w->role->name, "embed.weight") || !strcmp(w->role->name, "head.weight");
}

static enum codec codec_of(const struct want *w, struct model_forms forms)
{
	if (w->role->store != STORE_PLAIN)
		return role_codec(w->role, forms);
	return w->role->dtype == DT_BF16 ? CODEC_BF16 : CODEC_F32;
}

static void name_role(struct unit *x, const struct want *w)
{
	size_t n = text_stem(w->role->name, ".weight");

	snprintf(x->role, sizeof x->role, "%.*s", (int)(n ? n : strlen(w->role->name)),
		w->role->name);
	if (w->layer >= 0)
		snprintf(x->block, sizeof x->block, "%d", (int)w->layer);
	else if (w->stage >= 0)
		snprintf(x->block, sizeof x->block, "mtp.%d", (int)w->stage);
	else
		snprintf(x->block, sizeof x->block, "%s", w->place ? "head" : "embed");
}

static int set_sources(struct finding_units *f, struct unit *x, const struct step *s)
{
	uint32_t each = s->op == OP_GGML ? s->as.ggml->each : 1, k, codes;

	x->src = arena_alloc(&f->u->arena, 2 * (size_t)x->mats * sizeof *x->src);
	if (!x->src)
		return err_nomem(f->e);
	for (k = 0; k < x->mats; k++) {
		codes = step_source(s, k * each);
		x->src[2 * k] = codes;
		x->src[2 * k + 1] = f->a->want[codes]->role->store == STORE_PLAIN
			? UINT32_MAX
			: (uint32_t)audit_partner(f->a, codes);
	}
	return 0;
}

/* --- all of them --- */

static struct unit *find(const struct units *u, const struct want *w)
{
	size_t i;

	for (i = u->n; i-- > 0;)
		if (u->v[i].nth == w->nth && u->v[i].place == w->place)
			return &u->v[i];
	return NULL;
}

static struct unit *add(struct finding_units *f, const struct want *w, const struct step *s)
{
	const struct tensor *t = &f->a->ckpt->tensors[step_source(s, 0)];
	struct units *u = f->u;
	struct unit *x;

	if (mem_grow(&u->v, &u->cap, u->n + 1, sizeof *u->v)) {
		err_nomem(f->e);
		return NULL;
	}
	x = &u->v[u->n];
	*x = (struct unit){ .nth = w->nth,
		.place = w->place,
		.from = codec_of(w, f->a->forms),
		.mats = s->op == OP_GGML ? s->as.ggml->matrices : 1,
		.experts = w->role->store == STORE_EXPERT,
		.beside = s->op == OP_GGML && s->as.ggml->beside,
		.type = type_of(s),
		.exact = gguf_type_of(w, f->a->forms, GGUF_DENSE_BF16) };
	snprintf(x->tensor, sizeof x->tensor, "%s", s->out.name);
	name_role(x, w);
	x->rows = t->rank > 1 ? t->dim[0] : 1;
	x->cols = codec_cols(x->from, t->rank > 1 ? t->dim[1] : t->dim[0]);
	if (set_sources(f, x, s))
		return NULL;
	u->n++;
	return x;
}

/* Takes the tensors of a file. */
static int take_file(struct finding_units *f, const struct plan_file *p)
{
	const struct want *w;
	const struct step *s;
	struct unit *x;
	size_t i;

	f->u->others += p->header_bytes;
	for (i = 0; i < p->n; i++) {
		s = &p->steps[i];
		w = f->a->want[step_source(s, 0)];
		if (!is_free(w)) {
			f->u->others += i + 1 < p->n ? p->steps[i + 1].out.begin - s->out.begin
						     : s->out.end - s->out.begin;
			continue;
		}
		x = find(f->u, w);
		x = x ? x : add(f, w, s);
		if (!x)
			return -1;
		x->whole++;
		x->last += i + 1 == p->n;
	}
	return 0;
}

static int by_block(const void *a, const void *b)
{
	const struct unit *x = a, *y = b;

	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	return (x->nth > y->nth) - (x->nth < y->nth);
}

int units_find(struct units *u, const struct job *j, const struct audit *a, struct err *e)
{
	struct finding_units f = { u, j, a, e };
	const struct plan *p = conversion_main(&j->conversion);
	size_t i;

	memset(u, 0, sizeof *u);
	for (i = 0; i < p->n_files; i++)
		if (take_file(&f, &p->files[i])) {
			units_free(u);
			return -1;
		}
	if (u->n)
		qsort(u->v, u->n, sizeof *u->v, by_block);
	return 0;
}

void units_free(struct units *u)
{
	free(u->v);
	arena_free(&u->arena);
	memset(u, 0, sizeof *u);
}

bool unit_takes(const struct unit *u, uint32_t type)
{
	const struct ggml_type_row *t = ggml_type_find(type);

	return t && u->cols % t->items == 0 &&
		(type == u->exact || ggml_searched_find(u->from, type));
}

uint64_t unit_bytes(const struct unit *u, uint32_t type)
{
	uint64_t bytes = u->mats * u->rows * ggml_row_bytes(type, u->cols),
		 whole = mem_ceil_div(bytes, GGUF_ALIGNMENT) * GGUF_ALIGNMENT;

	return u->last * bytes + (u->whole - u->last) * whole;
}
