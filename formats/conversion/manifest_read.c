/* SPDX-License-Identifier: MIT */
#include "formats/conversion/manifest.h"

#include "core/hash/sha256.h"
#include "core/hash/xxh.h"
#include "formats/format_id.h"
#include "formats/json/jfield.h"
#include "formats/st/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 6 };

/* --- what both documents have --- */

/* What is read of the document that is at hand, before it goes to its struct. */
struct reading {
	struct manifest m;
	struct set_manifest s;
	const struct text *text;
	char format[32], verified[16];
	struct manifest_folder folder;
	struct {
		char name[256], side[300];
		struct manifest_file f;
		bool has_side;
	} entry;
	struct {
		uint64_t exact, inexact, total;
	} blocks;
	struct {
		struct manifest_role r;
		uint64_t exact;
	} role;
	struct {
		struct manifest_place p;
		char tensor[ST_NAME_MAX + 1];
	} place;
};
#define READING(ctx) ((struct reading *)(ctx))
#define AT(field) offsetof(struct reading, field)
#define ROOM(field) sizeof(((struct reading *)0)->field)

/* rank-R-of-N, pp-S-of-P/rank-R-of-N, source: a folder below, and nothing that leads elsewhere. */
static bool plain_folder(const char *s)
{
	return *s && s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-/")] == 0 && *s != '/' &&
		!strstr(s, "//") && s[strlen(s) - 1] != '/';
}

/* An object of strings, numbers and null, of which the text is kept. take is called at each value, which it
 * reads or leaves; it returns 1 if it has read it, 0 if not, or -1. */
static int get_options(struct jread *j, struct reading *r, struct arena *arena, const char **kept,
	int (*take)(struct jread *j, struct reading *r, struct err *e), struct err *e)
{
	uint64_t from;
	int more, taken;

	if (jread_peek(j) < 0)
		return -1;
	from = jread_pos(j);
	if (jread_object(j))
		return -1;
	while ((more = jread_key(j)) == 1) {
		taken = take(j, r, e);
		if (taken < 0 || (!taken && jread_skip(j)))
			return -1;
	}
	if (more)
		return -1;
	*kept = arena_strndup(arena, r->text->s + from, (size_t)(jread_pos(j) - from));
	return *kept ? 0 : err_nomem(e);
}

static bool is(const struct jread *j, const char *word)
{
	return j->str.n == strlen(word) && !memcmp(j->str.s, word, j->str.n);
}

static int read_document(struct reading *r, const struct text *t, const struct jfield *fields,
	const char *format, struct err *e)
{
	enum seal seal = seal_of(t->s, t->n);
	struct jread j;
	int rc;

	if (seal == SEAL_BROKEN)
		return err_rule(e, RULE_SET_MANIFEST, ERR_NOPOS,
			"it is not as it was written: its digest of itself is another");
	r->text = t;
	r->m.seal = r->s.seal = seal;
	jread_open_mem(&j, t->s, t->n, DEPTH, e);
	rc = jfield_object(&j, fields, r, e) || jread_end(&j, true) ? -1 : 0;
	jread_close(&j);
	if (!rc && strcmp(r->format, format))
		rc = jfield_wrong(e, "its format is %s, not %s", text_quote(r->format).s, format);
	return rc;
}

/* --- a folder below --- */

/* clang-format off */
static const struct jfield folder_fields[] = {
	{ "bytes", JFIELD_U64, .at = AT(folder.bytes) },
	{ "name", JFIELD_STRING, .at = AT(folder.name), .room = ROOM(folder.name) },
	{ "plan", JFIELD_HEX_TEXT, .at = AT(folder.plan), .room = ROOM(folder.plan) },
	{ "sha256", JFIELD_HEX, .at = AT(folder.sha256), .room = 32 },
	{ 0 } };
static const struct jfield restore_fields[] = {
	{ "bytes", JFIELD_U64, .at = AT(folder.bytes) },
	{ "name", JFIELD_STRING, .at = AT(folder.name), .room = ROOM(folder.name) },
	{ "sha256", JFIELD_HEX, .at = AT(folder.sha256), .room = 32 },
	{ 0 } };
