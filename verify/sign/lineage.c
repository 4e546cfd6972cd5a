/* SPDX-License-Identifier: MIT */
#include "verify/sign/lineage.h"

#include "core/hash/sha256.h"
#include "core/text.h"
#include "formats/conversion/chain.h"
#include "formats/conversion/head.h"
#include "formats/format_id.h"

#include <stdio.h>
#include <string.h>

void lineage_free(struct lineage *l)
{
	text_free(&l->options);
	tree_free(&l->shards);
	memset(l, 0, sizeof *l);
}

/* What a walk over the folders gathers. */
struct gather {
	struct lineage *l;
	struct tree *files;
	struct report *r;
};

/* Adds a file that a manifest names. sha256 NULL: no digest of it is recorded. */
static int add(struct tree *files, const char *folder, const char *name, const uint8_t *sha256,
	uint64_t bytes, struct err *e)
{
	struct tree_file f = { .hashed = sha256 != NULL, .sized = true, .bytes = bytes };
	char path[TREE_PATH + 1];
	int n = snprintf(path, sizeof path, "%s%s%s", folder, *folder ? "/" : "", name);

	if (n > TREE_PATH || !tree_plain(path, (size_t)n))
		return err_rule(e, RULE_SIG_NAME, ERR_NOPOS,
			"the manifest has a file %s, whose name leads elsewhere",
			text_quote(path).s);
	if (sha256)
		memcpy(f.sha256, sha256, 32);
	return tree_add(files, path, (size_t)n, &f, e);
}

/* The manifest of a folder below is a file too. */
static int add_below(const struct gather *g, const struct manifest_folder *f, struct err *e)
{
	return add(g->files, f->name, MAN_NAME, f->sha256, f->bytes, e);
}

static void take_facts(struct lineage *l, const char *target, const char *plan, const char *tool,
	const char *options)
{
	snprintf(l->target, sizeof l->target, "%s", target);
	snprintf(l->plan, sizeof l->plan, "%s", plan);
	snprintf(l->tool, sizeof l->tool, "%s", tool);
	l->options.n = 0;
	text_str(&l->options, options);
}

static int take_set(void *ctx, const struct set_manifest *s, struct err *e)
{
	const struct gather *g = ctx;
	size_t i;

	take_facts(g->l, s->target, s->plan, s->tool, s->options);
	for (i = 0; i < s->n; i++)
		if (add_below(g, &s->v[i], e))
			return -1;
	return 0;
}

/* What the folder was made of. */
static int take_source(struct lineage *l, const struct manifest *m, struct err *e)
{
	const struct manifest_file *s;
	struct tree_file f;
	size_t i;

	l->verified = m->verified;
	l->bytes = m->source_bytes;
	l->tensors = m->source_tensors;
	for (i = 0; i < m->shards.n; i++) {
		s = &m->shards.v[i];
		f = (struct tree_file){
			.sized = true, .want = true, .bytes = s->bytes, .hashed = s->has_sha256
		};
		memcpy(f.sha256, s->sha256, 32);
		if (tree_add(&l->shards, s->name, strlen(s->name), &f, e))
			return -1;
	}
	return 0;
}

static int take_folder(void *ctx, const struct chain_folder *d, struct err *e)
{
	const struct gather *g = ctx;
	const struct manifest_file *f;
	size_t i;

	for (i = 0; i < d->m->files.n; i++) {
		f = &d->m->files.v[i];
		if (add(g->files, d->name, f->name, f->has_sha256 ? f->sha256 : NULL, f->bytes,
			    e) ||
			(f->side &&
				add(g->files, d->name, f->side, f->side_sha256, f->side_bytes, e)))
			return -1;
	}
	if (!*d->name) {
		take_facts(g->l, d->m->target, d->m->plan, d->m->tool, d->m->options);
		if (d->m->restore.name[0] && add_below(g, &d->m->restore, e))
			return -1;
	}
	if (!*d->name || (!strcmp(d->name, SET_SOURCE) && !g->l->shards.n))
		return take_source(g->l, d->m, e);
	return 0;
}

