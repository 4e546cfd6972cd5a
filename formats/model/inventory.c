/* SPDX-License-Identifier: MIT */
#include "formats/model/inventory.h"

#include "formats/model/family.h"

#include "formats/st/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- shape formulas: sum := product { + product }, product := factor { (* | /) factor } --- */

struct formula {
	const char *p;
	const struct config *c;
	uint64_t ratio;
	bool ok;
};

static uint64_t factor(struct formula *f)
{
	const char *from = f->p;
	const uint64_t *field;
	uint64_t v = 0;
	size_t n;

	if (*f->p >= '0' && *f->p <= '9') {
		for (; *f->p >= '0' && *f->p <= '9'; f->p++)
			f->ok = f->ok && mem_mul(v, 10, &v) &&
				mem_add(v, (uint64_t)(*f->p - '0'), &v);
		return v;
	}
	f->p += strcspn(f->p, "*/+,");
	n = (size_t)(f->p - from);
	if (n == 5 && !memcmp(from, "ratio", n))
		return f->ratio;
	if (n == 3 && !memcmp(from, "lap", n))
		return f->ratio == RATIO_INDEXED ? 2 : 1;
	field = family_field(f->c, from, n);
	f->ok = f->ok && field;
	return field ? *field : 0;
}

static uint64_t product(struct formula *f)
{
	uint64_t v = factor(f), w;
	char op;

	while (*f->p == '*' || *f->p == '/') {
		op = *f->p++;
		w = factor(f);
		if (op == '*')
			f->ok = f->ok && mem_mul(v, w, &v);
		else if (w && v % w == 0)
			v /= w;
		else
			f->ok = false;
	}
	return v;
}

bool inventory_shape(const char *shape, const struct config *c, uint64_t ratio, uint64_t dim[3],
	uint8_t *rank)
{
	struct formula f = { .p = shape, .c = c, .ratio = ratio, .ok = true };

	for (*rank = 0; f.ok && *rank < 3;) {
		dim[*rank] = product(&f);
		while (f.ok && *f.p == '+') {
			f.p++;
			f.ok = mem_add(dim[*rank], product(&f), &dim[*rank]) && f.ok;
		}
		++*rank;
		if (!*f.p)
			return f.ok;
		if (*f.p++ != ',')
			return false;
	}
	return false;
}

/* --- inventory --- */

struct maker {
	struct inventory *v;
	size_t cap;
	const struct config *c;
	struct model_forms forms;
	struct err *e;
};

/* A block of the model, or its global part. */
struct block {
	unsigned is; /* bits of enum where */
	int32_t layer, stage;
	uint64_t ratio;
	uint32_t place;
};

/* copy: what stands in the name for # or @. */
static int add(struct maker *m, const struct block *b, const struct role *r, int32_t copy,
	const struct want *form)
{
	char name[128];
	const char *hash = strpbrk(r->name, "#@");
	struct want *w;
	int n = 0;

	if (mem_grow(&m->v->wants, &m->cap, m->v->n + 1, sizeof *w))
		return err_nomem(m->e);
	w = &m->v->wants[m->v->n];
	*w = *form;
	w->expert = strchr(r->name, '#') ? copy : -1;
	if (b->layer >= 0)
		n = snprintf(name, sizeof name, "layers.%d.", b->layer);
	else if (b->stage >= 0)
		n = snprintf(name, sizeof name, "mtp.%d.", b->stage);
	if (hash)
		n += snprintf(name + n, sizeof name - (size_t)n, "%.*s%d%s", (int)(hash - r->name),
			r->name, copy, hash + 1);
	else
		n += snprintf(name + n, sizeof name - (size_t)n, "%s", r->name);
	if (w->scale) /* X.weight -> X.scale */
		n += snprintf(name + n - strlen("weight"), 8, "scale") - (int)strlen("weight");
	w->name = arena_strndup(&m->v->arena, name, (size_t)n);
	if (!w->name)
		return err_nomem(m->e);
	m->v->n++;
	return 0;
}

/* Turns the logical shape in w into what lies on disk, for the weight and for its scale. */
static bool lay_out(const struct maker *m, const struct role *r, struct want *w, struct want *scale)
{
	enum codec c = role_codec(r, m->forms);

	*scale = *w;
	w->dtype = (uint8_t)(c == CODEC_NONE ? r->dtype : codecs[c].code);
	if (c != CODEC_NONE) {
		scale->scale = true;
		scale->dtype = codecs[c].scale;
		codec_scale_dim(c, w->dim[0], w->dim[1], scale->dim);
		w->dim[1] = codec_dim1(c, w->dim[1]);
		if (!st_bytes(scale->dtype, scale->dim, 2, &scale->bytes))
			return false;
	}
	return st_bytes(w->dtype, w->dim, w->rank, &w->bytes);
}

