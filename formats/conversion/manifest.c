/* SPDX-License-Identifier: MIT */
#include "formats/format_id.h"
#include "formats/conversion/manifest.h"

#include "formats/conversion/seal.h"
#include "formats/json/jwrite.h"

#include <string.h>

static void put_digest(struct jwrite *o, const char *key, const uint8_t *p, size_t n)
{
	if (p)
		jwrite_hex(o, key, p, n);
	else
		jwrite_null(o, key);
}

static void put_blocks(struct jwrite *o, const char *key, uint64_t blocks, uint64_t inexact,
	const struct man_tensor *t)
{
	uint32_t at[2];
	uint64_t i;

	jwrite_open(o, key, '{');
	jwrite_u64(o, "exact", blocks - inexact);
	jwrite_u64(o, "inexact", inexact);
	if (t && t->n_lost) {
		jwrite_open(o, "inexact_at", '[');
		for (i = 0; i < t->n_lost; i++) {
			t->lost(t->lost_ctx, i, at);
			jwrite_open(o, NULL, '[');
			jwrite_u64(o, NULL, at[0]);
			jwrite_u64(o, NULL, at[1]);
			jwrite_close(o, ']');
		}
		jwrite_close(o, ']');
	}
	if (t && t->rescued)
		jwrite_u64(o, "rescued", t->rescued);
	jwrite_u64(o, "total", blocks);
	jwrite_close(o, '}');
}

static void put_range(struct jwrite *o, const char *key, const struct man_range *r)
{
	if (!r->to)
		return;
	jwrite_open(o, key, '[');
	jwrite_u64(o, NULL, r->from);
	jwrite_u64(o, NULL, r->to);
	jwrite_close(o, ']');
}

static void put_tensor(struct jwrite *o, const struct man_tensor *t)
{
	struct man_source s;
	uint64_t k;
	unsigned i;

	jwrite_open(o, NULL, '{');
	if (t->blocks)
		put_blocks(o, "blocks", t->blocks, t->inexact, t);
	put_range(o, "columns", &t->cols);
	put_range(o, "dropped", &t->dropped);
	jwrite_str(o, "dtype", dtypes[t->dtype].name);
	if (t->scaled) {
		jwrite_open(o, "e8m0", '{');
		jwrite_u64(o, "above_247", t->scales[1]);
		jwrite_u64(o, "above_249", t->scales[2]);
		jwrite_u64(o, "zero", t->scales[0]);
		jwrite_close(o, '}');
	}
	if (t->layout) {
		jwrite_open(o, "layout", '{');
		jwrite_str(o, "name", t->layout);
		jwrite_u64(o, "parts", t->parts);
		jwrite_str(o, "rows", t->map);
		jwrite_u64(o, "version", t->version);
		jwrite_close(o, '}');
	}
	jwrite_str(o, "name", t->name);
	jwrite_open(o, "offsets", '[');
	jwrite_u64(o, NULL, t->begin);
	jwrite_u64(o, NULL, t->end);
	jwrite_close(o, ']');
	if (t->of) {
		jwrite_open(o, "reform", '{');
		jwrite_str(o, "from", t->from);
		jwrite_str(o, "part", t->of);
		if (t->unsigned_zeros)
			jwrite_str(o, "signed_zero", "drop");
		jwrite_str(o, "to", t->to);
		jwrite_close(o, '}');
	}
	put_range(o, "rows", &t->rows);
	jwrite_open(o, "shape", '[');
	for (i = 0; i < t->rank; i++)
		jwrite_u64(o, NULL, t->dim[i]);
	jwrite_close(o, ']');
	jwrite_open(o, "sources", '[');
	for (k = 0; k < t->sources; k++) {
		t->source(t->source_ctx, k, &s);
		jwrite_open(o, NULL, '{');
		jwrite_str(o, "shard", s.shard);
		jwrite_str(o, "tensor", s.tensor);
		if (s.xxh)
			jwrite_hex(o, s.part ? "xxh3_128_of_part" : "xxh3_128", s.xxh->b,
				sizeof s.xxh->b);
		jwrite_close(o, '}');
	}
	jwrite_close(o, ']');
	jwrite_str(o, "transform", t->transform);
	jwrite_hex(o, "xxh3_128", t->xxh.b, sizeof t->xxh.b);
	jwrite_close(o, '}');
}

enum { PIECE = 256 << 10 };

/* Everything in a sidecar that comes before its tensors. */
static void put_head(struct jwrite *o, const struct man_file *f)
{
	uint64_t i;

	jwrite_open(o, NULL, '{');
	jwrite_u64(o, "chunk_bytes", MAN_CHUNK);
	jwrite_open(o, "chunks_xxh3_128", '[');
	for (i = 0; i < f->n_chunks; i++)
		jwrite_hex(o, NULL, f->chunks[i].b, sizeof f->chunks[i].b);
	jwrite_close(o, ']');
	if (f->dropped_sha256) {
		jwrite_open(o, "dropped", '{');
		jwrite_u64(o, "bytes", f->dropped_bytes);
		jwrite_hex(o, "sha256", f->dropped_sha256, 32);
		jwrite_close(o, '}');
	}
	jwrite_open(o, "file", '{');
	jwrite_u64(o, "bytes", f->bytes);
	jwrite_u64(o, "header_bytes", f->header_bytes);
	jwrite_str(o, "name", f->name);
	put_digest(o, "sha256", f->sha256, 32);
	jwrite_close(o, '}');
	jwrite_str(o, "format", FORMAT_SIDECAR);
	jwrite_str(o, "plan", f->plan);
	jwrite_str(o, "target", f->target);
	jwrite_open(o, "tensors", '[');
}

