/* SPDX-License-Identifier: MIT */
#include "convert/run/items.h"

#include <stdlib.h>
#include <string.h>

static int by_stage(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->i != y->i)
		return x->i < y->i ? -1 : 1;
	return (x->folder > y->folder) - (x->folder < y->folder);
}

/* The files of folders from..to, the first of each folder first. */
static size_t list_stage(struct item *v, const struct conversion *c, size_t from, size_t to)
{
	size_t n = 0, k, i;

	for (k = from; k < to; k++)
		for (i = 0; i < c->folders[k].n_files; i++)
			v[n++] = (struct item){ false, (uint32_t)k, (uint32_t)i };
	if (n)
		qsort(v, n, sizeof *v, by_stage);
	return n;
}

static size_t list_files(struct item *v, const struct conversion *c)
{
	size_t n = 0, from, to;

	for (from = 0; from < c->n; from = to) {
		for (to = from + 1; to < c->n &&
			c->folders[to].opts.share.stage == c->folders[from].opts.share.stage;
			to++)
			;
		n += list_stage(v + n, c, from, to);
	}
	return n;
}

/* Puts the shards that a file is made of before it, unless they are there. */
static void put_shards(struct items *it, const struct conversion *c, const struct item *file,
	bool *listed)
{
	const struct plan *p = &c->folders[file->folder];
	const struct plan_file *f = &p->files[file->i];
	uint32_t s, shard;
	size_t k;

	for (k = 0; k < f->n; k++) {
		for (s = 0; s < step_sources(&f->steps[k]); s++) {
			shard = p->ckpt->tensors[step_source(&f->steps[k], s)].shard;
			if (!listed[shard] && !p->ckpt->shards[shard].gone)
				it->v[it->n++] = (struct item){ true, 0, shard };
			listed[shard] = true;
		}
	}
}

int items_list(struct items *it, const struct conversion *c, bool shards,
	const struct run_units *units, struct err *e)
{
	size_t n_shards = shards ? c->folders[0].ckpt->n_shards : 0, i, n;
	struct item *files = malloc((c->files + 1) * sizeof *files);
	bool *listed = calloc(n_shards + 1, sizeof *listed);

	*it = (struct items){ .v = malloc((c->files + n_shards + 1) * sizeof *it->v) };
	pthread_mutex_init(&it->lock, NULL);
	if (!files || !listed || !it->v) {
		free(files);
		free(listed);
		return err_nomem(e);
	}
	n = list_files(files, c);
	for (i = 0; i < n; i++) {
		if (units && !units->mine(units->ctx, files[i].folder, files[i].i))
			continue;
		if (shards)
			put_shards(it, c, &files[i], listed);
		it->v[it->n++] = files[i];
	}
	for (i = 0; !units && i < n_shards; i++)
		if (!listed[i])
			it->v[it->n++] = (struct item){ true, 0, (uint32_t)i };
	free(files);
	free(listed);
	return 0;
}

void items_files(struct item *v, const struct conversion *c)
{
	(void)list_files(v, c);
}

int items_of(struct items *it, const struct conversion *c, const struct item *files, size_t n,
	struct err *e)
{
	const struct ckpt *k = c->folders[0].ckpt;
	bool *listed = calloc(k->n_shards + 1, sizeof *listed);
	size_t i;

	*it = (struct items){ .v = malloc((n + k->n_shards + 1) * sizeof *it->v) };
	pthread_mutex_init(&it->lock, NULL);
	if (!listed || !it->v) {
		free(listed);
		return err_nomem(e);
	}
	for (i = 0; i < n; i++) {
		put_shards(it, c, &files[i], listed);
		it->v[it->n++] = files[i];
	}
	for (i = 0; i < k->n_shards; i++)
		if (!listed[i] && !k->shards[i].gone)
			it->v[it->n++] = (struct item){ true, 0, (uint32_t)i };
	free(listed);
	return 0;
}

const struct item *items_take(struct items *it)
{
	const struct item *v;

	pthread_mutex_lock(&it->lock);
	v = it->next < it->n ? &it->v[it->next++] : NULL;
	pthread_mutex_unlock(&it->lock);
	return v;
}

bool items_left(struct items *it)
{
	bool left;

	pthread_mutex_lock(&it->lock);
	left = it->next < it->n;
	pthread_mutex_unlock(&it->lock);
	return left;
}

void items_free(struct items *it)
{
	free(it->v);
	pthread_mutex_destroy(&it->lock);
	memset(it, 0, sizeof *it);
}
