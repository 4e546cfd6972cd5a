/* SPDX-License-Identifier: MIT */
#include "verify/check/check.h"

#include "core/file.h"
#include "core/hash/sha256.h"
#include "formats/format_id.h"
#include "formats/conversion/bystander.h"
#include "formats/conversion/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct path_text check_path(const char *folder, const char *name)
{
	struct path_text p;

	snprintf(p.s, sizeof p.s, "%.99s%s%.298s", folder, *folder ? "/" : "", name);
	return p;
}

struct pass_job *check_add(struct check *c, const struct check_item *it, uint64_t bytes)
{
	struct pass_job *j;

	if (mem_grow(&c->items, &c->items_cap, c->n + 1, sizeof *c->items) ||
		mem_grow(&c->jobs, &c->jobs_cap, c->n + 1, sizeof *c->jobs)) {
		free(it->folder);
		free(it->name);
		free(it->chunks);
		free(it->spans);
		err_nomem(c->e);
		return NULL;
	}
	c->items[c->n] = *it;
	j = &c->jobs[c->n++];
	*j = (struct pass_job){ .dir = c->top,
		.fd = -1,
		.folder = it->folder,
		.name = it->name,
		.bytes = bytes,
		.chunks = it->chunks,
		.spans = it->spans };
	return j;
}

/* --- what the pass found --- */

/* The sidecar of a file that is damaged, once more: for the names. Zeroed where it cannot be read. */
static void read_names(const struct check *c, const struct check_item *it, struct sidecar *a)
{
	const struct io *io = c->o->io;
	struct err e = { 0 };
	char side[300];
	struct stat st;
	int dir, fd;

	memset(a, 0, sizeof *a);
	if (file_open_below(io, c->top, it->folder, &dir, &e))
		return;
	snprintf(side, sizeof side, "%s" MAN_SIDECAR, it->name);
	if (!file_open(io, dir, side, &fd, &st, &e)) {
		(void)sidecar_read(a, io, fd, (uint64_t)st.st_size, &e);
		(void)io->close(io, fd); /* read only */
	}
	(void)io->close(io, dir); /* a folder has nothing to flush */
}

struct names {
	const char *v[REPORT_TENSORS];
	size_t n;
	bool header; /* the damage is in no tensor */
};

/* The tensors in bytes from..to; of a file that was read whole only those with a wrong digest. */
static struct names names_in(const struct sidecar *a, const struct pass_job *j, uint64_t from,
	uint64_t to)
{
	struct names x = { .n = 0 };
	size_t first, n = sidecar_in(a, from, to, &first), i;

	for (i = first; i < first + n; i++) {
		if (a->tensors[i].begin == a->tensors[i].end ||
			(!j->sampled && i < j->n_spans && !j->bad_span[i]))
			continue;
		if (x.n < REPORT_TENSORS)
			x.v[x.n] = a->tensors[i].name;
		x.n++;
	}
	x.header = !x.n && !j->sampled && from < a->header_bytes;
	return x;
}

enum { LIKE_MAX = 64 }; /* hints are for few damaged places: each looks at all others */

/* Another chunk of the file that should have been like this one, or -1. */
static long chunk_like(const struct pass_job *j, size_t n, size_t i)
{
	size_t k;

	if (j->n_bad > LIKE_MAX)
		return -1;
	for (k = 0; k < n; k++)
		if (k != i && !memcmp(&j->got[i], &j->chunks[k], sizeof *j->chunks))
			return (long)k;
	return -1;
}

static void tell_chunk(struct check *c, const struct pass_job *j, const struct sidecar *a, size_t i,
	size_t n)
{
	struct path_text path = check_path(j->folder, j->name);
	struct report_place at = { .file = path.s, .from = (uint64_t)i * MAN_CHUNK };
	struct names names;
	long like = chunk_like(j, n, i);
	char hint[80] = "";

	at.to = at.from + MAN_CHUNK < j->bytes ? at.from + MAN_CHUNK : j->bytes;
	names = names_in(a, j, at.from, at.to);
	at.tensors = names.v;
	at.n_tensors = names.n;
	if (like >= 0)
		snprintf(hint, sizeof hint, "; these are the bytes of chunk %ld", like);
	report_add(c->r, RULE_CHECK_CHUNK, &at,
		"the digest of chunk %zu of %zu is not that of the sidecar%s%s", i, n, hint,
		names.header ? "; the damage is in the header" : "");
}

