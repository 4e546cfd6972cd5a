/* SPDX-License-Identifier: MIT */
#include "kernels/forward/importance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPERTS "ffn.experts."

void importance_begin(struct importance *m, const struct config *c)
{
	memset(m, 0, sizeof *m);
	m->c = c;
}

void importance_end(struct importance *m)
{
	unsigned i;

	for (i = 0; i < m->n; i++) {
		free(m->v[i].sum);
		free(m->v[i].count);
	}
	m->n = 0;
}

/* The matrix of that name, which is made if need be. Returns NULL, with the error in e, where that cannot be. */
static struct importance_matrix *matrix(struct importance *m, const char *name, uint32_t cols,
	uint32_t mats, struct err *e)
{
	struct importance_matrix *x;
	unsigned i;

	for (i = 0; i < m->n; i++)
		if (!strcmp(m->v[i].name, name))
			return &m->v[i];
	if (m->n == IMPORTANCE_MATRICES || strlen(name) >= IMPORTANCE_NAME) {
		err_set(e, ERR_SYSTEM, "more matrices than a layer has");
		return NULL;
	}
	x = &m->v[m->n];
	*x = (struct importance_matrix){ .cols = cols, .mats = mats };
	snprintf(x->name, sizeof x->name, "%s", name);
	x->sum = calloc((size_t)cols * mats, sizeof *x->sum);
	x->count = calloc(mats, sizeof *x->count);
	m->n++;
	if (x->sum && x->count)
		return x;
	err_nomem(e);
	return NULL;
}

int importance_take(void *ctx, const char *name, const float *x, uint64_t ld, uint32_t n,
	uint32_t cols, struct err *e)
{
	struct importance *m = ctx;
	struct importance_matrix *to;
	char key[IMPORTANCE_NAME] = EXPERTS;
	uint32_t mats = 1, id = 0, t, i;
	double *sum;
	char *end;

	if (!strncmp(name, EXPERTS,
		    strlen(EXPERTS))) { /* one of the pass itself: a number, a dot */
		id = (uint32_t)strtoul(name + strlen(EXPERTS), &end, 10);
		snprintf(key, sizeof key, EXPERTS "%s", end + 1);
		mats = (uint32_t)m->c->E;
		name = key;
	}
	to = matrix(m, name, cols, mats, e);
	if (!to)
		return -1;
	sum = to->sum + (uint64_t)id * cols;
	for (t = 0; t < n; t++, x += ld)
		for (i = 0; i < cols; i++)
			sum[i] += (double)x[i] * (double)x[i];
	to->count[id] += n;
	return 0;
}

uint64_t importance_bytes(const struct config *c)
{
	uint64_t experts = c->E * (2 * c->D + c->I + 3), heads = c->H * c->hd;

	/* ten matrices at most take the layer's input or what the queries are made of; wo_a, wo_b, the shared expert's w2 */
	return 8 * (experts + 10 * (c->D + c->QL) + heads + c->G * c->R + c->I * c->S + 64);
}
