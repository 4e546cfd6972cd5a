/* SPDX-License-Identifier: MIT */
#include "formats/conversion/implied.h"

#include "core/mem.h"
#include "formats/conversion/chain.h"
#include "formats/model/family.h"

#include <stdlib.h>
#include <string.h>

struct implied {
	struct ckpt *c;
	struct tensor *v; /* owns */
	size_t n, cap;
	enum codec experts;
};

/* A tensor of the source: its name is that of source k of t. */
static int put(struct implied *m, const struct sidecar *s, const struct sidecar_tensor *t,
	uint32_t k, enum dtype type, unsigned rank, const uint64_t *dim, struct err *e)
{
	const char *name = s->sources[t->first + k].tensor;
	struct arena *a = &m->c->arena;
	struct tensor *x;
	uint64_t *d = arena_alloc(a, (rank + 1) * sizeof *d), bytes = dtypes[type].bits / 8;
	unsigned i;

	if (mem_grow(&m->v, &m->cap, m->n + 1, sizeof *m->v) || !d)
		return err_nomem(e);
	x = &m->v[m->n];
	*x = (struct tensor){ .dtype = (uint8_t)type, .rank = (uint8_t)rank, .dim = d };
	x->name = arena_strndup(a, name, strlen(name));
	if (!x->name)
		return err_nomem(e);
	for (i = 0; i < rank; i++) {
		d[i] = dim[i];
		if (!mem_mul(bytes, dim[i], &bytes))
			return err_rule(e, RULE_SET_FORM, ERR_NOPOS, "a tensor that is too large");
	}
	x->end = bytes;
	m->n++;
	return 0;
}

static int untold(struct err *e)
{
	return err_rule(e, RULE_SET_NOT_KEPT, ERR_NOPOS,
		"nothing was kept of its source (--no-restore, --experts-from), and its sidecar does not tell of "
		"which type and shape it was");
}

/* Codes and scales of a matrix that was written in another number format, by its codes there. */
static int put_matrix(struct implied *m, const struct sidecar *s, const struct sidecar_tensor *t,
	enum codec from, enum codec to, struct err *e)
{
	uint64_t dim[2], cols;

	if (t->rank != 2 || !t->n || codecs[from].code >= DT_COUNT)
		return untold(e);
	cols = codec_cols(to, t->dim[1]);
	dim[0] = t->dim[0];
	dim[1] = codec_dim1(from, cols);
	if (strstr(t->name, ".ffn.experts."))
		m->experts = from;
	if (put(m, s, t, 0, codecs[from].code, 2, dim, e))
		return -1;
	if (codecs[from].scale == DT_COUNT)
		return 0;
	if (t->n < 2)
		return untold(e);
	codec_scale_dim(from, dim[0], cols, dim);
	return put(m, s, t, 1, codecs[from].scale, 2, dim, e);
}

/* Experts that lie one after the other in one tensor: MXFP4, in words of four bytes. */
static int put_stack(struct implied *m, const struct sidecar *s, const struct sidecar_tensor *t,
	struct err *e)
{
	const struct codec_form *f = &codecs[CODEC_MXFP4];
	bool scales = t->dtype == DT_U8;
	uint64_t dim[2];
	uint32_t k;

	if (t->rank != 3 || t->dim[0] != t->n || (!scales && t->dtype != DT_U32) ||
		!mem_mul(t->dim[2], scales ? 1 : sizeof(uint32_t), &dim[1]))
		return untold(e);
	dim[0] = t->dim[1];
	m->experts = CODEC_MXFP4;
	for (k = 0; k < t->n; k++)
		if (put(m, s, t, k, scales ? f->scale : f->code, 2, dim, e))
			return -1;
	return 0;
}

