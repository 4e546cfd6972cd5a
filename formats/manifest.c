/* SPDX-License-Identifier: MIT */
#include "formats/manifest.h"

#include "formats/json.h"

#include <string.h>

static void put_digest(struct json_out *o, const char *key, const uint8_t *p, size_t n)
{
	if (p)
		json_out_hex(o, key, p, n);
	else
		json_out_null(o, key);
}

static void put_blocks(struct json_out *o, const char *key, uint64_t blocks, uint64_t inexact)
{
	json_out_open(o, key, '{');
	json_out_u64(o, "exact", blocks - inexact);
	json_out_u64(o, "inexact", inexact);
	json_out_u64(o, "total", blocks);
	json_out_close(o, '}');
}

static void put_tensor(struct json_out *o, const struct man_tensor *t)
{
	unsigned i;

	json_out_open(o, NULL, '{');
	if (t->blocks)
		put_blocks(o, "blocks", t->blocks, t->inexact);
	json_out_str(o, "dtype", dtypes[t->dtype].name);
	json_out_str(o, "name", t->name);
	json_out_open(o, "offsets", '[');
	json_out_u64(o, NULL, t->begin);
	json_out_u64(o, NULL, t->end);
	json_out_close(o, ']');
	json_out_open(o, "shape", '[');
	for (i = 0; i < t->rank; i++)
		json_out_u64(o, NULL, t->dim[i]);
	json_out_close(o, ']');
	json_out_open(o, "sources", '[');
	for (i = 0; i < t->sources; i++) {
		json_out_open(o, NULL, '{');
		json_out_str(o, "shard", t->source[i].shard);
		json_out_str(o, "tensor", t->source[i].tensor);
		if (t->source[i].xxh)
			json_out_hex(o, "xxh3_128", t->source[i].xxh->b, sizeof t->source[i].xxh->b);
		json_out_close(o, '}');
	}
	json_out_close(o, ']');
	json_out_str(o, "transform", t->transform);
	json_out_hex(o, "xxh3_128", t->xxh.b, sizeof t->xxh.b);
	json_out_close(o, '}');
}

enum { PIECE = 256 << 10 };

/* Everything in a sidecar that comes before its tensors. */
static void put_head(struct json_out *o, const struct man_file *f)
{
	uint64_t i;


	json_out_open(o, NULL, '{');
	json_out_u64(o, "chunk_bytes", MAN_CHUNK);
	json_out_open(o, "chunks_xxh3_128", '[');
	for (i = 0; i < f->n_chunks; i++)
		json_out_hex(o, NULL, f->chunks[i].b, sizeof f->chunks[i].b);
	json_out_close(o, ']');
	json_out_open(o, "file", '{');
	json_out_u64(o, "bytes", f->bytes);
	json_out_u64(o, "header_bytes", f->header_bytes);
	json_out_str(o, "name", f->name);
	put_digest(o, "sha256", f->sha256, 32);
	json_out_close(o, '}');
	json_out_str(o, "format", "dsv4-sidecar-1");
	json_out_str(o, "plan", f->plan);
	json_out_str(o, "target", f->target);
	json_out_open(o, "tensors", '[');
}

int man_put_sidecar(const struct man_file *f,
	int (*sink)(void *, const char *, size_t, struct err *), void *ctx, struct err *e)
{
	struct text t = { 0 };
	struct json_out o;
	struct man_tensor row;
	uint64_t i;
	int rc = 0;

	json_out_begin(&o, &t, 2);
	put_head(&o, f);
	for (i = 0; !rc && i <= f->n_tensors; i++) {
		if (i < f->n_tensors) {
			memset(&row, 0, sizeof row);
			f->tensor(f->ctx, i, &row);
			put_tensor(&o, &row);
		} else {
			json_out_close(&o, ']');
			json_out_str(&o, "tool", f->tool);
			json_out_close(&o, '}');
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

static void put_entry(struct json_out *o, const struct man_entry *f)
{
	json_out_open(o, NULL, '{');
	json_out_u64(o, "bytes", f->bytes);
	json_out_str(o, "name", f->name);
	put_digest(o, "sha256", f->sha256, 32);
	if (f->sidecar) {
		json_out_open(o, "sidecar", '{');
		json_out_u64(o, "bytes", f->sidecar_bytes);
		json_out_str(o, "name", f->sidecar);
		put_digest(o, "sha256", f->sidecar_sha256, 32);
		json_out_close(o, '}');
	}
	json_out_close(o, '}');
}

void man_put_top(struct text *out, const struct man_top *m)
{
	struct json_out o;
	uint64_t i;

	json_out_begin(&o, out, 3);
	json_out_open(&o, NULL, '{');
	if (m->blocks)
		put_blocks(&o, "cast_blocks", m->blocks, m->inexact);
	o.flat = 2;
	json_out_open(&o, "files", '[');
	for (i = 0; i < m->n_files; i++)
		put_entry(&o, &m->files[i]);
	json_out_close(&o, ']');
	json_out_str(&o, "format", "dsv4-manifest-1");
	json_out_open(&o, "options", '{');
	for (i = 0; i < m->n_options; i++) {
		if (m->options[i].value)
			json_out_str(&o, m->options[i].name, m->options[i].value);
		else
			json_out_null(&o, m->options[i].name);
	}
	json_out_close(&o, '}');
	json_out_str(&o, "plan", m->plan);
	o.flat = 3;
	json_out_open(&o, "source", '{');
	json_out_u64(&o, "bytes", m->source_bytes);
	json_out_str(&o, "sha256", m->verified ? "verified" : "unverified");
	json_out_open(&o, "shards", '[');
	for (i = 0; i < m->n_shards; i++)
		put_entry(&o, &m->shards[i]);
	json_out_close(&o, ']');
	json_out_u64(&o, "tensors", m->source_tensors);
	json_out_close(&o, '}');
	json_out_str(&o, "target", m->target);
	json_out_str(&o, "tool", m->tool);
	json_out_close(&o, '}');
}
