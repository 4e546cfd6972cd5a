/* SPDX-License-Identifier: MIT */
#include "formats/format_id.h"
#include "formats/conversion/account.h"

#include "formats/json/jfield.h"
#include "formats/conversion/manifest.h"
#include "formats/st/safetensors.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH = 8 };

/* While it is read: the tensor and source at hand. */
struct reading {
	struct account *a;
	struct account_tensor t;
	struct account_source s;
	uint64_t chunk_bytes;
	uint64_t dropped; /* end of the last frame */
};

#define READING(ctx) ((struct reading *)(ctx))

static int get_u64(struct jread *j, uint64_t *v)
{
	return jread_u64(j, ST_OFFSET_MAX, v);
}

static int get_u32(struct jread *j, uint32_t *v)
{
	uint64_t x = 0;

	if (jread_u64(j, UINT32_MAX, &x))
		return -1;
	*v = (uint32_t)x;
	return 0;
}

/* Before anything is added. */
static int bounded(const struct account *a, struct err *e)
{
	if (a->n < ACCOUNT_TENSORS && a->n_sources < ACCOUNT_SOURCES &&
		a->n_chunks < ACCOUNT_TENSORS && a->arena.total < ACCOUNT_NAMES)
		return 0;
	return jfield_wrong(e, "it is larger than any that this tool wrote");
}

static int keep(struct account *a, struct jread *j, size_t max, const char **out, struct err *e)
{
	char s[ST_NAME_MAX + 1];

	if (jfield_string(j, s, max < sizeof s ? max : sizeof s, e))
		return -1;
	if (!s[0])
		return jfield_wrong(e, "a name that is empty");
	*out = arena_strndup(&a->arena, s, strlen(s));
	return *out ? 0 : err_nomem(e);
}

/* --- sources --- */

static int get_shard(struct jread *j, void *ctx, struct err *e)
{
	struct account *a = READING(ctx)->a;
	char s[256];
	size_t i;

	if (jfield_name(j, s, sizeof s, e))
		return -1;
	for (i = a->n_shards; i > 0 && strcmp(a->shards[i - 1], s) != 0; i--)
		; /* from the end: most are of the last one */
	if (!i) {
		if (a->n_shards == 65536)
			return jfield_wrong(e, "more than 65536 shards");
		if (mem_grow(&a->shards, &a->shards_cap, a->n_shards + 1, sizeof *a->shards))
			return err_nomem(e);
		a->shards[a->n_shards] = arena_strndup(&a->arena, s, strlen(s));
		if (!a->shards[a->n_shards])
			return err_nomem(e);
		i = ++a->n_shards;
	}
	READING(ctx)->s.shard = (uint32_t)i - 1;
	return 0;
}
static int get_source_tensor(struct jread *j, void *ctx, struct err *e)
{
	return keep(READING(ctx)->a, j, ST_NAME_MAX + 1, &READING(ctx)->s.tensor, e);
}
static int get_source_xxh(struct jread *j, void *ctx, struct err *e)
{
	struct account_source *s = &READING(ctx)->s;

	if (s->has_xxh)
		return jfield_wrong(e, "a source with two digests");
	s->has_xxh = true;
	return jfield_hex(j, s->xxh.b, sizeof s->xxh.b, e);
}
static int get_source_part(struct jread *j, void *ctx, struct err *e)
{
	READING(ctx)->s.part = true;
	return get_source_xxh(j, ctx, e);
}
static const struct jfield source_fields[] = { { "shard", get_shard, false },
	{ "tensor", get_source_tensor, false }, { "xxh3_128", get_source_xxh, true },
	{ "xxh3_128_of_part", get_source_part, true }, { NULL, NULL, false } };

static int get_source(struct jread *j, void *ctx, struct err *e)
{
	struct account *a = READING(ctx)->a;

	READING(ctx)->s = (struct account_source){ .tensor = NULL };
	if (bounded(a, e) || jfield_object(j, source_fields, ctx, e))
		return -1;
	if (mem_grow(&a->sources, &a->sources_cap, a->n_sources + 1, sizeof *a->sources))
		return err_nomem(e);
	a->sources[a->n_sources++] = READING(ctx)->s;
	return 0;
}
static int get_sources(struct jread *j, void *ctx, struct err *e)
{
	return jfield_array(j, get_source, ctx, e);
}

/* --- tensors --- */

static int get_exact(struct jread *j, void *ctx, struct err *e)
{
	uint64_t v;

	(void)ctx, (void)e;
	return get_u64(j, &v);
}
static int get_inexact(struct jread *j, void *ctx, struct err *e)
{
	(void)e;
	return get_u64(j, &READING(ctx)->t.inexact);
}
static int get_total(struct jread *j, void *ctx, struct err *e)
{
	(void)e;
	return get_u64(j, &READING(ctx)->t.blocks);
}
static const struct jfield block_fields[] = { { "exact", get_exact, false },
	{ "inexact", get_inexact, false }, { "inexact_at", jfield_skip, true },
	{ "total", get_total, false }, { NULL, NULL, false } };
