/* SPDX-License-Identifier: MIT */
#include "formats/conversion/sidecar.h"

#include "formats/codec.h"
#include "formats/conversion/manifest.h"
#include "formats/format_id.h"
#include "formats/gguf/ggml_type.h"
#include "formats/json/jwrite.h"

/* Nothing where the range ends at 0. */
static void put_range(struct jwrite *o, const char *key, const uint64_t r[2])
{
	if (!r[1])
		return;
	jwrite_open(o, key, '[');
	jwrite_u64(o, NULL, r[0]);
	jwrite_u64(o, NULL, r[1]);
	jwrite_close(o, ']');
}

static void put_blocks(struct jwrite *o, const struct sidecar_tensor *t)
{
	uint32_t i;

	if (!t->blocks)
		return;
	jwrite_open(o, "blocks", '{');
	jwrite_u64(o, "exact", t->blocks - t->inexact);
	jwrite_u64(o, "inexact", t->inexact);
	if (t->n_lost)
		jwrite_open(o, "inexact_at", '[');
	for (i = 0; i < t->n_lost; i++) {
		jwrite_open(o, NULL, '[');
		jwrite_u64(o, NULL, t->lost[i].row);
		jwrite_u64(o, NULL, t->lost[i].col);
		jwrite_close(o, ']');
	}
	if (t->n_lost)
		jwrite_close(o, ']');
	if (t->rescued)
		jwrite_u64(o, "rescued", t->rescued);
	jwrite_u64(o, "total", t->blocks);
	jwrite_close(o, '}');
}

static void put_scales(struct jwrite *o, const struct sidecar_tensor *t)
{
	if (!t->scaled)
		return;
	jwrite_open(o, "e8m0", '{');
	jwrite_u64(o, "above_247", t->e8m0[1]);
	jwrite_u64(o, "above_249", t->e8m0[2]);
	jwrite_u64(o, "zero", t->e8m0[0]);
	jwrite_close(o, '}');
}

static void put_layout(struct jwrite *o, const struct sidecar_tensor *t)
{
	if (!t->layout)
		return;
	jwrite_open(o, "layout", '{');
	jwrite_str(o, "name", t->layout);
	jwrite_u64(o, "parts", t->parts);
	jwrite_str(o, "rows", t->map);
	jwrite_u64(o, "version", t->version);
	jwrite_close(o, '}');
}

static void put_reform(struct jwrite *o, const struct sidecar_tensor *t)
{
	if (t->op != OP_REFORM)
		return;
	jwrite_open(o, "reform", '{');
	jwrite_str(o, "from", codecs[t->from].name);
	jwrite_str(o, "part", op_parts[t->of]);
	if (t->unsigned_zeros)
		jwrite_str(o, "signed_zero", "drop");
	jwrite_str(o, "to", codecs[t->to].name);
	jwrite_close(o, '}');
}

/* What a sidecar is written of: itself, or where its tensors come from one by one. */
struct writing {
	const struct sidecar *s;
	const struct sidecar_rows *rows; /* NULL: those of s */
};

static void put_sources(struct jwrite *o, const struct writing *w, const struct sidecar_tensor *t)
{
	struct sidecar_source x;
	uint32_t k;

	jwrite_open(o, "sources", '[');
	for (k = 0; k < t->n; k++) {
		x = (struct sidecar_source){ .tensor = NULL };
		if (w->rows)
			w->rows->source(w->rows->ctx, k, &x);
		else
			x = w->s->sources[t->first + k];
		jwrite_open(o, NULL, '{');
		jwrite_str(o, "shard", w->s->shards[x.shard]);
		jwrite_str(o, "tensor", x.tensor);
		if (x.has_xxh)
			jwrite_hex(o, x.part ? "xxh3_128_of_part" : "xxh3_128", x.xxh.b,
				sizeof x.xxh.b);
		jwrite_close(o, '}');
	}
	jwrite_close(o, ']');
}

