/* SPDX-License-Identifier: MIT */
#include "kernels/forward/need.h"

#include "kernels/forward/forward.h"
#include "kernels/forward/tally.h"

#include <stdlib.h>
#include <string.h>

enum {
	BLOCK_MAX = 256, /* more tokens together make nothing faster */
	BLOCK_MIN = 8,
	SPARE_MAX = 256 << 20,
	PROGRAM =
		8 << 20 /* the program, its libraries and stacks: 4 MB before anything is opened */
};

/* One count: the models on their tally. */
struct walk {
	const struct need *x;
	struct tally tally;
	struct weights w[2];
	struct forward f[2];
	unsigned models;
	uint64_t steps, most_steps; /* bytes of results of a sub-block */
};

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Counts what a trace would keep. */
static int see(void *ctx, const char *name, const void *v, bool whole, uint32_t n, uint32_t cols,
	int64_t token, struct err *e)
{
	struct walk *k = ctx;

	(void)name, (void)v, (void)whole, (void)token, (void)e;
	k->steps += 4 * (uint64_t)n * cols;
	return 0;
}

static int layer(struct walk *k, uint32_t l, struct err *e)
{
	enum forward_sub s;
	unsigned i;

	for (s = SUB_ATTN; s <= SUB_FFN; s++) {
		k->steps = 0;
		for (i = 0; i < k->models; i++) {
			if (!i && k->x->steps)
				k->f[i].tap =
					(struct forward_tap){ .ctx = k, .see = see, .steps = true };
			if (forward_pre(&k->f[i], l, s, e) || forward_run(&k->f[i], l, s, e) ||
				forward_post(&k->f[i], l, s, e))
				return -1;
		}
		k->most_steps = most(k->steps, k->most_steps);
	}
	return 0;
}

/* Layers of one kind take the same memory. */
static unsigned kind_of(const struct config *c, uint32_t l)
{
	return (c->ratio[l] == 0                              ? 0u
			       : c->ratio[l] == RATIO_INDEXED ? 1u
							      : 2u) +
		(l < c->n_hash ? 3u : 0u);
}

static int layers(struct walk *k, struct err *e)
{
	const struct config *c = k->f[0].c;
	bool seen[6] = { false };
	uint32_t l;
	unsigned i;

	for (i = 0; i < k->models; i++)
		if (forward_embed(&k->f[i], e))
			return -1;
	for (l = 0; l < c->L; l++) {
		if (seen[kind_of(c, l)])
			continue;
		seen[kind_of(c, l)] = true;
		if (layer(k, l, e))
			return -1;
	}
	for (i = 0; k->x->mtp && i < k->models; i++)
		if (forward_mtp(&k->f[i], 0, e))
			return -1;
	return k->x->mtp ? layer(k, (uint32_t)c->L, e) : 0;
}

/* Tokens whose logits are held at once. */
static uint32_t rows(const struct need *x)
{
	uint64_t fit = x->logits ? x->spare / x->logits : x->n;

	return (uint32_t)(fit < 1 ? 1 : least(fit, x->n));
}

static int run(struct walk *k, uint32_t block, struct err *e)
{
	const struct need *x = k->x;
	uint32_t *ids = calloc(x->n + 1, sizeof *ids); /* token 0, of every vocabulary */
	unsigned i, n = 0;
	int rc = ids ? 0 : err_nomem(e);

	tally_open(&k->tally, x->models[0]->dev);
	for (i = 0; !rc && i < 2 && x->models[i]; i++) {
		k->w[i] = *x->models[i]; /* borrows all that it owns */
		k->w[i].dev = &k->tally.dev;
		k->w[i].held = 0;
		rc = forward_open(&k->f[i], &k->tally.dev, &k->w[i], ids, x->n, 0, block, e);
		n += !rc;
	}
	k->models = n;
	rc = rc ? rc : layers(k, e);
	for (i = 0; !rc && i < n; i++)
		rc = forward_logits(&k->f[i], -1, 0, rows(x), NULL, e);
	for (i = 0; i < n; i++)
		forward_close(&k->f[i]);
	free(ids);
	return rc;
}

/* What was read when a model was opened, and what a reader of its payload holds. */
static uint64_t tables(const struct weights *w)
{
	const struct ckpt_payload *p = w->c.payload;
	uint64_t bytes = w->c.arena.total + w->c.n * sizeof *w->c.tensors;

	bytes += w->a.inv.arena.total + w->a.inv.n * sizeof *w->a.inv.wants;
	bytes += w->has_audit ? w->c.n * sizeof *w->a.want : 0;
	if (w->is_set)
		bytes += joined_bytes(&w->j);
	return bytes + (w->reader && p->need ? p->need(p->ctx) : 0);
}

/* Sets x->bytes. */
static int total(struct need *x, uint32_t block, struct err *e)
{
	struct walk *k = calloc(1, sizeof *k);
	uint64_t own = 0;
	unsigned i;
	int rc;

	if (!k)
		return err_nomem(e);
	k->x = x;
	rc = run(k, block, e);
	for (i = 0; i < 2 && x->models[i]; i++)
		own += !i || x->models[i] != x->models[0] ? tables(x->models[i]) : 0;
	own += most(rows(x) * x->logits, least(k->most_steps, x->spare));
	x->bytes = PROGRAM + k->tally.peak + k->tally.room + own + x->beside;
	free(k);
	return rc;
}

static uint64_t spare_of(uint64_t limit)
{
	return limit / 8 && limit / 8 < SPARE_MAX ? limit / 8 : SPARE_MAX;
}

/* The least limit that is kept, of which an eighth is spare. */
static int least_limit(struct need *x, uint64_t *limit, struct err *e)
{
	do {
		*limit = x->bytes;
		x->spare = spare_of(*limit);
		if (total(x, BLOCK_MIN, e))
			return -1;
	} while (x->bytes > *limit);
	return 0;
}

int need_find(struct need *x, struct err *e)
{
	uint64_t limit;

	x->spare = spare_of(x->limit);
	for (x->block = BLOCK_MAX; x->block >= BLOCK_MIN; x->block /= 2) {
		if (total(x, x->block, e))
			return -1;
		if (!x->limit || x->bytes <= x->limit)
			return 0;
	}
	if (least_limit(x, &limit, e))
		return -1;
	return err_set(e, ERR_USAGE,
		"%s: --max-memory %llu is too little for %u tokens: at least %llu bytes are needed",
		text_quote(x->models[0]->path).s, (unsigned long long)x->limit, x->n,
		(unsigned long long)limit);
}
