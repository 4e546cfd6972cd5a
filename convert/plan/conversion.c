/* SPDX-License-Identifier: MIT */
#include "convert/plan/conversion.h"

#include "convert/plan/planner.h"
#include "convert/plan/target.h"
#include "core/hash/sha256.h"
#include "core/hash/xxh.h"
#include "formats/conversion/joined.h"
#include "formats/format_id.h"
#include "formats/model/sglang_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the folders --- */

static void name_rank(struct plan *p)
{
	const struct share *h = &p->opts.share;
	int n = 0;

	if (h->stages > 1)
		n = snprintf(p->dir, sizeof p->dir, "pp-%llu-of-%llu/",
			(unsigned long long)h->stage, (unsigned long long)h->stages);
	snprintf(p->dir + n, sizeof p->dir - (size_t)n, "rank-%llu-of-%llu",
		(unsigned long long)h->rank, (unsigned long long)h->ranks);
}

static int add(struct conversion *c, const struct audit *a, const struct plan_opts *o,
	struct err *e)
{
	if (mem_grow(&c->folders, &c->cap, c->n + 1, sizeof *c->folders))
		return err_nomem(e);
	if (plan_make(&c->folders[c->n], a, o, e))
		return -1;
	c->n++;
	return 0;
}

/* Headers and small files of the source, for the way back. */
static int add_source(struct conversion *c, const struct audit *a, struct err *e)
{
	struct plan_opts o = c->opts;

	o.target = source_target.name;
	o.back = c->is_set && o.back; /* a set's sources always had it in their hash */
	if (add(c, a, &o, e))
		return -1;
	snprintf(c->folders[c->n - 1].dir, sizeof c->folders->dir, "%s", SET_SOURCE);
	return 0;
}

static int add_ranks(struct conversion *c, const struct audit *a, struct err *e)
{
	struct plan_opts o = c->opts;

	for (o.share.stage = 0; o.share.stage < o.share.stages; o.share.stage++) {
		for (o.share.rank = 0; o.share.rank < o.share.ranks; o.share.rank++) {
			if (add(c, a, &o, e))
				return -1;
			name_rank(&c->folders[c->n - 1]);
		}
	}
	return 0;
}

static int add_folders(struct conversion *c, const struct audit *a, struct err *e)
{
	if ((c->is_set || c->opts.back) && add_source(c, a, e))
		return -1;
	return c->is_set ? add_ranks(c, a, e) : add(c, a, &c->opts, e);
}

/* --- sums --- */

enum fate conversion_fate(const struct conversion *c, size_t i)
{
	size_t f;

	for (f = 0; f < c->n; f++)
		if (c->folders[f].fate[i] != FATE_ELSEWHERE)
			return (enum fate)c->folders[f].fate[i];
	return FATE_NONE;
}

static void sum_up(struct conversion *c)
{
	const struct ckpt *k = c->folders[0].ckpt;
	enum fate fate;
	size_t i, f;

	for (i = 0; i < k->n; i++) {
		fate = conversion_fate(c, i);
		c->fate_n[fate]++;
		c->fate_bytes[fate] += k->tensors[i].end - k->tensors[i].begin;
	}
	for (f = 0; f < c->n; f++) {
		c->bytes += c->folders[f].bytes;
		c->files += c->folders[f].n_files;
	}
	c->experts = c->folders[c->n - 1].experts;
}

static int hash_set(struct conversion *c, struct err *e)
{
	struct text t = { 0 };
	uint8_t digest[32];
	size_t k;
	int rc;

	text_str(&t, FORMAT_SET_HASH "\n");
	for (k = 0; k < c->n; k++)
		text_fmt(&t, "%s %s\n", c->folders[k].dir, c->folders[k].hash);
	rc = t.failed ? err_nomem(e) : sha256_of(t.s, t.n, digest, e);
	text_free(&t);
	if (!rc)
		hex_of(digest, sizeof digest, c->hash);
	return rc;
}

/* --- */

/* Targets of one folder from which there is a way back: a GGUF with matrices that were rounded is none. */
static bool keeps_source(const struct plan_opts *o)
{
	const struct recipe *r = recipe_find(o->target);

	if (o->record && o->record->bits < 8)
		return false; /* tables are rounded */
	if (!strcmp(o->target, "hf") || rank_target(o->target))
		return true;
	return r && !o->mix && !r->rounds &&
		(r->container == CONTAINER_SHARDS || o->dense != GGUF_DENSE_Q8_0);
}

int conversion_make(struct conversion *c, const struct audit *a, const struct plan_opts *o,
	struct err *e)
{
	memset(c, 0, sizeof *c);
	c->opts = *o;
	c->is_set = engine_find(o->target);
	c->opts.back = o->back && (c->is_set || keeps_source(o));
	if (add_folders(c, a, e) || (c->is_set && hash_set(c, e))) {
		conversion_free(c);
		return -1;
	}
	if (!c->is_set)
		memcpy(c->hash, conversion_main(c)->hash, sizeof c->hash);
	sum_up(c);
	return 0;
}

void conversion_free(struct conversion *c)
{
	size_t k;

	for (k = 0; k < c->n; k++)
		plan_free(&c->folders[k]);
	free(c->folders);
	memset(c, 0, sizeof *c);
}
