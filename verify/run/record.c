/* SPDX-License-Identifier: MIT */
#include "verify/run/record.h"

#include "formats/json/jread.h"
#include "quant/num.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define META "dsv4.record"
#define META_ARITHMETIC "dsv4.arithmetic" /* "fp32"; absent: as the model rounds */
#define META_SUMS "dsv4.sums"             /* "128 32" */
#define META_XXH "dsv4.xxh3.layers."

/* --- reading --- */

/* "dsv4.xxh3.layers.3.out": its layer, or -1. */
static int64_t layer_of(const struct text *t)
{
	const char *s = t->s + sizeof META_XXH - 1;
	char again[64];
	int64_t v = 0;
	size_t i;

	if (t->n < sizeof META_XXH || t->n > 48 || strncmp(t->s, META_XXH, sizeof META_XXH - 1))
		return -1;
	for (i = 0; s[i] >= '0' && s[i] <= '9' && i < 6; i++)
		v = v * 10 + (s[i] - '0');
	snprintf(again, sizeof again, META_XXH "%lld.out", (long long)v);
	return !strcmp(again, t->s) ? v : -1;
}

/* "128 32"; anything else is no order of sums. */
static bool order_from(struct weights_order *o, const struct text *t)
{
	static const uint32_t sums[] = { 32, 128 };
	char s[16];
	int i;

	for (i = 0; i < 4; i++) {
		snprintf(s, sizeof s, "%u %u", sums[i / 2], sums[i % 2]);
		if (t->n == strlen(s) && !memcmp(t->s, s, t->n)) {
			*o = (struct weights_order){ sums[i / 2], sums[i % 2] };
			return true;
		}
	}
	return false;
}

static int read_meta(struct record *r, struct jread *j)
{
	int64_t layer;
	bool ours, arithmetic, sums;
	int more;

	if (jread_object(j))
		return -1;
	while ((more = jread_key(j)) == 1) {
		layer = layer_of(&j->str);
		ours = !strcmp(j->str.s, META);
		arithmetic = !strcmp(j->str.s, META_ARITHMETIC);
		sums = !strcmp(j->str.s, META_SUMS);
		if (jread_string(j, ST_META_MAX))
			return -1;
		r->ours = r->ours || ours;
		r->fp32 = r->fp32 || (arithmetic && !strcmp(j->str.s, "fp32"));
		if (sums && !order_from(&r->order, &j->str))
			return err_rule(j->e, RULE_RECORD_FORM, ERR_NOPOS,
				META_SUMS " of the record says no order of sums");
		if (layer >= 0 && layer < r->layers && j->str.n == 32 &&
			hex_to(j->str.s, r->out[layer].b, 16))
			r->has_out[layer] = true;
		r->said = layer >= (int64_t)r->said ? (uint32_t)layer + 1 : r->said;
	}
	return more;
}

static int read_metas(struct record *r, struct err *e)
{
	struct jread j;
	int more = -1;

	if (!r->h.metadata)
		return 0;
	if (jread_open_file(&j, r->io, r->fd, 8, r->h.data_at - 8, 4, e))
		return -1;
	if (!jread_object(&j))
		while ((more = jread_key(&j)) == 1)
			if (j.str.n == 12 && !memcmp(j.str.s, "__metadata__", 12)
					? read_meta(r, &j)
					: jread_skip(&j)) {
				more = -1;
				break;
			}
	jread_close(&j);
	return more;
}

static int read_ids(struct record *r, uint32_t most, struct err *e)
{
	const struct tensor *t = record_find(r, "ids");
	int32_t *ids;
	uint32_t i;

	if (!t || t->rank != 1 || !t->dim[0] || t->dim[0] > most)
		return err_rule(e, RULE_RECORD_FORM, ERR_NOPOS, "it has no ids of 1 to %u tokens",
			most);
	if (record_ints(r, "ids", t->dim[0], &ids, e) != 1)
		return -1;
	r->n = (uint32_t)t->dim[0];
	r->ids = (uint32_t *)ids;
	for (i = 0; i < r->n; i++)
		if (ids[i] < 0)
			return err_rule(e, RULE_RECORD_FORM, ERR_NOPOS, "id %u is negative", i);
	return 0;
}

