/* SPDX-License-Identifier: MIT */
#include "convert/plan/placement.h"

#include "core/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { CAP = 64 << 20 };

static int bad(struct err *e, const char *block, const char *what)
{
	return err_rule(e, RULE_PLAN_PLACEMENT, ERR_NOPOS, "--placement: %s: %s",
		text_quote(block).s, what);
}

static int by_id(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* One list of ids: numbers in range, none twice; counted in have. */
static int check_rank(const char *block, const json_t *ids, uint64_t experts, uint8_t *have,
	struct err *e)
{
	uint8_t *here = calloc(experts + 1, 1);
	size_t i;
	json_t *v;
	int rc = here ? 0 : err_nomem(e);

	if (!rc && !json_is_array(ids))
		rc = bad(e, block, "not a list of ids for each rank");
	for (i = 0; !rc && i < json_array_size(ids); i++) {
		v = json_array_get(ids, i);
		if (!json_is_integer(v) || json_integer_value(v) < 0 ||
			(uint64_t)json_integer_value(v) >= experts)
			rc = bad(e, block, "an id that is no expert's");
		else if (here[json_integer_value(v)]++)
			rc = bad(e, block, "an expert twice on one rank");
		else
			have[json_integer_value(v)] = 1;
	}
	free(here);
	return rc;
}

/* How many experts the block has. */
static uint64_t experts_of(const struct placement *p, const char *block)
{
	return !strncmp(block, "mtp.", 4) ? p->stage_experts : p->experts;
}

static int check_block(const struct placement *p, const char *block, const json_t *ranks,
	struct err *e)
{
	uint64_t experts = experts_of(p, block);
	uint8_t *have = calloc(experts + 1, 1);
	uint64_t i;
	int rc = have ? 0 : err_nomem(e);

	if (!rc && (!json_is_array(ranks) || json_array_size(ranks) != p->ranks))
		rc = bad(e, block, "not one list for each rank");
	for (i = 0; !rc && i < p->ranks; i++)
		rc = check_rank(block, json_array_get(ranks, i), experts, have, e);
	for (i = 0; !rc && i < experts; i++)
		if (!have[i])
			rc = bad(e, block, "an expert has no place");
	free(have);
	return rc;
}

int placement_read(struct placement *p, const struct io *io, const char *path, uint64_t ranks,
	uint64_t experts, uint64_t stage_experts, struct err *e)
{
	struct text t = { 0 };
	const char *key;
	json_error_t je;
	json_t *v;
	int rc;

	*p = (struct placement){
		.ranks = ranks, .experts = experts, .stage_experts = stage_experts
	};
	if (file_load(io, AT_FDCWD, path, CAP, &t, e))
		return -1;
	p->doc = json_loadb(t.s, t.n, JSON_REJECT_DUPLICATES, &je);
	text_free(&t);
	rc = json_is_object(p->doc) ? 0 : bad(e, path, "not a JSON object");
	json_object_foreach(p->doc, key, v) if (!rc) rc = check_block(p, key, v, e);
	if (rc)
		placement_free(p);
	return rc;
}

void placement_free(struct placement *p)
{
	json_decref(p->doc);
	p->doc = NULL;
}

/* The same number each. */
static long in_order(uint64_t rank, uint64_t ranks, uint64_t experts, uint32_t *ids)
{
	uint64_t own = experts / ranks, i;

	for (i = 0; i < own; i++)
		ids[i] = (uint32_t)(rank * own + i);
	return (long)own;
}

long placement_ids(const struct placement *p, const char *block, uint64_t rank, uint64_t ranks,
	uint64_t experts, uint32_t *ids, struct err *e)
{
	const json_t *lists, *own;
	size_t i, n;

	if (!p)
		return in_order(rank, ranks, experts, ids);
	lists = json_object_get(p->doc, block);
	if (!lists && experts_of(p, block) != p->experts)
		return bad(e, block,
			"a draft has another number of experts than a layer, so that \"*\" is not for it: name the block");
	if (!lists)
		lists = json_object_get(p->doc, "*");
	if (!lists)
		return bad(e, block, "is not in the file, and there is no \"*\"");
	own = json_array_get(lists, rank);
	n = json_array_size(own);
	for (i = 0; i < n; i++)
		ids[i] = (uint32_t)json_integer_value(json_array_get(own, i));
	qsort(ids, n, sizeof *ids, by_id);
	return (long)n;
}