static int put_one(struct implied *m, const struct sidecar *s, const struct sidecar_tensor *t,
	struct err *e)
{
	switch (t->op) {
	case OP_COPY:
		return t->n == 1 ? put(m, s, t, 0, t->dtype, t->rank, t->dim, e) : untold(e);
	case OP_WIDEN:
		return t->n == 1 ? put(m, s, t, 0, DT_F8_E8M0, t->rank, t->dim, e) : untold(e);
	case OP_CAST:
		return put_matrix(m, s, t, CODEC_MXFP4, CODEC_FP8, e);
	case OP_CAST_SCALE:
		return 0;
	case OP_REFORM:
		return t->of == PART_CODES
			? put_matrix(m, s, t, (enum codec)t->from, (enum codec)t->to, e)
			: 0;
	case OP_TILE:
		return put_stack(m, s, t, e);
	default:
		return untold(e);
	}
}

static int put_folder(void *ctx, const struct chain_folder *d, struct err *e)
{
	struct implied *m = ctx;
	struct sidecar s;
	size_t i, k;
	int rc = 0;

	for (i = 0; !rc && i < d->m->files.n; i++) {
		if (!d->m->files.v[i].side)
			continue;
		if (chain_sidecar(&s, d, &d->m->files.v[i], e))
			return err_at(e, "%s" MAN_SIDECAR, d->m->files.v[i].name);
		for (k = 0; !rc && k < s.n; k++)
			if (put_one(m, &s, &s.tensors[k], e))
				rc = err_at(e, "%s: tensor %s", d->m->files.v[i].name,
					text_quote(s.tensors[k].name).s);
		sidecar_free(&s);
	}
	return rc;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

/* In place of the tensors that lie there. */
static int take(struct implied *m, struct err *e)
{
	struct ckpt *c = m->c;
	size_t i;

	if (m->n)
		qsort(m->v, m->n, sizeof *m->v, by_name);
	for (c->bytes = 0, i = 0; i < m->n; i++) {
		if (i && !strcmp(m->v[i - 1].name, m->v[i].name))
			return err_rule(e, RULE_SET_FORM, ERR_NOPOS,
				"two tensors were made of %s, which is there once",
				text_quote(m->v[i].name).s);
		c->bytes += m->v[i].end;
	}
	free(c->tensors);
	c->tensors = m->v;
	c->n = m->n;
	m->v = NULL;
	if (m->experts != CODEC_NONE && codecs[m->experts].expert)
		c->config.experts = codec_of_expert(codecs[m->experts].expert);
	return 0;
}

/* Reads config.json anew, which speaks of the formats that lie there, for the shapes of the model. */
static int take_config(struct ckpt *c, struct err *e)
{
	if (!c->doc.o)
		return err_rule(e, RULE_CONFIG_MISSING, ERR_NOPOS,
			"there is no config.json that could be read");
	config_free(&c->config);
	return config_read_shapes(&c->config, &c->doc, e);
}

/* The findings of the folder, but for those of config.json. */
static int pass_on(struct findings *f, const struct findings *found, struct err *e)
{
	size_t i;

	for (i = 0; i < found->n; i++)
		if (!found->v[i].rule || strncmp(found->v[i].rule, "config.", 7) != 0)
			if (finding_copy(f, &found->v[i]))
				return err_nomem(e);
	return 0;
}

int implied_open(struct ckpt *c, const struct io *io, int dir, uint64_t header_cap,
	struct findings *f, struct err *e)
{
	const struct ckpt_opts co = { .header_cap = header_cap, .as_declared = true };
	struct implied m = { .c = c };
	struct findings found = { 0 };
	const struct chain_walk w = { .io = io, .ctx = &m, .folder = put_folder };
	int rc;

	if (ckpt_open_at(c, io, dir, &co, &found, e)) {
		finding_free(&found);
		return -1;
	}
	rc = pass_on(f, &found, e) || take_config(c, e) || chain_walk(&w, dir, e) || take(&m, e)
		? -1
		: 0;
	free(m.v);
	finding_free(&found);
	if (rc)
		ckpt_close(c);
	return rc;
}