static bool is_record(const struct io *io, int fd, uint64_t size)
{
	struct record r = { .io = io, .fd = fd };
	struct err no = { 0 };
	bool is = !st_read(&r.h, io, fd, size, ST_HEADER_CAP, &r.arena, &no) &&
		!read_metas(&r, &no) && r.ours;

	st_free(&r.h);
	arena_free(&r.arena);
	return is;
}

const struct dest_kind record_kind = { "a record of this program", is_record };

static int open_at(struct record *r, int dir, const char *name, struct err *e)
{
	struct stat st;

	if (file_open(r->io, dir, name, &r->fd, &st, e))
		return -1;
	return st_read(&r->h, r->io, r->fd, (uint64_t)st.st_size, ST_HEADER_CAP, &r->arena, e);
}

int record_open(struct record *r, const struct io *io, const char *path, uint32_t layers,
	uint32_t most, struct err *e)
{
	const char *name;
	int dir, rc;

	memset(r, 0, sizeof *r);
	r->io = io;
	r->fd = -1;
	if (file_open_above(io, path, &dir, &name, e))
		return -1;
	r->layers = layers;
	r->out = calloc(layers + 1, sizeof *r->out);
	r->has_out = calloc(layers + 1, sizeof *r->has_out);
	rc = r->out && r->has_out ? open_at(r, dir, name, e) : err_nomem(e);
	(void)io->close(io, dir); /* a folder has nothing to flush */
	rc = rc ? rc : read_metas(r, e);
	if (!rc && r->ours && r->said != layers)
		rc = err_rule(e, RULE_RECORD_FORM, ERR_NOPOS,
			"the record is of a model with %u layers, this one has %u", r->said,
			layers);
	rc = rc ? rc : read_ids(r, most, e);
	if (rc) {
		err_at(e, "%s", text_quote(path).s);
		record_close(r);
	}
	return rc;
}

void record_close(struct record *r)
{
	if (!r->io)
		return;
	if (r->fd >= 0)
		(void)r->io->close(r->io, r->fd); /* read only */
	st_free(&r->h);
	arena_free(&r->arena);
	free(r->out);
	free(r->has_out);
	free(r->ids);
	memset(r, 0, sizeof *r);
}

const struct tensor *record_find(const struct record *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->h.n; i++)
		if (!strcmp(r->h.tensors[i].name, name))
			return &r->h.tensors[i];
	return NULL;
}

/* The tensor of all values in one of two types: 1, 0 where the record has none, or -1. */
static int typed(const struct record *r, const char *name, uint64_t all, enum dtype a, enum dtype b,
	const struct tensor **is, struct err *e)
{
	const struct tensor *t = record_find(r, name);

	*is = t;
	if (!t)
		return 0;
	if ((t->dtype != a && t->dtype != b) ||
		(t->end - t->begin) * 8 != all * dtypes[t->dtype].bits)
		return err_rule(e, RULE_RECORD_FORM, ERR_NOPOS,
			"tensor %s of the record is not what this model and these tokens have: %llu "
			"values in %s or %s",
			text_quote(name).s, (unsigned long long)all, dtypes[a].name,
			dtypes[b].name);
	return 1;
}

/* Values first .. first + n as they lie in the file. */
static int read_values(const struct record *r, const struct tensor *t, uint64_t first, uint64_t n,
	void *v, struct err *e)
{
	uint64_t width = dtypes[t->dtype].bits / 8;

	return file_read(r->io, r->fd, v, (size_t)(n * width),
		r->h.data_at + t->begin + first * width, e);
}

static void widen(float *v, uint64_t n)
{
	uint16_t h;

	while (n--) { /* in place, from behind */
		memcpy(&h, (const uint8_t *)v + 2 * n, 2);
		v[n] = num_bf16(h);
	}
}

