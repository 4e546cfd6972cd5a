/* SPDX-License-Identifier: MIT */
#include "formats/st/safetensors.h"

#include "core/file.h"
#include "formats/json/jread.h"
#include "formats/json/jwrite.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* The shortest record, with its comma: "a":{"dtype":"F4","shape":[],"data_offsets":[0,0]}, */
enum { RECORD_MIN = 51, FIELDS = 3 };

struct reader {
	struct jread j;
	struct st_header *h;
	struct arena *arena;
	size_t room; /* of h->tensors */
	struct err *e;
};

static int broken(struct reader *r, enum rule_id rule, const struct tensor *t, uint64_t pos,
	const char *what)
{
	return err_rule(r->e, rule, pos, "tensor %s, byte %llu: %s", text_quote(t->name).s,
		(unsigned long long)pos, what);
}

bool st_bytes(enum dtype t, const uint64_t *dim, unsigned rank, uint64_t *bytes)
{
	uint64_t n = 1;
	unsigned i;
	bool ok = true;

	/* A zero does not excuse a product of the others that wraps: the result would depend on the
	 * order in which a reader multiplies. */
	for (i = 0; i < rank; i++)
		if (dim[i])
			ok = ok && mem_mul(n, dim[i], &n);
	ok = ok && mem_mul(n, dtypes[t].bits, &n);
	for (i = 0; i < rank; i++)
		if (!dim[i])
			n = 0;
	ok = ok && n % 8 == 0;
	*bytes = n / 8;
	return ok;
}

static int read_dtype(struct reader *r, struct tensor *t)
{
	uint64_t pos = (jread_peek(&r->j), jread_pos(&r->j));
	int d;

	if (jread_string(&r->j, 64))
		return -1;
	d = r->j.escaped ? -1 : dtype_find(r->j.str.s, r->j.str.n);
	if (d < 0)
		return err_rule(r->e, RULE_ST_DTYPE_UNKNOWN, pos,
			"tensor %s, byte %llu: the type \"%s\" is not known to this program; that does not "
			"mean that the file is damaged",
			text_quote(t->name).s, (unsigned long long)pos,
			text_quote_n(r->j.str.s, r->j.str.n).s);
	t->dtype = (uint8_t)d;
	return 0;
}

static int read_shape(struct reader *r, struct tensor *t)
{
	uint64_t dim[ST_RANK_MAX], *copy;
	int more;

	t->rank = 0;
	if (jread_array(&r->j))
		return -1;
	while ((more = jread_item(&r->j)) == 1) {
		if (t->rank == ST_RANK_MAX)
			return broken(r, RULE_ST_RANK, t, jread_pos(&r->j),
				"more than 8 dimensions");
		if (jread_u64(&r->j, ST_DIM_MAX, &dim[t->rank]))
			return -1;
		t->rank++;
	}
	if (more < 0)
		return -1;
	copy = arena_alloc(r->arena, sizeof *copy * t->rank + 1);
	if (!copy)
		return err_nomem(r->e);
	memcpy(copy, dim, sizeof *copy * t->rank);
	t->dim = copy;
	return 0;
}

static int read_offsets(struct reader *r, struct tensor *t)
{
	uint64_t pos = (jread_peek(&r->j), jread_pos(&r->j)), *v[2] = { &t->begin, &t->end };
	int more, n = 0;

	if (jread_array(&r->j))
		return -1;
	while ((more = jread_item(&r->j)) == 1) {
		if (n == 2)
			return broken(r, RULE_ST_OFFSET_COUNT, t, pos,
				"data_offsets has more than two entries");
		if (jread_u64(&r->j, ST_OFFSET_MAX, v[n++]))
			return -1;
	}
	if (more < 0)
		return -1;
	if (n != 2)
		return broken(r, RULE_ST_OFFSET_COUNT, t, pos,
			"data_offsets has fewer than two entries");
	if (t->end < t->begin)
		return broken(r, RULE_ST_OFFSET_ORDER, t, pos,
			"data_offsets ends before it begins");
	return 0;
}