/* Tensors whose digest is wrong in chunks that are right: the sidecar is not true in itself. */
static void tell_tensors(struct check *c, const struct pass_job *j, const struct sidecar *a)
{
	struct path_text path = check_path(j->folder, j->name);
	struct report_place at = { .file = path.s };
	size_t i;

	for (i = 0; i < j->n_spans && i < a->n; i++) {
		if (!j->bad_span[i])
			continue;
		at.from = j->spans[i].begin;
		at.to = j->spans[i].end;
		at.tensors = &a->tensors[i].name;
		at.n_tensors = 1;
		report_add(c->r, RULE_CHECK_TENSOR, &at,
			"the digest of the tensor is not that of the sidecar, though its chunks are "
			"as they were");
	}
}

/* A file of the same folder that should have these bytes. */
static const char *file_like(struct check *c, size_t i)
{
	size_t k;

	if (++c->hints > LIKE_MAX)
		return NULL;
	for (k = 0; k < c->n; k++)
		if (k != i && c->items[k].has_sha &&
			!strcmp(c->items[k].folder, c->items[i].folder) &&
			!memcmp(c->items[k].sha256, c->jobs[i].sha256, 32))
			return c->items[k].name;
	return NULL;
}

static void tell_sha(struct check *c, size_t i)
{
	const struct check_item *it = &c->items[i];
	struct path_text path = check_path(it->folder, it->name);
	struct report_place at = { .file = path.s };
	const char *like = file_like(c, i);
	char got[65], want[65];

	hex_of(c->jobs[i].sha256, 32, got);
	hex_of(it->sha256, 32, want);
	report_add(c->r, it->rule, &at, "its SHA-256 is %s, %s says %s%s%s", got, it->said_by, want,
		like ? "; these are the bytes of " : "", like ? text_quote(like).s : "");
}

static void tell_job(struct check *c, size_t i)
{
	struct pass_job *j = &c->jobs[i];
	const struct check_item *it = &c->items[i];
	struct path_text path = check_path(it->folder, it->name);
	size_t n = j->chunks ? (size_t)mem_ceil_div(j->bytes, MAN_CHUNK) : 0, k, bad = 0;
	struct sidecar a = { 0 };
	char hex[65];

	if (j->err.kind != ERR_NONE) {
		report_take(c->r, &(struct report_place){ .file = path.s }, &j->err);
		return;
	}
	for (k = 0; k < j->n_spans; k++)
		bad += j->bad_span[k];
	if (j->n_bad || bad)
		read_names(c, it, &a);
	for (k = 0; k < n; k++)
		if (j->looked[k] == 2)
			tell_chunk(c, j, &a, k, n);
	if (bad && !j->n_bad)
		tell_tensors(c, j, &a);
	sidecar_free(&a);
	if (j->sha && !j->sampled && it->has_sha && memcmp(j->sha256, it->sha256, 32))
		tell_sha(c, i);
	for (k = 0, bad = 0; k < n; k++)
		bad += j->looked[k] != 0;
	report_count(c->r, "checked", "chunks", bad, 0);
	report_count(c->r, "checked", "bytes read", 0, j->read);
	if (j->sha && !j->sampled)
		hex_of(j->sha256, 32, hex);
	report_row(c->r, "files", path.s, 0, j->bytes, j->sha && !j->sampled ? hex : NULL);
}

/* --- sets --- */

/* rank-3-of-8 or pp-0-of-2/rank-3-of-8 is of rank 3. */
static bool folder_of_rank(const char *name, const char *rank)
{
	const char *last = strrchr(name, '/');
	size_t n = strlen(rank);

	last = last ? last + 1 : name;
	return !strncmp(last, "rank-", 5) && !strncmp(last + 5, rank, n) &&
		!strncmp(last + 5 + n, "-of-", 4);
}

