/* SPDX-License-Identifier: MIT */
#include "verify/run/contents.h"

#include "kernels/dev.h"

#include <stdio.h>
#include <string.h>

struct each {
	const struct contents *k;
	int (*call)(void *ctx, const struct content *x, struct err *e);
	void *ctx;
	struct err *e;
};

static int put(const struct each *t, enum contents_level level, const char *name, enum dtype dtype,
	uint64_t a, uint64_t b, uint64_t c)
{
	struct content x = { .level = level,
		.dtype = dtype == DT_BF16 && t->k->fp32 ? DT_F32 : dtype,
		.dim = { a, b, c },
		.rank = (uint8_t)(c ? 3
				: b ? 2
				    : 1) };

	snprintf(x.name, sizeof x.name, "%s", name);
	x.mtp = !strncmp(name, "mtp.", 4);
	return t->call(t->ctx, &x, t->e);
}

static int put_layer(const struct each *t, uint32_t layer)
{
	static const char *const sub[] = { "attn.in", "attn.out", "ffn.in", "ffn.out" };
	const struct config *c = t->k->c;
	uint64_t n = t->k->tokens;
	char name[64];
	unsigned i;

	snprintf(name, sizeof name, "layers.%u.out", layer);
	if (put(t, CONTENTS_LAYERS, name, DT_BF16, n, DEV_HC, c->D))
		return -1;
	for (i = 0; i < 4; i++) {
		snprintf(name, sizeof name, "layers.%u.%s", layer, sub[i]);
		if (put(t, CONTENTS_ALL, name, DT_BF16, n, c->D, 0))
			return -1;
	}
	snprintf(name, sizeof name, "layers.%u.gate.experts", layer);
	if (put(t, CONTENTS_ALL, name, DT_I64, n, c->K, 0))
		return -1;
	snprintf(name, sizeof name, "layers.%u.gate.weights", layer);
	if (put(t, CONTENTS_ALL, name, DT_F32, n, c->K, 0))
		return -1;
	snprintf(name, sizeof name, "layers.%u.indexer.picked", layer);
	return c->ratio[layer] == RATIO_INDEXED
		? put(t, CONTENTS_ALL, name, DT_I64, n, t->k->topk, 0)
		: 0;
}

int contents_each(const struct contents *k,
	int (*each)(void *ctx, const struct content *x, struct err *e), void *ctx, struct err *e)
{
	const struct each t = { k, each, ctx, e };
	const struct config *c = k->c;
	uint32_t l;

	if (put(&t, CONTENTS_LOGITS, "ids", DT_I64, k->tokens, 0, 0) ||
		put(&t, CONTENTS_LOGITS, "logits", DT_F32, k->tokens, c->V, 0) ||
		put(&t, CONTENTS_LAYERS, "layers.0.in", DT_BF16, k->tokens, DEV_HC, c->D))
		return -1;
	if (((!c->spark && c->stages) || k->no_drafts) &&
		put(&t, CONTENTS_ALL, "mtp.0.logits_last", DT_F32, c->V, 0, 0))
		return -1;
	for (l = 0; l < c->L; l++)
		if (put_layer(&t, l))
			return -1;
	return 0;
}

/* --- a record held to it --- */

struct held {
	const struct record *r;
	const struct contents *k;
	uint64_t found;            /* tensors of the record that are in the list */
	uint64_t have[3], lack[3]; /* by level */
	char first[3][64];         /* the first that is lacking */
};

static bool fits(const struct content *x, const struct tensor *t)
{
	bool whole = x->dtype == DT_I64;
	unsigned i;

	if (whole ? t->dtype != DT_I64 && t->dtype != DT_I32
		  : t->dtype != DT_BF16 && t->dtype != DT_F32)
		return false;
	if (t->rank != x->rank)
		return false;
	for (i = 0; i < x->rank; i++)
		if (t->dim[i] != x->dim[i] &&
			!(i == 1 && strstr(x->name, ".indexer.picked") && t->dim[i] &&
				t->dim[i] < x->dim[i]))
			return false;
	return true;
}

static int hold(void *ctx, const struct content *x, struct err *e)
{
	struct held *h = ctx;
	const struct tensor *t = record_find(h->r, x->name);

	if (!t) {
		if (x->mtp && (!h->r->ours || h->k->no_drafts))
			return 0;
		if (!h->lack[x->level]++)
			snprintf(h->first[x->level], sizeof h->first[0], "%s", x->name);
		return 0;
	}
	h->found++;
	h->have[x->level]++;
	return fits(x, t) ? 0
			  : err_rule(e, RULE_RECORD_FORM, ERR_NOPOS,
				    "tensor %s of the record has not the type and shape that this "
				    "model and these tokens have",
				    x->name);
}

struct search {
	const char *name;
	bool found;
};

static int seek(void *ctx, const struct content *x, struct err *e)
{
	struct search *s = ctx;

	(void)e;
	s->found = s->found || !strcmp(s->name, x->name);
	return 0;
}

/* Names the first tensor that is in no list. */
static int unknown(const struct contents *k, const struct record *r, struct err *e)
{
	size_t i;

	for (i = 0; i < r->h.n; i++) {
		struct search s = { .name = r->h.tensors[i].name };

		if (contents_each(k, seek, &s, e))
			return -1;
		if (!s.found)
			return err_rule(e, RULE_RECORD_FORM, ERR_NOPOS,
				"tensor %s of the record is none that a record of this model has, "
				"and would not be compared",
				text_quote(s.name).s);
	}
	return 0;
}

static int lacking(const char *name, struct err *e)
{
	return err_rule(e, RULE_RECORD_FORM, ERR_NOPOS, "the record has no %s: it is not whole",
		name);
}

int contents_check(const struct contents *k, const struct record *r, enum contents_level *level,
	struct err *e)
{
	struct held h = { .r = r, .k = k };
	int l;

	if (contents_each(k, hold, &h, e))
		return -1;
	if (h.found != r->h.n)
		return unknown(k, r, e);
	*level = CONTENTS_LOGITS;
	for (l = CONTENTS_LOGITS; l <= CONTENTS_ALL; l++) {
		if (h.lack[l] && (l == CONTENTS_LOGITS || h.have[l]))
			return lacking(h.first[l], e);
		if (h.have[l] && l > (int)*level + 1)
			return lacking(h.first[l - 1], e);
		*level = h.have[l] ? (enum contents_level)l : *level;
	}
	for (l = 0; r->ours && l < (int)r->layers; l++)
		if (!r->has_out[l])
			return err_rule(e, RULE_RECORD_FORM, ERR_NOPOS,
				"the record has no digest of layers.%d.out, which this program "
				"writes",
				l);
	return 0;
}
