/* graft_proof.c -- that the experts of FORM are of the model in DIR, and exact: what config.json says of both, every tensor
 * that both have, every block of every expert.
 *
 * SPDX-License-Identifier: MIT */
#include "quant/graft/graft.h"

#include "core/par.h"
#include "formats/model/family.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 20 }; /* bytes that are compared at once: a good read */

int graft_at(const struct graft *g, struct err *e)
{
	return err_at(e, "--experts-from %s", text_quote(g->path).s);
}

int graft_bad(const struct graft *g, struct err *e, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return err_rule(e, RULE_PLAN_EXPERTS_FROM, ERR_NOPOS, "--experts-from %s: %s",
		text_quote(g->path).s, text);
}

/* --- of one model --- */

/* Whether a field says only of drafts, of which FORM has none. */
static bool of_drafts(const struct config_field *f, const struct config *form)
{
	return !form->stages && (f->only == FIELD_SPARK || f->at == offsetof(struct config, n_mtp));
}

/* What FORM's config.json says of shapes is what DIR's says. */
static int same_shapes(const struct graft *g, struct err *e)
{
	const struct config *a = &g->c->config;
	const struct config_field *f = a->family->fields;
	struct config b;
	uint64_t stages;
	unsigned i;
	bool same;
	int rc;

	if (!g->form.doc.o)
		return graft_bad(g, e, "there is no config.json that says of which model it is");
	if (config_read_shapes(&b, &g->form.doc, e))
		return graft_at(g, e);
	rc = a->family == b.family ? 0 : graft_bad(g, e, "it is of another family of models");
	for (i = 0; !rc && i < a->family->n_fields; i++)
		if (!of_drafts(&f[i], &b) &&
			*(const uint64_t *)(const void *)((const char *)a + f[i].at) !=
				*(const uint64_t *)(const void *)((const char *)&b + f[i].at))
			rc = graft_bad(g, e, "its config.json has another %s: it is another model",
				f[i].key);
	/* either may be without its drafts */
	stages = b.stages ? a->stages : 0;
	same = (!stages || (stages == b.stages && a->spark == b.spark)) && a->L == b.L &&
		!memcmp(a->ratio, b.ratio, (size_t)(a->L + stages) * sizeof *a->ratio);
	if (!rc && !same)
		rc = graft_bad(g, e,
			"its config.json has other compress_ratios: it is another model");
	config_free(&b);
	return rc;
}

int graft_same_model(const struct graft *g, struct err *e)
{
	if (g->form_said.inexact)
		return graft_bad(g, e, "its manifest.json says that blocks were rounded (--lossy)");
	return same_shapes(g, e);
}

/* --- tensor by tensor, and block by block --- */

struct proof {
	struct graft *g;
	pthread_mutex_t lock; /* guards what follows, and the counts of g */
	size_t next;          /* matrix, and behind the last the tensors that both have */
};

/* Holds a tensor that both have to the same bytes. a and b are of CHUNK bytes. */
static int same_tensor(const struct graft *g, const struct tensor *t, uint8_t *a, uint8_t *b,
	bool *both, struct err *e)
{
	const struct tensor *o = ckpt_find(&g->form, t->name);
	uint64_t at, bytes = t->end - t->begin;
	size_t n;

	*both = o && o->dtype == t->dtype && o->rank == t->rank && o->end - o->begin == bytes &&
		(!t->rank || !memcmp(o->dim, t->dim, t->rank * sizeof *t->dim));
	for (at = 0; *both && at < bytes; at += n) {
		n = bytes - at < CHUNK ? (size_t)(bytes - at) : CHUNK;
		if (ckpt_read(g->c, t, at, a, n, e))
			return -1;
		if (ckpt_read(&g->form, o, at, b, n, e))
			return graft_at(g, e);
		if (memcmp(a, b, n) != 0)
			return graft_bad(g, e,
				"tensor %s has other bytes there: it is of another model",
				text_quote(t->name).s);
	}
	return 0;
}

