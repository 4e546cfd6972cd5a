/* SPDX-License-Identifier: MIT */
#include "convert/follow/arriving.h"

#include "core/file.h"
#include "core/hash/hash_file.h"
#include "core/text.h"
#include "formats/model/checkpoint.h"
#include "formats/model/family.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int arriving_open(struct arriving *a, const struct io *io, const char *path, bool follow_links,
	const char *list, struct err *e)
{
	*a = (struct arriving){ .io = io, .path = path, .dir = -1, .follow_links = follow_links };
	if (file_open_dir(io, path, &a->dir, e))
		return -1;
	if (!list)
		return 0;
	if (sumlist_read(&a->sums, io, list, e)) {
		arriving_close(a);
		return err_at(e, "--source-sha256");
	}
	a->listed = true;
	return 0;
}

void arriving_close(struct arriving *a)
{
	if (a->dir >= 0)
		(void)a->io->close(a->io, a->dir); /* a folder has nothing to flush */
	a->dir = -1;
	sumlist_free(&a->sums);
	config_free(&a->config);
	config_doc_free(&a->doc);
	shardmap_free(&a->map);
	arena_free(&a->arena);
	free(a->v);
	free(a->was);
	arena_free(&a->was_names);
	a->v = a->was = NULL;
}

/* --- config and index --- */

/* Notes what keeps the work from beginning. Returns 0. */
static int wants(struct arriving *a, const char *name, struct err *why)
{
	a->want_false = why->rule == rules[RULE_SOURCE_SHA256].id;
	if (a->want_false)
		snprintf(a->want, sizeof a->want,
			"%s, which has another SHA-256 than the published one", name);
	else if (why->kind)
		snprintf(a->want, sizeof a->want, "%s, which cannot be read yet: %.300s", name,
			why->text);
	else
		snprintf(a->want, sizeof a->want, "%s, which is not there", name);
	*why = (struct err){ 0 };
	return 0;
}

/* Opens a small file. *fd is -1 where it is not there, or its link leads nowhere yet; why says more of that. */
static void open_small(const struct arriving *a, const char *name, int *fd, struct stat *st,
	char actual[LINK_PATH], struct err *why)
{
	const struct link_dir d = { .io = a->io, .dir = a->dir, .follow = a->follow_links };
	const char *hash = NULL;
	bool there = false;

	*fd = -1;
	if (link_open(&d, name, fd, st, &there, actual, &hash, why))
		*fd = -1;
}

/* Holds a small file that is open to the digest that the list has of it, if it has one. */
static int hold_small(const struct arriving *a, const char *name, int fd, const struct stat *st,
	struct err *why)
{
	const struct sum *s = a->listed ? sumlist_find(&a->sums, name) : NULL;
	uint8_t sha[32];

	if (!s)
		return 0;
	if ((uint64_t)st->st_size > CKPT_INDEX_CAP)
		return err_rule(why, RULE_FILE_TOO_BIG, ERR_NOPOS, "it has more than %u bytes",
			CKPT_INDEX_CAP);
	if (hash_file(a->io, fd, (uint64_t)st->st_size, NULL, sha, why))
		return -1;
	return memcmp(sha, s->sha256, sizeof sha)
		? err_rule(why, RULE_SOURCE_SHA256, ERR_NOPOS, "another SHA-256")
		: 0;
}

/* Returns 1 once config.json is read, 0 where it is not there or not whole, -1 where it is of no model that is known. */
static int begin_config(struct arriving *a, struct err *e)
{
	char actual[LINK_PATH];
	struct err why = { 0 };
	struct stat st;
	int fd, rc;

	if (a->config.family)
		return 1;
	open_small(a, "config.json", &fd, &st, actual, &why);
	if (fd < 0)
		return wants(a, "config.json", &why);
	rc = hold_small(a, "config.json", fd, &st, &why);
	(void)a->io->close(a->io, fd); /* read only */
	if (rc)
		return wants(a, "config.json", &why);
	if (config_doc_read(&a->doc, a->io, a->dir, actual, &why)) {
		config_doc_free(&a->doc);
		return wants(a, "config.json", &why);
	}
	if (config_read(&a->config, &a->doc, e))
		return err_at(e, "config.json");
	a->config_st = st;
	return 1;
}

static int begin_index(struct arriving *a)
{
	char actual[LINK_PATH];
	struct err why = { 0 };
	struct stat st;
	int fd, rc = -1;

	if (a->map.n)
		return 1;
	open_small(a, CKPT_INDEX, &fd, &st, actual, &why);
	if (fd < 0)
		return wants(a, CKPT_INDEX, &why);
	if ((uint64_t)st.st_size > CKPT_INDEX_CAP)
		err_rule(&why, RULE_FILE_TOO_BIG, ERR_NOPOS, "it has more than %u bytes",
			CKPT_INDEX_CAP);
	else if (!hold_small(a, CKPT_INDEX, fd, &st, &why))
		rc = shardmap_read(&a->map, a->io, fd, (uint64_t)st.st_size, &a->arena, &why);
	(void)a->io->close(a->io, fd); /* read only */
	a->index_st = st;
	if (!rc && !a->map.n)
		err_set(&why, ERR_DATA, "it names no tensor");
	return a->map.n ? 1 : wants(a, CKPT_INDEX, &why);
}

