/* SPDX-License-Identifier: MIT */
#include "convert/batch/source_id.h"

#include "core/hash/sha256.h"
#include "core/text.h"

static void put_hex(struct text *t, const uint8_t *p, size_t n)
{
	char hex[65];

	hex_of(p, n, hex);
	text_fmt(t, " %s", hex);
}

/* A driver that stores no times shows another one at every look. */
static void put_time(struct text *t, const struct shard *s)
{
	const struct timespec *m = &s->st.st_mtim;

	if (s->timeless)
		text_str(t, " timeless");
	else
		text_fmt(t, " %lld.%09ld", (long long)m->tv_sec, m->tv_nsec);
}

static void put_shards(struct text *t, const struct job *j)
{
	const struct shard *s;
	size_t i;

	for (i = 0; i < j->c.n_shards; i++) {
		s = &j->c.shards[i];
		text_fmt(t, "%s %lld", s->name, (long long)s->st.st_size);
		if (j->has_expected)
			put_hex(t, j->expected.sha256[i], 32);
		else if (!j->joined.c) /* else they are headers that were kept */
			put_time(t, s);
		text_str(t, "\n");
	}
}

/* A tensor has one digest, or each of its pieces has one, and whoever reads it holds it to them. */
static void put_joined(struct text *t, const struct joined *o)
{
	size_t i;

	for (i = 0; i < o->c->n; i++)
		if (o->has_xxh[i])
			put_hex(t, o->xxh[i].b, sizeof o->xxh[i].b);
	for (i = 0; i < o->n_pieces; i++)
		if (o->pieces[i].has_xxh)
			put_hex(t, o->pieces[i].xxh.b, sizeof o->pieces[i].xxh.b);
}

static void put_form(struct text *t, const struct ckpt *form)
{
	const struct shard *s;

	for (s = form->shards; s < form->shards + form->n_shards; s++) {
		text_fmt(t, "experts %s %lld", s->name, (long long)s->st.st_size);
		put_time(t, s);
		text_str(t, "\n");
	}
}

int source_id(const struct job *j, char id[65], struct err *e)
{
	struct text t = { 0 };
	uint8_t sha[32];
	int rc;

	put_shards(&t, j);
	if (j->joined.c)
		put_joined(&t, &j->joined);
	if (j->graft.open)
		put_form(&t, &j->graft.form);
	rc = t.failed ? err_nomem(e) : sha256_of(t.s, t.n, sha, e);
	text_free(&t);
	if (!rc)
		hex_of(sha, 32, id);
	return rc;
}

const char *source_id_words(const struct job *j)
{
	if (j->joined.c)
		return "names or sizes of its shards, or digests of its tensors";
	if (j->graft.open)
		return j->has_expected
			? "names, sizes or published digests of its shards, or the times of those of --experts-from"
			: "names, sizes or the times of its shards, or of those of --experts-from";
	return j->has_expected ? "names, sizes or published digests of its shards"
			       : "names, sizes or the times of its shards";
}
