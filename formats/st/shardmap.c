/* SPDX-License-Identifier: MIT */
#include "formats/st/shardmap.h"

#include "core/text.h"
#include "formats/json/jread.h"
#include "formats/st/safetensors.h"

#include <stdlib.h>
#include <string.h>

struct reader {
	struct shardmap *m;
	struct arena *arena;
	struct jread j;
	struct err *e;
};

bool shardmap_plain(const char *s)
{
	size_t n = strlen(s), i;

	if (n > 212 || !text_stem(s, ".safetensors") || strstr(s, ".."))
		return false;
	for (i = 0; i < n; i++) {
		if ((s[i] >= '0' && s[i] <= '9') || ((s[i] | 32) >= 'a' && (s[i] | 32) <= 'z'))
			continue;
		if (i == 0 || !strchr("._-", s[i]))
			return false;
	}
	return true;
}

long shardmap_shard(struct shardmap *m, const char *name, struct arena *arena, struct err *e)
{
	uint32_t i;

	/* Tensors of a shard follow each other in an index more often than not. */
	if (m->last < m->shards && !strcmp(m->name[m->last], name))
		return m->last;
	for (i = m->shards; i-- > 0;)
		if (!strcmp(m->name[i], name))
			return m->last = i;
	if (m->shards == SHARDS_MAX)
		return err_rule(e, RULE_INDEX_SHARDS, ERR_NOPOS, "more than %d shards", SHARDS_MAX);
	m->name[m->shards] = arena_strndup(arena, name, strlen(name));
	if (!m->name[m->shards])
		return err_nomem(e);
	return m->last = m->shards++;
}

static int add_entry(struct reader *r, const char *tensor)
{
	struct shardmap *m = r->m;
	struct jread *j = &r->j;
	long shard;

	if (jread_string(j, 4096))
		return -1;
	if (memchr(j->str.s, 0, j->str.n) || !shardmap_plain(j->str.s))
		return err_rule(r->e, RULE_INDEX_SHARD_NAME, j->str_pos,
			"byte %llu: tensor %s is said to be in \"%s\", which is no plain shard name",
			(unsigned long long)j->str_pos, text_quote(tensor).s,
			text_quote_n(j->str.s, j->str.n).s);
	shard = shardmap_shard(m, j->str.s, r->arena, r->e);
	if (shard < 0)
		return -1;
	if (mem_grow(&m->v, &m->cap, m->n + 1, sizeof *m->v))
		return err_nomem(r->e);
	m->v[m->n++] = (struct shardmap_entry){ tensor, (uint32_t)shard };
	return 0;
}

static int read_map(struct reader *r)
{
	struct jread *j = &r->j;
	char *tensor;
	int more;

	if (jread_object(j))
		return -1;
	while ((more = jread_key(j)) == 1) {
		if (memchr(j->str.s, 0, j->str.n))
			return err_rule(r->e, RULE_INDEX_NAME, j->str_pos,
				"byte %llu: a tensor name with a NUL",
				(unsigned long long)j->str_pos);
		tensor = arena_strndup(r->arena, j->str.s, j->str.n);
		if (!tensor)
			return err_nomem(r->e);
		if (add_entry(r, tensor))
			return -1;
	}
	return more;
}

static int read_meta(struct reader *r)
{
	struct jread *j = &r->j;
	int more;

	if (jread_object(j))
		return -1;
	while ((more = jread_key(j)) == 1) {
		bool total = !strcmp(j->str.s, "total_size");
		int c = jread_peek(j);

		if (!total || c < '0' || c > '9') {
			if (jread_skip(j))
				return -1;
			continue;
		}
		if (jread_real(j, &r->m->total_size))
			return -1;
		r->m->total_said = true;
	}
	return more;
}

static int read_all(struct reader *r)
{
	struct jread *j = &r->j;
	bool map = false, meta = false;
	int more;

	if (jread_object(j))
		return -1;
	while ((more = jread_key(j)) == 1) {
		if (!strcmp(j->str.s, "weight_map")) {
			if (map)
				return err_rule(r->e, RULE_INDEX_TWICE, j->str_pos,
					"weight_map for the second time");
			map = true;
			if (read_map(r))
				return -1;
		} else if (!strcmp(j->str.s, "metadata") && !meta) {
			meta = true;
			if (read_meta(r))
				return -1;
		} else if (jread_skip(j)) {
			return -1;
		}
	}
	if (more < 0 || jread_end(j, true))
		return -1;
	if (!map)
		return err_rule(r->e, RULE_INDEX_NO_MAP, ERR_NOPOS, "there is no weight_map");
	return 0;
}

int shardmap_read(struct shardmap *m, const struct io *io, int fd, uint64_t size,
	struct arena *arena, struct err *e)
{
	struct reader r = { .m = m, .arena = arena, .e = e };
	int rc;

	memset(m, 0, sizeof *m);
	rc = jread_open_file(&r.j, io, fd, 0, size, 16, e);
	rc = rc ? rc : read_all(&r);
	jread_close(&r.j);
	if (rc)
		shardmap_free(m); /* half an index explains nothing */
	return rc;
}

static int cmp_place(const void *a, const void *b)
{
	return strcmp(((const struct shardmap_place *)a)->tensor,
		((const struct shardmap_place *)b)->tensor);
}

void shardmap_put(struct text *out, struct shardmap_place *v, size_t n, uint64_t total)
{
	size_t i;

	if (n)
		qsort(v, n, sizeof *v, cmp_place);
	text_fmt(out, "{\n  \"metadata\": {\n    \"total_size\": %llu\n  },\n  \"weight_map\": {",
		(unsigned long long)total);
	for (i = 0; i < n; i++)
		text_fmt(out, "%s\n    \"%s\": \"%s\"", i ? "," : "", v[i].tensor, v[i].file);
	text_str(out, "\n  }\n}\n");
}

void shardmap_free(struct shardmap *m)
{
	free(m->v);
	memset(m, 0, sizeof *m);
}
