/* SPDX-License-Identifier: MIT */
#include "formats/format_id.h"
#include "formats/conversion/toc.h"

#include "formats/json/jfield.h"
#include "formats/conversion/manifest.h"
#include "formats/conversion/seal.h"
#include "formats/st/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 6 };

/* --- what both have --- */

static int get_plan_hash(struct jread *j, char plan[65], struct err *e)
{
	uint8_t d[32];

	if (jfield_hex(j, d, sizeof d, e))
		return -1;
	hex_of(d, sizeof d, plan);
	return 0;
}

static int get_format(struct jread *j, const char *want, struct err *e)
{
	char s[32];

	if (jfield_string(j, s, sizeof s, e))
		return -1;
	return strcmp(s, want) ? jfield_wrong(e, "its format is %s, not %s", text_quote(s).s, want)
			       : 0;
}

static int check_seal(const struct text *t, struct err *e)
{
	if (seal_of(t->s, t->n) != SEAL_BROKEN)
		return 0;
	return err_rule(e, RULE_SET_MANIFEST, ERR_NOPOS,
		"it is not as it was written: its digest of itself is another");
}

static int read_all(const struct text *t, const struct jfield *fields, void *ctx, struct err *e)
{
	struct jread j;
	int rc;

	if (check_seal(t, e))
		return -1;
	jread_open_mem(&j, t->s, t->n, DEPTH, e);
	rc = jfield_object(&j, fields, ctx, e) || jread_end(&j, true) ? -1 : 0;
	jread_close(&j);
	return rc;
}

/* Steps to "format" whatever else is there. */
enum toc_kind toc_kind(const struct text *t)
{
	enum toc_kind kind = TOC_NONE;
	struct err e = { 0 };
	struct jread j;

	jread_open_mem(&j, t->s, t->n, DEPTH, &e);
	if (!jread_object(&j))
		while (jread_key(&j) == 1) {
			if (j.str.n != 6 || memcmp(j.str.s, "format", 6)) {
				if (jread_skip(&j))
					break;
				continue;
			}
			if (!jread_string(&j, 32))
				kind = j.str.n == strlen(FORMAT_MANIFEST) &&
						!memcmp(j.str.s, FORMAT_MANIFEST, j.str.n)
					? TOC_FOLDER
					: j.str.n == strlen(FORMAT_SET) &&
						!memcmp(j.str.s, FORMAT_SET, j.str.n)
					? TOC_SET
					: TOC_NONE;
			break;
		}
	jread_close(&j);
	return kind;
}

/* --- a folder below --- */

/* rank-R-of-N, pp-S-of-P/rank-R-of-N, source: nothing that leads elsewhere. */
static bool plain_folder(const char *s)
{
	return *s && s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-/")] == 0 && *s != '/' &&
		!strstr(s, "//") && s[strlen(s) - 1] != '/';
}

static int get_dir_bytes(struct jread *j, void *ctx, struct err *e)
{
	(void)e;
	return jread_u64(j, ST_OFFSET_MAX, &((struct toc_folder *)ctx)->bytes);
}
static int get_dir_name(struct jread *j, void *ctx, struct err *e)
{
	struct toc_folder *f = ctx;

	if (jfield_string(j, f->name, sizeof f->name, e))
		return -1;
	return plain_folder(f->name)
		? 0
		: jfield_wrong(e, "%s is no folder of a set", text_quote(f->name).s);
}
static int get_dir_plan(struct jread *j, void *ctx, struct err *e)
{
	return get_plan_hash(j, ((struct toc_folder *)ctx)->plan, e);
}
static int get_dir_sha(struct jread *j, void *ctx, struct err *e)
{
	return jfield_hex(j, ((struct toc_folder *)ctx)->sha256, 32, e);
}
static const struct jfield folder_fields[] = { { "bytes", get_dir_bytes, false },
	{ "name", get_dir_name, false }, { "plan", get_dir_plan, false },
	{ "sha256", get_dir_sha, false }, { NULL, NULL, false } };

static const struct jfield restore_fields[] = { { "bytes", get_dir_bytes, false },
	{ "name", get_dir_name, false }, { "sha256", get_dir_sha, false }, { NULL, NULL, false } };

/* --- a folder --- */

struct entry {
	struct toc *c;
	struct toc_file f;
};