int record_some(const struct record *r, const char *name, uint64_t all, uint64_t first, uint64_t n,
	float *v, struct err *e)
{
	const struct tensor *t;
	int rc = typed(r, name, all, DT_BF16, DT_F32, &t, e);

	if (rc != 1 || first > all || n > all - first)
		return rc < 0
			? -1
			: err_rule(e, RULE_RECORD_FORM, ERR_NOPOS, "the record has no %s", name);
	if (read_values(r, t, first, n, v, e))
		return -1;
	if (t->dtype == DT_BF16)
		widen(v, n);
	return 0;
}

int record_floats(const struct record *r, const char *name, uint64_t n, float **v, struct err *e)
{
	const struct tensor *t;
	int rc = typed(r, name, n, DT_BF16, DT_F32, &t, e);

	*v = NULL;
	if (rc != 1)
		return rc;
	*v = malloc((size_t)(4 * n + 4));
	if (!*v)
		return err_nomem(e);
	if (!record_some(r, name, n, 0, n, *v, e))
		return 1;
	free(*v);
	*v = NULL;
	return -1;
}

int record_ints(const struct record *r, const char *name, uint64_t n, int32_t **v, struct err *e)
{
	const struct tensor *t;
	int64_t wide;
	uint64_t i;
	int rc = typed(r, name, n, DT_I64, DT_I32, &t, e);

	*v = NULL;
	if (rc != 1)
		return rc;
	*v = malloc((size_t)(8 * n + 8));
	if (!*v)
		return err_nomem(e);
	rc = read_values(r, t, 0, n, *v, e);
	for (i = 0; !rc && t->dtype == DT_I64 && i < n; i++) { /* in place, from the front */
		memcpy(&wide, (const uint8_t *)*v + 8 * i, 8);
		if (wide < INT32_MIN || wide > INT32_MAX)
			rc = err_rule(e, RULE_RECORD_FORM, ERR_NOPOS,
				"tensor %s of the record: %lld is out of range", text_quote(name).s,
				(long long)wide);
		else
			(*v)[i] = (int32_t)wide;
	}
	if (!rc)
		return 1;
	free(*v);
	*v = NULL;
	return -1;
}

/* --- writing --- */

int record_begin(struct record_out *o, const struct io *io, uint32_t layers, bool fp32,
	struct weights_order order, struct err *e)
{
	memset(o, 0, sizeof *o);
	o->io = io;
	o->layers = layers;
	o->fp32 = fp32;
	o->order = order;
	o->out = calloc(layers + 1, sizeof *o->out);
	return o->out ? 0 : err_nomem(e);
}

int record_plan(struct record_out *o, const char *name, enum dtype dtype, const uint64_t *dim,
	uint8_t rank, struct err *e)
{
	uint64_t *d = arena_alloc(&o->arena, rank * sizeof *d);
	char *s = arena_strndup(&o->arena, name, strlen(name));
	struct tensor *t;

	if (!d || !s || mem_grow(&o->tensors, &o->cap, o->n + 1, sizeof *o->tensors))
		return err_nomem(e);
	memcpy(d, dim, rank * sizeof *d);
	t = &o->tensors[o->n++];
	*t = (struct tensor){ .name = s, .dim = d, .rank = rank, .dtype = (uint8_t)dtype };
	if (!st_bytes(dtype, d, rank, &t->end))
		return err_set(e, ERR_USAGE, "%s would be too big for a record", name);
	return 0;
}

