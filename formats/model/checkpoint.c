/* SPDX-License-Identifier: MIT */
#include "formats/model/checkpoint.h"

#include "formats/model/spelling.h"

#include "formats/model/family.h"
#include "core/file.h"
#include "formats/blob.h"
#include "formats/st/shardmap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct opener {
	struct ckpt *c;
	const struct ckpt_opts *opts;
	struct findings *f;
	struct shardmap map;
	bool listed[SHARDS_MAX],
		there[SHARDS_MAX]; /* files in the folder: as in map, as in c->shards */
	size_t tensors_cap;
	struct err *e;
};

static int find(struct opener *o, enum rule_id rule, const char *file, const char *what,
	const char *name)
{
	if (finding_add(o->f, rule, file, "%s: %s%s%s", text_quote(file).s, name ? "tensor " : "",
		    name ? text_quote(name).s : "", what))
		return err_nomem(o->e);
	return 0;
}

/* --- payloads --- */

bool ckpt_payload_has_all(void *ctx, uint32_t i)
{
	(void)ctx, (void)i;
	return true;
}

const char *ckpt_payload_misses_none(void *ctx)
{
	(void)ctx;
	return NULL;
}

int ckpt_payload_knows_none(void *ctx, uint32_t i, const struct xxh_digest *d, struct err *e)
{
	(void)ctx, (void)i, (void)d, (void)e;
	return 0;
}

/* --- files --- */

struct link_dir ckpt_links(const struct ckpt *c)
{
	return (struct link_dir){ .io = c->io, .dir = c->dir, .follow = c->follow_links };
}

static int open_file(const struct ckpt *c, const char *name, int *fd, struct stat *st, bool *there,
	char actual[CKPT_PATH], const char **hash, struct err *e)
{
	const struct link_dir d = ckpt_links(c);

	return link_open(&d, name, fd, st, there, actual, hash, e);
}

int ckpt_file(const struct ckpt *c, const char *name, char actual[CKPT_PATH], struct stat *st,
	bool *there, struct err *e)
{
	const struct link_dir d = ckpt_links(c);

	return link_look(&d, name, actual, st, there, e);
}

int ckpt_blob_check(const struct ckpt *c, const char *name, bool *has, struct stat *st,
	struct err *e)
{
	char actual[CKPT_PATH], text[CKPT_PATH];
	const char *hash = NULL;
	bool there;
	ssize_t n = c->io->readlink(c->io, c->dir, name, text, sizeof text - 1);
	int fd, rc;

	*has = false;
	if (n < 0)
		return errno == EINVAL || errno == ENOENT
			? 0
			: err_sys(e, "cannot look at %s", text_quote(name).s);
	text[n] = 0;
	*has = blob_of(text, 0);
	if (!*has)
		return 0;
	if (open_file(c, name, &fd, st, &there, actual, &hash, e))
		return -1;
	rc = hash ? blob_check(c->io, fd, (uint64_t)st->st_size, hash, name, e) : 0;
	(void)c->io->close(c->io, fd); /* read only */
	return rc;
}

/* --- reading --- */

/* Makes a finding of what o->e says about file; -1 where going on makes no sense. */
static int take(struct opener *o, const char *file)
{
	if (!strstr(o->e->text, file))
		err_at(o->e, "%s", text_quote(file).s);
	if (o->e->kind == ERR_SYSTEM || o->e->kind == ERR_USAGE)
		return -1;
	return finding_take(o->f, file, o->e);
}

/* A small file of the hub's cache is held to the name of its blob before it is believed. */
static int hold_to_blob(const struct opener *o, int fd, const struct stat *st, const char *hash,
	const char *name)
{
	if (!hash || (uint64_t)st->st_size > CKPT_INDEX_CAP)
		return 0;
	return blob_check(o->c->io, fd, (uint64_t)st->st_size, hash, name, o->e);
}

