/* SPDX-License-Identifier: MIT */
#include "formats/conversion/sidecar.h"

#include "formats/conversion/manifest.h"
#include "formats/codec.h"
#include "formats/format_id.h"
#include "formats/gguf/ggml_type.h"
#include "formats/gguf/gguf_set.h"
#include "formats/json/jfield.h"
#include "formats/st/safetensors.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH = 8 };

/* What is read of the tensor and the source at hand, before it goes to its struct. */
struct reading {
	struct sidecar a;
	struct sidecar_tensor t;
	struct sidecar_source s;
	uint64_t chunk_bytes, exact;
	uint64_t dropped;           /* end of the last frame */
	struct sidecar_block *lost; /* owns; of the tensor at hand */
	size_t lost_cap, lost_all;  /* lost_all: in the file so far */
	bool has_dropped, has_layout, has_tensor_dropped, has_reform;
	char format[32], shard[256], dtype[32], transform[32], name[ST_NAME_MAX + 1];
	char layout[64], map[64], from[16], to[16], of[16], zero[8], codec[16];
	uint32_t *slots; /* owns; [n_slots] a hash table: index into a.shards, plus one; 0: free */
	size_t n_slots;
};
#define READING(ctx) ((struct reading *)(ctx))
#define AT(field) offsetof(struct reading, field)
#define ROOM(field) sizeof(((struct reading *)0)->field)

/* To be called before anything is added. */
static int bounded(const struct sidecar *a, struct err *e)
{
	if (a->n < SIDECAR_TENSORS && a->n_sources < SIDECAR_SOURCES &&
		a->n_chunks < SIDECAR_TENSORS && a->arena.total < SIDECAR_NAMES)
		return 0;
	return jfield_wrong(e, "it is larger than any that this tool wrote");
}

/* Keeps the name s, which must not be empty. */
static int keep(struct sidecar *a, const char *s, const char **out, struct err *e)
{
	if (!s[0])
		return jfield_wrong(e, "a name that is empty");
	*out = arena_strndup(&a->arena, s, strlen(s));
	return *out ? 0 : err_nomem(e);
}

/* --- shards, found by a hash of their names: a sidecar may name 65,536 of them in any order --- */

static size_t slot_of(const struct reading *r, const char *name)
{
	struct xxh_digest d = xxh_of(name, strlen(name));
	uint64_t h;
	size_t i;

	memcpy(&h, d.b, sizeof h);
	for (i = (size_t)h & (r->n_slots - 1);
		r->slots[i] && strcmp(r->a.shards[r->slots[i] - 1], name) != 0;
		i = (i + 1) & (r->n_slots - 1))
		;
	return i;
}

/* Keeps at least half of the slots free. */
static int grow_slots(struct reading *r, struct err *e)
{
	size_t i;

	if (2 * (r->a.n_shards + 1) <= r->n_slots)
		return 0;
	free(r->slots);
	r->n_slots = r->n_slots ? 2 * r->n_slots : 64;
	r->slots = calloc(r->n_slots, sizeof *r->slots);
	if (!r->slots)
		return err_nomem(e);
	for (i = 0; i < r->a.n_shards; i++)
		r->slots[slot_of(r, r->a.shards[i])] = (uint32_t)i + 1;
	return 0;
}

static int shard_of(struct reading *r, uint32_t *shard, struct err *e)
{
	struct sidecar *a = &r->a;
	size_t at;

	if (grow_slots(r, e))
		return -1;
	at = slot_of(r, r->shard);
	if (!r->slots[at]) {
		if (a->n_shards == SIDECAR_SHARDS)
			return jfield_wrong(e, "more than %d shards", SIDECAR_SHARDS);
		if (mem_grow(&a->shards, &a->shards_cap, a->n_shards + 1, sizeof *a->shards))
			return err_nomem(e);
		if (keep(a, r->shard, &a->shards[a->n_shards], e))
			return -1;
		r->slots[at] = (uint32_t)++a->n_shards;
	}
	*shard = r->slots[at] - 1;
	return 0;
}

/* --- sources --- */

/* clang-format off */
static const struct jfield source_fields[] = {
	{ "shard", JFIELD_NAME, .at = AT(shard), .room = ROOM(shard) },
	{ "tensor", JFIELD_STRING, .at = AT(name), .room = ROOM(name) },
	{ "xxh3_128", JFIELD_HEX, .at = AT(s.xxh), .room = 16, .has = AT(s.has_xxh), .optional = true },
	{ "xxh3_128_of_part", JFIELD_HEX, .at = AT(s.xxh), .room = 16, .has = AT(s.part), .optional = true },
	{ 0 } };