/* clang-format on */

static int get_below(struct jread *j, struct reading *r, const struct jfield *fields, struct err *e)
{
	memset(&r->folder, 0, sizeof r->folder);
	if (jfield_object(j, fields, r, e))
		return -1;
	return plain_folder(r->folder.name)
		? 0
		: jfield_wrong(e, "%s is no folder of a set", text_quote(r->folder.name).s);
}

static int get_restore(struct jread *j, void *ctx, struct err *e)
{
	struct reading *r = ctx;

	if (get_below(j, r, restore_fields, e))
		return -1;
	r->m.restore = r->folder;
	return strchr(r->folder.name, '/')
		? jfield_wrong(e, "restore is no folder beside the files")
		: 0;
}

/* --- files --- */

/* clang-format off */
static const struct jfield side_fields[] = {
	{ "bytes", JFIELD_U64, .at = AT(entry.f.side_bytes) },
	{ "name", JFIELD_NAME, .at = AT(entry.side), .room = ROOM(entry.side) },
	{ "sha256", JFIELD_HEX, .at = AT(entry.f.side_sha256), .room = 32 },
	{ 0 } };
static const struct jfield file_fields[] = {
	{ "bytes", JFIELD_U64, .at = AT(entry.f.bytes) },
	{ "name", JFIELD_NAME, .at = AT(entry.name), .room = ROOM(entry.name) },
	{ "sha256", JFIELD_HEX_NULL, .at = AT(entry.f.sha256), .room = 32, .has = AT(entry.f.has_sha256) },
	{ "sidecar", JFIELD_OBJECT, .fields = side_fields, .has = AT(entry.has_side), .optional = true },
	{ 0 } };
static const struct jfield shard_fields[] = {
	{ "bytes", JFIELD_U64, .at = AT(entry.f.bytes) },
	{ "name", JFIELD_NAME, .at = AT(entry.name), .room = ROOM(entry.name) },
	{ "sha256", JFIELD_HEX_NULL, .at = AT(entry.f.sha256), .room = 32, .has = AT(entry.f.has_sha256) },
	{ 0 } };
/* clang-format on */

static int get_entry(struct jread *j, struct reading *r, struct manifest_files *list,
	const struct jfield *fields, struct err *e)
{
	char side[300];

	memset(&r->entry, 0, sizeof r->entry);
	if (jfield_object(j, fields, r, e))
		return -1;
	snprintf(side, sizeof side, "%s" MAN_SIDECAR, r->entry.name);
	if (r->entry.has_side && strcmp(r->entry.side, side))
		return jfield_wrong(e, "the sidecar of %s is called %s",
			text_quote(r->entry.name).s, text_quote(r->entry.side).s);
	if (list->n && strcmp(list->v[list->n - 1].name, r->entry.name) >= 0)
		return jfield_wrong(e, "%s is listed twice, or not in order",
			text_quote(r->entry.name).s);
	if (list->n == MANIFEST_FILES)
		return jfield_wrong(e, "more than %d files", MANIFEST_FILES);
	r->entry.f.name = arena_strndup(&r->m.arena, r->entry.name, strlen(r->entry.name));
	if (r->entry.has_side)
		r->entry.f.side = arena_strndup(&r->m.arena, side, strlen(side));
	if (!r->entry.f.name || (r->entry.has_side && !r->entry.f.side) ||
		mem_grow(&list->v, &list->cap, list->n + 1, sizeof *list->v))
		return err_nomem(e);
	list->v[list->n++] = r->entry.f;
	return 0;
}

static int get_file(struct jread *j, void *ctx, struct err *e)
{
	return get_entry(j, ctx, &READING(ctx)->m.files, file_fields, e);
}

static int get_shard(struct jread *j, void *ctx, struct err *e)
{
	return get_entry(j, ctx, &READING(ctx)->m.shards, shard_fields, e);
}