static int keep(struct toc *c, struct jread *j, const char **out, struct err *e)
{
	char s[256];

	if (jfield_name(j, s, sizeof s, e))
		return -1;
	*out = arena_strndup(&c->arena, s, strlen(s));
	return *out ? 0 : err_nomem(e);
}

static int get_bytes(struct jread *j, void *ctx, struct err *e)
{
	(void)e;
	return jread_u64(j, ST_OFFSET_MAX, &((struct entry *)ctx)->f.bytes);
}
static int get_name(struct jread *j, void *ctx, struct err *e)
{
	struct entry *n = ctx;

	return keep(n->c, j, &n->f.name, e);
}
static int get_sha(struct jread *j, void *ctx, struct err *e)
{
	struct toc_file *f = &((struct entry *)ctx)->f;

	return jfield_hex_or_null(j, f->sha256, 32, &f->has_sha, e);
}
static int get_side_bytes(struct jread *j, void *ctx, struct err *e)
{
	(void)e;
	return jread_u64(j, ST_OFFSET_MAX, &((struct entry *)ctx)->f.side_bytes);
}
static int get_side_name(struct jread *j, void *ctx, struct err *e)
{
	struct entry *n = ctx;

	return keep(n->c, j, &n->f.side, e);
}
static int get_side_sha(struct jread *j, void *ctx, struct err *e)
{
	return jfield_hex(j, ((struct entry *)ctx)->f.side_sha256, 32, e);
}

static const struct jfield side_fields[] = { { "bytes", get_side_bytes, false },
	{ "name", get_side_name, false }, { "sha256", get_side_sha, false },
	{ NULL, NULL, false } };

static int get_side(struct jread *j, void *ctx, struct err *e)
{
	return jfield_object(j, side_fields, ctx, e);
}

static const struct jfield file_fields[] = { { "bytes", get_bytes, false },
	{ "name", get_name, false }, { "sha256", get_sha, false }, { "sidecar", get_side, true },
	{ NULL, NULL, false } };
static const struct jfield shard_fields[] = { { "bytes", get_bytes, false },
	{ "name", get_name, false }, { "sha256", get_sha, false }, { NULL, NULL, false } };

static int get_entry(struct jread *j, struct toc *c, struct toc_files *list,
	const struct jfield *fields, struct err *e)
{
	struct entry n = { .c = c };
	char side[300];

	if (jfield_object(j, fields, &n, e))
		return -1;
	snprintf(side, sizeof side, "%s" MAN_SIDECAR, n.f.name);
	if (n.f.side && strcmp(n.f.side, side))
		return jfield_wrong(e, "the sidecar of %s is called %s", text_quote(n.f.name).s,
			text_quote(n.f.side).s);
	if (list->n && strcmp(list->v[list->n - 1].name, n.f.name) >= 0)
		return jfield_wrong(e, "%s is listed twice, or not in order",
			text_quote(n.f.name).s);
	if (list->n == TOC_FILES)
		return jfield_wrong(e, "more than %d files", TOC_FILES);
	if (mem_grow(&list->v, &list->cap, list->n + 1, sizeof *list->v))
		return err_nomem(e);
	list->v[list->n++] = n.f;
	return 0;
}

static int get_file(struct jread *j, void *ctx, struct err *e)
{
	struct toc *c = ctx;

	return get_entry(j, c, &c->files, file_fields, e);
}
static int get_files(struct jread *j, void *ctx, struct err *e)
{
	return jfield_array(j, get_file, ctx, e);
}
static int get_shard(struct jread *j, void *ctx, struct err *e)
{
	struct toc *c = ctx;

	return get_entry(j, c, &c->shards, shard_fields, e);
}
static int get_shards(struct jread *j, void *ctx, struct err *e)
{
	return jfield_array(j, get_shard, ctx, e);
}
static int get_source_bytes(struct jread *j, void *ctx, struct err *e)
{
	(void)e;
	return jread_u64(j, ST_OFFSET_MAX, &((struct toc *)ctx)->source_bytes);
}
static int get_source_tensors(struct jread *j, void *ctx, struct err *e)
{
	(void)e;
	return jread_u64(j, ST_OFFSET_MAX, &((struct toc *)ctx)->source_tensors);
}
static int get_verified(struct jread *j, void *ctx, struct err *e)
{
	char s[16];

	if (jfield_string(j, s, sizeof s, e))
		return -1;
	((struct toc *)ctx)->verified = !strcmp(s, "verified");
	return strcmp(s, "verified") && strcmp(s, "unverified")
		? jfield_wrong(e, "the source is neither verified nor unverified")
		: 0;
}

