/* SPDX-License-Identifier: MIT */
#include "verify/sign/lineage.h"

#include "core/hash/sha256.h"
#include "core/hash/xxh.h"
#include "formats/format_id.h"
#include "formats/json/jread.h"
#include "formats/conversion/manifest.h"
#include "formats/st/safetensors.h"
#include "formats/conversion/sidecar.h"

#include <stdio.h>
#include <string.h>

enum { DEPTH = 8 };

void lineage_free(struct lineage *l)
{
	text_free(&l->options);
	tree_free(&l->shards);
	memset(l, 0, sizeof *l);
}

static bool is(const struct jread *j, const char *word)
{
	return j->str.n == strlen(word) && !memcmp(j->str.s, word, j->str.n);
}

static int get_string(struct jread *j, char *s, size_t room)
{
	if (jread_string(j, room - 1))
		return -1;
	memcpy(s, j->str.s, j->str.n);
	s[j->str.n] = 0;
	return 0;
}

static int wrong(struct err *e, const char *what)
{
	return err_rule(e, RULE_SET_FORM, ERR_NOPOS, "%s", what);
}

/* --- the source --- */

static int get_shard(struct jread *j, struct lineage *l, struct err *e)
{
	struct tree_file f = { .sized = true, .want = true };
	char name[256] = "";
	int more, rc;

	if (jread_object(j))
		return -1;
	while ((more = jread_key(j)) == 1) {
		if (is(j, "name")) {
			rc = get_string(j, name, sizeof name);
		} else if (is(j, "bytes")) {
			rc = jread_u64(j, ST_OFFSET_MAX, &f.bytes);
		} else if (is(j, "sha256") && jread_peek(j) == '"') {
			rc = jread_string(j, 64);
			f.hashed = !rc && j->str.n == 64 && hex_to(j->str.s, f.sha256, 32);
			if (!rc && !f.hashed)
				rc = wrong(e, "a digest of another length");
		} else {
			rc = jread_skip(j);
		}
		if (rc)
			return -1;
	}
	if (!more && (!tree_plain(name, strlen(name)) || strchr(name, '/')))
		return wrong(e, "a shard whose name leads elsewhere");
	return more ? -1 : tree_add(&l->shards, name, strlen(name), &f, e);
}

static int get_shards(struct jread *j, struct lineage *l, struct err *e)
{
	int more;

	if (jread_array(j))
		return -1;
	while ((more = jread_item(j)) == 1)
		if (get_shard(j, l, e))
			return -1;
	return more;
}

static int get_source(struct jread *j, struct lineage *l, struct err *e)
{
	char state[32] = "";
	int more;

	if (jread_object(j))
		return -1;
	while ((more = jread_key(j)) == 1)
		if (is(j, "shards")                ? get_shards(j, l, e)
				: is(j, "sha256")  ? get_string(j, state, sizeof state)
				: is(j, "bytes")   ? jread_u64(j, ST_OFFSET_MAX, &l->bytes)
				: is(j, "tensors") ? jread_u64(j, ST_OFFSET_MAX, &l->tensors)
						   : jread_skip(j))
			return -1;
	l->verified = !strcmp(state, "verified");
	return more;
}

/* The options are kept as they stand, whatever they are. */
static int get_options(struct jread *j, struct lineage *l, const struct text *t)
{
	uint64_t from;

	if (jread_peek(j) < 0)
		return -1;
	from = jread_pos(j);
	if (jread_skip(j))
		return -1;
	l->options.n = 0;
	text_put(&l->options, t->s + from, (size_t)(jread_pos(j) - from));
	return 0;
}

/* The members of a manifest that say where it came from; of a set's source folder only "source". */
static int read_facts(struct lineage *l, const struct text *t, bool source_only, struct err *e)
{
	struct jread j;
	int more = -1;

	jread_open_mem(&j, t->s, t->n, DEPTH, e);
	if (!jread_object(&j))
		while ((more = jread_key(&j)) == 1)
			if (is(&j, "source")          ? get_source(&j, l, e)
					: source_only ? jread_skip(&j)
					: is(&j, "format")
					? get_string(&j, l->format, sizeof l->format)
					: is(&j, "target")
					? get_string(&j, l->target, sizeof l->target)
					: is(&j, "plan") ? get_string(&j, l->plan, sizeof l->plan)
					: is(&j, "tool") ? get_string(&j, l->tool, sizeof l->tool)
					: is(&j, "options") ? get_options(&j, l, t)
							    : jread_skip(&j)) {
				more = -1;
				break;
			}
	jread_close(&j);
	return more;
}

