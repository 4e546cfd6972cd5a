/* SPDX-License-Identifier: MIT */
#include "formats/conversion/chain.h"

#include "formats/conversion/engine_meta.h"

#include "core/file.h"
#include "core/hash/hash_file.h"
#include "core/hash/sha256.h"
#include "formats/conversion/gguf_header.h"
#include "formats/gguf/ggml_type.h"
#include "formats/gguf/gguf_set.h"
#include "formats/conversion/head.h"
#include "formats/conversion/vllm_form.h"
#include "formats/model/sglang_name.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH = 400 };

/* --- folders --- */

/* Hands a fault to the policy of the walk. */
static int tell(const struct chain_walk *w, const char *path, struct err *why, struct err *e)
{
	if (w->tell && !w->tell(w->ctx, path, why))
		return 0;
	err_move(e, why);
	return w->tell ? -1 : err_at(e, "%s", path);
}

static bool wants(const struct chain_walk *w, const char *name)
{
	return !w->wants || w->wants(w->ctx, name);
}

/* Where a folder stands below: in a set, or the only one beside the files. */
struct above {
	const char *target;
	const struct set_manifest *set; /* NULL: there is none */
};

/* The folder says of which rank it is what its name and the document of the set say. */
static int is_rank(const struct manifest *m, const char *name, const struct set_manifest *set,
	struct err *e)
{
	unsigned stage = 0, stages = 1, rank = 0, ranks = 0;
	const char *last = strrchr(name, '/');
	char want[sizeof m->share];

	(void)sscanf(name, "pp-%9u-of-%9u/", &stage, &stages); /* only where there are stages */
	if (sscanf(last ? last + 1 : name, "rank-%9u-of-%9u", &rank, &ranks) != 2)
		return err_rule(e, RULE_SET_FORM, ERR_NOPOS, "it is of no rank by its name");
	snprintf(want, sizeof want, "rank %u of %u, stage %u of %u, experts %s, attention %s", rank,
		ranks, stage, stages, set->experts_by, set->attention);
	if (!strcmp(m->share, want))
		return 0;
	return err_rule(e, RULE_CHECK_PLAN, ERR_NOPOS,
		"its options.share is %s, its name and the manifest above make it %s",
		text_quote(m->share).s, text_quote(want).s);
}

/* What the document above says of a folder, and that it is of the same conversion. */
static int is_meant(const struct manifest *m, const struct manifest_folder *said,
	const struct above *above, struct err *e)
{
	bool source = !strcmp(said->name, SET_SOURCE);
	const char *want = source ? SET_SOURCE : above->target;

	if (said->plan[0] && strcmp(said->plan, m->plan))
		return err_rule(e, RULE_CHECK_PLAN, ERR_NOPOS,
			"its plan is %.12s, the manifest above says %.12s", m->plan, said->plan);
	if (strcmp(m->target, want))
		return err_rule(e, RULE_CHECK_PLAN, ERR_NOPOS,
			"its target is %s, which should be %s", text_quote(m->target).s,
			text_quote(want).s);
	if (m->restore.name[0])
		return err_rule(e, RULE_SET_FORM, ERR_NOPOS,
			"the manifest of a folder below another names one too");
	return above->set && !source ? is_rank(m, said->name, above->set, e) : 0;
}

/* Loads the manifest of an open folder, and reads it once it is the one that is meant. */
static int read_below(struct manifest *m, const struct io *io, int dir,
	const struct manifest_folder *said, const struct above *above, struct err *e)
{
	struct text t = { 0 };
	struct stat st;
	uint8_t sha[32];
	int rc = -1;

	memset(m, 0, sizeof *m);
	if (io->lstat(io, dir, MAN_NAME, &st) && errno == ENOENT)
		return err_rule(e, RULE_CHECK_MISSING, ERR_NOPOS, "the folder has none");
	if (file_load(io, dir, MAN_NAME, MANIFEST_CAP, &t, e) || sha256_of(t.s, t.n, sha, e))
		goto out;
	if (t.n != said->bytes || memcmp(sha, said->sha256, 32)) {
		err_rule(e, RULE_SET_MANIFEST, ERR_NOPOS,
			"its SHA-256 is another than the manifest above says: it was edited or "
			"damaged, or is of another run");
		goto out;
	}
	rc = manifest_read(m, &t, e);
	if (!rc && is_meant(m, said, above, e)) {
		manifest_free(m);
		rc = -1;
	}
out:
	text_free(&t);
	return rc;
}

static int open_below(const struct io *io, int top, const char *name, int *dir, struct err *e)
{
	struct stat st;

	if (io->lstat(io, top, name, &st) && errno == ENOENT)
		return err_rule(e, RULE_CHECK_MISSING, ERR_NOPOS,
			"the manifest above names the folder, and it is not there");
	return file_open_below(io, top, name, dir, e);
}