/* Holds a tensor of DIR to its digest, where DIR is a conversion of ours. room is of CHUNK bytes. */
static int hold_tensor(const struct graft *g, const struct tensor *t, uint8_t *room, struct err *e)
{
	uint64_t at, bytes = t->end - t->begin;
	struct xxh *x;
	size_t n;
	int rc = 0;

	if (!g->dir_said.ours)
		return 0;
	x = xxh_new();
	if (!x)
		return err_nomem(e);
	for (at = 0; !rc && at < bytes; at += n) {
		n = bytes - at < CHUNK ? (size_t)(bytes - at) : CHUNK;
		rc = ckpt_read(g->c, t, at, room, n, e);
		if (!rc)
			xxh_update(x, room, n);
	}
	if (!rc)
		rc = tensor_digests_check(&g->dir_said, t, xxh_final(x), e);
	xxh_free(x);
	return rc;
}

/* Reads both tensors of a matrix, to the room of a reader alone, and keeps their digests. */
static int prove_matrix(struct proof *p, size_t i, void *reader, uint8_t *room, struct err *e)
{
	struct graft *g = p->g;
	struct graft_matrix *m = &g->m[i]; /* nobody else has it */
	size_t codes = (size_t)m->rows * m->cols / 2,
	       scales = (size_t)m->rows * m->cols / codecs[CODEC_MXFP4].cols;

	if (g->payload.read(reader, m->tensor[0], 0, room, codes, e) ||
		g->payload.read(reader, m->tensor[1], 0, room + codes, scales, e))
		return -1;
	m->codes = xxh_of(room, codes);
	m->scales = xxh_of(room + codes, scales);
	m->proved = true;
	return 0;
}

static int prove_one(struct proof *p, size_t i, void *reader, uint8_t *room, struct err *e)
{
	struct graft *g = p->g;
	bool both = false;
	int rc;

	if (i < g->n)
		return prove_matrix(p, i, reader, room, e);
	i -= g->n;
	if (g->of[i])
		return 0;
	rc = hold_tensor(g, &g->c->tensors[i], room, e) ||
			same_tensor(g, &g->c->tensors[i], room, room + CHUNK, &both, e)
		? -1
		: 0;
	pthread_mutex_lock(&p->lock);
	g->equal += !rc && both;
	pthread_mutex_unlock(&p->lock);
	return rc;
}

static int prove(struct par *par, unsigned me, struct err *e)
{
	struct proof *p = par_ctx(par);
	void *r = p->g->payload.open(p->g);
	uint8_t *room = malloc(2 * CHUNK + p->g->plain + p->g->scales);
	size_t i;
	int rc = r && room ? 0 : err_nomem(e);

	(void)me;
	while (!rc && !par_stopping(par)) {
		pthread_mutex_lock(&p->lock);
		i = p->next++;
		pthread_mutex_unlock(&p->lock);
		if (i >= p->g->n + p->g->c->n)
			break;
		rc = prove_one(p, i, r, room, e);
	}
	if (r) {
		pthread_mutex_lock(&p->lock);
		p->g->blocks += graft_counts(r).blocks;
		p->g->inexact += graft_counts(r).inexact;
		pthread_mutex_unlock(&p->lock);
		p->g->payload.close(r);
	}
	free(room);
	return rc;
}

int graft_prove(struct graft *g, unsigned threads, struct err *e)
{
	struct proof p = { .g = g, .lock = PTHREAD_MUTEX_INITIALIZER };
	int rc = par_run(threads, prove, &p, e);

	pthread_mutex_destroy(&p.lock);
	if (!rc && !g->equal)
		rc = graft_bad(g, e,
			"it has no tensor besides the experts that says of which model it is");
	if (!rc)
		snprintf(g->said, sizeof g->said,
			"%s, %llu of %llu blocks exact, %llu other tensors equal",
			codecs[g->m[0].lies.form].name,
			(unsigned long long)(g->blocks - g->inexact), (unsigned long long)g->blocks,
			(unsigned long long)g->equal);
	return rc;
}