static void put_tensor(struct jwrite *o, const struct writing *w, const struct sidecar_tensor *t)
{
	unsigned i;

	jwrite_open(o, NULL, '{');
	put_blocks(o, t);
	if (t->ggml)
		jwrite_str(o, "codec", ggml_type_name(t->ggml));
	put_range(o, "columns", t->col);
	put_range(o, "dropped", t->dropped);
	jwrite_str(o, "dtype", dtypes[t->dtype].name);
	put_scales(o, t);
	put_layout(o, t);
	jwrite_str(o, "name", t->name);
	jwrite_open(o, "offsets", '[');
	jwrite_u64(o, NULL, t->begin);
	jwrite_u64(o, NULL, t->end);
	jwrite_close(o, ']');
	put_reform(o, t);
	put_range(o, "rows", t->row);
	jwrite_open(o, "shape", '[');
	for (i = 0; i < t->rank; i++)
		jwrite_u64(o, NULL, t->dim[i]);
	jwrite_close(o, ']');
	put_sources(o, w, t);
	jwrite_str(o, "transform", ops[t->op].name);
	jwrite_hex(o, "xxh3_128", t->xxh.b, sizeof t->xxh.b);
	jwrite_close(o, '}');
}

enum { PIECE = 256 << 10 }; /* bytes that are written at once: a good write, and little memory */

/* Everything in a sidecar that comes before its tensors. */
static void put_head(struct jwrite *o, const struct sidecar *s)
{
	size_t i;

	jwrite_open(o, NULL, '{');
	jwrite_u64(o, "chunk_bytes", MAN_CHUNK);
	jwrite_open(o, "chunks_xxh3_128", '[');
	for (i = 0; i < s->n_chunks; i++)
		jwrite_hex(o, NULL, s->chunks[i].b, sizeof s->chunks[i].b);
	jwrite_close(o, ']');
	if (s->dropped_bytes) {
		jwrite_open(o, "dropped", '{');
		jwrite_u64(o, "bytes", s->dropped_bytes);
		jwrite_hex(o, "sha256", s->dropped_sha256, 32);
		jwrite_close(o, '}');
	}
	jwrite_open(o, "file", '{');
	jwrite_u64(o, "bytes", s->bytes);
	jwrite_u64(o, "header_bytes", s->header_bytes);
	jwrite_str(o, "name", s->name);
	if (s->has_sha256)
		jwrite_hex(o, "sha256", s->sha256, 32);
	else
		jwrite_null(o, "sha256");
	jwrite_close(o, '}');
	jwrite_str(o, "format", FORMAT_SIDECAR);
	jwrite_str(o, "plan", s->plan);
	jwrite_str(o, "target", s->target);
	jwrite_open(o, "tensors", '[');
}

/* Puts tensor i, or the end after the last. */
static void put_next(struct jwrite *o, const struct writing *w, size_t i)
{
	struct sidecar_tensor t = { .name = NULL };

	if (i == w->s->n) {
		jwrite_close(o, ']');
		jwrite_str(o, "tool", w->s->tool);
		jwrite_close(o, '}');
		return;
	}
	if (w->rows)
		w->rows->tensor(w->rows->ctx, i, &t);
	put_tensor(o, w, w->rows ? &t : &w->s->tensors[i]);
}

int sidecar_put(const struct sidecar *s, const struct sidecar_rows *rows,
	int (*sink)(void *, const char *, size_t, struct err *), void *ctx, struct err *e)
{
	const struct writing w = { s, rows };
	struct text t = { 0 };
	struct jwrite o;
	size_t i;
	int rc = 0;

	jwrite_begin(&o, &t, 2);
	put_head(&o, s);
	for (i = 0; !rc && i <= s->n; i++) {
		put_next(&o, &w, i);
		if (t.failed)
			rc = err_nomem(e);
		else if (t.n > PIECE || i == s->n) {
			rc = sink(ctx, t.s, t.n, e);
			t.n = 0;
		}
	}
	text_free(&t);
	return rc;
}
