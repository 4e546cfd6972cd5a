/* family_causes.c -- causes that members of the family have among themselves: one under the config.json of another, shards of
 * two, and what V4.1 has and V4 has not (blocks of 32 x 32, Engram tables, drafts with experts of their own number).
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/family_causes.h"

#include "formats/model/family.h"
#include "formats/model/member.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct tensor *tensor(const struct misfits *m, size_t i)
{
	return &m->c->tensors[i];
}

/* Whether tensor i is there and unfit, and has that role. */
static bool unfit(const struct misfits *m, size_t i, const char *role)
{
	return m->other[i] && m->want[i] && !strcmp(m->want[i]->role->name, role);
}

/* --- two members --- */

/* What is of another member explains everything that does not fit. */
static int mixture(struct misfits *m)
{
	struct batch all = { 0 };
	struct member_view v;
	struct text t = { 0 };
	size_t i;
	int rc = member_look(&v, m->c);

	if (rc || !member_mixed(&v))
		return rc;
	for (i = 0; i < m->c->n; i++)
		if (m->unexpected[i] || m->other[i])
			misfits_claim(m, &all, i);
	for (i = 0; i < m->inv->n; i++)
		misfits_absent(m, i);
	member_put(&t, &v, m->c);
	rc = t.failed ? -1
		      : finding_add(m->f, RULE_MODEL_MIXTURE,
				v.tensors ? "config.json" : m->c->shards[v.odd].name,
				"%s; %zu tensors do not fit for that, first %s", t.s, all.n,
				all.n ? text_quote(all.first).s : "none");
	text_free(&t);
	return rc;
}

/* --- blocks of another size --- */

/* The other size of blocks that the scale of a dense weight has; CODEC_NONE: none that is known, or it has the right one and
 * does not fit for another reason. */
static enum codec blocks_of(const struct misfits *m, const struct tensor *t)
{
	static const enum codec dense[] = { CODEC_FP8, CODEC_FP8_32, CODEC_FP8_ROW };
	char name[ST_NAME_MAX + 8];
	const struct tensor *w;
	uint64_t dim[2];
	size_t k, n = strlen(t->name);

	snprintf(name, sizeof name, "%.*s.weight", (int)(n - strlen(".scale")), t->name);
	w = ckpt_find(m->c, name);
	if (!w || w->rank != 2 || t->rank != 2)
		return CODEC_NONE;
	codec_scale_dim(m->forms.dense, w->dim[0], w->dim[1], dim);
	if (!memcmp(t->dim, dim, sizeof dim))
		return CODEC_NONE;
	for (k = 0; k < sizeof dense / sizeof *dense; k++) {
		codec_scale_dim(dense[k], w->dim[0], w->dim[1], dim);
		if (!memcmp(t->dim, dim, sizeof dim))
			return dense[k];
	}
	return CODEC_NONE;
}

static int blocks(struct misfits *m)
{
	const struct codec_form *is, *said = &codecs[m->forms.dense];
	struct batch b = { 0 };
	enum codec first = CODEC_NONE, k;
	size_t i;

	for (i = 0; i < m->c->n; i++) {
		if (!m->other[i] || !m->want[i]->scale || m->want[i]->role->store != STORE_DENSE)
			continue;
		k = blocks_of(m, tensor(m, i));
		if (k == CODEC_NONE || (first != CODEC_NONE && k != first))
			continue;
		first = k;
		misfits_claim(m, &b, i);
	}
	if (!b.n)
		return 0;
	is = &codecs[first];
	return finding_add(m->f, RULE_MODEL_SCALE_FORM, b.file,
		"%zu dense weights, first %s, have a scale for %u x %u; %s has one for %u x %u, and so does config.json: they are the blocks of another member, or of another tool",
		b.n, text_quote(b.first).s, is->rows, is->cols, m->c->config.family->what,
		said->rows, said->cols);
}

/* --- scales of another type --- */

