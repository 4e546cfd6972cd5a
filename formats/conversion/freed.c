/* SPDX-License-Identifier: MIT */
#include "formats/conversion/freed.h"

#include "core/file.h"
#include "formats/conversion/seal.h"
#include "formats/format_id.h"
#include "formats/json/jfield.h"
#include "formats/json/jwrite.h"
#include "formats/st/shardmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FREED_CAP = 64 << 20 }; /* bytes of the document */

void freed_free(struct freed *f)
{
	free(f->shards);
	free(f->files);
	arena_free(&f->arena);
	memset(f, 0, sizeof *f);
}

/* --- rows --- */

/* Both kinds of row begin with their name. */
static const char *name_at(const void *rows, size_t size, size_t i)
{
	return *(const char *const *)((const char *)rows + i * size);
}

/* The first of n rows whose name is not below name; *has: it is that name's. */
static size_t place_of(const void *rows, size_t n, size_t size, const char *name, bool *has)
{
	size_t lo = 0, hi = n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (strcmp(name_at(rows, size, mid), name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*has = lo < n && !strcmp(name_at(rows, size, lo), name);
	return lo;
}

/* Adds the row at new, of size bytes, to *rows, an array; its name is copied. */
static int add_row(struct freed *f, void *rows, size_t *n, size_t *cap, size_t size,
	const void *new, struct err *e)
{
	const char *name = name_at(new, size, 0), *copy;
	char *v;
	bool has;
	size_t at;

	memcpy(&v, rows, sizeof v);
	at = place_of(v, *n, size, name, &has);
	if (has)
		return 0;
	if (*n == FREED_MOST)
		return jfield_wrong(e, "more than %d shards or files", FREED_MOST);
	copy = arena_strndup(&f->arena, name, strlen(name));
	if (!copy || mem_grow(rows, cap, *n + 1, size))
		return err_nomem(e);
	memcpy(&v, rows, sizeof v);
	memmove(v + (at + 1) * size, v + at * size, (*n - at) * size);
	memcpy(v + at * size, new, size);
	memcpy(v + at * size, &copy, sizeof copy);
	++*n;
	return 0;
}

int freed_add_shard(struct freed *f, const struct freed_shard *s, struct err *e)
{
	return add_row(f, &f->shards, &f->n_shards, &f->cap_shards, sizeof *s, s, e);
}

int freed_add_file(struct freed *f, const struct freed_file *s, struct err *e)
{
	return add_row(f, &f->files, &f->n_files, &f->cap_files, sizeof *s, s, e);
}

int freed_copy(struct freed *to, const struct freed *f, struct err *e)
{
	size_t i;

	memcpy(to->plan, f->plan, sizeof to->plan);
	memcpy(to->target, f->target, sizeof to->target);
	memcpy(to->tool, f->tool, sizeof to->tool);
	for (i = 0; i < f->n_shards; i++)
		if (freed_add_shard(to, &f->shards[i], e))
			return -1;
	for (i = 0; i < f->n_files; i++)
		if (freed_add_file(to, &f->files[i], e))
			return -1;
	return 0;
}

const struct freed_shard *freed_shard_of(const struct freed *f, const char *name)
{
	bool has;
	size_t at = place_of(f->shards, f->n_shards, sizeof *f->shards, name, &has);

	return has ? &f->shards[at] : NULL;
}

const struct freed_file *freed_file_of(const struct freed *f, const char *name)
{
	bool has;
	size_t at = place_of(f->files, f->n_files, sizeof *f->files, name, &has);

	return has ? &f->files[at] : NULL;
}

/* --- the document --- */

int freed_put(struct text *out, const struct freed *f, struct err *e)
{
	struct jwrite o;
	size_t i;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_open(&o, "files", '[');
	for (i = 0; i < f->n_files; i++) {
		jwrite_open(&o, NULL, '{');
		jwrite_str(&o, "name", f->files[i].name);
		jwrite_hex(&o, "sha256", f->files[i].sha256, 32);
		jwrite_open(&o, "sidecar", '{');
		jwrite_u64(&o, "bytes", f->files[i].side_bytes);
		jwrite_hex(&o, "sha256", f->files[i].side_sha256, 32);
		jwrite_close(&o, '}');
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, ']');
	jwrite_str(&o, "format", FORMAT_RECLAIM);
	jwrite_str(&o, "plan", f->plan);
	jwrite_open(&o, "shards", '[');
	for (i = 0; i < f->n_shards; i++) {
		jwrite_open(&o, NULL, '{');
		jwrite_u64(&o, "bytes", f->shards[i].bytes);
		jwrite_hex(&o, "header_sha256", f->shards[i].header_sha256, 32);
		jwrite_str(&o, "name", f->shards[i].name);
		jwrite_hex(&o, "sha256", f->shards[i].sha256, 32);
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, ']');
	jwrite_str(&o, "target", f->target);
	jwrite_str(&o, "tool", f->tool);
	seal_put(&o);
	jwrite_close(&o, '}');
	return out->failed ? err_nomem(e) : 0;
}

/* A shard or a file of the list while it is read. */
struct freed_row {
	struct freed_shard s;
	struct freed_file f;
	char name[FREED_PATH];
};
#define ROW(field) offsetof(struct freed_row, field)

static const struct jfield shard_fields[] = {
	{ .name = "bytes", .type = JFIELD_U64, .at = ROW(s.bytes) },
	{ .name = "header_sha256", .type = JFIELD_HEX, .at = ROW(s.header_sha256), .room = 32 },
	{ .name = "name", .type = JFIELD_NAME, .at = ROW(name), .room = 256 },
	{ .name = "sha256", .type = JFIELD_HEX, .at = ROW(s.sha256), .room = 32 },
	{ 0 },
};
static const struct jfield side_fields[] = {
	{ .name = "bytes", .type = JFIELD_U64, .at = ROW(f.side_bytes) },
	{ .name = "sha256", .type = JFIELD_HEX, .at = ROW(f.side_sha256), .room = 32 },
	{ 0 },
};
static const struct jfield file_fields[] = {
	{ .name = "name", .type = JFIELD_STRING, .at = ROW(name), .room = FREED_PATH },
	{ .name = "sha256", .type = JFIELD_HEX, .at = ROW(f.sha256), .room = 32 },
	{ .name = "sidecar", .type = JFIELD_OBJECT, .fields = side_fields },
	{ 0 },
};

struct freed_reading {
	struct freed f;
	char format[32];
	uint8_t seal[16];
};
#define AT(field) offsetof(struct freed_reading, field)

static int check_order(const char *name, const char *before, struct err *e)
{
	return before && strcmp(before, name) >= 0
		? jfield_wrong(e, "%s stands behind %s", text_quote(name).s, text_quote(before).s)
		: 0;
}

static int get_shard(struct jread *j, void *ctx, struct err *e)
{
	struct freed *f = &((struct freed_reading *)ctx)->f;
	struct freed_row r = { .name = "" };

	r.s.name = r.name;
	if (jfield_object(j, shard_fields, &r, e) ||
		check_order(r.name, f->n_shards ? f->shards[f->n_shards - 1].name : NULL, e))
		return -1;
	if (!shardmap_plain(r.name))
		return jfield_wrong(e, "%s is no plain shard name", text_quote(r.name).s);
	return freed_add_shard(f, &r.s, e);
}

/* Paths are only compared with those of a plan, and never opened. */
static int get_file(struct jread *j, void *ctx, struct err *e)
{
	struct freed *f = &((struct freed_reading *)ctx)->f;
	struct freed_row r = { .name = "" };

	r.f.name = r.name;
	return jfield_object(j, file_fields, &r, e) ||
			check_order(r.name, f->n_files ? f->files[f->n_files - 1].name : NULL, e) ||
			freed_add_file(f, &r.f, e)
		? -1
		: 0;
}

static const struct jfield fields[] = {
	{ .name = "files", .type = JFIELD_ARRAY, .get = get_file },
	{ .name = "format", .type = JFIELD_STRING, .at = AT(format), .room = 32 },
	{ .name = "plan", .type = JFIELD_HEX_TEXT, .at = AT(f.plan), .room = 65 },
	{ .name = "shards", .type = JFIELD_ARRAY, .get = get_shard },
	{ .name = "target", .type = JFIELD_STRING, .at = AT(f.target), .room = 64 },
	{ .name = "tool", .type = JFIELD_STRING, .at = AT(f.tool), .room = 128 },
	{ .name = "xxh3_128", .type = JFIELD_HEX, .at = AT(seal), .room = 16 },
	{ 0 },
};

static int read_document(struct freed_reading *g, const struct text *t, struct err *e)
{
	int rc = seal_read(t, fields, g, e);

	if (!rc && strcmp(g->format, FORMAT_RECLAIM) != 0)
		rc = jfield_wrong(e, "its format is %s, and this version reads " FORMAT_RECLAIM,
			text_quote(g->format).s);
	return rc;
}

int freed_read(struct freed *f, const struct io *io, int dir, const char *name, bool *there,
	struct err *e)
{
	struct freed_reading g = { .format = "" };
	struct err why = { 0 };
	struct text t = { 0 };
	struct stat st;
	int rc;

	memset(f, 0, sizeof *f);
	*there = !io->lstat(io, dir, name, &st);
	if (!*there)
		return errno == ENOENT ? 0 : err_sys(e, "cannot look at %s", name);
	rc = file_load(io, dir, name, FREED_CAP, &t, &why) || read_document(&g, &t, &why) ? -1 : 0;
	text_free(&t);
	if (!rc) {
		*f = g.f;
		return 0;
	}
	freed_free(&g.f);
	if (why.kind == ERR_SYSTEM)
		return err_move(e, &why);
	return err_rule(e, RULE_RECLAIM_LIST, ERR_NOPOS, "%s: %s", name, why.text);
}

int freed_gone(const struct freed *f, const struct io *io, int dir, size_t *gone, struct err *e)
{
	struct stat st;
	size_t i;

	for (*gone = i = 0; i < f->n_shards; i++) {
		if (!io->lstat(io, dir, f->shards[i].name, &st))
			continue;
		if (errno != ENOENT)
			return err_sys(e, "cannot look at %s", f->shards[i].name);
		++*gone;
	}
	return 0;
}