/* A manifest below that is not as it should be is a finding; the one at the top ends the walk. A folder that is
 * missing is told when the files are held against what there should be. */
static int tell(void *ctx, const char *path, struct err *why)
{
	const struct gather *g = ctx;
	struct report_place at = { .file = path };

	if (!strcmp(path, MAN_NAME))
		return -1;
	if (why->rule == rules[RULE_CHECK_MISSING].id)
		return 0;
	if (why->rule == rules[RULE_SET_MANIFEST].id)
		report_add(g->r, RULE_SIG_CHANGED, &at,
			"%s has another SHA-256 than the manifest above says", path);
	else
		report_take(g->r, &at, why);
	return 0;
}

int lineage_read(struct lineage *l, struct tree *files, const struct io *io, int dir,
	const struct text *top, struct report *r, struct err *e)
{
	struct gather g = { l, files, r };
	struct chain_walk w = {
		.io = io, .ctx = &g, .tell = tell, .set = take_set, .folder = take_folder
	};
	struct head h;
	uint8_t sha256[32];

	head_of(&h, top);
	l->known = h.form == HEAD_FOLDER || h.form == HEAD_SET;
	if (!l->known)
		return 0; /* it is another's, and says nothing to us */
	snprintf(l->format, sizeof l->format, "%s",
		h.form == HEAD_SET ? FORMAT_SET : FORMAT_MANIFEST);
	if (sha256_of(top->s, top->n, sha256, e) || add(files, "", MAN_NAME, sha256, top->n, e) ||
		chain_walk_text(&w, dir, top, e))
		return err_at(e, "%s", MAN_NAME);
	if (l->options.failed)
		return err_nomem(e);
	tree_sort(files, "the manifests", r, e);
	tree_sort(&l->shards, "the shards of the source", r, e);
	return e->kind == ERR_NONE ? 0 : -1;
}

/* --- what casts dropped --- */

/* Reads one sidecar, which is as its manifest says, for what it says of NAME.dropped. */
static int add_dropped(struct tree *files, const char *sidecar, const struct io *io, int dir,
	struct err *e)
{
	char name[TREE_PATH + 16];
	struct tree_file f = { .sized = true, .hashed = true };
	struct sidecar s;
	struct stat st;
	int fd, rc;

	if (tree_open(io, dir, sidecar, &fd, &st, e))
		return -1;
	rc = sidecar_read(&s, io, fd, (uint64_t)st.st_size, e);
	(void)io->close(io, fd); /* read only */
	if (rc)
		return err_at(e, "%s", text_quote(sidecar).s);
	if (s.dropped_bytes) {
		snprintf(name, sizeof name, "%.*s" MAN_DROPPED,
			(int)text_stem(sidecar, MAN_SIDECAR), sidecar);
		memcpy(f.sha256, s.dropped_sha256, 32);
		f.bytes = s.dropped_bytes;
		rc = tree_add(files, name, strlen(name), &f, e);
	}
	sidecar_free(&s);
	return rc;
}

int lineage_read_sidecars(struct tree *files, struct tree *there, const struct io *io, int dir,
	unsigned threads, unsigned features, struct report *r, struct err *e)
{
	const struct tree_file *must;
	size_t i, n = files->n;

	for (i = 0; i < there->n; i++) {
		there->v[i].want = !there->v[i].hashed &&
			text_stem(there->v[i].name, MAN_SIDECAR) &&
			tree_find(files, there->v[i].name);
	}
	if (tree_hash(there, io, dir, threads, features, r, e))
		return -1;
	for (i = 0; i < there->n; i++) {
		if (!there->v[i].hashed || !text_stem(there->v[i].name, MAN_SIDECAR))
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