/* Of a weight that is as the model has it: another type of scales alone is what -Base has, and what tools write. */
static bool other_type(const struct misfits *m, size_t i)
{
	const struct want *w = m->want[i];
	const struct tensor *t = tensor(m, i);

	return m->other[i] && w->scale && w->role->store == STORE_DENSE && t->dtype != w->dtype &&
		(t->dtype == DT_F32 || t->dtype == DT_F8_E8M0) && t->rank == w->rank &&
		!memcmp(t->dim, w->dim, t->rank * sizeof *t->dim);
}

static int scale_types(struct misfits *m)
{
	struct batch b = { 0 };
	const char *is = "", *said = "";
	size_t i, n = 0;

	for (i = 0; i < m->c->n; i++)
		n += other_type(m, i);
	for (i = 0; n > 1 && i < m->c->n; i++)
		if (other_type(m, i)) {
			is = dtypes[tensor(m, i)->dtype].name;
			said = dtypes[m->want[i]->dtype].name;
			misfits_claim(m, &b, i);
		}
	if (!b.n)
		return 0;
	return finding_add(m->f, RULE_MODEL_SCALE_FORM, b.file,
		"%zu scales of dense weights, first %s, are %s, where %s is expected: some shards are of a member with other number formats (-Base has F32), or were written by another tool",
		b.n, text_quote(b.first).s, is, said);
}

/* --- Engram tables --- */

static const char table_role[] = "engram.embed.weight";

/* The layer whose table has so many rows by config.json; -1: none. */
static int layer_of_rows(const struct config *c, uint64_t rows)
{
	uint64_t i;

	for (i = 0; c->layer && i < c->L; i++)
		if (c->layer[i].rows == rows)
			return (int)i;
	return -1;
}

/* Whether the table of a layer that is there has so many rows. */
static bool has_rows(const struct ckpt *c, int layer, uint64_t rows)
{
	char name[64];
	const struct tensor *t;

	snprintf(name, sizeof name, "layers.%d.%s", layer, table_role);
	t = ckpt_find(c, name);
	return t && t->rank == 2 && t->dim[0] == rows;
}

static int put_table(struct misfits *m, size_t i)
{
	const struct tensor *t = tensor(m, i);
	const struct want *w = m->want[i];
	int of = layer_of_rows(&m->c->config, t->dim[0]);
	struct batch b = { 0 };
	char what[160];

	if (of >= 0 && t->dim[1] == w->dim[1])
		snprintf(what, sizeof what, "which is how many that of layer %d has: %s", of,
			has_rows(m->c, of, w->dim[0])
				? "tables stand in each other's place"
				: "a table of that layer stands in its place");
	else if (t->dim[0] < w->dim[0] && t->dim[1] == w->dim[1])
		snprintf(what, sizeof what, "it was cut, or is of another revision");
	else
		snprintf(what, sizeof what,
			"it is of another revision, or was written by another tool");
	misfits_claim(m, &b, i);
	return finding_add(m->f, RULE_MODEL_SHAPE, b.file,
		"%s: Engram table %s has %llu rows of %llu, config.json says %llu of %llu: %s",
		b.file, text_quote(b.first).s, (unsigned long long)t->dim[0],
		(unsigned long long)t->dim[1], (unsigned long long)w->dim[0],
		(unsigned long long)w->dim[1], what);
}

/* Whether tensor i is the codes of a table and has another shape than config.json says; of another type it may be a table that
 * was dequantized or packed, which put_table knows nothing of. */
static bool other_table(const struct misfits *m, size_t i)
{
	const struct tensor *t = tensor(m, i);

	return unfit(m, i, table_role) && !m->want[i]->scale && t->rank == 2 &&
		t->dtype == m->want[i]->dtype;
}

static int tables(struct misfits *m)
{
	size_t i;

	for (i = 0; i < m->c->n; i++)
		if (other_table(m, i) && put_table(m, i))
			return -1;
	return 0;
}

/* --- what routes image tokens --- */

static bool has_bias(const struct misfits *m)
{
	size_t i;

	for (i = 0; i < m->inv->n; i++)
		if (m->inv->wants[i].role->where == IN_BLOCK_VL &&
			ckpt_find(m->c, m->inv->wants[i].name))
			return true;
	return false;
}