/* clang-format on */

static int get_source(struct jread *j, void *ctx, struct err *e)
{
	struct reading *r = ctx;
	struct sidecar *a = &r->a;

	r->s = (struct sidecar_source){ .tensor = NULL };
	if (bounded(a, e) || jfield_object(j, source_fields, r, e))
		return -1;
	if (r->s.has_xxh && r->s.part)
		return jfield_wrong(e, "a source with two digests");
	r->s.has_xxh = r->s.has_xxh || r->s.part;
	if (keep(a, r->name, &r->s.tensor, e) || shard_of(r, &r->s.shard, e))
		return -1;
	if (mem_grow(&a->sources, &a->sources_cap, a->n_sources + 1, sizeof *a->sources))
		return err_nomem(e);
	a->sources[a->n_sources++] = r->s;
	return 0;
}

/* --- tensors --- */

static int get_tensor_name(struct jread *j, void *ctx, struct err *e)
{
	struct reading *r = ctx;

	return jfield_string(j, r->name, sizeof r->name, e) || keep(&r->a, r->name, &r->t.name, e)
		? -1
		: 0;
}

static int get_shape(struct jread *j, void *ctx, struct err *e)
{
	struct sidecar_tensor *t = &READING(ctx)->t;
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
	p = arena_alloc(&READING(ctx)->a.arena, t->rank * sizeof *p);
	if (!p)
		return err_nomem(e);
	memcpy(p, dim, t->rank * sizeof *p);
	t->dim = p;
	return 0;
}

/* A block that lost something: its row and its column. */
static int get_lost(struct jread *j, void *ctx, struct err *e)
{
	struct reading *r = ctx;
	struct sidecar_tensor *t = &r->t;
	uint64_t v[2] = { 0 };
	unsigned n = 0;
	int more;

	if (jread_array(j))
		return -1;
	while ((more = jread_item(j)) == 1) {
		if (n == 2)
			return jfield_wrong(e, "a block is a row and a column");
		if (jread_u64(j, UINT32_MAX, &v[n++]))
			return -1;
	}
	if (more)
		return -1;
	if (n != 2 || r->lost_all == SIDECAR_LOST)
		return jfield_wrong(e,
			n != 2 ? "a block is a row and a column"
			       : "it lists more blocks than this tool does");
	if (mem_grow(&r->lost, &r->lost_cap, t->n_lost + 1u, sizeof *r->lost))
		return err_nomem(e);
	r->lost[t->n_lost++] = (struct sidecar_block){ (uint32_t)v[0], (uint32_t)v[1] };
	r->lost_all++;
	return 0;
}

/* clang-format off */
static const struct jfield block_fields[] = {
	{ "exact", JFIELD_U64, .at = AT(exact) },
	{ "inexact", JFIELD_U64, .at = AT(t.inexact) },
	{ "inexact_at", JFIELD_ARRAY, .get = get_lost, .optional = true },
	{ "rescued", JFIELD_U64, .at = AT(t.rescued), .optional = true },
	{ "total", JFIELD_U64, .at = AT(t.blocks) },
	{ 0 } };
static const struct jfield e8m0_fields[] = {
	{ "above_247", JFIELD_U32, .at = AT(t.e8m0[1]) },
	{ "above_249", JFIELD_U32, .at = AT(t.e8m0[2]) },
	{ "zero", JFIELD_U32, .at = AT(t.e8m0[0]) },
	{ 0 } };
static const struct jfield layout_fields[] = {
	{ "name", JFIELD_STRING, .at = AT(layout), .room = ROOM(layout) },
	{ "parts", JFIELD_U8, .at = AT(t.parts) },
	{ "rows", JFIELD_STRING, .at = AT(map), .room = ROOM(map) },
	{ "version", JFIELD_U32, .at = AT(t.version) },
	{ 0 } };
static const struct jfield reform_fields[] = {
	{ "from", JFIELD_STRING, .at = AT(from), .room = ROOM(from) },
	{ "part", JFIELD_STRING, .at = AT(of), .room = ROOM(of) },
	{ "signed_zero", JFIELD_STRING, .at = AT(zero), .room = ROOM(zero), .optional = true },
	{ "to", JFIELD_STRING, .at = AT(to), .room = ROOM(to) },
	{ 0 } };