/* The header, with the digests that are known so far: always of the same length. */
static int put_header(struct record_out *o, struct text *t, struct err *e)
{
	struct st_meta *meta = calloc(o->layers + 3, sizeof *meta);
	char(*key)[64] = calloc(o->layers + 1, sizeof *key);
	char(*hex)[33] = calloc(o->layers + 1, sizeof *hex);
	uint32_t i, n = 0;
	char sums[32];

	snprintf(sums, sizeof sums, "%u %u", o->order.dense, o->order.experts);
	if (meta && key && hex) {
		meta[n++] = (struct st_meta){ META, "1" };
		if (o->fp32)
			meta[n++] = (struct st_meta){ META_ARITHMETIC, "fp32" };
		else if (o->order.dense && o->order.experts)
			meta[n++] = (struct st_meta){ META_SUMS, sums };
		for (i = 0; i < o->layers; i++) {
			snprintf(key[i], sizeof key[i], META_XXH "%u.out", i);
			hex_of(o->out[i].b, 16, hex[i]);
			meta[n++] = (struct st_meta){ key[i], hex[i] };
		}
		st_put_header_for(t, meta, n, 64, o->tensors, o->n, sizeof *o->tensors);
	} else {
		t->failed = true;
	}
	free(meta);
	free(key);
	free(hex);
	return t->failed ? err_nomem(e) : 0;
}

int record_start(struct record_out *o, const char *path, struct err *e)
{
	struct text t = { 0 };
	uint64_t at = 0, n;
	size_t i;
	int rc;

	if (dest_open(&o->dest, o->io, path, &record_kind, e))
		return -1;
	if (o->dest.fd >= 0)
		return err_set(e, ERR_USAGE, "%s is no regular file, which a record has to be",
			text_quote(path).s);
	qsort(o->tensors, o->n, sizeof *o->tensors, st_order);
	for (i = 0; i < o->n; i++) {
		n = o->tensors[i].end;
		o->tensors[i].begin = at;
		at += n;
		o->tensors[i].end = at;
	}
	rc = put_header(o, &t, e);
	o->header = t.n;
	text_free(&t);
	return rc ? rc
		  : file_out_begin(&o->file, o->io, o->dest.dir, o->dest.name, o->header + at, e);
}

static struct tensor *planned(struct record_out *o, const char *name)
{
	size_t i;

	for (i = 0; i < o->n; i++)
		if (!strcmp(o->tensors[i].name, name))
			return &o->tensors[i];
	return NULL;
}

int record_put(struct record_out *o, const char *name, const void *v, bool whole, uint64_t n,
	uint64_t first, struct err *e)
{
	const struct tensor *t = planned(o, name);
	unsigned width = t ? dtypes[t->dtype].bits / 8 : 0;
	const int32_t *ints = v;
	const float *floats = v;
	uint16_t h;
	int64_t wide;
	uint8_t *p;
	uint64_t i;
	int rc;

	if (!t)
		return 0;
	if (whole != (t->dtype == DT_I64) || (first + n) * width > t->end - t->begin)
		return err_set(e, ERR_SYSTEM, "%s does not fit its place in the record", name);
	p = malloc((size_t)(n * width + 1));
	if (!p)
		return err_nomem(e);
	for (i = 0; i < n; i++) {
		if (whole) {
			wide = ints[i];
			memcpy(p + 8 * i, &wide, 8);
		} else if (t->dtype == DT_BF16) {
			h = num_bf16_from(floats[i]);
			memcpy(p + 2 * i, &h, 2);
		} else {
			memcpy(p + 4 * i, &floats[i], 4);
		}
	}
	rc = file_write(o->io, o->file.fd, p, (size_t)(n * width),
		o->header + t->begin + first * width, e);
	free(p);
	return rc;
}

int record_finish(struct record_out *o, struct err *e)
{
	struct text t = { 0 };
	int rc = put_header(o, &t, e);

	rc = rc ? rc : file_write(o->io, o->file.fd, t.s, t.n, 0, e);
	text_free(&t);
	rc = rc ? rc : file_out_close(&o->file, e);
	rc = rc ? rc : dest_may(o->io, o->dest.dir, o->dest.name, &record_kind, e);
	return rc ? rc : file_out_replace(&o->file, e);
}

void record_abandon(struct record_out *o)
{
	if (!o->io)
		return;
	file_out_abandon(&o->file);
	dest_close(&o->dest);
	free(o->tensors);
	free(o->out);
	arena_free(&o->arena);
	memset(o, 0, sizeof *o);
}