static int get_blocks(struct jread *j, void *ctx, struct err *e)
{
	return jfield_object(j, block_fields, ctx, e);
}

static int get_frame(struct jread *j, void *ctx, struct err *e)
{
	struct reading *r = ctx;

	if (jfield_range(j, r->t.dropped, e))
		return -1;
	if (r->t.dropped[0] != r->dropped || r->t.dropped[0] == r->t.dropped[1])
		return jfield_wrong(e,
			"what was dropped of a tensor does not follow what comes before");
	r->dropped = r->t.dropped[1];
	return 0;
}

static int get_columns(struct jread *j, void *ctx, struct err *e)
{
	return jfield_range(j, READING(ctx)->t.col, e);
}
static int get_rows(struct jread *j, void *ctx, struct err *e)
{
	return jfield_range(j, READING(ctx)->t.row, e);
}
static int get_offsets(struct jread *j, void *ctx, struct err *e)
{
	uint64_t v[2];

	if (jfield_range(j, v, e))
		return -1;
	READING(ctx)->t.begin = v[0];
	READING(ctx)->t.end = v[1];
	return 0;
}
static int get_dtype(struct jread *j, void *ctx, struct err *e)
{
	char s[32];
	int t;

	if (jfield_string(j, s, sizeof s, e))
		return -1;
	t = dtype_find(s, strlen(s));
	READING(ctx)->t.dtype = (uint8_t)t;
	return t < 0 ? jfield_wrong(e, "a type %s, which there is not", text_quote(s).s) : 0;
}
static int get_247(struct jread *j, void *ctx, struct err *e)
{
	(void)e;
	return get_u32(j, &READING(ctx)->t.e8m0[1]);
}
static int get_249(struct jread *j, void *ctx, struct err *e)
{
	(void)e;
	return get_u32(j, &READING(ctx)->t.e8m0[2]);
}
static int get_zero(struct jread *j, void *ctx, struct err *e)
{
	(void)e;
	return get_u32(j, &READING(ctx)->t.e8m0[0]);
}
static const struct jfield e8m0_fields[] = { { "above_247", get_247, false },
	{ "above_249", get_249, false }, { "zero", get_zero, false }, { NULL, NULL, false } };
static int get_e8m0(struct jread *j, void *ctx, struct err *e)
{
	READING(ctx)->t.scaled = true;
	return jfield_object(j, e8m0_fields, ctx, e);
}

static int get_layout_name(struct jread *j, void *ctx, struct err *e)
{
	return keep(READING(ctx)->a, j, 64, &READING(ctx)->t.layout, e);
}
static int get_map(struct jread *j, void *ctx, struct err *e)
{
	return keep(READING(ctx)->a, j, 64, &READING(ctx)->t.map, e);
}
static int get_parts(struct jread *j, void *ctx, struct err *e)
{
	uint64_t v = 0;

	(void)e;
	if (jread_u64(j, 2, &v))
		return -1;
	READING(ctx)->t.parts = (uint8_t)v;
	return 0;
}
static int get_version(struct jread *j, void *ctx, struct err *e)
{
	(void)e;
	return get_u32(j, &READING(ctx)->t.version);
}
static const struct jfield layout_fields[] = { { "name", get_layout_name, false },
	{ "parts", get_parts, false }, { "rows", get_map, false },
	{ "version", get_version, false }, { NULL, NULL, false } };
static int get_layout(struct jread *j, void *ctx, struct err *e)
{
	return jfield_object(j, layout_fields, ctx, e);
}

static int get_tensor_name(struct jread *j, void *ctx, struct err *e)
{
	return keep(READING(ctx)->a, j, ST_NAME_MAX + 1, &READING(ctx)->t.name, e);
}
static int get_shape(struct jread *j, void *ctx, struct err *e)
{
	struct account_tensor *t = &READING(ctx)->t;
	uint64_t dim[ST_RANK_MAX], *p;
	int more;

	if (jread_array(j))
		return -1;
	while ((more = jread_item(j)) == 1) {
		if (t->rank == ST_RANK_MAX)
			return jfield_wrong(e, "more than %d dimensions", ST_RANK_MAX);
		if (jread_u64(j, ST_DIM_MAX, &dim[t->rank]))
			return -1;
		t->rank++;
	}
	if (more || !t->rank)
		return more;
	p = arena_alloc(&READING(ctx)->a->arena, t->rank * sizeof *p);
	if (!p)
		return err_nomem(e);
	memcpy(p, dim, t->rank * sizeof *p);
	t->dim = p;
	return 0;
}
static int get_transform(struct jread *j, void *ctx, struct err *e)
{
	char s[32];
	int i;

	if (jfield_string(j, s, sizeof s, e))
		return -1;
	for (i = 0; i < OP_COUNT && strcmp(ops[i].name, s) != 0; i++)
		;
	if (i == OP_COUNT)
		return jfield_wrong(e, "a transform %s, which there is not", text_quote(s).s);
	READING(ctx)->t.op = (uint8_t)i;
	return 0;
}
static int get_xxh(struct jread *j, void *ctx, struct err *e)
{
	return jfield_hex(j, READING(ctx)->t.xxh.b, sizeof READING(ctx)->t.xxh.b, e);
}