static const struct jfield tensor_fields[] = {
	{ "blocks", JFIELD_OBJECT, .fields = block_fields, .optional = true },
	{ "codec", JFIELD_STRING, .at = AT(codec), .room = ROOM(codec), .optional = true },
	{ "columns", JFIELD_RANGE, .at = AT(t.col), .optional = true },
	{ "dropped", JFIELD_RANGE, .at = AT(t.dropped), .has = AT(has_tensor_dropped), .optional = true },
	{ "dtype", JFIELD_STRING, .at = AT(dtype), .room = ROOM(dtype) },
	{ "e8m0", JFIELD_OBJECT, .fields = e8m0_fields, .has = AT(t.scaled), .optional = true },
	{ "layout", JFIELD_OBJECT, .fields = layout_fields, .has = AT(has_layout), .optional = true },
	{ "name", JFIELD_CALL, .get = get_tensor_name },
	{ "offsets", JFIELD_RANGE, .at = AT(t.begin) },
	{ "reform", JFIELD_OBJECT, .fields = reform_fields, .has = AT(has_reform), .optional = true },
	{ "rows", JFIELD_RANGE, .at = AT(t.row), .optional = true },
	{ "shape", JFIELD_CALL, .get = get_shape },
	{ "sources", JFIELD_ARRAY, .get = get_source },
	{ "transform", JFIELD_STRING, .at = AT(transform), .room = ROOM(transform) },
	{ "xxh3_128", JFIELD_HEX, .at = AT(t.xxh), .room = 16 },
	{ 0 } };
/* clang-format on */
/* "offsets" fills both. */
_Static_assert(offsetof(struct sidecar_tensor, end) ==
		offsetof(struct sidecar_tensor, begin) + sizeof(uint64_t),
	"begin and end lie side by side");

/* The number formats of a matrix that is in another one, and which part of it the tensor is. */
static int settle_reform(struct reading *r, struct err *e)
{
	struct sidecar_tensor *t = &r->t;

	if ((t->op == OP_REFORM) != r->has_reform)
		return jfield_wrong(e, "number formats belong to the transform reform");
	if (!r->has_reform)
		return 0;
	t->unsigned_zeros = !strcmp(r->zero, "drop");
	if (r->zero[0] && !t->unsigned_zeros)
		return jfield_wrong(e, "signed_zero is %s", text_quote(r->zero).s);
	t->from = (uint8_t)codec_find(r->from);
	t->to = (uint8_t)codec_find(r->to);
	for (t->of = 0; t->of < PART_COUNT && strcmp(op_parts[t->of], r->of) != 0; t->of++)
		;
	if (t->from == CODEC_NONE || t->to == CODEC_NONE || t->of == PART_COUNT)
		return jfield_wrong(e, "number formats %s and %s, part %s: there is none such",
			text_quote(r->from).s, text_quote(r->to).s, text_quote(r->of).s);
	return 0;
}

/* The type of blocks: that of a tensor of bytes in a GGUF. */
static int settle_codec(struct reading *r, struct err *e)
{
	const struct ggml_type_row *g;

	if (!r->codec[0])
		return 0;
	for (g = ggml_types; g->name && strcmp(g->name, r->codec) != 0; g++)
		;
	if (!g->name || g->items == 1 || r->t.op != OP_GGML || r->t.dtype != DT_U8)
		return jfield_wrong(e, "codec is %s", text_quote(r->codec).s);
	r->t.ggml = (uint16_t)g->type;
	return 0;
}

static int settle_words(struct reading *r, struct err *e)
{
	int dtype = dtype_find(r->dtype, strlen(r->dtype)), op;

	if (dtype < 0)
		return jfield_wrong(e, "a type %s, which there is not", text_quote(r->dtype).s);
	for (op = 0; op < OP_COUNT && strcmp(ops[op].name, r->transform) != 0; op++)
		;
	if (op == OP_COUNT)
		return jfield_wrong(e, "a transform %s, which there is not",
			text_quote(r->transform).s);
	if (op == OP_CAST && dtype != DT_F8_E4M3) /* one word for codes and scales */
		op = OP_CAST_SCALE;
	r->t.dtype = (uint8_t)dtype;
	r->t.op = (uint8_t)op;
	if (settle_reform(r, e) || settle_codec(r, e))
		return -1;
	if (!r->has_layout)
		return 0;
	if (r->t.parts > 2)
		return jfield_wrong(e, "a layout of %u parts", r->t.parts);
	return keep(&r->a, r->layout, &r->t.layout, e) || keep(&r->a, r->map, &r->t.map, e) ? -1
											    : 0;
}

