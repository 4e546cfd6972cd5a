/* SPDX-License-Identifier: MIT */
#include "formats/conversion/manifest.h"

#include "formats/format_id.h"

#include <string.h>

static void put_digest(struct jwrite *o, const char *key, bool has, const uint8_t p[32])
{
	if (has)
		jwrite_hex(o, key, p, 32);
	else
		jwrite_null(o, key);
}

static void put_files(struct jwrite *o, const char *key, const struct manifest_files *list)
{
	const struct manifest_file *f;

	jwrite_open(o, key, '[');
	for (f = list->v; f < list->v + list->n; f++) {
		jwrite_open(o, NULL, '{');
		jwrite_u64(o, "bytes", f->bytes);
		jwrite_str(o, "name", f->name);
		put_digest(o, "sha256", f->has_sha256, f->sha256);
		if (f->side) {
			jwrite_open(o, "sidecar", '{');
			jwrite_u64(o, "bytes", f->side_bytes);
			jwrite_str(o, "name", f->side);
			jwrite_hex(o, "sha256", f->side_sha256, 32);
			jwrite_close(o, '}');
		}
		jwrite_close(o, '}');
	}
	jwrite_close(o, ']');
}

static void put_folder(struct jwrite *o, const char *key, const struct manifest_folder *f)
{
	jwrite_open(o, key, '{');
	jwrite_u64(o, "bytes", f->bytes);
	jwrite_str(o, "name", f->name);
	if (f->plan[0])
		jwrite_str(o, "plan", f->plan);
	jwrite_hex(o, "sha256", f->sha256, 32);
	jwrite_close(o, '}');
}

static void put_roles(struct jwrite *o, const struct manifest *m)
{
	const struct manifest_role *r;

	if (!m->n_roles)
		return;
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

static void put_lossy(struct jwrite *o, const struct manifest *m)
{
	const struct manifest_place *p;

	if (!m->n_lossy)
		return;
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

static void put_blocks(struct jwrite *o, const struct manifest *m)
{
	if (!m->blocks)
		return;
	jwrite_open(o, "cast_blocks", '{');
	jwrite_u64(o, "exact", m->blocks - m->inexact);
	jwrite_u64(o, "inexact", m->inexact);
	jwrite_u64(o, "total", m->blocks);
	jwrite_close(o, '}');
}

/* Options are an object in an object. */
void manifest_options(struct jwrite *o, struct text *t)
{
	jwrite_begin(o, t, 2);
	text_str(t, "{");
	o->depth = 2;
}

void manifest_options_end(struct jwrite *o)
{
	jwrite_close(o, '}');
}

static void put_options(struct jwrite *o, const char *options)
{
	jwrite_raw(o, "options", options, strlen(options));
}

void manifest_put(struct text *out, const struct manifest *m)
{
	struct jwrite o;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	put_roles(&o, m);
	put_blocks(&o, m);
	put_files(&o, "files", &m->files);
	jwrite_str(&o, "format", FORMAT_MANIFEST);
	put_lossy(&o, m);
	put_options(&o, m->options);
	jwrite_str(&o, "plan", m->plan);
	if (m->restore.name[0])
		put_folder(&o, "restore", &m->restore);
	o.flat = 3; /* a shard a line */
	jwrite_open(&o, "source", '{');
	jwrite_u64(&o, "bytes", m->source_bytes);
	jwrite_str(&o, "sha256", m->verified ? "verified" : "unverified");
	put_files(&o, "shards", &m->shards);
	jwrite_u64(&o, "tensors", m->source_tensors);
	jwrite_close(&o, '}');
	jwrite_str(&o, "target", m->target);
	jwrite_str(&o, "tool", m->tool);
	seal_put(&o);
	jwrite_close(&o, '}');
}

void set_manifest_put(struct text *out, const struct set_manifest *m)
{
	struct jwrite o;
	size_t i;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_open(&o, "folders", '[');
	for (i = 0; i < m->n; i++)
		put_folder(&o, NULL, &m->v[i]);
	jwrite_close(&o, ']');
	jwrite_str(&o, "format", FORMAT_SET);
	put_options(&o, m->options);
	jwrite_str(&o, "plan", m->plan);
	jwrite_str(&o, "target", m->target);
	jwrite_str(&o, "tool", m->tool);
	seal_put(&o);
	jwrite_close(&o, '}');
}