static const struct jfield tensor_fields[] = { { "blocks", get_blocks, true },
	{ "columns", get_columns, true }, { "dropped", get_frame, true },
	{ "dtype", get_dtype, false }, { "e8m0", get_e8m0, true }, { "layout", get_layout, true },
	{ "name", get_tensor_name, false }, { "offsets", get_offsets, false },
	{ "rows", get_rows, true }, { "shape", get_shape, false },
	{ "sources", get_sources, false }, { "transform", get_transform, false },
	{ "xxh3_128", get_xxh, false }, { NULL, NULL, false } };

/* What one tensor says has to fit together. */
static int settle(struct account *a, struct account_tensor *t, struct err *e)
{
	uint64_t bytes, at = a->n ? a->tensors[a->n - 1].end : 0;

	if (!st_bytes((enum dtype)t->dtype, t->dim, t->rank, &bytes) || bytes != t->end - t->begin)
		return jfield_wrong(e, "tensor %s has another size than its shape",
			text_quote(t->name).s);
	if (t->begin != at)
		return jfield_wrong(e, "tensor %s does not begin where the one before it ends",
			text_quote(t->name).s);
	if (t->op == OP_CAST && t->dtype != DT_F8_E4M3) /* one word for both */
		t->op = OP_CAST_SCALE;
	if ((t->op == OP_TILE) != (t->layout != NULL) || (t->op == OP_TILE && !t->parts))
		return jfield_wrong(e, "tensor %s: a layout belongs to the transform tile",
			text_quote(t->name).s);
	if (t->inexact > t->blocks)
		return jfield_wrong(e, "tensor %s: more inexact blocks than blocks",
			text_quote(t->name).s);
	return t->n ? 0 : jfield_wrong(e, "tensor %s comes from nothing", text_quote(t->name).s);
}

static int get_tensor(struct jread *j, void *ctx, struct err *e)
{
	struct reading *r = ctx;
	struct account *a = r->a;

	memset(&r->t, 0, sizeof r->t);
	r->t.first = (uint32_t)a->n_sources;
	if (bounded(a, e) || jfield_object(j, tensor_fields, r, e))
		return -1;
	r->t.n = (uint32_t)a->n_sources - r->t.first;
	if (settle(a, &r->t, e))
		return -1;
	if (mem_grow(&a->tensors, &a->cap, a->n + 1, sizeof *a->tensors))
		return err_nomem(e);
	a->tensors[a->n++] = r->t;
	return 0;
}
static int get_tensors(struct jread *j, void *ctx, struct err *e)
{
	return jfield_array(j, get_tensor, ctx, e);
}

/* --- the file --- */

static int get_chunk_bytes(struct jread *j, void *ctx, struct err *e)
{
	(void)e;
	return get_u64(j, &READING(ctx)->chunk_bytes);
}
static int get_chunk(struct jread *j, void *ctx, struct err *e)
{
	struct account *a = READING(ctx)->a;

	if (bounded(a, e))
		return -1;
	if (mem_grow(&a->chunks, &a->chunks_cap, a->n_chunks + 1, sizeof *a->chunks))
		return err_nomem(e);
	return jfield_hex(j, a->chunks[a->n_chunks++].b, 16, e);
}
static int get_chunks(struct jread *j, void *ctx, struct err *e)
{
	return jfield_array(j, get_chunk, ctx, e);
}
static int get_file_bytes(struct jread *j, void *ctx, struct err *e)
{
	(void)e;
	return get_u64(j, &READING(ctx)->a->bytes);
}
static int get_header_bytes(struct jread *j, void *ctx, struct err *e)
{
	(void)e;
	return get_u64(j, &READING(ctx)->a->header_bytes);
}
static int get_file_name(struct jread *j, void *ctx, struct err *e)
{
	return jfield_name(j, READING(ctx)->a->name, sizeof READING(ctx)->a->name, e);
}
static int get_sha(struct jread *j, void *ctx, struct err *e)
{
	struct account *a = READING(ctx)->a;

	return jfield_hex_or_null(j, a->sha256, 32, &a->has_sha, e);
}
static const struct jfield file_fields[] = { { "bytes", get_file_bytes, false },
	{ "header_bytes", get_header_bytes, false }, { "name", get_file_name, false },
	{ "sha256", get_sha, false }, { NULL, NULL, false } };