/* --- the files --- */

static bool some(const uint8_t sha256[32])
{
	static const uint8_t none[32];

	return memcmp(sha256, none, 32) != 0;
}

static int add(struct tree *files, const char *folder, const char *name, const uint8_t *sha256,
	const uint64_t *bytes, struct err *e)
{
	struct tree_file f = { .hashed = some(sha256), .sized = bytes != NULL };
	char path[TREE_PATH + 1];
	int n = snprintf(path, sizeof path, "%s%s%s", folder, *folder ? "/" : "", name);

	if (n > TREE_PATH || !tree_plain(path, (size_t)n))
		return err_rule(e, RULE_SIG_NAME, ERR_NOPOS,
			"the manifest has a file %s, whose name leads elsewhere",
			text_quote(path).s);
	memcpy(f.sha256, sha256, 32);
	f.bytes = bytes ? *bytes : 0;
	return tree_add(files, path, (size_t)n, &f, e);
}

static int add_files(struct tree *files, const char *folder, const struct text *t, struct err *e)
{
	struct set_files v = { 0 };
	size_t i;
	int rc = set_files_read(&v, t, e);

	for (i = 0; i < v.n && !rc; i++)
		if (add(files, folder, v.v[i].name, v.v[i].sha256, &v.v[i].bytes, e) ||
			(v.v[i].sidecar[0] &&
				add(files, folder, v.v[i].sidecar, v.v[i].sidecar_sha256, NULL, e)))
			rc = -1;
	set_files_free(&v);
	return rc;
}

/* The manifest of one folder of a set, if it is the one that the set's says. */
static int add_folder(struct lineage *l, struct tree *files, const struct io *io, int dir,
	const struct set_folder *f, struct report *r, struct err *e)
{
	char path[160];
	struct text t = { 0 };
	struct report_place at = { .file = path };
	uint8_t sha256[32];
	int rc = -1;

	snprintf(path, sizeof path, "%s/" MAN_NAME, f->name);
	if (add(files, f->name, MAN_NAME, f->sha256, NULL, e))
		return -1;
	if (tree_load(io, dir, path, LINEAGE_CAP, &t, e)) {
		report_take(r, &at, e);
		rc = 0;
	} else if (sha256_of(t.s, t.n, sha256, e)) {
		goto out;
	} else if (memcmp(sha256, f->sha256, 32) != 0) {
		report_add(r, RULE_SIG_CHANGED, &at,
			"%s has another SHA-256 than the manifest of the set says", path);
		rc = 0;
	} else {
		rc = add_files(files, f->name, &t, e) ||
				(!l->shards.n && !strcmp(f->name, "source") &&
					read_facts(l, &t, true, e))
			? err_at(e, "%s", path)
			: 0;
	}
out:
	text_free(&t);
	return rc;
}

/* The folders of a set; of a single folder what it keeps for the way back. */
static int add_folders(struct lineage *l, struct tree *files, const struct io *io, int dir,
	const struct text *top, struct report *r, struct err *e)
{
	struct set_folders d = { 0 };
	size_t i;
	int rc = set_folders_read(&d, top, e);

	for (i = 0; i < d.n && !rc; i++)
		rc = add_folder(l, files, io, dir, &d.v[i], r, e);
	set_folders_free(&d);
	return rc;
}

int lineage_read(struct lineage *l, struct tree *files, const struct io *io, int dir,
	const struct text *top, struct report *r, struct err *e)
{
	struct err why = { 0 };
	uint8_t sha256[32];
	bool set;
	int rc;

	if (read_facts(l, top, false, &why) &&
		(why.kind == ERR_SYSTEM || !strncmp(l->format, "dsv4-", 5)))
		return err_move(e, &why), err_at(e, "%s", MAN_NAME);
	if (why.kind != ERR_NONE)
		return 0; /* no JSON, or another's: it says nothing to us */
	set = !strcmp(l->format, FORMAT_SET);
	l->known = set || !strcmp(l->format, FORMAT_MANIFEST);
	if (!l->known)
		return 0;
	rc = sha256_of(top->s, top->n, sha256, e) || add(files, "", MAN_NAME, sha256, NULL, e) ||
		(!set && add_files(files, "", top, e)) || add_folders(l, files, io, dir, top, r, e);
	if (rc)
		return err_at(e, "%s", MAN_NAME);
	tree_sort(files, "the manifests", r, e);
	tree_sort(&l->shards, "the shards of the source", r, e);
	return e->kind == ERR_NONE ? 0 : -1;
}

