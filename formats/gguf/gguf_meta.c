/* SPDX-License-Identifier: MIT */
#include "formats/gguf/gguf_meta.h"

#include <stdlib.h>
#include <string.h>

static double number_of(const struct gguf_value *v)
{
	switch (v->type) {
	case GGUF_U8:
	case GGUF_U16:
	case GGUF_U32:
	case GGUF_U64:
	case GGUF_BOOL:
		return (double)v->u;
	case GGUF_I8:
	case GGUF_I16:
	case GGUF_I32:
	case GGUF_I64:
		return (double)v->i;
	default:
		return v->f;
	}
}

/* Keeps the items of an array of numbers. */
static int take_items(struct gguf_meta *m, struct gguf *g, struct gguf_entry *x, struct err *e)
{
	struct gguf_value item;
	size_t n = 0;
	double *v;
	int more;

	if (!gguf_type_bytes(x->item) || x->count > GGUF_META_ARRAY ||
		m->numbers + x->count > GGUF_META_NUMBERS)
		return 0;
	v = arena_alloc(&m->arena, (size_t)(x->count + 1) * sizeof *v);
	if (!v)
		return err_nomem(e);
	while ((more = gguf_item(g, &item)) == 1)
		v[n++] = number_of(&item);
	m->numbers += n;
	x->v = v;
	return more;
}

int gguf_meta_take(void *ctx, struct gguf *g, const struct gguf_value *v, struct err *e)
{
	struct gguf_meta *m = ctx;
	struct gguf_entry *x;
	size_t n = v->type == GGUF_STRING && v->n < GGUF_META_TEXT ? v->n : GGUF_META_TEXT;

	if (mem_grow(&m->v, &m->cap, m->n + 1, sizeof *m->v))
		return err_nomem(e);
	x = &m->v[m->n++];
	*x = (struct gguf_entry){ .key = arena_strndup(&m->arena, g->key.s, g->key.n),
		.type = v->type,
		.item = v->item,
		.count = v->type == GGUF_STRING ? v->n : v->count };
	if (v->type == GGUF_STRING)
		x->text = arena_strndup(&m->arena, v->s, n);
	if (!x->key || (v->type == GGUF_STRING && !x->text))
		return err_nomem(e);
	if (v->type == GGUF_ARRAY)
		return take_items(m, g, x, e);
	x->number = v->type == GGUF_STRING ? 0 : number_of(v);
	return 0;
}

void gguf_meta_free(struct gguf_meta *m)
{
	free(m->v);
	arena_free(&m->arena);
	memset(m, 0, sizeof *m);
}

const struct gguf_entry *gguf_meta_find(const struct gguf_meta *m, const char *key)
{
	size_t i;

	for (i = 0; i < m->n; i++)
		if (!strcmp(m->v[i].key, key))
			return &m->v[i];
	return NULL;
}

bool gguf_entry_number(const struct gguf_entry *x)
{
	return x && x->type != GGUF_STRING && x->type != GGUF_ARRAY;
}