static int get_file(struct jread *j, void *ctx, struct err *e)
{
	return jfield_object(j, file_fields, ctx, e);
}

static int get_dropped_bytes(struct jread *j, void *ctx, struct err *e)
{
	(void)e;
	return get_u64(j, &READING(ctx)->a->dropped_bytes);
}
static int get_dropped_sha(struct jread *j, void *ctx, struct err *e)
{
	return jfield_hex(j, READING(ctx)->a->dropped_sha256, 32, e);
}
static const struct jfield dropped_fields[] = { { "bytes", get_dropped_bytes, false },
	{ "sha256", get_dropped_sha, false }, { NULL, NULL, false } };
static int get_dropped(struct jread *j, void *ctx, struct err *e)
{
	return jfield_object(j, dropped_fields, ctx, e);
}

static int get_format(struct jread *j, void *ctx, struct err *e)
{
	char s[32];

	(void)ctx;
	if (jfield_string(j, s, sizeof s, e))
		return -1;
	return strcmp(s, FORMAT_SIDECAR)
		? jfield_wrong(e, "its format is %s, not " FORMAT_SIDECAR, text_quote(s).s)
		: 0;
}
static int get_plan(struct jread *j, void *ctx, struct err *e)
{
	uint8_t d[32];

	if (jfield_hex(j, d, sizeof d, e))
		return -1;
	hex_of(d, sizeof d, READING(ctx)->a->plan);
	return 0;
}
static int get_target(struct jread *j, void *ctx, struct err *e)
{
	struct account *a = READING(ctx)->a;

	return jfield_string(j, a->target, sizeof a->target, e);
}
static int get_tool(struct jread *j, void *ctx, struct err *e)
{
	struct account *a = READING(ctx)->a;

	return jfield_string(j, a->tool, sizeof a->tool, e);
}
static const struct jfield fields[] = { { "chunk_bytes", get_chunk_bytes, false },
	{ "chunks_xxh3_128", get_chunks, false }, { "dropped", get_dropped, true },
	{ "file", get_file, false }, { "format", get_format, false }, { "plan", get_plan, false },
	{ "target", get_target, false }, { "tensors", get_tensors, false },
	{ "tool", get_tool, false }, { NULL, NULL, false } };

static int hold_together(const struct reading *r, struct err *e)
{
	const struct account *a = r->a;
	uint64_t payload = a->n ? a->tensors[a->n - 1].end : 0;

	if (r->chunk_bytes != MAN_CHUNK)
		return jfield_wrong(e, "chunks of another size than %u", MAN_CHUNK);
	if (r->dropped != a->dropped_bytes)
		return jfield_wrong(e,
			"the tensors dropped another number of bytes than there are");
	if (a->n_chunks != mem_ceil_div(a->bytes, MAN_CHUNK))
		return jfield_wrong(e, "%zu chunks for %llu bytes", a->n_chunks,
			(unsigned long long)a->bytes);
	if (a->header_bytes > a->bytes || a->bytes - a->header_bytes != payload)
		return jfield_wrong(e, "header and tensors do not make up the file");
	return 0;
}

int account_read(struct account *a, const struct io *io, int fd, uint64_t size, struct err *e)
{
	struct reading r = { .a = a };
	struct jread j;
	int rc;

	memset(a, 0, sizeof *a);
	if (jread_open_file(&j, io, fd, 0, size, DEPTH, e))
		return -1;
	rc = jfield_object(&j, fields, &r, e) || jread_end(&j, true) ? -1 : hold_together(&r, e);
	jread_close(&j);
	if (rc)
		account_free(a);
	return rc;
}

void account_free(struct account *a)
{
	free(a->chunks);
	free(a->tensors);
	free(a->sources);
	free(a->shards);
	arena_free(&a->arena);
	memset(a, 0, sizeof *a);
}

size_t account_in(const struct account *a, uint64_t from, uint64_t to, size_t *first)
{
	size_t lo = 0, hi = a->n, mid, n;

	*first = 0;
	if (to <= a->header_bytes)
		return 0;
	from = from > a->header_bytes ? from - a->header_bytes : 0;
	to -= a->header_bytes;
	while (lo < hi) { /* the first that ends behind from */
		mid = lo + (hi - lo) / 2;
		if (a->tensors[mid].end > from)
			hi = mid;
		else
			lo = mid + 1;
	}
	*first = lo;
	for (n = 0; lo + n < a->n && a->tensors[lo + n].begin < to; n++)
		;
	return n;
}