static void see(struct ckpt *c, unsigned which, const char *actual, const struct stat *st)
{
	snprintf(c->seen[which].actual, sizeof c->seen[which].actual, "%s", actual);
	c->seen[which].st = *st;
}

static int load_config(struct opener *o)
{
	struct ckpt *c = o->c;
	char actual[CKPT_PATH];
	const char *hash = NULL;
	struct stat st;
	bool there;
	int fd, rc = open_file(c, "config.json", &fd, &st, &there, actual, &hash, o->e);

	if (rc)
		return take(o, "config.json");
	if (!there)
		return find(o, RULE_CONFIG_MISSING, "config.json", "is not there", NULL);
	see(c, CKPT_SEEN_CONFIG, actual, &st);
	rc = hold_to_blob(o, fd, &st, hash, "config.json");
	(void)c->io->close(c->io, fd); /* read only */
	if (rc || config_doc_read(&c->doc, c->io, c->dir, actual, o->e) ||
		config_read(&c->config, &c->doc, o->e))
		return take(o, "config.json");
	return 0;
}

static int load_index(struct opener *o)
{
	struct ckpt *c = o->c;
	char actual[CKPT_PATH];
	const char *hash = NULL;
	struct stat st;
	int fd, rc;

	rc = open_file(c, CKPT_INDEX, &fd, &st, &c->has_index, actual, &hash, o->e);
	if (rc)
		return take(o, CKPT_INDEX);
	if (!c->has_index)
		return 0;
	see(c, CKPT_SEEN_INDEX, actual, &st);
	if ((uint64_t)st.st_size > CKPT_INDEX_CAP)
		rc = err_rule(o->e, RULE_FILE_TOO_BIG, ERR_NOPOS,
			"%s has %lld bytes, at most %u are taken", CKPT_INDEX,
			(long long)st.st_size, CKPT_INDEX_CAP);
	rc = rc ? rc : hold_to_blob(o, fd, &st, hash, CKPT_INDEX);
	rc = rc ? rc : shardmap_read(&o->map, c->io, fd, (uint64_t)st.st_size, &c->arena, o->e);
	(void)c->io->close(c->io, fd); /* read only */
	return rc ? take(o, CKPT_INDEX) : 0;
}

/* Shards that are gone count as if they were there: their headers are. */
static int list_gone(struct opener *o)
{
	const struct ckpt_gone *g = o->opts->gone;
	size_t i;
	long at;

	for (i = 0; g && i < g->n; i++) {
		at = shardmap_shard(&o->map, g->names[i], &o->c->arena, o->e);
		if (at < 0)
			return -1;
		o->listed[at] = true;
	}
	return 0;
}

/* Finds files that look like shards and are not in the index. */
static int list_shards(struct opener *o)
{
	struct ckpt *c = o->c;
	const char *end = c->headers ? ".safetensors" CKPT_HEADER : ".safetensors";
	struct shardmap *m = &o->map;
	size_t n, i, len, tail = strlen(end);
	char *names = NULL, *p;
	long at;
	int rc = 0;

	if (c->io->list(c->io, c->dir, &names, &n))
		return err_sys(o->e, "cannot list the folder");
	for (i = 0, p = names; !rc && i < n; i++, p += len + 1) {
		len = strlen(p);
		if (len <= tail || strcmp(p + len - tail, end) || p[0] == '.')
			continue;
		if (c->headers)
			p[len - strlen(CKPT_HEADER)] = 0;
		if (!shardmap_plain(p))
			rc = find(o, RULE_INDEX_SHARD_NAME, p, "is no plain shard name", NULL);
		else if ((at = shardmap_shard(m, p, &c->arena, o->e)) < 0)
			rc = -1;
		else
			o->listed[at] = true;
	}
	free(names);
	return rc ? rc : list_gone(o);
}

static int cmp_shard(const void *a, const void *b)
{
	return strcmp(((const struct shard *)a)->name, ((const struct shard *)b)->name);
}