/* The tower, its aligner and image_*, all of them, where not all that sees images is missing. */
static int tower(struct misfits *m)
{
	size_t i, n = 0, of = 0;

	for (i = 0; i < m->inv->n; i++)
		if (m->inv->wants[i].role->where == IN_VISION) {
			of++;
			n += m->missing[i];
		}
	if (!n || n < of)
		return 0;
	for (i = 0; i < m->inv->n; i++)
		if (m->inv->wants[i].role->where == IN_VISION)
			misfits_absent(m, i);
	return finding_add(m->f, RULE_MODEL_MISSING, "config.json",
		"config.json: the vision tower, its aligner and image_* are missing, all %zu tensors%s: a shard is of a member that does not see images, or was left out",
		n, has_bias(m) ? ", and routers have bias_vl" : "");
}

static int biases(struct misfits *m)
{
	size_t i, n = 0, of = 0;
	const char *first = NULL;

	for (i = 0; i < m->inv->n; i++) {
		if (m->inv->wants[i].role->where != IN_BLOCK_VL)
			continue;
		of++;
		if (m->missing[i] && !n++)
			first = m->inv->wants[i].name;
		misfits_absent(m, i);
	}
	if (!n)
		return 0;
	return finding_add(m->f, RULE_MODEL_MISSING, "config.json",
		"config.json: %zu of %zu routers have no bias_vl, first %s: image tokens would be routed as text, which they are in no member that sees images",
		n, of, first);
}

/* --- experts of drafts --- */

/* How many experts the routers of stages have; 0: they differ, all fit, or one of a layer does not fit either. */
static uint64_t draft_experts(const struct misfits *m)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < m->c->n; i++) {
		if (!unfit(m, i, "ffn.gate.weight") || tensor(m, i)->rank != 2)
			continue;
		if (m->want[i]->stage < 0 || (n && tensor(m, i)->dim[0] != n))
			return 0;
		n = tensor(m, i)->dim[0];
	}
	return n;
}

/* Whether a stage has an expert with a number of from or above. */
static bool has_stage_expert(const struct misfits *m, uint64_t from)
{
	unsigned long long expert;
	size_t i;

	for (i = 0; i < m->c->n; i++)
		if (sscanf(tensor(m, i)->name, "mtp.%*9u.ffn.experts.%9llu.", &expert) == 1 &&
			expert >= from)
			return true;
	return false;
}

static bool of_stage_experts(const char *name)
{
	return !strncmp(name, "mtp.", 4) &&
		(strstr(name, ".ffn.experts.") || strstr(name, ".ffn.gate."));
}

static int drafts(struct misfits *m)
{
	const struct config *c = &m->c->config;
	uint64_t n = draft_experts(m), said = c->DE ? c->DE : c->E;
	struct batch b = { 0 };
	size_t i;

	/* a router that does not fit for another reason, such as one that was cut, is told as it is */
	if (!n || n == said || has_stage_expert(m, said < n ? said : n) != (said < n))
		return 0;
	for (i = 0; i < m->c->n; i++)
		if ((m->unexpected[i] || m->other[i]) && of_stage_experts(tensor(m, i)->name))
			misfits_claim(m, &b, i);
	for (i = 0; i < m->inv->n; i++)
		if (m->missing[i] && m->inv->wants[i].stage >= 0 && m->inv->wants[i].expert >= 0 &&
			(uint64_t)m->inv->wants[i].expert >= n)
			misfits_absent(m, i);
	return finding_add(m->f, RULE_CONFIG_DRAFTER, "config.json",
		"config.json: the drafts under mtp. have %llu experts by their routers, config.json says %llu%s",
		(unsigned long long)n, (unsigned long long)said,
		c->DE ? " (dspark_n_routed_experts)"
		      : " as the layers have: V4.1's drafts have a number of their own, V4's have not");
}

int family_causes_sight(struct misfits *m)
{
	return tower(m) || biases(m) ? -1 : 0;
}

int family_causes_find(struct misfits *m)
{
	static int (*const causes[])(struct misfits *) = { mixture, blocks, scale_types, tables,
		drafts };
	size_t i;

	for (i = 0; i < sizeof causes / sizeof *causes; i++)
		if (causes[i](m))
			return -1;
	return 0;
}