/* --- what casts dropped --- */

struct dropped {
	uint64_t bytes;
	uint8_t sha256[32];
	bool there;
};

static bool take_dropped(struct jread *j, void *ctx)
{
	struct dropped *d = ctx;
	int more;

	if (jread_object(j))
		return false;
	while ((more = jread_key(j)) == 1)
		if (is(j, "sha256") ? jread_string(j, 64) || j->str.n != 64 ||
					!hex_to(j->str.s, d->sha256, 32)
				: is(j, "bytes") ? jread_u64(j, ST_OFFSET_MAX, &d->bytes)
						 : jread_skip(j))
			return false;
	d->there = !more;
	return d->there;
}

/* Length of the name without what a sidecar has behind it; 0: it is none. */
static size_t stem(const char *name)
{
	size_t n = strlen(name), end = sizeof MAN_SIDECAR - 1;

	return n > end && !strcmp(name + n - end, MAN_SIDECAR) ? n - end : 0;
}

/* One sidecar, which is as its manifest says. */
static int add_dropped(struct tree *files, const char *sidecar, const struct io *io, int dir,
	struct err *e)
{
	char name[TREE_PATH + 16];
	struct tree_file f = { .sized = true, .hashed = true };
	struct dropped d = { 0 };
	int at, rc = -1;
	const char *slash = strrchr(sidecar, '/'), *base = slash ? slash + 1 : sidecar;

	if (tree_open_dir(io, dir, sidecar, &at, e))
		return -1;
	if (man_member(io, at, base, "dropped", take_dropped, &d, e) < 0)
		goto out;
	rc = 0;
	if (d.there) {
		snprintf(name, sizeof name, "%.*s" MAN_DROPPED, (int)stem(sidecar), sidecar);
		memcpy(f.sha256, d.sha256, 32);
		f.bytes = d.bytes;
		rc = tree_add(files, name, strlen(name), &f, e);
	}
out:
	if (at != dir)
		(void)io->close(io, at);
	return rc;
}

int lineage_read_sidecars(struct tree *files, struct tree *there, const struct io *io, int dir,
	unsigned threads, unsigned features, struct report *r, struct err *e)
{
	const struct tree_file *must;
	size_t i, n = files->n;

	for (i = 0; i < there->n; i++) {
		there->v[i].want = !there->v[i].hashed && stem(there->v[i].name) &&
			tree_find(files, there->v[i].name);
	}
	if (tree_hash(there, io, dir, threads, features, r, e))
		return -1;
	for (i = 0; i < there->n; i++) {
		if (!there->v[i].hashed || !stem(there->v[i].name))
			continue;
		/* files is sorted up to n; what was added lies behind */
		must = tree_find_in(files, n, there->v[i].name);
		if (must && must->hashed && !memcmp(must->sha256, there->v[i].sha256, 32) &&
			add_dropped(files, there->v[i].name, io, dir, e))
			return -1;
	}
	if (files->n > n)
		tree_sort(files, "the sidecars", r, e);
	return e->kind == ERR_NONE ? 0 : -1;
}

void lineage_show(const struct lineage *l, struct report *r)
{
	size_t i, n = 0;

	if (!l->known)
		return;
	for (i = 0; i < l->shards.n; i++)
		n += l->shards.v[i].hashed;
	report_row(r, "lineage", "target", 0, 0, text_quote(l->target).s);
	report_row(r, "lineage", "tool", 0, 0, text_quote(l->tool).s);
	report_row(r, "lineage", "plan", 0, 0, text_quote(l->plan).s);
	report_row(r, "lineage", "source tensors", l->tensors, l->bytes,
		l->verified ? "SHA-256 verified" : "SHA-256 not verified when it was converted");
	report_row(r, "lineage", "source shards with SHA-256", n, 0, NULL);
}
