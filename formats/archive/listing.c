/* SPDX-License-Identifier: MIT */
#include "formats/archive/listing.h"

#include "core/file.h"
#include "formats/conversion/seal.h"
#include "formats/format_id.h"
#include "formats/json/jfield.h"
#include "formats/json/jwrite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	LISTING_CAP =
		64 << 20, /* bytes of the document: LISTING_MOST rows of 400 bytes, and some */
	NAME_MOST = FILE_NAME_MAX - 4 /* a component; the suffix comes behind it */
};

void listing_free(struct listing *l)
{
	free(l->files);
	free(l->folders);
	arena_free(&l->arena);
	memset(l, 0, sizeof *l);
}

static bool plain_component(const char *s, size_t n)
{
	return n && n <= NAME_MOST && !(n == 1 && s[0] == '.') &&
		!(n == 2 && s[0] == '.' && s[1] == '.');
}

bool listing_path(const char *s)
{
	size_t n = strlen(s), i, from = 0, depth = 0;
	unsigned len;

	if (n >= LISTING_PATH)
		return false;
	for (i = 0; i < n; i += len) {
		len = text_utf8((const unsigned char *)s + i, n - i);
		if (!len || (unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return false;
		if (s[i] != '/')
			continue;
		if (!plain_component(s + from, i - from) || ++depth > LISTING_DEPTH)
			return false;
		from = i + 1;
	}
	return plain_component(s + from, n - from);
}

static int too_many(struct err *e)
{
	return err_rule(e, RULE_ARCHIVE_LIST, ERR_NOPOS, "more than %d files or folders",
		LISTING_MOST);
}

int listing_add(struct listing *l, const struct listed *f, struct err *e)
{
	char *name;

	if (l->n == LISTING_MOST)
		return too_many(e);
	name = arena_strndup(&l->arena, f->name, strlen(f->name));
	if (!name || mem_grow(&l->files, &l->cap, l->n + 1, sizeof *l->files))
		return err_nomem(e);
	l->files[l->n] = *f;
	l->files[l->n++].name = name;
	return 0;
}

int listing_add_folder(struct listing *l, const char *path, struct err *e)
{
	char *name;

	if (l->n_folders == LISTING_MOST)
		return too_many(e);
	name = arena_strndup(&l->arena, path, strlen(path));
	if (!name || mem_grow(&l->folders, &l->cap_folders, l->n_folders + 1, sizeof *l->folders))
		return err_nomem(e);
	l->folders[l->n_folders++] = name;
	return 0;
}

static int by_name(const void *key, const void *row)
{
	return strcmp(key, ((const struct listed *)row)->name);
}

const struct listed *listing_find(const struct listing *l, const char *path)
{
	return l->n ? bsearch(path, l->files, l->n, sizeof *l->files, by_name) : NULL;
}

void listed_packed_name(const struct listed *f, char name[LISTED_NAME])
{
	snprintf(name, LISTED_NAME, "%s%s", f->name, filter_suffix(f->filter));
}

const struct listed *listing_find_packed(const struct listing *l, const char *path)
{
	const struct listed *f;
	char name[LISTING_PATH];
	enum filter filter;
	size_t n;

	n = filter_by_suffix(path, &filter);
	if (!n || n >= sizeof name)
		return NULL;
	memcpy(name, path, n);
	name[n] = 0;
	f = listing_find(l, name);
	return f && f->filter == filter ? f : NULL;
}

static int by_path(const void *key, const void *folder)
{
	return strcmp(key, *(const char *const *)folder);
}

bool listing_has_folder(const struct listing *l, const char *path)
{
	return l->n_folders && bsearch(path, l->folders, l->n_folders, sizeof *l->folders, by_path);
}

/* --- the document --- */

/* Whether some file has a filter. */
static bool has_filters(const struct listing *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->files[i].filter != FILTER_NONE)
			return true;
	return false;
}

int listing_put(struct text *out, const struct listing *l, struct err *e)
{
	bool filters = has_filters(l);
	struct jwrite o;
	size_t i;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_open(&o, "files", '[');
	for (i = 0; i < l->n; i++) {
		const struct listed *f = &l->files[i];

		jwrite_open(&o, NULL, '{');
		jwrite_open(&o, "archive", '{');
		jwrite_u64(&o, "bytes", f->packed);
		jwrite_hex(&o, "sha256", f->packed_sha256, 32);
		jwrite_close(&o, '}');
		jwrite_u64(&o, "bytes", f->bytes);
		if (filters)
			jwrite_str(&o, "filter", filter_name(f->filter));
		jwrite_str(&o, "name", f->name);
		jwrite_hex(&o, "sha256", f->sha256, 32);
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, ']');
	jwrite_open(&o, "folders", '[');
	for (i = 0; i < l->n_folders; i++)
		jwrite_str(&o, NULL, l->folders[i]);
	jwrite_close(&o, ']');
	jwrite_str(&o, "format", filters ? FORMAT_ARCHIVE_FILTERED : FORMAT_ARCHIVE);
	jwrite_u64(&o, "level", l->level);
	jwrite_str(&o, "tool", l->tool);
	jwrite_str(&o, "zstd", l->zstd);
	seal_put(&o);
	jwrite_close(&o, '}');
	if (out->failed)
		return err_nomem(e);
	return out->n <= LISTING_CAP
		? 0
		: err_set(e, ERR_UNSUPPORTED, "too many files, or too long paths, for one archive");
}

/* A file of the list while it is read. */
struct row {
	struct listed f;
	char name[LISTING_PATH], filter[16];
	bool has_filter;
};
#define ROW(field) offsetof(struct row, field)

static const struct jfield archive_fields[] = {
	{ .name = "bytes", .type = JFIELD_U64, .at = ROW(f.packed) },
	{ .name = "sha256", .type = JFIELD_HEX, .at = ROW(f.packed_sha256), .room = 32 },
	{ 0 },
};
static const struct jfield file_fields[] = {
	{ .name = "archive", .type = JFIELD_OBJECT, .fields = archive_fields },
	{ .name = "bytes", .type = JFIELD_U64, .at = ROW(f.bytes) },
	{ .name = "filter",
		.type = JFIELD_STRING,
		.at = ROW(filter),
		.room = 16,
		.has = ROW(has_filter),
		.optional = true },
	{ .name = "name", .type = JFIELD_STRING, .at = ROW(name), .room = LISTING_PATH },
	{ .name = "sha256", .type = JFIELD_HEX, .at = ROW(f.sha256), .room = 32 },
	{ 0 },
};

struct reading {
	struct listing l;
	size_t said; /* files of which a filter is said */
	char format[32];
	uint8_t seal[16];
};
#define AT(field) offsetof(struct reading, field)

/* Whether path can stand behind the one before it, which is NULL for the first. */
static int check_path(const char *path, const char *before, struct err *e)
{
	if (!listing_path(path))
		return jfield_wrong(e, "%s is no path below a folder", text_quote(path).s);
	if (before && strcmp(before, path) >= 0)
		return jfield_wrong(e, "%s stands behind %s", text_quote(path).s,
			text_quote(before).s);
	return 0;
}

static int get_file(struct jread *j, void *ctx, struct err *e)
{
	struct reading *g = ctx;
	struct listing *l = &g->l;
	struct row r = { .name = "" };

	r.f.name = r.name;
	if (jfield_object(j, file_fields, &r, e) ||
		check_path(r.name, l->n ? l->files[l->n - 1].name : NULL, e))
		return -1;
	if (r.has_filter && !filter_by_name(r.filter, &r.f.filter))
		return jfield_wrong(e, "%s has the filter %s, which this version does not know",
			text_quote(r.name).s, text_quote(r.filter).s);
	g->said += r.has_filter;
	return listing_add(l, &r.f, e);
}

static int get_folder(struct jread *j, void *ctx, struct err *e)
{
	struct listing *l = &((struct reading *)ctx)->l;
	char path[LISTING_PATH];

	return jfield_string(j, path, sizeof path, e) ||
			check_path(path, l->n_folders ? l->folders[l->n_folders - 1] : NULL, e) ||
			listing_add_folder(l, path, e)
		? -1
		: 0;
}

static const struct jfield fields[] = {
	{ .name = "files", .type = JFIELD_ARRAY, .get = get_file },
	{ .name = "folders", .type = JFIELD_ARRAY, .get = get_folder },
	{ .name = "format", .type = JFIELD_STRING, .at = AT(format), .room = 32 },
	{ .name = "level", .type = JFIELD_U64, .at = AT(l.level) },
	{ .name = "tool", .type = JFIELD_STRING, .at = AT(l.tool), .room = 128 },
	{ .name = "xxh3_128", .type = JFIELD_HEX, .at = AT(seal), .room = 16 },
	{ .name = "zstd", .type = JFIELD_STRING, .at = AT(l.zstd), .room = 32 },
	{ 0 },
};

/* Every file lies in a folder that is listed, and so does every folder; no file is a folder too. */
static int check_folders(const struct listing *l, struct err *e)
{
	char path[LISTING_PATH];
	size_t i;

	for (i = 0; i < l->n + l->n_folders; i++) {
		const char *name = i < l->n ? l->files[i].name : l->folders[i - l->n];
		const char *slash = strrchr(name, '/');

		if (i >= l->n && listing_find(l, name))
			return jfield_wrong(e, "%s is a file and a folder", text_quote(name).s);
		if (!slash)
			continue;
		memcpy(path, name, (size_t)(slash - name));
		path[slash - name] = 0;
		if (!listing_has_folder(l, path))
			return jfield_wrong(e, "the folder of %s is not listed",
				text_quote(name).s);
	}
	return 0;
}

/* Lists without filters have the older format, in which no file says any; in the newer one every file does, and some file
 * has one. */
static int check_format(const struct reading *g, struct err *e)
{
	bool filtered = !strcmp(g->format, FORMAT_ARCHIVE_FILTERED);

	if (!filtered && strcmp(g->format, FORMAT_ARCHIVE) != 0)
		return jfield_wrong(e,
			"its format is %s, and this version reads " FORMAT_ARCHIVE
			" and " FORMAT_ARCHIVE_FILTERED,
			text_quote(g->format).s);
	if (g->said != (filtered ? g->l.n : 0) || has_filters(&g->l) != filtered)
		return jfield_wrong(e, "its format is %s, which its filters do not agree with",
			g->format);
	return 0;
}

static int read_document(struct reading *g, const struct text *t, struct err *e)
{
	return seal_read(t, fields, g, e) || check_format(g, e) || check_folders(&g->l, e) ? -1 : 0;
}

int listing_read(struct listing *l, const struct io *io, int dir, bool *there, struct err *e)
{
	struct reading g = { .format = "" };
	struct err why = { 0 };
	struct text t = { 0 };
	struct stat st;
	int rc;

	memset(l, 0, sizeof *l);
	*there = !io->lstat(io, dir, LISTING_NAME, &st);
	if (!*there)
		return errno == ENOENT ? 0 : err_sys(e, "cannot look at " LISTING_NAME);
	rc = file_load(io, dir, LISTING_NAME, LISTING_CAP, &t, &why) || read_document(&g, &t, &why)
		? -1
		: 0;
	text_free(&t);
	if (!rc) {
		*l = g.l;
		return 0;
	}
	listing_free(&g.l);
	if (why.kind == ERR_SYSTEM)
		return err_move(e, &why);
	return err_rule(e, RULE_ARCHIVE_LIST, ERR_NOPOS, LISTING_NAME ": %s", why.text);
}