int man_put_sidecar(const struct man_file *f,
	int (*sink)(void *, const char *, size_t, struct err *), void *ctx, struct err *e)
{
	struct text t = { 0 };
	struct jwrite o;
	struct man_tensor row;
	uint64_t i;
	int rc = 0;

	jwrite_begin(&o, &t, 2);
	put_head(&o, f);
	for (i = 0; !rc && i <= f->n_tensors; i++) {
		if (i < f->n_tensors) {
			memset(&row, 0, sizeof row);
			f->tensor(f->ctx, i, &row);
			put_tensor(&o, &row);
		} else {
			jwrite_close(&o, ']');
			jwrite_str(&o, "tool", f->tool);
			jwrite_close(&o, '}');
		}
		if (t.failed)
			rc = err_nomem(e);
		else if (t.n > PIECE || i == f->n_tensors) {
			rc = sink(ctx, t.s, t.n, e);
			t.n = 0;
		}
	}
	text_free(&t);
	return rc;
}

static void put_entry(struct jwrite *o, const struct man_entry *f)
{
	jwrite_open(o, NULL, '{');
	jwrite_u64(o, "bytes", f->bytes);
	jwrite_str(o, "name", f->name);
	put_digest(o, "sha256", f->sha256, 32);
	if (f->sidecar) {
		jwrite_open(o, "sidecar", '{');
		jwrite_u64(o, "bytes", f->sidecar_bytes);
		jwrite_str(o, "name", f->sidecar);
		put_digest(o, "sha256", f->sidecar_sha256, 32);
		jwrite_close(o, '}');
	}
	jwrite_close(o, '}');
}

static void put_roles(struct jwrite *o, const struct man_top *m)
{
	const struct man_role *r;

	jwrite_open(o, "blocks_by_role", '[');
	for (r = m->roles; r < m->roles + m->n_roles; r++) {
		jwrite_open(o, NULL, '{');
		jwrite_u64(o, "exact", r->total - r->lossy);
		jwrite_u64(o, "inexact", r->lossy);
		jwrite_str(o, "layers", r->where);
		jwrite_u64(o, "rescued", r->rescued);
		jwrite_str(o, "role", r->role);
		jwrite_u64(o, "total", r->total);
		jwrite_close(o, '}');
	}
	jwrite_close(o, ']');
}

static void put_lossy(struct jwrite *o, const struct man_top *m)
{
	const struct man_place *p;

	jwrite_open(o, "inexact_at", '[');
	for (p = m->lossy; p < m->lossy + m->n_lossy; p++) {
		jwrite_open(o, NULL, '{');
		jwrite_u64(o, "block", p->block);
		jwrite_u64(o, "row", p->row);
		jwrite_str(o, "tensor", p->tensor);
		jwrite_close(o, '}');
	}
	jwrite_close(o, ']');
}

void man_put_top(struct text *out, const struct man_top *m)
{
	struct jwrite o;
	uint64_t i;

	jwrite_begin(&o, out, 3);
	jwrite_open(&o, NULL, '{');
	o.flat = 2;
	if (m->n_roles)
		put_roles(&o, m);
	o.flat = 3;
	if (m->blocks)
		put_blocks(&o, "cast_blocks", m->blocks, m->inexact, NULL);
	o.flat = 2;
	jwrite_open(&o, "files", '[');
	for (i = 0; i < m->n_files; i++)
		put_entry(&o, &m->files[i]);
	jwrite_close(&o, ']');
	jwrite_str(&o, "format", FORMAT_MANIFEST);
	if (m->n_lossy)
		put_lossy(&o, m);
	jwrite_open(&o, "options", '{');
	for (i = 0; i < m->n_options; i++) {
		if (m->options[i].value)
			jwrite_str(&o, m->options[i].name, m->options[i].value);
		else
			jwrite_null(&o, m->options[i].name);
	}
	jwrite_close(&o, '}');
	jwrite_str(&o, "plan", m->plan);
	if (m->restore) {
		jwrite_open(&o, "restore", '{');
		jwrite_u64(&o, "bytes", m->restore->bytes);
		jwrite_str(&o, "name", m->restore->name);
		put_digest(&o, "sha256", m->restore->sha256, 32);
		jwrite_close(&o, '}');
	}
	o.flat = 3;
	jwrite_open(&o, "source", '{');
	jwrite_u64(&o, "bytes", m->source_bytes);
	jwrite_str(&o, "sha256", m->verified ? "verified" : "unverified");
	jwrite_open(&o, "shards", '[');
	for (i = 0; i < m->n_shards; i++)
		put_entry(&o, &m->shards[i]);
	jwrite_close(&o, ']');
	jwrite_u64(&o, "tensors", m->source_tensors);
	jwrite_close(&o, '}');
	jwrite_str(&o, "target", m->target);
	jwrite_str(&o, "tool", m->tool);
	seal_put(&o);
	jwrite_close(&o, '}');
}