static const struct jfield source_fields[] = { { "bytes", get_source_bytes, false },
	{ "sha256", get_verified, false }, { "shards", get_shards, false },
	{ "tensors", get_source_tensors, false }, { NULL, NULL, false } };

static int get_source(struct jread *j, void *ctx, struct err *e)
{
	return jfield_object(j, source_fields, ctx, e);
}

/* Values are strings or null; of interest is only whether "layers" says some. */
static int get_options(struct jread *j, void *ctx, struct err *e)
{
	struct toc *c = ctx;
	bool layers;
	int more;

	(void)e;
	if (jread_object(j))
		return -1;
	while ((more = jread_key(j)) == 1) {
		layers = j->str.n == 6 && !memcmp(j->str.s, "layers", 6);
		c->partial = c->partial || (layers && jread_peek(j) == '"');
		if (jread_peek(j) == '"' ? jread_string(j, 4096) : jread_skip(j))
			return -1;
	}
	return more;
}

struct blocks {
	uint64_t exact, inexact, total;
};
static int get_exact(struct jread *j, void *ctx, struct err *e)
{
	(void)e;
	return jread_u64(j, ST_OFFSET_MAX, &((struct blocks *)ctx)->exact);
}
static int get_inexact(struct jread *j, void *ctx, struct err *e)
{
	(void)e;
	return jread_u64(j, ST_OFFSET_MAX, &((struct blocks *)ctx)->inexact);
}
static int get_total(struct jread *j, void *ctx, struct err *e)
{
	(void)e;
	return jread_u64(j, ST_OFFSET_MAX, &((struct blocks *)ctx)->total);
}
static const struct jfield block_fields[] = { { "exact", get_exact, false },
	{ "inexact", get_inexact, false }, { "total", get_total, false }, { NULL, NULL, false } };

static int get_blocks(struct jread *j, void *ctx, struct err *e)
{
	struct blocks b;

	if (jfield_object(j, block_fields, &b, e))
		return -1;
	if (b.exact + b.inexact != b.total)
		return jfield_wrong(e, "cast_blocks does not add up");
	((struct toc *)ctx)->blocks = b.total;
	((struct toc *)ctx)->inexact = b.inexact;
	return 0;
}

static int get_restore(struct jread *j, void *ctx, struct err *e)
{
	struct toc_folder *f = &((struct toc *)ctx)->restore;

	if (jfield_object(j, restore_fields, f, e))
		return -1;
	return strchr(f->name, '/') ? jfield_wrong(e, "restore is no folder beside the files") : 0;
}

static int get_toc_format(struct jread *j, void *ctx, struct err *e)
{
	(void)ctx;
	return get_format(j, FORMAT_MANIFEST, e);
}
static int get_toc_plan(struct jread *j, void *ctx, struct err *e)
{
	return get_plan_hash(j, ((struct toc *)ctx)->plan, e);
}
static int get_toc_target(struct jread *j, void *ctx, struct err *e)
{
	return jfield_string(j, ((struct toc *)ctx)->target, sizeof((struct toc *)ctx)->target, e);
}
static int get_toc_tool(struct jread *j, void *ctx, struct err *e)
{
	return jfield_string(j, ((struct toc *)ctx)->tool, sizeof((struct toc *)ctx)->tool, e);
}

static const struct jfield toc_fields[] = { { "cast_blocks", get_blocks, true },
	{ "files", get_files, false }, { "format", get_toc_format, false },
	{ "options", get_options, false }, { "plan", get_toc_plan, false },
	{ "restore", get_restore, true }, { "source", get_source, false },
	{ "target", get_toc_target, false }, { "tool", get_toc_tool, false },
	{ "xxh3_128", jfield_skip, true }, { NULL, NULL, false } };

static int cmp_nocase(const void *a, const void *b)
{
	return strcasecmp(*(const char *const *)a, *(const char *const *)b);
}

/* Two names that one file system keeps apart and another does not. */
static int check_twins(const struct toc_files *f, struct err *e)
{
	const char **names = malloc((f->n + 1) * sizeof *names);
	size_t i;
	int rc = 0;

	if (!names)
		return err_nomem(e);
	for (i = 0; i < f->n; i++)
		names[i] = f->v[i].name;
	if (f->n)
		qsort(names, f->n, sizeof *names, cmp_nocase);
	for (i = 1; !rc && i < f->n; i++)
		if (!strcasecmp(names[i - 1], names[i]))
			rc = jfield_wrong(e, "%s and %s differ in upper and lower case only",
				text_quote(names[i - 1]).s, text_quote(names[i]).s);
	free(names);
	return rc;
}