/* --- the list of shards --- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct coming *)a)->name, ((const struct coming *)b)->name);
}

static int by_shard(const void *a, const void *b)
{
	const struct shardmap_entry *x = a, *y = b;

	return x->shard != y->shard ? (x->shard < y->shard ? -1 : 1) : strcmp(x->tensor, y->tensor);
}

/* Takes the digest of the list, if there is one. */
static int expect(const struct arriving *a, struct coming *c, struct err *e)
{
	const struct sum *s = a->listed ? sumlist_find(&a->sums, c->name) : NULL;

	if (a->listed && !s)
		return err_rule(e, RULE_SOURCE_LIST, ERR_NOPOS, "--source-sha256: %s is not in it",
			c->name);
	c->known = c->known || s;
	if (s)
		memcpy(c->sha256, s->sha256, 32);
	return 0;
}

/* What was found out of a shard by the list before holds for it in this one. */
static void take_over(const struct arriving *a, struct coming *c)
{
	const struct coming *old =
		a->n_was ? bsearch(c, a->was, a->n_was, sizeof *a->was, by_name) : NULL;
	const struct coming its = *c;

	if (!old)
		return;
	*c = *old;
	c->name = its.name;
	c->first = its.first;
	c->n = its.n;
}

static void drop_was(struct arriving *a)
{
	free(a->was);
	arena_free(&a->was_names);
	a->was = NULL;
	a->n_was = 0;
	a->was_names = (struct arena){ 0 };
}

static int list_shards(struct arriving *a, struct err *e)
{
	struct shardmap *m = &a->map;
	size_t i, k;

	qsort(m->v, m->n, sizeof *m->v, by_shard);
	a->v = calloc(m->shards, sizeof *a->v);
	if (!a->v)
		return err_nomem(e);
	for (i = 0, k = 0; i < m->shards; i++, a->n++) {
		a->v[i] = (struct coming){ .name = m->name[i], .first = k };
		while (k < m->n && m->v[k].shard == i)
			k++;
		a->v[i].n = k - a->v[i].first;
		take_over(a, &a->v[i]);
		if (expect(a, &a->v[i], e))
			return -1;
	}
	qsort(a->v, a->n, sizeof *a->v, by_name);
	drop_was(a);
	a->readings++;
	return 0;
}

int arriving_begin(struct arriving *a, struct err *e)
{
	int rc = a->ready ? 0 : begin_config(a, e);

	if (rc > 0)
		rc = begin_index(a);
	if (rc > 0) {
		rc = list_shards(a, e);
		a->ready = !rc;
	}
	return rc;
}

/* Whether the small file is still the one that was read. */
static bool is_as_read(const struct arriving *a, const char *name, const struct stat *read)
{
	char actual[LINK_PATH];
	struct stat st;
	int fd;

	open_small(a, name, &fd, &st, actual, NULL);
	if (fd < 0)
		return false;
	(void)a->io->close(a->io, fd); /* read only */
	return arriving_same(&st, read);
}

void arriving_recheck(struct arriving *a)
{
	if (!a->ready ||
		(is_as_read(a, "config.json", &a->config_st) &&
			is_as_read(a, CKPT_INDEX, &a->index_st)))
		return;
	drop_was(a);
	a->was = a->v;
	a->n_was = a->n;
	a->was_names = a->arena;
	a->v = NULL;
	a->n = 0;
	a->arena = (struct arena){ 0 };
	shardmap_free(&a->map);
	config_free(&a->config);
	config_doc_free(&a->doc);
	a->map = (struct shardmap){ 0 };
	a->config = (struct config){ 0 };
	a->doc = (struct config_doc){ 0 };
	a->ready = false;
}

/* --- */

struct coming *arriving_find(const struct arriving *a, const char *name)
{
	const struct coming key = { .name = name };

	return a->n ? bsearch(&key, a->v, a->n, sizeof *a->v, by_name) : NULL;
}

const char *const arrival_says[] = { [ARRIVAL_ABSENT] = "is not there",
	[ARRIVAL_POINTER] = "is a Git-LFS pointer",
	[ARRIVAL_GROWING] = "is not whole",
	[ARRIVAL_WHOLE] = "is to be digested",
	[ARRIVAL_FALSE] = "has another SHA-256 than the published one",
	[ARRIVAL_VERIFIED] = "is verified" };

size_t arriving_count(const struct arriving *a, enum arrival is)
{
	size_t i, n = 0;

	for (i = 0; i < a->n; i++)
		n += a->v[i].is == is;
	return n;
}

bool arriving_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
		file_same_time(&a->st_mtim, &b->st_mtim) &&
		file_same_time(&a->st_ctim, &b->st_ctim);
}

/* What downloaders put behind the name of a file that is not whole: aria2's control file, the Hugging Face hub, curl
 * --output-dir scripts, wget wrappers, browsers, rclone. */
const char *const arriving_parts[] = { ".aria2", ".incomplete", ".part", ".partial", ".crdownload",
	".download", ".tmp", NULL };

bool arriving_is_part(const char *name)
{
	size_t i;

	for (i = 0; arriving_parts[i]; i++)
		if (text_stem(name, arriving_parts[i]))
			return true;
	return false;
}