/* Makes the list of shards, sorted by name, and lets the map point into it. */
static int sort_shards(struct opener *o)
{
	struct ckpt *c = o->c;
	struct shard key, *now;
	uint32_t at[SHARDS_MAX], i;
	size_t k;

	c->shards = calloc(o->map.shards + 1, sizeof *c->shards);
	if (!c->shards)
		return err_nomem(o->e);
	c->n_shards = o->map.shards;
	for (i = 0; i < c->n_shards; i++) {
		c->shards[i].fd = -1;
		c->shards[i].name = o->map.name[i];
	}
	if (c->n_shards)
		qsort(c->shards, c->n_shards, sizeof *c->shards, cmp_shard);
	for (i = 0; i < c->n_shards; i++) {
		key.name = o->map.name[i];
		now = bsearch(&key, c->shards, c->n_shards, sizeof *c->shards, cmp_shard);
		at[i] = (uint32_t)(now - c->shards);
		o->there[at[i]] = o->listed[i];
	}
	for (k = 0; k < o->map.n; k++)
		o->map.v[k].shard = at[o->map.v[k].shard];
	return 0;
}

/* Two names that one file system keeps apart and another does not. */
static int check_case(struct opener *o)
{
	const struct ckpt *c = o->c;
	size_t i, k;

	for (i = 0; i < c->n_shards; i++)
		for (k = 0; k < i; k++)
			if (!strcasecmp(c->shards[i].name, c->shards[k].name) &&
				find(o, RULE_INDEX_CASE_TWIN, c->shards[i].name,
					"differs from another shard in upper and lower case only",
					NULL))
				return -1;
	return 0;
}

static int read_shard(const struct opener *o, struct shard *s, struct st_header *h)
{
	struct ckpt *c = o->c;
	uint64_t cap = o->opts->header_cap ? o->opts->header_cap : ST_HEADER_CAP, payload;

	if (!c->headers)
		return st_read(h, c->io, s->fd, (uint64_t)s->st.st_size, cap, &c->arena, o->e);
	if (st_read_alone(h, c->io, s->fd, (uint64_t)s->st.st_size, cap, &c->arena, &payload, o->e))
		return -1;
	s->st.st_size += (off_t)payload; /* that of the shard itself */
	return 0;
}

/* Reads the header of a shard that is gone where it lies. *there: it is such a one. */
static int load_gone(struct opener *o, struct shard *s, struct st_header *h, bool *there)
{
	const struct ckpt_gone *g = o->opts->gone;
	const struct io *io = o->c->io;
	char file[LINK_NAME + sizeof CKPT_HEADER];
	uint64_t payload;
	size_t i;

	for (i = 0; g && i < g->n && strcmp(g->names[i], s->name) != 0; i++)
		;
	*there = g && i < g->n;
	if (!*there)
		return 0;
	snprintf(file, sizeof file, "%s" CKPT_HEADER, s->name);
	if (file_open(io, g->dir, file, &s->fd, &s->st, o->e) ||
		st_read_alone(h, io, s->fd, (uint64_t)s->st.st_size,
			o->opts->header_cap ? o->opts->header_cap : ST_HEADER_CAP, &o->c->arena,
			&payload, o->e))
		return -1;
	s->st.st_size += (off_t)payload;
	s->gone = true;
	return 0;
}