static int walk_below(const struct chain_walk *w, int top, const struct manifest_folder *said,
	const struct above *above, struct err *e)
{
	struct chain_folder f = { .io = w->io, .name = said->name };
	struct manifest m;
	struct err why = { 0 };
	char path[PATH];
	int rc;

	if (!wants(w, said->name))
		return 0;
	if (open_below(w->io, top, said->name, &f.dir, &why))
		return tell(w, said->name, &why, e);
	snprintf(path, sizeof path, "%s/" MAN_NAME, said->name);
	f.m = &m;
	if (read_below(&m, w->io, f.dir, said, above, &why)) {
		rc = tell(w, path, &why, e);
	} else {
		rc = w->folder(w->ctx, &f, e);
		manifest_free(&m);
	}
	(void)w->io->close(w->io, f.dir); /* a folder has nothing to flush */
	return rc;
}

/* The document at the top has to carry a seal. */
static int is_sealed(enum seal seal, struct err *e)
{
	if (seal == SEAL_WHOLE)
		return 0;
	return err_rule(e, RULE_CHECK_UNSEALED, ERR_NOPOS,
		"it has no digest of itself (xxh3_128), so that damage to it would not be seen: the "
		"same run again writes it anew and keeps all files that are as they were");
}

static int walk_set(const struct chain_walk *w, int top, const struct text *t, struct err *e)
{
	struct set_manifest s;
	struct above above = { s.target, &s };
	struct err why = { 0 };
	size_t i;
	int rc;

	if (set_manifest_read(&s, t, &why))
		return tell(w, MAN_NAME, &why, e);
	rc = is_sealed(s.seal, &why) ? tell(w, MAN_NAME, &why, e) : 0;
	if (!rc && w->set)
		rc = w->set(w->ctx, &s, e);
	for (i = 0; !rc && i < s.n; i++)
		rc = walk_below(w, top, &s.v[i], &above, e);
	set_manifest_free(&s);
	return rc;
}

static int walk_one(const struct chain_walk *w, int top, const struct text *t, struct err *e)
{
	struct chain_folder f = { .io = w->io, .dir = top, .name = "" };
	struct manifest m;
	struct err why = { 0 };
	int rc;

	if (manifest_read(&m, t, &why))
		return tell(w, MAN_NAME, &why, e);
	rc = is_sealed(m.seal, &why) ? tell(w, MAN_NAME, &why, e) : 0;
	f.m = &m;
	if (!rc && wants(w, ""))
		rc = w->folder(w->ctx, &f, e);
	if (!rc && m.restore.name[0])
		rc = walk_below(w, top, &m.restore, &(struct above){ m.target, NULL }, e);
	manifest_free(&m);
	return rc;
}

int chain_walk_text(const struct chain_walk *w, int top, const struct text *t, struct err *e)
{
	struct head h;

	head_of(&h, t);
	return h.form == HEAD_SET ? walk_set(w, top, t, e) : walk_one(w, top, t, e);
}

int chain_walk(const struct chain_walk *w, int top, struct err *e)
{
	struct text t = { 0 };
	struct err why = { 0 };
	int rc;

	if (file_load(w->io, top, MAN_NAME, MANIFEST_CAP, &t, &why))
		rc = tell(w, MAN_NAME, &why, e);
	else
		rc = chain_walk_text(w, top, &t, e);
	text_free(&t);
	return rc;
}

/* --- files --- */

int chain_open(const struct chain_folder *f, const char *name, uint64_t bytes, int *fd,
	uint64_t *size, struct err *e)
{
	struct stat st;

	if (f->io->lstat(f->io, f->dir, name, &st) && errno == ENOENT)
		return err_rule(e, RULE_CHECK_MISSING, ERR_NOPOS,
			"manifest.json names it, and it is not there");
	if (file_open(f->io, f->dir, name, fd, &st, e))
		return -1;
	*size = (uint64_t)st.st_size;
	if (*size == bytes)
		return 0;
	(void)f->io->close(f->io, *fd); /* read only */
	return err_rule(e, RULE_SET_SIZE, ERR_NOPOS, "it has %llu bytes, %llu are said above",
		(unsigned long long)*size, (unsigned long long)bytes);
}