void check_stray(struct check *c, int dir, const char *name, const char *path, const char *list)
{
	struct report_place at = { .file = path };
	struct stat st;

	if (c->o->io->lstat(c->o->io, dir, name, &st))
		st.st_mode = 0; /* it is not what it may be */
	switch (bystander_of(name, st.st_mode)) {
	case BYSTANDER_KNOWN:
		return;
	case BYSTANDER_UNKNOWN:
		report_add(c->r, RULE_CHECK_UNKNOWN, &at,
			"it is in the folder, and %s does not name it; no engine reads it", list);
		return;
	case BYSTANDER_MODEL:
		report_add(c->r, RULE_CHECK_EXTRA, &at,
			"it is in the folder, and %s does not name it", list);
	}
}

/* Whether path is a folder of the set, or one that folders of the set lie in: pp-0-of-2. */
static bool is_of_set(const struct set_manifest *s, const char *path, bool *above)
{
	size_t i, n = strlen(path);

	*above = false;
	for (i = 0; i < s->n; i++) {
		if (strncmp(s->v[i].name, path, n))
			continue;
		if (!s->v[i].name[n])
			return true;
		*above = *above || s->v[i].name[n] == '/';
	}
	return *above;
}

/* What lies in folder dir of the set, which is at path, and in folders between it and those with weights. */
static int check_set_names(struct check *c, const struct set_manifest *s, int dir, const char *path)
{
	const struct io *io = c->o->io;
	struct path_text at;
	char *names, *p;
	size_t n, i;
	bool above;
	int fd, rc = 0;

	if (io->list(io, dir, &names, &n))
		return err_sys(c->e, "cannot list the folder");
	for (i = 0, p = names; !rc && i < n; i++, p += strlen(p) + 1) {
		at = check_path(path, p);
		if (!is_of_set(s, at.s, &above)) {
			if (*path || strcmp(p, MAN_NAME))
				check_stray(c, dir, p, at.s, MAN_NAME);
			continue;
		}
		if (!above || file_open_below(io, dir, p, &fd, NULL))
			continue; /* the walk opens it too, and says what is wrong with it */
		rc = check_set_names(c, s, fd, at.s);
		(void)io->close(io, fd); /* a folder has nothing to flush */
	}
	free(names);
	return rc;
}

/* --- what the walk over the folders asks and tells --- */

static int take_set(void *ctx, const struct set_manifest *s, struct err *e)
{
	struct check *c = ctx;

	(void)e; /* the same as c->e */
	c->is_set = true;
	return c->o->rank || c->only ? 0 : check_set_names(c, s, c->top, "");
}

/* All folders of a set have the config.json of the source: an engine reads that of one rank, other tools that of source/. */
static void hold_config(struct check *c, const struct chain_folder *f)
{
	const struct manifest_file *x = manifest_find(&f->m->files, "config.json");
	struct path_text at = check_path(f->name, "config.json");

	if (!c->is_set || !x || !x->has_sha256)
		return;
	if (!c->config.known) {
		c->config.known = true;
		snprintf(c->config.folder, sizeof c->config.folder, "%s", f->name);
		memcpy(c->config.sha256, x->sha256, sizeof x->sha256);
	} else if (memcmp(c->config.sha256, x->sha256, sizeof x->sha256) != 0) {
		report_add(c->r, RULE_CHECK_PLAN, &(struct report_place){ .file = at.s },
			"it is another config.json than that of %s, and all folders of a set have that of one source",
			text_quote(c->config.folder).s);
	}
}

static int take_folder(void *ctx, const struct chain_folder *f, struct err *e)
{
	(void)e; /* the same as c->e */
	check_list_folder(ctx, f);
	hold_config(ctx, f);
	return check_folder(ctx, f);
}

/* Of a set with --rank the folders of that rank; of one folder the rank is looked for in the names of files. */
static bool wants_folder(void *ctx, const char *name)
{
	struct check *c = ctx;
	bool wanted = !c->is_set || !c->o->rank || folder_of_rank(name, c->o->rank);

	if (c->only || c->o->rank)
		wanted = wanted && (c->is_set ? !c->only : !name[0]);
	c->folders += wanted;
	return wanted;
}

static int tell_walk(void *ctx, const char *path, struct err *why)
{
	struct check *c = ctx;

	report_take(c->r, &(struct report_place){ .file = path }, why);
	return 0;
}