static int load_shard(struct opener *o, uint32_t at)
{
	struct ckpt *c = o->c;
	struct shard *s = &c->shards[at];
	struct st_header h = { 0 };
	char actual[CKPT_PATH], file[LINK_NAME + sizeof CKPT_HEADER];
	const char *hash = NULL;
	size_t i;
	bool there = true;
	int rc;

	snprintf(file, sizeof file, "%s%s", s->name, c->headers ? CKPT_HEADER : "");
	rc = open_file(c, file, &s->fd, &s->st, &there, actual, &hash, o->e);
	if (!rc && !there) {
		rc = load_gone(o, s, &h, &there);
		if (!rc && !there) {
			o->there[at] = false;
			return 0; /* the index will be held against what is there */
		}
	}
	if (rc ||
		(!s->gone &&
			(file_timeless(c->io, s->fd, &s->st, &s->timeless, o->e) ||
				read_shard(o, s, &h)))) {
		if (s->fd >= 0)
			(void)c->io->close(c->io, s->fd); /* read only */
		s->fd = -1;
		return take(o, s->name);
	}
	if (hash) {
		s->blob = arena_strndup(&c->arena, hash, strlen(hash));
		if (!s->blob) {
			st_free(&h);
			return err_nomem(o->e);
		}
	}
	s->data_at = h.data_at;
	s->n = h.n;
	if (mem_grow(&c->tensors, &o->tensors_cap, c->n + h.n, sizeof *c->tensors)) {
		st_free(&h);
		return err_nomem(o->e);
	}
	for (i = 0; i < h.n; i++) {
		h.tensors[i].shard = at;
		c->bytes += h.tensors[i].end - h.tensors[i].begin; /* <= sum of file sizes */
	}
	if (h.n)
		memcpy(c->tensors + c->n, h.tensors, h.n * sizeof *h.tensors);
	c->n += h.n;
	st_free(&h);
	return 0;
}

/* --- cross-checks --- */

static int cmp_entry(const void *a, const void *b)
{
	return strcmp(((const struct shardmap_entry *)a)->tensor,
		((const struct shardmap_entry *)b)->tensor);
}

static int cmp_tensor(const void *a, const void *b)
{
	const struct tensor *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : (x->shard > y->shard) - (x->shard < y->shard);
}

static int check_twice(struct opener *o)
{
	struct ckpt *c = o->c;
	size_t i;

	for (i = 1; i < c->n; i++)
		if (!strcmp(c->tensors[i - 1].name, c->tensors[i].name) &&
			find(o, RULE_CKPT_NAME_TWICE, c->shards[c->tensors[i].shard].name,
				" is in another shard too", c->tensors[i].name))
			return -1;
	for (i = 1; i < o->map.n; i++)
		if (!strcmp(o->map.v[i - 1].tensor, o->map.v[i].tensor) &&
			find(o, RULE_INDEX_TWICE, CKPT_INDEX, " is listed twice",
				o->map.v[i].tensor))
			return -1;
	return 0;
}

static bool all_read(const struct ckpt *c)
{
	size_t i;

	for (i = 0; i < c->n_shards; i++)
		if (c->shards[i].fd < 0)
			return false;
	return true;
}

/* Forgets shards that only a stale index names. */
static void drop_absent(struct opener *o)
{
	struct ckpt *c = o->c;
	uint32_t to[SHARDS_MAX], n = 0, i;
	size_t k;

	for (i = 0; i < c->n_shards; i++) {
		to[i] = n;
		if (o->there[i])
			c->shards[n++] = c->shards[i];
	}
	for (k = 0; k < c->n; k++)
		c->tensors[k].shard = to[c->tensors[k].shard];
	c->n_shards = n;
}

static int cross_check(struct opener *o)
{
	struct ckpt *c = o->c;
	const struct index x = { .shards = c->shards,
		.n_shards = c->n_shards,
		.tensors = c->tensors,
		.n = c->n,
		.map = &o->map,
		.there = o->there,
		.f = o->f };
	bool stale = false;

	if (c->n)
		qsort(c->tensors, c->n, sizeof *c->tensors, cmp_tensor);
	if (o->map.n)
		qsort(o->map.v, o->map.n, sizeof *o->map.v, cmp_entry);
	if (o->map.n && index_judge(&x, &stale))
		return err_nomem(o->e);
	if (check_case(o) || check_twice(o))
		return -1;
	if (!c->n_shards)
		return find(o, RULE_CKPT_EMPTY, ".", "there is no .safetensors file", NULL);
	if (!c->has_index && (c->n_shards > 1 || strcmp(c->shards[0].name, "model.safetensors")))
		return find(o, RULE_INDEX_MISSING, CKPT_INDEX, "is not there", NULL);
	if (o->map.n && !stale && index_tensors(&x))
		return err_nomem(o->e);
	if (stale)
		drop_absent(o);
	else if (o->map.total_said && all_read(c) && o->map.total_size != (double)c->bytes &&
		finding_add(o->f, RULE_INDEX_TOTAL_SIZE, CKPT_INDEX,
			"%s: total_size is %.17g, the tensors have %llu bytes, and headers and files agree on that",
			CKPT_INDEX, o->map.total_size, (unsigned long long)c->bytes))
		return err_nomem(o->e);
	return 0;
}