static int by_name_nocase(const void *a, const void *b)
{
	return strcasecmp(*(const char *const *)a, *(const char *const *)b);
}

/* Two names that one file system keeps apart and another does not. */
static int check_twins(const struct manifest_files *f, struct err *e)
{
	const char **names = malloc((f->n + 1) * sizeof *names);
	size_t i;
	int rc = 0;

	if (!names)
		return err_nomem(e);
	for (i = 0; i < f->n; i++)
		names[i] = f->v[i].name;
	if (f->n)
		qsort(names, f->n, sizeof *names, by_name_nocase);
	for (i = 1; !rc && i < f->n; i++)
		if (!strcasecmp(names[i - 1], names[i]))
			rc = jfield_wrong(e, "%s and %s differ in upper and lower case only",
				text_quote(names[i - 1]).s, text_quote(names[i]).s);
	free(names);
	return rc;
}

/* --- the document of a folder --- */

/* Longer than any recipe that was taken (MIX_BYTES). */
enum { RECIPE = 64 << 10 };

static int take_recipe(struct jread *j, struct reading *r, struct err *e)
{
	char *text = malloc(RECIPE + 1);
	int rc = text ? jfield_string(j, text, RECIPE + 1, e) : err_nomem(e);

	if (!rc) {
		r->m.recipe = arena_strndup(&r->m.arena, text, strlen(text));
		rc = r->m.recipe ? 0 : err_nomem(e);
	}
	free(text);
	return rc ? -1 : 1;
}

/* Takes what a slice says of how it was cut: word, or a number without leading zeros. */
static int take_cut(struct jread *j, char out[24], const char *word, struct err *e)
{
	char value[24];
	size_t n;

	if (jfield_string(j, value, sizeof value, e))
		return -1;
	n = strspn(value, "0123456789");
	if (strcmp(value, word) != 0 && (!n || n > 19 || value[n] || value[0] == '0'))
		return jfield_wrong(e, "an option of a slice is no number");
	memcpy(out, value, sizeof value);
	return 1;
}

/* Takes one of the options that say which ranks there are. Returns 0 if it is none. */
static int take_rank(struct jread *j, struct manifest *m, struct err *e)
{
	if (is(j, "ranks"))
		return jfield_string(j, m->ranks, sizeof m->ranks, e) ? -1 : 1;
	if (is(j, "experts_by"))
		return jfield_string(j, m->experts_by, sizeof m->experts_by, e) ? -1 : 1;
	if (is(j, "share"))
		return jfield_string(j, m->share, sizeof m->share, e) ? -1 : 1;
	return 0;
}

/* Takes the options that readers of the document go by; all of them are strings. */
static int take_option(struct jread *j, struct reading *r, struct err *e)
{
	bool layers = is(j, "layers"), drafts = is(j, "drafts"), from = is(j, "experts_from"),
	     input = is(j, "input_scale"), is_imatrix = is(j, "imatrix"),
	     is_engram = is(j, "engram"), is_record = is(j, "engram_layout");
	char value[4096];
	int rank;

	if (jread_peek(j) != '"')
		return 0;
	rank = take_rank(j, &r->m, e);
	if (rank)
		return rank;
	if (is(j, "recipe"))
		return take_recipe(j, r, e);
	if (is(j, "experts_kept"))
		return take_cut(j, r->m.experts_kept, MANIFEST_ALL, e);
	if (is(j, "engram_vocab"))
		return take_cut(j, r->m.engram_vocab, MANIFEST_WHOLE, e);
	if (jfield_string(j, value, sizeof value, e))
		return -1;
	if (is_imatrix && strlen(value) != 64)
		return jfield_wrong(e, "the option imatrix is no SHA-256");
	if (is_imatrix)
		memcpy(r->m.imatrix, value, 65);
	if (layers && !value[0])
		return jfield_wrong(e, "the option layers is empty");
	if (layers)
		memcpy(r->m.layers, value, sizeof value);
	if (from && (!value[0] || strlen(value) >= sizeof r->m.experts_from))
		return jfield_wrong(e, "the option experts_from is empty or too long");
	if (input && strlen(value) >= sizeof r->m.input_scale)
		return jfield_wrong(e, "the option input_scale is too long");
	if (input)
		memcpy(r->m.input_scale, value, sizeof r->m.input_scale);
	if (from)
		memcpy(r->m.experts_from, value, sizeof r->m.experts_from);
	if (is_record && (!value[0] || strlen(value) >= sizeof r->m.engram_layout))
		return jfield_wrong(e, "the option engram_layout is empty or too long");
	if (is_record)
		memcpy(r->m.engram_layout, value, sizeof r->m.engram_layout);
	if (is_engram && !engram_find(&r->m.engram, value))
		return jfield_wrong(e, "the option engram is none of keep, drop, separate");
	if (drafts && !drafts_find(&r->m.drafts, value))
		return jfield_wrong(e, "the option drafts is none of same, keep, drop");
	return 1;
}