static int check_size(struct reader *r, const struct tensor *t)
{
	uint64_t bytes;

	if (!st_bytes(t->dtype, t->dim, t->rank, &bytes))
		return broken(r, RULE_ST_SIZE, t, t->pos,
			"its shape and type give no size: too big, or not a whole number of bytes");
	if (bytes != t->end - t->begin)
		return err_rule(r->e, RULE_ST_SIZE_MISMATCH, t->pos,
			"tensor %s, byte %llu: data_offsets span %llu bytes, shape and type %s need %llu",
			text_quote(t->name).s, (unsigned long long)t->pos,
			(unsigned long long)(t->end - t->begin), dtypes[t->dtype].name,
			(unsigned long long)bytes);
	return 0;
}

static int read_record(struct reader *r, struct tensor *t)
{
	static const struct {
		const char *name;
		int (*read)(struct reader *, struct tensor *);
	} field[FIELDS] = { { "dtype", read_dtype }, { "shape", read_shape },
		{ "data_offsets", read_offsets } };
	bool seen[FIELDS] = { false };
	int more, i;

	if (jread_object(&r->j))
		return -1;
	while ((more = jread_key(&r->j)) == 1) {
		for (i = 0; i < FIELDS; i++)
			if (!r->j.escaped && !strcmp(field[i].name, r->j.str.s))
				break;
		if (i == FIELDS)
			return broken(r, RULE_ST_FIELD_UNKNOWN, t, r->j.str_pos,
				"a field that is none of dtype, shape, data_offsets");
		if (seen[i])
			return broken(r, RULE_ST_FIELD_TWICE, t, r->j.str_pos,
				"a field for the second time");
		seen[i] = true;
		if (field[i].read(r, t))
			return -1;
	}
	if (more < 0)
		return -1;
	for (i = 0; i < FIELDS; i++)
		if (!seen[i])
			return broken(r, RULE_ST_FIELD_MISSING, t, t->pos, field[i].name);
	return check_size(r, t);
}