int ckpt_open(struct ckpt *c, const struct io *io, const char *path, const struct ckpt_opts *opts,
	struct findings *f, struct err *e)
{
	int dir, rc;

	memset(c, 0, sizeof *c);
	if (file_open_dir(io, path, &dir, e))
		return -1;
	rc = ckpt_open_at(c, io, dir, opts, f, e);
	(void)io->close(io, dir); /* a folder has nothing to flush */
	return rc;
}

/* Reads tensors as what they are, and says so once. */
static int settle_spellings(struct opener *o)
{
	struct ckpt *c = o->c;
	struct spellings s;

	if (o->opts->as_declared)
		return 0;
	if (spellings_settle(&s, c->tensors, c->n, &c->config, &c->arena))
		return err_nomem(o->e);
	c->respelled = s.n;
	if (!s.n)
		return 0;
	return finding_add(o->f, RULE_MODEL_SPELLING, c->shards[s.first->shard].name,
		       "%zu tensors are declared otherwise than in the official files, first %s as %s where they "
		       "have %s: only the headers differ, the bytes are read as what they are",
		       s.n, text_quote(s.first->name).s, s.was, s.is)
		? err_nomem(o->e)
		: 0;
}

int ckpt_open_at(struct ckpt *c, const struct io *io, int dir, const struct ckpt_opts *opts,
	struct findings *f, struct err *e)
{
	struct opener o = { .c = c, .opts = opts, .f = f, .e = e };
	uint32_t i;
	int rc = -1;

	memset(c, 0, sizeof *c);
	if (file_open_below(io, dir, "", &c->dir, e))
		return -1;
	c->io = io; /* from here on there is something to close */
	c->follow_links = opts->follow_links;
	c->headers = opts->headers;
	if (load_config(&o) || load_index(&o) || list_shards(&o) || sort_shards(&o))
		goto out;
	for (i = 0; i < c->n_shards; i++)
		if (load_shard(&o, i))
			goto out;
	rc = cross_check(&o) || settle_spellings(&o) ? -1 : 0;
out:
	shardmap_free(&o.map);
	if (rc)
		ckpt_close(c);
	return rc;
}

void ckpt_close(struct ckpt *c)
{
	size_t i;

	if (!c->io)
		return;
	for (i = 0; i < c->n_shards; i++)
		if (c->shards[i].fd >= 0)
			(void)c->io->close(c->io, c->shards[i].fd); /* read only */
	(void)c->io->close(c->io, c->dir);
	config_free(&c->config);
	config_doc_free(&c->doc);
	free(c->shards);
	free(c->tensors);
	arena_free(&c->arena);
	memset(c, 0, sizeof *c);
}

const struct tensor *ckpt_find(const struct ckpt *c, const char *name)
{
	size_t lo = 0, hi = c->n, mid;
	int d;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		d = strcmp(name, c->tensors[mid].name);
		if (!d)
			return &c->tensors[mid];
		if (d < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

int ckpt_read(const struct ckpt *c, const struct tensor *t, uint64_t off, void *dst, size_t n,
	struct err *e)
{
	const struct shard *s = &c->shards[t->shard];

	if (file_read(c->io, s->fd, dst, n, s->data_at + t->begin + off, e))
		return err_at(e, "%s: tensor %s", s->name, text_quote(t->name).s);
	return 0;
}
