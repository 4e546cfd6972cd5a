/* SPDX-License-Identifier: MIT */
#include "verify/compare/source_digests.h"

#include "formats/model/tensor_xxh.h"

#include <stdlib.h>
#include <string.h>

/* Ops whose output can be the same for sources that are not. A new one is among them until it is looked at. */
static const bool tells_all[OP_COUNT] = {
	[OP_COPY] = true,
	[OP_ROWS] = true,
	[OP_COLS] = true,
	[OP_TILE] = true,
	[OP_WIDEN] = true,
	[OP_JOIN] = true,
	[OP_JOIN_F32] = true,
	[OP_RECORD] = true,
	[OP_HALVES] = true,
	[OP_FIRSTS] = true,
};

/* Whether t is the same for no two sources. Records of a table are, but where their values were rounded. */
static bool tells(const struct sidecar_tensor *t)
{
	return tells_all[t->op] && !(t->op == OP_RECORD && t->blocks);
}

int source_digests_add(struct source_digests *d, const struct ckpt *c, const struct sidecar *s,
	struct err *e)
{
	const struct sidecar_tensor *t;
	const struct sidecar_source *x;
	const struct tensor *of;
	struct source_digest *to;
	uint32_t k;

	if (!d->v) {
		d->v = calloc(c->n + 1, sizeof *d->v);
		d->n = c->n;
	}
	if (!d->v)
		return err_nomem(e);
	for (t = s->tensors; t < s->tensors + s->n; t++)
		for (k = 0; k < t->n; k++) {
			x = &s->sources[t->first + k];
			of = ckpt_find(c, x->tensor);
			if (!of)
				continue;
			to = &d->v[of - c->tensors];
			to->wanted = to->wanted || !tells(t);
			if (!x->has_xxh || x->part)
				continue;
			to->twice = to->twice ||
				(to->known && memcmp(&to->xxh, &x->xxh, sizeof x->xxh) != 0);
			to->xxh = x->xxh;
			to->known = true;
		}
	return 0;
}

/* Which tensors are held to what is known of them. */
static void choose(const struct source_digests *d, bool *want)
{
	size_t i;

	for (i = 0; i < d->n; i++)
		want[i] = d->v[i].known && d->v[i].wanted;
}

static void tell(const struct source_digests *d, const struct ckpt *c, const bool *want,
	const struct xxh_digest *is, uint64_t *elsewhere, struct report *r)
{
	struct report_place at = { .file = NULL };
	const struct tensor *t;
	size_t i;

	for (i = 0; i < d->n; i++) {
		if (!want[i])
			continue;
		t = &c->tensors[i];
		report_count(r, "source", "tensors held to the digests of the sidecars", 1,
			t->end - t->begin);
		if (!d->v[i].twice && !memcmp(&is[i], &d->v[i].xxh, sizeof *is))
			continue;
		if (elsewhere && strstr(t->name, ".ffn.experts.")) {
			++*elsewhere;
			continue;
		}
		at.tensors = &t->name;
		at.n_tensors = 1;
		report_add(r, RULE_COMPARE_OTHER_SOURCE, &at,
			"source tensor %s, in %s, has another digest than the sidecars have of it: the output is the same, and it was not made of this",
			text_quote(t->name).s, c->shards[t->shard].name);
	}
}

int source_digests_hold(const struct source_digests *d, const struct ckpt *c, unsigned threads,
	uint64_t *elsewhere, struct report *r, struct err *e)
{
	struct xxh_digest *is = calloc(d->n + 1, sizeof *is);
	bool *want = calloc(d->n + 1, sizeof *want);
	int rc = -1;

	if (!is || !want) {
		err_nomem(e);
		goto out;
	}
	choose(d, want);
	if (d->n && tensor_xxh(c, want, is, threads, NULL, NULL, e))
		goto out;
	tell(d, c, want, is, elsewhere, r);
	rc = 0;
out:
	free(is);
	free(want);
	return rc;
}

void source_digests_free(struct source_digests *d)
{
	free(d->v);
	memset(d, 0, sizeof *d);
}