/* What a sidecar says against what the manifest says of its file. */
static int is_of(const struct sidecar *s, const struct manifest *m, const struct manifest_file *f,
	struct err *e)
{
	if (strcmp(s->plan, m->plan) || strcmp(s->target, m->target) || strcmp(s->tool, m->tool))
		return err_rule(e, RULE_CHECK_PLAN, ERR_NOPOS,
			"it is of another run than manifest.json: plan %.12s of %s for %s, not "
			"%.12s of %s for %s",
			s->plan, text_quote(s->tool).s, text_quote(s->target).s, m->plan,
			text_quote(m->tool).s, text_quote(m->target).s);
	if (strcmp(s->name, f->name))
		return err_rule(e, RULE_SET_FORM, ERR_NOPOS, "it is about %s",
			text_quote(s->name).s);
	if (s->bytes != f->bytes || s->has_sha256 != f->has_sha256 ||
		memcmp(s->sha256, f->sha256, 32))
		return err_rule(e, RULE_CHECK_PLAN, ERR_NOPOS,
			"size or SHA-256 of the file are others than in manifest.json");
	return 0;
}

/* What headers of the file have to say of their rank, by the manifest of the folder. */
static void put_share(struct sidecar *s, const struct manifest *m)
{
	long rank = rank_target(m->target) ? vllm_rank_of(s->name) : -1;

	if (rank < 0)
		snprintf(s->share, sizeof s->share, "%s", m->share);
	else if (m->ranks[0] && m->experts_by[0])
		snprintf(s->share, sizeof s->share, "rank %ld of %s, experts %s", rank, m->ranks,
			m->experts_by);
}

int chain_sidecar(struct sidecar *s, const struct chain_folder *f, const struct manifest_file *file,
	struct err *e)
{
	uint8_t sha[32];
	uint64_t size;
	int fd, rc = -1;

	memset(s, 0, sizeof *s);
	if (chain_open(f, file->side, file->side_bytes, &fd, &size, e))
		return -1;
	if (hash_file(f->io, fd, size, NULL, sha, e))
		goto out;
	if (memcmp(sha, file->side_sha256, 32)) {
		err_rule(e, RULE_SET_MANIFEST, ERR_NOPOS,
			"its SHA-256 is another than manifest.json says: it was edited or damaged, or "
			"is of another run");
		goto out;
	}
	if (sidecar_read(s, f->io, fd, size, e))
		goto out;
	rc = is_of(s, f->m, file, e);
	if (rc)
		sidecar_free(s);
	else
		put_share(s, f->m);
out:
	(void)f->io->close(f->io, fd); /* read only */
	return rc;
}

/* --- headers --- */

static int by_offset(const void *a, const void *b)
{
	const struct tensor *x = a, *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	if (x->end != y->end)
		return x->end < y->end ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* Types have blocks of the same sizes, and bytes alone do not tell them apart. A sidecar that says nothing of types is of
 * a time when there were two. */
static bool same_blocks(const struct tensor *t, const struct sidecar_tensor *s)
{
	if (t->dtype == DT_U8 && !s->ggml)
		return !t->ggml || t->ggml == GGML_Q8_0 || t->ggml == GGML_MXFP4;
	return t->ggml == s->ggml;
}

static bool same_tensor(const struct tensor *t, const struct sidecar_tensor *s)
{
	if (!same_blocks(t, s))
		return false;
	return !strcmp(t->name, s->name) && t->dtype == s->dtype && t->rank == s->rank &&
		t->begin == s->begin && t->end == s->end &&
		(!t->rank || !memcmp(t->dim, s->dim, t->rank * sizeof *t->dim));
}

int chain_header(struct st_header *h, struct arena *arena, const struct io *io, int fd,
	const struct sidecar *s, uint64_t header_cap, const char **tensor, struct err *e)
{
	size_t i;

	*tensor = NULL;
	if (gguf_named(s->name) ? gguf_header_read(h, io, fd, s->bytes, arena, e)
				: st_read(h, io, fd, s->bytes,
					  header_cap ? header_cap : ST_HEADER_CAP, arena, e))
		return -1;
	if (h->n != s->n || h->data_at != s->header_bytes)
		return err_rule(e, RULE_CHECK_HEADER, ERR_NOPOS,
			"its header has %zu tensors and ends at byte %llu, its sidecar says %zu and "
			"%llu",
			h->n, (unsigned long long)h->data_at, s->n,
			(unsigned long long)s->header_bytes);
	if (h->n)
		qsort(h->tensors, h->n, sizeof *h->tensors, by_offset);
	for (i = 0; i < h->n; i++) {
		if (same_tensor(&h->tensors[i], &s->tensors[i]))
			continue;
		*tensor = s->tensors[i].name;
		return err_rule(e, RULE_CHECK_HEADER, ERR_NOPOS,
			"its header has tensor %s with another name, type, shape or place than its "
			"sidecar",
			text_quote(h->tensors[i].name).s);
	}
	return engine_meta_check(io, fd, h, s, e);
}