int toc_read(struct toc *c, const struct text *t, struct err *e)
{
	memset(c, 0, sizeof *c);
	c->sealed = seal_of(t->s, t->n) == SEAL_WHOLE;
	if (!read_all(t, toc_fields, c, e) && !check_twins(&c->files, e) &&
		!check_twins(&c->shards, e))
		return 0;
	toc_free(c);
	return -1;
}

void toc_free(struct toc *c)
{
	free(c->files.v);
	free(c->shards.v);
	arena_free(&c->arena);
	memset(c, 0, sizeof *c);
}

static int cmp_file(const void *key, const void *f)
{
	return strcmp(key, ((const struct toc_file *)f)->name);
}

const struct toc_file *toc_find(const struct toc_files *f, const char *name)
{
	return f->n ? bsearch(name, f->v, f->n, sizeof *f->v, cmp_file) : NULL;
}

/* --- a set --- */

static int get_folder(struct jread *j, void *ctx, struct err *e)
{
	struct toc_set *c = ctx;
	size_t i;

	if (c->n == TOC_FOLDERS)
		return jfield_wrong(e, "more than %d folders", TOC_FOLDERS);
	if (mem_grow(&c->v, &c->cap, c->n + 1, sizeof *c->v))
		return err_nomem(e);
	memset(&c->v[c->n], 0, sizeof *c->v);
	if (jfield_object(j, folder_fields, &c->v[c->n], e))
		return -1;
	for (i = 0; i < c->n; i++)
		if (!strcmp(c->v[i].name, c->v[c->n].name))
			return jfield_wrong(e, "folder %s is there twice", c->v[i].name);
	c->n++;
	return 0;
}
static int get_folders(struct jread *j, void *ctx, struct err *e)
{
	return jfield_array(j, get_folder, ctx, e);
}

static int get_ranks(struct jread *j, void *ctx, struct err *e)
{
	(void)e;
	return jread_u64(j, TOC_FOLDERS, &((struct toc_set *)ctx)->ranks);
}
static int get_stages(struct jread *j, void *ctx, struct err *e)
{
	(void)e;
	return jread_u64(j, TOC_FOLDERS, &((struct toc_set *)ctx)->stages);
}
static const struct jfield set_option_fields[] = { { "attention", jfield_skip, false },
	{ "experts_by", jfield_skip, false }, { "ranks", get_ranks, false },
	{ "stages", get_stages, false }, { NULL, NULL, false } };

static int get_set_options(struct jread *j, void *ctx, struct err *e)
{
	return jfield_object(j, set_option_fields, ctx, e);
}
static int get_set_format(struct jread *j, void *ctx, struct err *e)
{
	(void)ctx;
	return get_format(j, FORMAT_SET, e);
}
static int get_set_plan(struct jread *j, void *ctx, struct err *e)
{
	return get_plan_hash(j, ((struct toc_set *)ctx)->plan, e);
}
static int get_set_target(struct jread *j, void *ctx, struct err *e)
{
	struct toc_set *c = ctx;

	return jfield_string(j, c->target, sizeof c->target, e);
}
static int get_set_tool(struct jread *j, void *ctx, struct err *e)
{
	struct toc_set *c = ctx;

	return jfield_string(j, c->tool, sizeof c->tool, e);
}
static const struct jfield set_fields[] = { { "folders", get_folders, false },
	{ "format", get_set_format, false }, { "options", get_set_options, false },
	{ "plan", get_set_plan, false }, { "target", get_set_target, false },
	{ "tool", get_set_tool, false }, { "xxh3_128", jfield_skip, true }, { NULL, NULL, false } };

int toc_set_read(struct toc_set *c, const struct text *t, struct err *e)
{
	memset(c, 0, sizeof *c);
	c->sealed = seal_of(t->s, t->n) == SEAL_WHOLE;
	if (!read_all(t, set_fields, c, e))
		return 0;
	toc_set_free(c);
	return -1;
}

void toc_set_free(struct toc_set *c)
{
	free(c->v);
	memset(c, 0, sizeof *c);
}