static int get_folder_options(struct jread *j, void *ctx, struct err *e)
{
	struct reading *r = ctx;

	return get_options(j, r, &r->m.arena, &r->m.options, take_option, e);
}

/* clang-format off */
static const struct jfield role_fields[] = {
	{ "exact", JFIELD_U64, .at = AT(role.exact) },
	{ "inexact", JFIELD_U64, .at = AT(role.r.lossy) },
	{ "layers", JFIELD_STRING, .at = AT(role.r.where), .room = ROOM(role.r.where) },
	{ "rescued", JFIELD_U64, .at = AT(role.r.rescued) },
	{ "role", JFIELD_STRING, .at = AT(role.r.role), .room = ROOM(role.r.role) },
	{ "total", JFIELD_U64, .at = AT(role.r.total) },
	{ 0 } };
static const struct jfield place_fields[] = {
	{ "block", JFIELD_U32, .at = AT(place.p.block) },
	{ "row", JFIELD_U32, .at = AT(place.p.row) },
	{ "tensor", JFIELD_STRING, .at = AT(place.tensor), .room = ROOM(place.tensor) },
	{ 0 } };
/* clang-format on */

static int get_role(struct jread *j, void *ctx, struct err *e)
{
	struct reading *r = ctx;
	struct manifest *m = &r->m;

	memset(&r->role, 0, sizeof r->role);
	if (jfield_object(j, role_fields, r, e))
		return -1;
	if (r->role.exact + r->role.r.lossy != r->role.r.total || r->role.r.rescued > r->role.exact)
		return jfield_wrong(e, "blocks_by_role does not add up");
	if (m->n_roles == MANIFEST_ROLES)
		return jfield_wrong(e, "more than %d roles", MANIFEST_ROLES);
	if (mem_grow(&m->roles, &m->roles_cap, m->n_roles + 1, sizeof *m->roles))
		return err_nomem(e);
	m->roles[m->n_roles++] = r->role.r;
	return 0;
}

static int get_place(struct jread *j, void *ctx, struct err *e)
{
	struct reading *r = ctx;
	struct manifest *m = &r->m;

	memset(&r->place, 0, sizeof r->place);
	if (jfield_object(j, place_fields, r, e))
		return -1;
	if (m->n_lossy == MANIFEST_PLACES)
		return jfield_wrong(e, "more than %d rounded blocks", MANIFEST_PLACES);
	r->place.p.tensor = arena_strndup(&m->arena, r->place.tensor, strlen(r->place.tensor));
	if (!r->place.p.tensor ||
		mem_grow(&m->lossy, &m->lossy_cap, m->n_lossy + 1, sizeof *m->lossy))
		return err_nomem(e);
	m->lossy[m->n_lossy++] = r->place.p;
	return 0;
}

/* clang-format off */
static const struct jfield block_fields[] = {
	{ "exact", JFIELD_U64, .at = AT(blocks.exact) },
	{ "inexact", JFIELD_U64, .at = AT(blocks.inexact) },
	{ "total", JFIELD_U64, .at = AT(blocks.total) },
	{ 0 } };
