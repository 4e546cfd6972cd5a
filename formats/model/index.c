/* SPDX-License-Identifier: MIT */
#include "formats/model/index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How index and headers disagree, with the first of each kind. */
enum { GHOST, EXTRA, NOT_IN_SHARD, NOT_IN_INDEX, WRONG_SHARD, WAYS };

struct counted {
	size_t n;
	const char *file, *tensor;
};

struct counts {
	struct counted way[WAYS];
	size_t agreed;
};

static void count(struct counted *k, const char *file, const char *tensor)
{
	if (k->n++)
		return;
	k->file = file;
	k->tensor = tensor;
}

/* Walks index and tensors, both sorted by name, side by side. */
static void walk(const struct index *x, struct counts *k)
{
	const struct shard *said, *is;
	size_t i = 0, t = 0;
	int d;

	while (i < x->map->n || t < x->n) {
		d = i == x->map->n  ? 1
			: t == x->n ? -1
				    : strcmp(x->map->v[i].tensor, x->tensors[t].name);
		said = d <= 0 ? &x->shards[x->map->v[i].shard] : NULL;
		is = d >= 0 ? &x->shards[x->tensors[t].shard] : NULL;
		if (d < 0 && said->fd >= 0)
			count(&k->way[NOT_IN_SHARD], said->name, x->map->v[i].tensor);
		if (d > 0)
			count(&k->way[NOT_IN_INDEX], is->name, x->tensors[t].name);
		if (d == 0 && said != is)
			count(&k->way[WRONG_SHARD], is->name, x->tensors[t].name);
		k->agreed += d == 0 && said == is;
		i += d <= 0;
		t += d >= 0;
	}
}

static void compare(const struct index *x, struct counts *k)
{
	bool named[SHARDS_MAX] = { false };
	size_t i;

	memset(k, 0, sizeof *k);
	for (i = 0; i < x->map->n; i++)
		named[x->map->v[i].shard] = true;
	for (i = 0; i < x->n_shards; i++) {
		if (!x->there[i])
			count(&k->way[GHOST], x->shards[i].name, NULL);
		else if (!named[i])
			count(&k->way[EXTRA], x->shards[i].name, NULL);
	}
	walk(x, k);
}

/* Notes shard "NAME-00003-of-00046.", of as many as *of (0: not said yet); false: it is none of those, or there twice. */
static bool numbered(const char *name, const char *first, unsigned *of, bool seen[SHARDS_MAX + 1])
{
	const char *dash = strchr(name, '-');
	unsigned me, n;

	if (!dash || sscanf(dash, "-%5u-of-%5u.", &me, &n) != 2 || me < 1 || me > n ||
		n > SHARDS_MAX || (*of && n != *of) || seen[me] ||
		strncmp(name, first, (size_t)(dash - name) + 1) != 0)
		return false;
	*of = n;
	seen[me] = true;
	return true;
}

/* Shards that could all be read, have no tensor twice, and are the numbers of one model, each of them once. */
static bool whole(const struct index *x)
{
	bool seen[SHARDS_MAX + 1] = { false };
	const char *first = NULL;
	unsigned of = 0, all = 0;
	size_t i;

	for (i = 0; i < x->n_shards; i++) {
		if (!x->there[i])
			continue;
		first = first ? first : x->shards[i].name;
		if (x->shards[i].fd < 0 || !numbered(x->shards[i].name, first, &of, seen))
			return false;
		all++;
	}
	for (i = 1; i < x->n; i++)
		if (!strcmp(x->tensors[i - 1].name, x->tensors[i].name))
			return false;
	return all && all == of;
}

static int put_shards(const struct index *x)
{
	bool named[SHARDS_MAX] = { false };
	size_t i;

	for (i = 0; i < x->map->n; i++)
		named[x->map->v[i].shard] = true;
	for (i = 0; i < x->n_shards; i++) {
		const char *name = x->shards[i].name;

		if (!x->there[i] &&
			finding_add(x->f, RULE_INDEX_SHARD_MISSING, name,
				"%s: is in the index but not there", text_quote(name).s))
			return -1;
		if (x->there[i] && !named[i] &&
			finding_add(x->f, RULE_INDEX_EXTRA_SHARD, name, "%s: is not in the index",
				text_quote(name).s))
			return -1;
	}
	return 0;
}

static int put_tensors(const struct index *x, const struct counts *k)
{
	static const struct {
		enum rule_id rule;
		const char *one, *more;
	} ways[WAYS] = {
		[NOT_IN_SHARD] = { RULE_INDEX_NOT_IN_SHARD,
			" is in the index but not in this shard",
			" are in the index but not in the shards that it names" },
		[NOT_IN_INDEX] = { RULE_INDEX_NOT_IN_INDEX,
			" is in this shard but not in the index",
			" are in shards but not in the index" },
		[WRONG_SHARD] = { RULE_INDEX_WRONG_SHARD, " is here, the index says another shard",
			" are elsewhere than the index says" },
	};
	const struct counted *w;
	bool done[WAYS] = { false };
	char rest[48];
	int i, next;

	for (;;) { /* in the order of the first tensor of each kind */
		for (i = NOT_IN_SHARD, next = WAYS; i < WAYS; i++)
			if (k->way[i].n && !done[i] &&
				(next == WAYS || strcmp(k->way[i].tensor, k->way[next].tensor) < 0))
				next = i;
		if (next == WAYS)
			return 0;
		done[next] = true;
		w = &k->way[next];
		snprintf(rest, sizeof rest, " and %zu more", w->n - 1);
		if (finding_add(x->f, ways[next].rule, w->file, "%s: tensor %s%s%s",
			    text_quote(w->file).s, text_quote(w->tensor).s, w->n > 1 ? rest : "",
			    w->n > 1 ? ways[next].more : ways[next].one))
			return -1;
	}
}

static int put_stale(const struct index *x, const struct counts *k)
{
	const struct counted *w = k->way[GHOST].n ? &k->way[GHOST]
		: k->way[NOT_IN_SHARD].n          ? &k->way[NOT_IN_SHARD]
		: k->way[NOT_IN_INDEX].n          ? &k->way[NOT_IN_INDEX]
						  : &k->way[WRONG_SHARD];

	return finding_add(x->f, RULE_INDEX_STALE, CKPT_INDEX,
		"%s is of other files: it agrees with the shards about %zu of %zu tensors (first difference: "
		"%s%s%s), and the shards by themselves are whole",
		CKPT_INDEX, k->agreed, x->n, text_quote(w->file).s, w->tensor ? ", " : "",
		w->tensor ? text_quote(w->tensor).s : "");
}

int index_judge(const struct index *x, bool *stale)
{
	struct counts k;
	size_t most = x->map->n > x->n ? x->map->n : x->n;

	compare(x, &k);
	*stale = 2 * k.agreed < most && whole(x);
	return *stale ? put_stale(x, &k) : put_shards(x);
}

int index_tensors(const struct index *x)
{
	struct counts k;

	compare(x, &k);
	return put_tensors(x, &k);
}

int index_put(const struct index *x, struct text *out, struct err *e)
{
	struct shardmap_place *v = malloc((x->n + 1) * sizeof *v);
	uint64_t bytes = 0;
	size_t i;

	if (!v)
		return err_nomem(e);
	for (i = 0; i < x->n; i++) {
		v[i] = (struct shardmap_place){ x->tensors[i].name,
			x->shards[x->tensors[i].shard].name };
		bytes += x->tensors[i].end - x->tensors[i].begin;
	}
	shardmap_put(out, v, x->n, bytes);
	free(v);
	return out->failed ? err_nomem(e) : 0;
}