static int add_role(struct maker *m, const struct block *b, const struct role *r)
{
	struct want w = { .role = r,
		.nth = (uint16_t)(r - m->c->family->roles),
		.layer = b->layer,
		.stage = b->stage,
		.place = b->place,
		.expert = -1 },
		    scale;
	int32_t i,
		copies = r->split == SPLIT_EXPERTS ? (int32_t)m->c->E
		: strchr(r->name, '@')             ? (int32_t)m->c->VL
						   : 1;

	w.optional = !(r->where & b->is & ~(unsigned)IN_MTP_EXTRA);
	if (!strcmp(r->name, "embed.weight") || r->where == IN_VISION)
		w.place = 0;
	if (!inventory_shape(r->shape, m->c, b->ratio, w.dim, &w.rank) ||
		!lay_out(m, r, &w, &scale))
		return err_rule(m->e, RULE_CONFIG_FIELD_RANGE, ERR_NOPOS,
			"config.json: no size for %s with shape %s", r->name, r->shape);
	for (i = 0; i < copies; i++) {
		if (add(m, b, r, i, &w))
			return -1;
		if (r->store != STORE_PLAIN && add(m, b, r, i, &scale))
			return -1;
	}
	return 0;
}

static int add_block(struct maker *m, const struct block *b)
{
	const struct family *f = m->c->family;
	unsigned i;

	for (i = 0; i < f->n_roles; i++)
		if ((f->roles[i].where & b->is) && add_role(m, b, &f->roles[i]))
			return -1;
	return 0;
}

static unsigned kind_of(const struct config *c, const struct block *b)
{
	unsigned is, vl = c->vision ? IN_BLOCK_VL : 0;

	if (b->stage >= 0) {
		is = IN_STAGE | IN_SCORE | vl;
		if (!c->spark)
			return is | IN_MTP | IN_MTP_EXTRA;
		is |= b->stage == 0 ? IN_SPARK_FIRST : 0;
		return is | ((uint64_t)b->stage + 1 == c->stages ? IN_SPARK_LAST : 0);
	}
	if (c->layer)
		return IN_LAYER | IN_SCORE | vl | c->layer[b->layer].is;
	is = IN_LAYER | vl | ((uint64_t)b->layer < c->n_hash ? IN_HASH : IN_SCORE);
	if (c->vision) /* image tokens have no id: they are routed by score in every layer */
		is |= IN_SCORE;
	return is | (b->ratio ? IN_COMPRESS : 0) | (b->ratio == RATIO_INDEXED ? IN_INDEX : 0);
}

static int cmp_want(const void *a, const void *b)
{
	return strcmp(((const struct want *)a)->name, ((const struct want *)b)->name);
}

int inventory_make(struct inventory *v, const struct config *c, struct model_forms forms,
	struct err *e)
{
	struct config here = *c; /* as a block has it */
	struct maker m = { .v = v, .c = &here, .forms = forms, .e = e };
	struct block b = { .is = IN_GLOBAL | (c->vision ? IN_VISION : 0u),
		.layer = -1,
		.stage = -1,
		.place = (uint32_t)c->L + 1 };
	uint64_t i;

	memset(v, 0, sizeof *v);
	v->places = (uint32_t)(c->L + 2 + c->stages);
	if (add_block(&m, &b))
		goto fail;
	for (i = 0; i < c->L + c->stages; i++) {
		b.layer = i < c->L ? (int32_t)i : -1;
		b.stage = i < c->L ? -1 : (int32_t)(i - c->L);
		b.ratio = c->ratio[i];
		b.is = kind_of(c, &b);
		here.E = b.stage >= 0 && c->DE ? c->DE : c->E;
		here.ER = c->layer && b.layer >= 0 ? c->layer[i].rows : 0;
		b.place = (uint32_t)(i < c->L ? i + 1 : i + 2);
		if (add_block(&m, &b))
			goto fail;
	}
	qsort(v->wants, v->n, sizeof *v->wants, cmp_want);
	return 0;
fail:
	inventory_free(v);
	return -1;
}

void inventory_free(struct inventory *v)
{
	free(v->wants);
	arena_free(&v->arena);
	memset(v, 0, sizeof *v);
}

const struct want *inventory_find(const struct inventory *v, const char *name)
{
	struct want key = { .name = name };

	return v->n ? bsearch(&key, v->wants, v->n, sizeof *v->wants, cmp_want) : NULL;
}

void inventory_sum(const struct inventory *v, bool with_optional, uint64_t *n, uint64_t *bytes)
{
	size_t i;

	*n = 0;
	*bytes = 0;
	for (i = 0; i < v->n; i++) {
		if (v->wants[i].optional && !with_optional)
			continue;
		++*n;
		*bytes += v->wants[i].bytes;
	}
}