/* The frame of a tensor in NAME.dropped begins where the one before it ends. */
static int settle_frame(struct reading *r, struct err *e)
{
	if (!r->has_tensor_dropped)
		return 0;
	if (r->t.dropped[0] != r->dropped || r->t.dropped[0] == r->t.dropped[1])
		return jfield_wrong(e,
			"what was dropped of a tensor does not follow what comes before");
	r->dropped = r->t.dropped[1];
	return 0;
}

/* Bytes that may lie between two tensors, plus one: in a GGUF each begins at a multiple of its alignment. */
static uint64_t gap_of(const struct sidecar *a)
{
	return gguf_named(a->name) ? GGUF_ALIGNMENT : 1;
}

/* Keeps the blocks that the tensor lists. */
static int settle_lost(struct reading *r, struct err *e)
{
	size_t n = r->t.n_lost * sizeof *r->lost;
	struct sidecar_block *v;

	if (!n)
		return 0;
	v = arena_alloc(&r->a.arena, n);
	if (!v)
		return err_nomem(e);
	memcpy(v, r->lost, n);
	r->t.lost = v;
	return 0;
}

/* Whether t, the tensor at hand, is a copy of a source that has another digest. */
static bool other_source(const struct sidecar *a, const struct sidecar_tensor *t)
{
	const struct sidecar_source *s;

	if (!sidecar_is_copy(t))
		return false;
	s = &a->sources[t->first];
	return s->has_xxh && !s->part && memcmp(&s->xxh, &t->xxh, sizeof s->xxh) != 0;
}

/* What one tensor says has to fit together. */
static int settle(const struct sidecar *a, const struct reading *r, struct err *e)
{
	const struct sidecar_tensor *t = &r->t;
	const char *name = t->name;
	uint64_t bytes, at = a->n ? a->tensors[a->n - 1].end : 0;

	if (!st_bytes((enum dtype)t->dtype, t->dim, t->rank, &bytes) || bytes != t->end - t->begin)
		return jfield_wrong(e, "tensor %s has another size than its shape",
			text_quote(name).s);
	if (t->begin < at || t->begin - at >= gap_of(a))
		return jfield_wrong(e, "tensor %s does not begin where the one before it ends",
			text_quote(name).s);
	if ((t->op == OP_TILE) != (t->layout != NULL) || (t->op == OP_TILE && !t->parts))
		return jfield_wrong(e, "tensor %s: a layout belongs to the transform tile",
			text_quote(name).s);
	if (t->inexact > t->blocks || t->n_lost > t->inexact ||
		r->exact != t->blocks - t->inexact || t->rescued > r->exact)
		return jfield_wrong(e, "tensor %s: blocks do not add up", text_quote(name).s);
	if (other_source(a, t))
		return jfield_wrong(e, "tensor %s is a copy, and its source has another digest",
			text_quote(name).s);
	return t->n ? 0 : jfield_wrong(e, "tensor %s comes from nothing", text_quote(name).s);
}

static int get_tensor(struct jread *j, void *ctx, struct err *e)
{
	struct reading *r = ctx;
	struct sidecar *a = &r->a;

	memset(&r->t, 0, sizeof r->t);
	r->has_layout = r->has_tensor_dropped = r->has_reform = false;
	r->exact = 0;
	r->zero[0] = r->codec[0] = 0;
	r->t.first = (uint32_t)a->n_sources;
	if (bounded(a, e) || jfield_object(j, tensor_fields, r, e))
		return -1;
	r->t.n = (uint32_t)a->n_sources - r->t.first;
	if (settle_words(r, e) || settle_frame(r, e) || settle_lost(r, e) || settle(a, r, e))
		return -1;
	if (mem_grow(&a->tensors, &a->cap, a->n + 1, sizeof *a->tensors))
		return err_nomem(e);
	a->tensors[a->n++] = r->t;
	return 0;
}

/* --- the file --- */

static int get_chunk(struct jread *j, void *ctx, struct err *e)
{
	struct sidecar *a = &READING(ctx)->a;

	if (bounded(a, e))
		return -1;
	if (mem_grow(&a->chunks, &a->chunks_cap, a->n_chunks + 1, sizeof *a->chunks))
		return err_nomem(e);
	return jfield_hex(j, a->chunks[a->n_chunks++].b, 16, e);
}