static int look_manifest(struct check *c)
{
	struct chain_walk w = { .io = c->o->io,
		.ctx = c,
		.tell = tell_walk,
		.wants = wants_folder,
		.set = take_set,
		.folder = take_folder };

	if (chain_walk(&w, c->top, c->e))
		return -1;
	check_list_end(c);
	if (c->is_set && c->only)
		report_add(c->r, RULE_CHECK_EXTRA, &(struct report_place){ .file = c->only },
			"manifest.json does not name it");
	else if (c->is_set && !c->folders)
		return err_rule(c->e, RULE_CHECK_RANK, ERR_NOPOS,
			"--rank %s: there is no such rank", text_quote(c->o->rank).s);
	return 0;
}

/* One file: what the manifest beside it says of it. */
static int look_beside(struct check *c, const struct folder *f)
{
	if (kind_rows[f->under].manifest)
		return look_manifest(c);
	if (f->under != KIND_UNFINISHED)
		return err_rule(c->e, RULE_CHECK_ALONE, ERR_NOPOS,
			"there is no manifest beside %s that says what it should be",
			text_quote(c->only).s);
	report_add(c->r, RULE_CHECK_UNFINISHED, NULL,
		"the folder has a plan and no manifest: a conversion did not end");
	return 0;
}

static int look(struct check *c, struct folder *f)
{
	struct err e = { 0 };

	if (f->kind == KIND_PARTIAL)
		report_add(c->r, RULE_CHECK_DOWNLOAD, NULL, "%s: a download of it did not end",
			f->more);
	if (kind_rows[f->kind].foreign) {
		(void)kind_refuse(f->kind, f->path, f->more, &e);
		report_take(c->r, NULL, &e);
	}
	switch (f->under) {
	case KIND_UNFINISHED:
		report_add(c->r, RULE_CHECK_UNFINISHED, NULL,
			"a conversion into the folder did not end: manifest.json is not written yet");
		return 0;
	case KIND_GGUF:
		return check_gguf(c, f);
	case KIND_BARE:
		report_add(c->r, RULE_CHECK_MISSING, &(struct report_place){ .file = MAN_NAME },
			"sidecars or headers of a conversion are there, and no manifest.json");
		return 0;
	default:
		return f->has_ckpt ? check_original(c, f) : look_manifest(c);
	}
}

static int read_all(struct check *c)
{
	struct pass_opts po = { .io = c->o->io,
		.threads = c->o->threads,
		.features = c->o->features,
		.max_memory = c->o->max_memory };
	size_t i;
	int rc;

	if (c->o->started)
		po.progress = c->o->started(pass_bytes(c->jobs, c->n));
	rc = pass_run(c->jobs, c->n, &po, c->e);
	progress_stop(po.progress);
	for (i = 0; !rc && i < c->n; i++)
		tell_job(c, i);
	pass_free(c->jobs, c->n);
	return rc;
}

static void end(struct check *c)
{
	size_t i;

	for (i = 0; i < c->n; i++) {
		free(c->items[i].folder);
		free(c->items[i].name);
		free(c->items[i].chunks);
		free(c->items[i].spans);
	}
	check_list_close(c);
	free(c->items);
	free(c->jobs);
	roles_free(&c->roles);
	ckpt_close(&c->ckpt);
}

static int run(struct check *c, struct folder *f)
{
	int rc = check_list_open(c);

	rc = rc ? rc : c->only ? look_beside(c, f) : look(c, f);

	rc = rc ? rc : check_archive(c);
	rc = rc ? rc : read_all(c);
	rc = rc ? rc : check_packed(c);
	if (!rc) {
		roles_put(&c->roles, c->r);
		report_sort(c->r);
	}
	end(c);
	return rc;
}

int check_run(struct report *r, const char *path, const struct check_opts *o, struct err *e)
{
	struct ckpt_opts co = { .header_cap = o->header_cap, .follow_links = o->follow_links };
	struct check c = { .o = o, .r = r, .e = e };
	const char *slash = strrchr(path, '/');
	struct folder f;
	int rc;

	if (folder_open(&f, o->io, path, USE_CHECK, &co, e))
		return -1;
	if (f.kind == KIND_FILE)
		c.only = slash ? slash + 1 : path;
	rc = file_open_below(o->io, f.dir, "", &c.top, e);
	if (!rc) {
		rc = run(&c, &f);
		(void)o->io->close(o->io, c.top); /* a folder has nothing to flush */
	}
	folder_close(&f);
	return rc;
}