static const struct jfield source_fields[] = {
	{ "bytes", JFIELD_U64, .at = AT(m.source_bytes) },
	{ "sha256", JFIELD_STRING, .at = AT(verified), .room = ROOM(verified) },
	{ "shards", JFIELD_ARRAY, .get = get_shard },
	{ "tensors", JFIELD_U64, .at = AT(m.source_tensors) },
	{ 0 } };
static const struct jfield manifest_fields[] = {
	{ "blocks_by_role", JFIELD_ARRAY, .get = get_role, .optional = true },
	{ "cast_blocks", JFIELD_OBJECT, .fields = block_fields, .optional = true },
	{ "files", JFIELD_ARRAY, .get = get_file },
	{ "format", JFIELD_STRING, .at = AT(format), .room = ROOM(format) },
	{ "inexact_at", JFIELD_ARRAY, .get = get_place, .optional = true },
	{ "options", JFIELD_CALL, .get = get_folder_options },
	{ "plan", JFIELD_HEX_TEXT, .at = AT(m.plan), .room = ROOM(m.plan) },
	{ "restore", JFIELD_CALL, .get = get_restore, .optional = true },
	{ "source", JFIELD_OBJECT, .fields = source_fields },
	{ "target", JFIELD_STRING, .at = AT(m.target), .room = ROOM(m.target) },
	{ "tool", JFIELD_STRING, .at = AT(m.tool), .room = ROOM(m.tool) },
	{ "xxh3_128", JFIELD_SKIP, .optional = true },
	{ 0 } };
/* clang-format on */

/* What the members say together. */
static int settle_manifest(struct reading *r, struct err *e)
{
	struct manifest *m = &r->m;
	size_t i;

	m->verified = !strcmp(r->verified, "verified");
	if (!m->verified && strcmp(r->verified, "unverified"))
		return jfield_wrong(e, "the source is neither verified nor unverified");
	for (i = 0; i < m->shards.n; i++)
		if (m->shards.v[i].has_sha256 != m->verified)
			return jfield_wrong(e, "the source is %s, and the shard %s has %s SHA-256",
				r->verified, text_quote(m->shards.v[i].name).s,
				m->verified ? "no" : "a");
	if (r->blocks.exact + r->blocks.inexact != r->blocks.total)
		return jfield_wrong(e, "cast_blocks does not add up");
	m->blocks = r->blocks.total;
	m->inexact = r->blocks.inexact;
	return check_twins(&m->files, e) || check_twins(&m->shards, e) ? -1 : 0;
}

int manifest_read(struct manifest *m, const struct text *t, struct err *e)
{
	struct reading *r = calloc(1, sizeof *r);
	int rc = r ? read_document(r, t, manifest_fields, FORMAT_MANIFEST, e) : err_nomem(e);

	memset(m, 0, sizeof *m);
	rc = rc ? rc : settle_manifest(r, e);
	if (r)
		*m = r->m;
	free(r);
	if (rc)
		manifest_free(m);
	return rc;
}

void manifest_free(struct manifest *m)
{
	free(m->files.v);
	free(m->shards.v);
	free(m->roles);
	free(m->lossy);
	arena_free(&m->arena);
	memset(m, 0, sizeof *m);
}

static int cmp_file(const void *key, const void *f)
{
	return strcmp(key, ((const struct manifest_file *)f)->name);
}

const struct manifest_file *manifest_find(const struct manifest_files *f, const char *name)
{
	return f->n ? bsearch(name, f->v, f->n, sizeof *f->v, cmp_file) : NULL;
}

/* --- the document of a set --- */