/* clang-format off */
static const struct jfield dropped_fields[] = {
	{ "bytes", JFIELD_U64, .at = AT(a.dropped_bytes) },
	{ "sha256", JFIELD_HEX, .at = AT(a.dropped_sha256), .room = 32 },
	{ 0 } };
static const struct jfield file_fields[] = {
	{ "bytes", JFIELD_U64, .at = AT(a.bytes) },
	{ "header_bytes", JFIELD_U64, .at = AT(a.header_bytes) },
	{ "name", JFIELD_NAME, .at = AT(a.name), .room = ROOM(a.name) },
	{ "sha256", JFIELD_HEX_NULL, .at = AT(a.sha256), .room = 32, .has = AT(a.has_sha256) },
	{ 0 } };
static const struct jfield fields[] = {
	{ "chunk_bytes", JFIELD_U64, .at = AT(chunk_bytes) },
	{ "chunks_xxh3_128", JFIELD_ARRAY, .get = get_chunk },
	{ "dropped", JFIELD_OBJECT, .fields = dropped_fields, .has = AT(has_dropped), .optional = true },
	{ "file", JFIELD_OBJECT, .fields = file_fields },
	{ "format", JFIELD_STRING, .at = AT(format), .room = ROOM(format) },
	{ "plan", JFIELD_HEX_TEXT, .at = AT(a.plan), .room = ROOM(a.plan) },
	{ "target", JFIELD_STRING, .at = AT(a.target), .room = ROOM(a.target) },
	{ "tensors", JFIELD_ARRAY, .get = get_tensor },
	{ "tool", JFIELD_STRING, .at = AT(a.tool), .room = ROOM(a.tool) },
	{ 0 } };
/* clang-format on */

static int settle_file(const struct reading *r, struct err *e)
{
	const struct sidecar *a = &r->a;
	uint64_t payload = a->n ? a->tensors[a->n - 1].end : 0;

	if (strcmp(r->format, FORMAT_SIDECAR))
		return jfield_wrong(e, "its format is %s, not " FORMAT_SIDECAR,
			text_quote(r->format).s);
	if (r->chunk_bytes != MAN_CHUNK)
		return jfield_wrong(e, "chunks of another size than %u", MAN_CHUNK);
	if (r->dropped != a->dropped_bytes || r->has_dropped != (a->dropped_bytes > 0))
		return jfield_wrong(e,
			"the tensors dropped another number of bytes than there are");
	if (a->n_chunks != mem_ceil_div(a->bytes, MAN_CHUNK))
		return jfield_wrong(e, "%zu chunks for %llu bytes", a->n_chunks,
			(unsigned long long)a->bytes);
	if (a->header_bytes > a->bytes || a->bytes - a->header_bytes != payload)
		return jfield_wrong(e, "header and tensors do not make up the file");
	return 0;
}

int sidecar_read(struct sidecar *s, const struct io *io, int fd, uint64_t size, struct err *e)
{
	struct reading *r = calloc(1, sizeof *r);
	struct jread j;
	int rc = -1;

	memset(s, 0, sizeof *s);
	if (!r)
		return err_nomem(e);
	if (jread_open_file(&j, io, fd, 0, size, DEPTH, e))
		goto out;
	rc = jfield_object(&j, fields, r, e) || jread_end(&j, true) ? -1 : settle_file(r, e);
	jread_close(&j);
	*s = r->a;
	if (rc)
		sidecar_free(s);
out:
	free(r->slots);
	free(r->lost);
	free(r);
	return rc;
}

void sidecar_free(struct sidecar *s)
{
	free(s->chunks);
	free(s->tensors);
	free(s->sources);
	free(s->shards);
	arena_free(&s->arena);
	memset(s, 0, sizeof *s);
}

bool sidecar_is_copy(const struct sidecar_tensor *t)
{
	return t->op == OP_COPY && t->n == 1 && !t->row[1] && !t->col[1];
}

size_t sidecar_in(const struct sidecar *s, uint64_t from, uint64_t to, size_t *first)
{
	size_t lo = 0, hi = s->n, mid, n;

	*first = 0;
	if (to <= s->header_bytes)
		return 0;
	from = from > s->header_bytes ? from - s->header_bytes : 0;
	to -= s->header_bytes;
	while (lo < hi) { /* the first that ends behind from */
		mid = lo + (hi - lo) / 2;
		if (s->tensors[mid].end > from)
			hi = mid;
		else
			lo = mid + 1;
	}
	*first = lo;
	for (n = 0; lo + n < s->n && s->tensors[lo + n].begin < to; n++)
		;
	return n;
}