static int cmp_str(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void meta_too_big(struct reader *r, uint64_t pos)
{
	err_rule(r->e, RULE_ST_META_SIZE, pos, "byte %llu: __metadata__ is larger than 1 MiB",
		(unsigned long long)pos);
}

static int read_metadata(struct reader *r)
{
	uint64_t pos = r->j.str_pos, from = jread_pos(&r->j);
	const char **keys = NULL;
	size_t n = 0, cap = 0, i;
	int more = 0, rc = -1;

	if (r->h->metadata)
		return err_rule(r->e, RULE_ST_META_TWICE, pos,
			"byte %llu: __metadata__ for the second time", (unsigned long long)pos);
	r->h->metadata = true;
	if (jread_object(&r->j))
		return -1;
	while ((more = jread_key(&r->j)) == 1) {
		if (mem_grow(&keys, &cap, n + 1, sizeof *keys)) {
			err_nomem(r->e);
			goto out;
		}
		if (memchr(r->j.str.s, 0, r->j.str.n)) {
			err_rule(r->e, RULE_ST_NAME_CONTROL, r->j.str_pos,
				"byte %llu: a __metadata__ key with a NUL",
				(unsigned long long)r->j.str_pos);
			goto out;
		}
		keys[n] = arena_strndup(r->arena, r->j.str.s, r->j.str.n);
		if (!keys[n]) {
			err_nomem(r->e);
			goto out;
		}
		n++;
		if (jread_string(&r->j, JREAD_DROP))
			goto out;
		if (jread_pos(&r->j) - from > ST_META_MAX) {
			meta_too_big(r, pos);
			goto out;
		}
	}
	if (more < 0)
		goto out;
	if (jread_pos(&r->j) - from >
		ST_META_MAX + 1) { /* white space counts, the brace does not */
		meta_too_big(r, pos);
		goto out;
	}
	if (n)
		qsort(keys, n, sizeof *keys, cmp_str);
	for (i = 1; i < n; i++) {
		if (!strcmp(keys[i - 1], keys[i])) {
			err_rule(r->e, RULE_ST_META_TWICE, pos,
				"byte %llu: __metadata__ has the key %s twice",
				(unsigned long long)pos, text_quote(keys[i]).s);
			goto out;
		}
	}
	r->h->meta_at = from;
	r->h->meta_end = jread_pos(&r->j);
	rc = 0;
out:
	free(keys);
	return rc;
}

/* Rejects names that no writer of weights makes and that tools downstream choke on. */
static int check_name(struct reader *r)
{
	const struct text *s = &r->j.str;
	size_t i;

	for (i = 0; i < s->n; i++)
		if ((unsigned char)s->s[i] < 0x20 || s->s[i] == 0x7f)
			break;
	if (s->n && i == s->n)
		return 0;
	return err_rule(r->e, s->n ? RULE_ST_NAME_CONTROL : RULE_ST_NAME_EMPTY, r->j.str_pos,
		"byte %llu: %s", (unsigned long long)r->j.str_pos,
		s->n ? "a tensor name with a control byte" : "a tensor without a name");
}

static int read_tensors(struct reader *r)
{
	struct tensor *t;
	int more;

	if (jread_object(&r->j))
		return -1;
	while ((more = jread_key(&r->j)) == 1) {
		if (check_name(r))
			return -1;
		if (!strcmp(r->j.str.s, "__metadata__")) {
			if (read_metadata(r))
				return -1;
			continue;
		}
		assert(r->h->n < r->room); /* RECORD_MIN bytes were read for each */
		t = &r->h->tensors[r->h->n];
		memset(t, 0, sizeof *t);
		t->pos = (uint32_t)r->j.str_pos;
		t->name = arena_strndup(r->arena, r->j.str.s, r->j.str.n);
		if (!t->name)
			return err_nomem(r->e);
		if (read_record(r, t))
			return -1;
		r->h->n++;
	}
	return more;
}

static int by_name(const void *a, const void *b)
{
	const struct tensor *x = *(const struct tensor *const *)a,
			    *y = *(const struct tensor *const *)b;
	int c = strcmp(x->name, y->name);

	return c ? c : (x->pos > y->pos) - (x->pos < y->pos);
}

static int by_offset(const void *a, const void *b)
{
	const struct tensor *x = *(const struct tensor *const *)a,
			    *y = *(const struct tensor *const *)b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	if (x->end != y->end)
		return x->end < y->end ? -1 : 1;
	return (x->pos > y->pos) - (x->pos < y->pos);
}

/* Reports the name that comes first in the file as a repetition. */
static int check_twice(struct reader *r, const struct tensor **v, size_t n)
{
	const struct tensor *twice = NULL;
	size_t i;

	qsort(v, n, sizeof *v, by_name);
	for (i = 1; i < n; i++)
		if (!strcmp(v[i - 1]->name, v[i]->name) && (!twice || v[i]->pos < twice->pos))
			twice = v[i];
	return twice ? broken(r, RULE_ST_NAME_TWICE, twice, twice->pos,
			       "the same name for the second time")
		     : 0;
}

/* Walks the payload; the first hole or overlap in payload order is reported. */
static int check_cover(struct reader *r, const struct tensor **v, size_t n, uint64_t payload)
{
	uint64_t at = 0;
	size_t i;

	qsort(v, n, sizeof *v, by_offset);
	for (i = 0; i < n; i++) {
		if (v[i]->begin != at)
			return err_rule(r->e,
				v[i]->begin > at ? RULE_ST_OFFSET_GAP : RULE_ST_OFFSET_OVERLAP,
				v[i]->pos,
				"tensor %s, byte %llu: starts at %llu, the one before ends at %llu",
				text_quote(v[i]->name).s, (unsigned long long)v[i]->pos,
				(unsigned long long)v[i]->begin, (unsigned long long)at);
		at = v[i]->end;
	}
	if (at > payload)
		return err_rule(r->e, RULE_ST_TRUNCATED, r->h->data_at + payload,
			"the file is cut: its tensors need %llu bytes of payload, %llu are there, %llu are "
			"missing",
			(unsigned long long)at, (unsigned long long)payload,
			(unsigned long long)(at - payload));
	if (at < payload)
		return err_rule(r->e, RULE_ST_TRAILING, r->h->data_at + at,
			"the payload goes on for %llu bytes after the last tensor, which ends at byte %llu",
			(unsigned long long)(payload - at),
			(unsigned long long)(r->h->data_at + at));
	return 0;
}

/* Tells what the file really is, where the first bytes give it away. */
static const char *looks_like(const unsigned char *p, size_t n)
{
	static const struct {
		const char *start, *what;
	} kind[] = {
		{ "version https://git-lfs",
			"this is a Git-LFS pointer, not the file it stands for" },
		{ "<!DOCTYPE", "this is an HTML page" },
		{ "<html", "this is an HTML page" },
		{ "PK\003\004", "this is a zip archive (a .bin or .pt checkpoint?)" },
		{ "GGUF", "this is a GGUF file" },
		{ "{", "the eight bytes of the header length are missing" },
	};
	size_t i;

	for (i = 0; i < sizeof kind / sizeof *kind; i++)
		if (n >= strlen(kind[i].start) && !memcmp(p, kind[i].start, strlen(kind[i].start)))
			return kind[i].what;
	for (i = 0; i < n && !p[i]; i++)
		;
	return i == n ? "the file begins with zeros: the download did not finish"
		      : "this is no safetensors file";
}

/* Reads and bounds N. */
static int read_length(const struct io *io, int fd, uint64_t size, uint64_t cap, uint64_t *n,
	struct err *e)
{
	unsigned char b[32] = { 0 };
	size_t have = size < sizeof b ? (size_t)size : sizeof b, i;

	if (size < 8)
		return err_rule(e, RULE_ST_FILE_SHORT, 0,
			"the file has %llu bytes, a header needs 10", (unsigned long long)size);
	if (file_read(io, fd, b, have, 0, e))
		return -1;
	for (*n = 0, i = 8; i-- > 0;)
		*n = *n << 8 | b[i];
	if (*n > size - 8 || *n < 2)
		return err_rule(e, *n < 2 ? RULE_ST_HEADER_SHORT : RULE_ST_HEADER_BEYOND, 0,
			"the header length is %llu in a file of %llu bytes: %s",
			(unsigned long long)*n, (unsigned long long)size, looks_like(b, have));
	if (*n > cap)
		return err_rule(e, RULE_ST_HEADER_CAP, 0,
			"the header has %llu bytes, at most %llu are taken", (unsigned long long)*n,
			(unsigned long long)cap);
	if (b[8] != '{')
		return err_rule(e, RULE_ST_HEADER_START, 8,
			"byte 8: the header begins with byte 0x%02x, not with {", b[8]);
	return 0;
}

/* alone: nothing follows the header, and this is what would. */
static int read_header(struct st_header *h, const struct io *io, int fd, uint64_t size,
	uint64_t header_cap, struct arena *arena, uint64_t *alone, struct err *e)
{
	struct reader r = { .h = h, .arena = arena, .e = e };
	const struct tensor **v = NULL;
	uint64_t n = 0;
	size_t i;
	int rc = -1;

	memset(h, 0, sizeof *h);
	if (read_length(io, fd, size, header_cap, &n, e))
		return -1;
	h->data_at = 8 + n;
	r.room = (size_t)(n / RECORD_MIN) + 1;
	h->tensors =
		malloc(r.room * sizeof *h->tensors); /* pages that stay untouched cost nothing */
	if (!h->tensors) {
		err_nomem(e);
		goto out;
	}
	if (jread_open_file(&r.j, io, fd, 8, n, 3, e))
		goto out;
	r.j.max_key = ST_NAME_MAX;
	if (read_tensors(&r) || jread_end(&r.j, false))
		goto out;
	v = malloc((h->n + 1) * sizeof *v);
	if (!v) {
		err_nomem(e);
		goto out;
	}
	for (i = 0; i < h->n; i++)
		v[i] = &h->tensors[i];
	for (i = 0; alone && i < h->n; i++)
		*alone = h->tensors[i].end > *alone ? h->tensors[i].end : *alone;
	if (check_twice(&r, v, h->n) ||
		check_cover(&r, v, h->n, alone ? *alone : size - h->data_at))
		goto out;
	rc = 0;
out:
	free(v);
	jread_close(&r.j);
	if (rc)
		st_free(h);
	return rc;
}

int st_read(struct st_header *h, const struct io *io, int fd, uint64_t size, uint64_t header_cap,
	struct arena *arena, struct err *e)
{
	return read_header(h, io, fd, size, header_cap, arena, NULL, e);
}

int st_read_alone(struct st_header *h, const struct io *io, int fd, uint64_t size,
	uint64_t header_cap, struct arena *arena, uint64_t *payload, struct err *e)
{
	*payload = 0;
	if (read_header(h, io, fd, size, header_cap, arena, payload, e))
		return -1;
	if (h->data_at == size)
		return 0;
	st_free(h);
	return err_rule(e, RULE_ST_TRAILING, h->data_at, "the header is followed by something");
}

void st_free(struct st_header *h)
{
	free(h->tensors);
	memset(h, 0, sizeof *h);
}

int st_order(const void *a, const void *b)
{
	const struct tensor *x = a, *y = b;

	return x->dtype != y->dtype ? (x->dtype < y->dtype) - (x->dtype > y->dtype)
				    : strcmp(x->name, y->name);
}

void st_put_header(struct text *out, const struct tensor *first, size_t n, size_t stride)
{
	st_put_header_for(out, NULL, 0, 8, first, n, stride);
}

static void put_meta(struct text *out, const struct st_meta *meta, size_t n)
{
	size_t i;

	text_str(out, "\"__metadata__\":{");
	for (i = 0; i < n; i++) {
		if (i)
			text_put(out, ",", 1);
		jwrite_quote(out, meta[i].key, strlen(meta[i].key));
		text_put(out, ":", 1);
		jwrite_quote(out, meta[i].value, strlen(meta[i].value));
	}
	text_put(out, "}", 1);
}

void st_put_header_for(struct text *out, const struct st_meta *meta, size_t n_meta, unsigned align,
	const struct tensor *first, size_t n, size_t stride)
{
	const struct tensor *t;
	size_t i, from = out->n;
	unsigned d;
	uint64_t len;
	char le[8];

	text_put(out, "\0\0\0\0\0\0\0\0{", 9);
	if (n_meta)
		put_meta(out, meta, n_meta);
	for (i = 0; i < n; i++) {
		t = (const struct tensor *)(const void *)((const char *)first + i * stride);
		if (i || n_meta)
			text_put(out, ",", 1);
		jwrite_quote(out, t->name, strlen(t->name));
		text_fmt(out, ":{\"dtype\":\"%s\",\"shape\":[", dtypes[t->dtype].name);
		for (d = 0; d < t->rank; d++)
			text_fmt(out, d ? ",%llu" : "%llu", (unsigned long long)t->dim[d]);
		text_fmt(out, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)t->begin,
			(unsigned long long)t->end);
	}
	text_put(out, "}", 1);
	while (!out->failed && (out->n - from) % align)
		text_put(out, " ", 1);
	if (out->failed)
		return;
	len = out->n - from - 8;
	for (d = 0; d < 8; d++)
		le[d] = (char)(len >> 8 * d);
	memcpy(out->s + from, le, 8);
}