static int get_folder(struct jread *j, void *ctx, struct err *e)
{
	struct set_manifest *s = &READING(ctx)->s;
	size_t i;

	if (s->n == MANIFEST_FOLDERS)
		return jfield_wrong(e, "more than %d folders", MANIFEST_FOLDERS);
	if (get_below(j, ctx, folder_fields, e))
		return -1;
	for (i = 0; i < s->n; i++)
		if (!strcmp(s->v[i].name, READING(ctx)->folder.name))
			return jfield_wrong(e, "folder %s is there twice", s->v[i].name);
	if (mem_grow(&s->v, &s->cap, s->n + 1, sizeof *s->v))
		return err_nomem(e);
	s->v[s->n++] = READING(ctx)->folder;
	return 0;
}

static int take_share(struct jread *j, struct reading *r, struct err *e)
{
	uint64_t *to = is(j, "ranks") ? &r->s.ranks : is(j, "stages") ? &r->s.stages : NULL;

	if (is(j, "attention"))
		return jfield_string(j, r->s.attention, sizeof r->s.attention, e) ? -1 : 1;
	if (is(j, "experts_by"))
		return jfield_string(j, r->s.experts_by, sizeof r->s.experts_by, e) ? -1 : 1;
	if (!to) {
		if (!is(j, "file_size"))
			return jfield_wrong(e, "the member %s does not belong there",
				text_quote_n(j->str.s, j->str.n).s);
		return 0;
	}
	if (*to)
		return jfield_wrong(e, "ranks or stages are there twice");
	return jread_u64(j, MANIFEST_FOLDERS, to) ? -1 : 1;
}

static int get_set_options(struct jread *j, void *ctx, struct err *e)
{
	struct reading *r = ctx;

	return get_options(j, r, &r->s.arena, &r->s.options, take_share, e);
}

/* clang-format off */
static const struct jfield set_fields[] = {
	{ "folders", JFIELD_ARRAY, .get = get_folder },
	{ "format", JFIELD_STRING, .at = AT(format), .room = ROOM(format) },
	{ "options", JFIELD_CALL, .get = get_set_options },
	{ "plan", JFIELD_HEX_TEXT, .at = AT(s.plan), .room = ROOM(s.plan) },
	{ "target", JFIELD_STRING, .at = AT(s.target), .room = ROOM(s.target) },
	{ "tool", JFIELD_STRING, .at = AT(s.tool), .room = ROOM(s.tool) },
	{ "xxh3_128", JFIELD_SKIP, .optional = true },
	{ 0 } };
/* clang-format on */

int set_plan_hash(const struct manifest_folder *v, size_t n, char hash[65], struct err *e)
{
	struct text t = { 0 };
	uint8_t d[32];
	size_t i;
	int rc;

	text_str(&t, FORMAT_SET_HASH "\n");
	for (i = 0; i < n; i++)
		text_fmt(&t, "%s %s\n", v[i].name, v[i].plan);
	rc = t.failed ? err_nomem(e) : sha256_of(t.s, t.n, d, e);
	text_free(&t);
	if (!rc)
		hex_of(d, sizeof d, hash);
	return rc;
}

/* What the members say together. */
static int settle_set(const struct set_manifest *s, struct err *e)
{
	char hash[65];

	if (set_plan_hash(s->v, s->n, hash, e))
		return -1;
	if (strcmp(hash, s->plan))
		return err_rule(e, RULE_CHECK_PLAN, ERR_NOPOS,
			"its plan is not made of the plans of its folders");
	if (s->n != s->ranks * s->stages + 1)
		return jfield_wrong(e, "%zu folders for %llu ranks in %llu stages", s->n,
			(unsigned long long)s->ranks, (unsigned long long)s->stages);
	return 0;
}

int set_manifest_read(struct set_manifest *m, const struct text *t, struct err *e)
{
	struct reading *r = calloc(1, sizeof *r);
	int rc = r ? read_document(r, t, set_fields, FORMAT_SET, e) : err_nomem(e);

	memset(m, 0, sizeof *m);
	rc = rc ? rc : settle_set(&r->s, e);
	if (r)
		*m = r->s;
	free(r);
	if (rc)
		set_manifest_free(m);
	return rc;
}

void set_manifest_free(struct set_manifest *m)
{
	free(m->v);
	arena_free(&m->arena);
	memset(m, 0, sizeof *m);
}
