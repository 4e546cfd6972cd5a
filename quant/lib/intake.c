/* intake.c -- dsv4_open: from a path to files that are open and tensors that are known.
 *
 *	folder.h    says what the path is, and refuses what is no finished conversion
 *	chain.h     walks manifests, sidecars and headers, each held to the digest above it
 *	laid.h      says how matrices and rows lie in a tensor
 *	here        which folders are of the rank that is wanted
 *
 * Names of tensors and files come from documents whose digest was right, and are bounded by their readers. No number
 * is used before it was held against the size of its file (sidecar.h).
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "core/file.h"
#include "formats/conversion/chain.h"
#include "formats/conversion/vllm_form.h"
#include "formats/folder/folder.h"
#include "formats/model/gguf_name.h"
#include "formats/json/jread.h"
#include "formats/model/family.h"
#include "formats/model/sglang_name.h"
#include "formats/st/rankset.h"
#include "quant/lib/handle.h"
#include "quant/lib/laid.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- which rank --- */

/* Where in a set a folder is, as options.share of its manifest says it. */
struct share {
	unsigned rank, ranks, stage, stages;
};

/* The form is that of convert/plan/engines.c, and nothing may be missing of it. */
static bool share_of(const char *s, struct share *h)
{
	return sscanf(s, "rank %9u of %9u, stage %9u of %9u,", &h->rank, &h->ranks, &h->stage,
		       &h->stages) == 4 &&
		h->rank < h->ranks && h->stage < h->stages;
}

/* Reads the string that options have under the name key, at most 200 bytes; *has: there is one. */
static int option(const char *options, const char *key, char s[201], bool *has, struct err *e)
{
	struct jread j;
	int more = 0, rc;

	*has = false;
	*s = 0;
	jread_open_mem(&j, options, strlen(options), 4, e);
	rc = jread_object(&j);
	while (!rc && !*has && (more = jread_key(&j)) == 1) {
		*has = j.str.n == strlen(key) && !memcmp(j.str.s, key, j.str.n) &&
			jread_peek(&j) == '"';
		rc = *has ? jread_string(&j, 200) : jread_skip(&j);
	}
	if (!rc && *has)
		snprintf(s, 201, "%s", j.str.s);
	jread_close(&j);
	return rc || more < 0 ? -1 : 0;
}

/* Reads options.share; zeroed where there is none. */
static int share_in(const char *options, struct share *h, struct err *e)
{
	char s[201];
	bool has;

	memset(h, 0, sizeof *h);
	if (option(options, "share", s, &has, e))
		return -1;
	return has && !share_of(s, h)
		? err_rule(e, RULE_SET_FORM, ERR_NOPOS, "options.share is %s", text_quote(s).s)
		: 0;
}

/* What the caller wants. */
struct intake {
	struct dsv4 *d;
	const struct dsv4_open_options *o; /* NULL: everything */
	bool by_file;                      /* the ranks of the folder are its files */
	unsigned ranks; /* of vllm-sharded, whose files do not say how many there are; 0: they do */
	bool took;      /* one folder or file was what is wanted */
	struct config
		config; /* owns; of the folder that is taken in; family NULL: it was not read */
};

/* Returns whether rank and stage of a folder are those that are wanted. A whole model, which is of rank 0 of 0, is the
 * only rank there is. */
static bool wanted(const struct intake *k, const struct share *h)
{
	static const struct share whole = { 0, 1, 0, 1 };
	const struct dsv4_open_options *o = k->o;

	h = h->ranks ? h : &whole;
	return !o ||
		((!o->ranks || (o->rank == h->rank && o->ranks == h->ranks)) &&
			(!o->stages || (o->stage == h->stage && o->stages == h->stages)));
}

/* The folder of a set, by its name: what the names of other ranks say need not be read. */
static bool wants(void *ctx, const char *name)
{
	const struct intake *k = ctx;
	struct share h = { 0, 0, 0, 1 };
	const char *rank = strrchr(name, '/');

	if (!strcmp(name, SET_SOURCE))
		return false;
	if (sscanf(name, "pp-%9u-of-%9u/", &h.stage, &h.stages) != 2)
		h.stages = 1;
	if (sscanf(rank ? rank + 1 : name, "rank-%9u-of-%9u", &h.rank, &h.ranks) != 2)
		return true; /* the top, which its manifest describes */
	return wanted(k, &h);
}

/* --- config.json --- */

static int config_of(struct intake *k, const struct chain_folder *f, struct err *e)
{
	const struct manifest_file *said = manifest_find(&f->m->files, "config.json");
	struct config_doc doc = { 0 };
	struct text t = { 0 };
	uint8_t sha[32];
	int rc = -1;

	if (k->config.family)
		return 0;
	if (!said || !said->has_sha256)
		return err_rule(e, RULE_CHECK_MISSING, ERR_NOPOS,
			"the manifest names no config.json with a digest, and the sizes of experts "
			"stand there");
	if (file_load(f->io, f->dir, said->name, said->bytes, &t, e) || sha256_of(t.s, t.n, sha, e))
		goto out;
	if (t.n != said->bytes || memcmp(sha, said->sha256, 32))
		err_rule(e, RULE_CHECK_SHA256, ERR_NOPOS,
			"config.json: its SHA-256 is another than manifest.json says");
	else if (!config_doc_parse(&doc, t.s, t.n, e))
		rc = config_read(&k->config, &doc, e);
out:
	config_doc_free(&doc);
	text_free(&t);
	return rc;
}

/* --- tensors and files --- */

static int take_shape(struct dsv4 *d, const struct sidecar_tensor *t, struct dsv4_tensor *out)
{
	uint64_t *dim = arena_alloc(&d->arena, 2 * (t->rank + 1u) * sizeof *dim);
	uint64_t stride = 1;
	unsigned i;

	if (!dim)
		return -1;
	for (i = t->rank; i-- > 0;) {
		dim[i] = t->dim[i];
		dim[t->rank + i] = stride;
		stride *= t->dim[i]; /* within its bytes, which the sidecar's reader has seen to */
	}
	out->shape = dim;
	out->strides = dim + t->rank;
	return 0;
}

static int take_tensor(struct intake *k, const struct chain_folder *f, const struct sidecar *s,
	const struct sidecar_tensor *t, struct err *e)
{
	struct dsv4 *d = k->d;
	struct handle_tensor *out;

	if (mem_grow(&d->tensors, &d->tensors_cap, d->info.tensors + 1, sizeof *d->tensors))
		return err_nomem(e);
	out = &d->tensors[d->info.tensors];
	memset(out, 0, sizeof *out);
	out->is = (struct dsv4_tensor){ .name = arena_strndup(&d->arena, t->name, strlen(t->name)),
		.dtype = dtypes[t->dtype].name,
		.rank = t->rank,
		.file = d->info.files,
		.offset = s->header_bytes + t->begin,
		.bytes = t->end - t->begin,
		.transform = ops[t->op].name };
	memcpy(out->xxh, t->xxh.b, sizeof out->xxh);
	out->dtype = t->dtype;
	if (!out->is.name || take_shape(d, t, &out->is))
		return err_nomem(e);
	if (laid_is(t) &&
		(config_of(k, f, e) || laid_take(out, &k->config, f->m->engram_layout, s, t, e)))
		return err_at(e, "tensor %s", text_quote(t->name).s);
	d->info.tensors++;
	return 0;
}

/* Opens the file once more for reads past the page cache; where its file system has none, *fd is -1. */
static int open_direct(const struct chain_folder *f, const char *name, int fd, int *direct,
	struct err *e)
{
	struct stat was, is;

	*direct = f->io->open(f->io, f->dir, name,
		O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_DIRECT, 0);
	if (*direct < 0)
		return 0;
	if (f->io->fstat(f->io, fd, &was) || f->io->fstat(f->io, *direct, &is))
		return err_sys(e, "cannot stat it");
	if (was.st_dev != is.st_dev || was.st_ino != is.st_ino)
		return err_rule(e, RULE_CKPT_CHANGED, ERR_NOPOS,
			"another file got its name while it was opened");
	return 0;
}

/* Opens a file of weights, whose header must be that of its sidecar. */
static int take_open(struct intake *k, const struct chain_folder *f, const struct manifest_file *m,
	const struct sidecar *s, struct handle_file *out, struct err *e)
{
	struct arena arena = { 0 };
	struct st_header h = { 0 };
	const char *tensor;
	uint64_t size;
	int rc;

	out->direct = -1;
	if (chain_open(f, m->name, m->bytes, &out->fd, &size, e))
		return -1;
	rc = chain_header(&h, &arena, f->io, out->fd, s, 0, &tensor, e);
	st_free(&h);
	arena_free(&arena);
	if (!rc && k->o && k->o->direct)
		rc = open_direct(f, m->name, out->fd, &out->direct, e);
	if (!rc)
		return 0;
	(void)f->io->close(f->io, out->fd); /* read only, as the other */
	if (out->direct >= 0)
		(void)f->io->close(f->io, out->direct);
	return -1;
}

static int take_file(struct intake *k, const struct chain_folder *f, const struct manifest_file *m,
	struct err *e)
{
	struct dsv4 *d = k->d;
	struct handle_file *out;
	struct sidecar s;
	size_t i;
	int rc = -1;

	if (mem_grow(&d->files, &d->files_cap, d->info.files + 1u, sizeof *d->files))
		return err_nomem(e);
	out = &d->files[d->info.files];
	memset(out, 0, sizeof *out);
	if (chain_sidecar(&s, f, m, e))
		return -1;
	out->is = (struct dsv4_file){ .name = arena_strndup(&d->arena, m->name, strlen(m->name)),
		.folder = d->info.folders,
		.bytes = m->bytes,
		.payload = s.header_bytes,
		.first_tensor = d->info.tensors,
		.tensors = s.n };
	if (!out->is.name) {
		err_nomem(e);
		goto out;
	}
	for (i = 0; i < s.n; i++)
		if (take_tensor(k, f, &s, &s.tensors[i], e))
			goto out;
	if (take_open(k, f, m, &s, out, e))
		goto out;
	out->chunks = s.chunks;
	out->n_chunks = s.n_chunks;
	s.chunks = NULL;
	memcpy(out->sha256, m->sha256, sizeof out->sha256);
	d->files[d->info.files].is.sha256 = m->has_sha256 ? out->sha256 : NULL;
	d->info.files++;
	d->info.bytes += m->bytes;
	rc = 0;
out:
	sidecar_free(&s);
	return rc;
}

/* The rank that a file is of, in a folder whose ranks are files; of none (0 of 0) are drafts beside them. */
static struct share share_of_file(const struct intake *k, const char *name)
{
	struct share h = { 0, 0, 0, 1 };
	long rank = vllm_rank_of(name);

	if (!k->ranks && rankset_name(name, &h.rank, &h.ranks))
		return h;
	if (k->ranks && rank >= 0)
		return (struct share){ (unsigned)rank, k->ranks, 0, 1 };
	return (struct share){ 0, 0, 0, 0 };
}

static bool wants_file(const struct intake *k, const struct share *h)
{
	return h->ranks ? wanted(k, h) : !k->o || !k->o->ranks;
}

/* A folder of the list, whose files come next. */
static int begin_folder(struct intake *k, const struct chain_folder *f, const struct share *h,
	struct err *e)
{
	struct dsv4 *d = k->d;
	const char *name = arena_strndup(&d->arena, f->name, strlen(f->name));

	if (!name ||
		mem_grow(&d->folders, &d->folders_cap, d->info.folders + 1u, sizeof *d->folders))
		return err_nomem(e);
	d->folders[d->info.folders] = (struct dsv4_folder){ .name = name,
		.rank = h->rank,
		.ranks = h->ranks,
		.stage = h->stage,
		.stages = h->stages,
		.first_file = d->info.files,
		.first_tensor = d->info.tensors };
	k->took = true;
	return 0;
}

static void end_folder(struct intake *k)
{
	struct dsv4_folder *is = &k->d->folders[k->d->info.folders++];

	is->files = k->d->info.files - is->first_file;
	is->tensors = k->d->info.tensors - is->first_tensor;
}

/* Each rank that is a file, and each draft in GGUF, is a folder of the list; files follow each other, as names are sorted. */
static int take_files(struct intake *k, const struct chain_folder *f, const struct share *all,
	struct err *e)
{
	const struct manifest_file *m = f->m->files.v, *end = m + f->m->files.n;
	const char *before = NULL; /* the file that was taken last */
	struct share h = *all, is = *all;
	bool begun = !k->by_file, other;

	if (begun && begin_folder(k, f, &is, e))
		return -1;
	for (; m < end; m++) {
		if (m->side && k->by_file)
			h = share_of_file(k, m->name);
		if (!m->side || (k->by_file && !wants_file(k, &h)))
			continue;
		other = h.rank != is.rank || h.ranks != is.ranks || gguf_of_other(m->name, before);
		if (begun && other)
			end_folder(k);
		begun = begun && !other;
		if (!begun && begin_folder(k, f, &h, e))
			return -1;
		begun = true;
		before = m->name;
		is = h;
		if (take_file(k, f, m, e))
			return err_at(e, "%s", text_quote(m->name).s);
	}
	if (begun)
		end_folder(k);
	return 0;
}

/* How many ranks a folder of vllm-sharded has. */
static int ranks_of(struct intake *k, const struct manifest *m, struct err *e)
{
	char s[201];
	bool has;

	if (!rank_target(m->target))
		return 0;
	if (option(m->options, "ranks", s, &has, e))
		return -1;
	return has && sscanf(s, "%9u", &k->ranks) == 1 && k->ranks
		? 0
		: err_rule(e, RULE_SET_FORM, ERR_NOPOS, "options.ranks is %s", text_quote(s).s);
}

static int take_folder(void *ctx, const struct chain_folder *f, struct err *e)
{
	struct intake *k = ctx;
	struct share h;
	int rc;

	if (share_in(f->m->options, &h, e) || ranks_of(k, f->m, e))
		return err_at(e, MAN_NAME);
	if (!k->by_file && !wanted(k, &h))
		return 0;
	rc = take_files(k, f, &h, e);
	config_free(&k->config);
	memset(&k->config, 0, sizeof k->config);
	return rc && *f->name ? err_at(e, "%s", f->name) : rc;
}

/* --- names --- */

struct by_name {
	const struct dsv4 *d;
	size_t i;
};

static int by_name(const void *a, const void *b)
{
	const struct by_name *x = a, *y = b;
	const struct handle_tensor *t = &x->d->tensors[x->i], *u = &y->d->tensors[y->i];
	uint32_t f = x->d->files[t->is.file].is.folder, g = x->d->files[u->is.file].is.folder;

	return f != g ? (f < g ? -1 : 1) : strcmp(t->is.name, u->is.name);
}

/* Sorts the names, and gives the tensors the pointers that were not to be taken while their list grew. */
static int settle(struct dsv4 *d, struct err *e)
{
	struct by_name *v = malloc((d->info.tensors + 1) * sizeof *v);
	size_t i;

	d->by_name = malloc((d->info.tensors + 1) * sizeof *d->by_name);
	if (!v || !d->by_name) {
		free(v);
		return err_nomem(e);
	}
	for (i = 0; i < d->info.tensors; i++) {
		struct handle_tensor *t = &d->tensors[i];

		v[i] = (struct by_name){ d, i };
		t->is.stack = t->is.stack ? &t->stack : NULL;
		t->is.records = t->is.records ? &t->records : NULL;
		t->is.xxh3_128 = t->xxh;
	}
	for (i = 0; i < d->info.files; i++)
		d->files[i].is.sha256 = d->files[i].is.sha256 ? d->files[i].sha256 : NULL;
	qsort(v, d->info.tensors, sizeof *v, by_name);
	for (i = 0; i < d->info.tensors && (!i || by_name(&v[i - 1], &v[i])); i++)
		d->by_name[i] = v[i].i;
	free(v);
	return i == d->info.tensors
		? 0
		: err_rule(e, RULE_SET_FORM, ERR_NOPOS, "tensor %s is in two files of one rank",
			  text_quote(d->tensors[d->by_name[i - 1]].is.name).s);
}

/* --- open --- */

static int check_options(const struct dsv4_open_options *o, struct err *e)
{
	if (!o)
		return 0;
	if (o->size != sizeof *o)
		return err_rule(e, RULE_LIB_CALL, ERR_NOPOS,
			"size of struct dsv4_open_options is %zu, this library has %zu", o->size,
			sizeof *o);
	if ((o->ranks && o->rank >= o->ranks) || (o->stages && o->stage >= o->stages) ||
		(!o->ranks && o->rank) || (!o->stages && o->stage))
		return err_rule(e, RULE_LIB_CALL, ERR_NOPOS,
			"rank %u of %u, stage %u of %u: there is no such", o->rank, o->ranks,
			o->stage, o->stages);
	return 0;
}

/* Copies what the document at the top says of the whole. */
static int describe(struct intake *k, const char *target, const char *plan, const char *tool,
	struct err *e)
{
	struct dsv4 *d = k->d;

	k->by_file = !strcmp(target, "official") || rank_target(target);
	d->info.target = arena_strndup(&d->arena, target, strlen(target));
	d->info.plan = arena_strndup(&d->arena, plan, strlen(plan));
	d->info.tool = arena_strndup(&d->arena, tool, strlen(tool));
	return d->info.target && d->info.plan && d->info.tool ? 0 : err_nomem(e);
}

/* A conversion for another engine is refused before anything else of it is read. */
static int is_target(const struct intake *k, struct err *e)
{
	if (!k->o || !k->o->target || !strcmp(k->o->target, k->d->info.target))
		return 0;
	return err_rule(e, RULE_LIB_TARGET, ERR_NOPOS, "it is of target %s, %s was asked for",
		text_quote(k->d->info.target).s, text_quote(k->o->target).s);
}

static int take_set(void *ctx, const struct set_manifest *s, struct err *e)
{
	struct intake *k = ctx;

	return describe(k, s->target, s->plan, s->tool, e) || is_target(k, e) ? -1 : 0;
}

static int take_one(void *ctx, const struct chain_folder *f, struct err *e)
{
	struct intake *k = ctx;

	if (!*f->name && (describe(k, f->m->target, f->m->plan, f->m->tool, e) || is_target(k, e)))
		return -1;
	return take_folder(ctx, f, e);
}

static int no_such_rank(const struct intake *k, struct err *e)
{
	const struct dsv4_open_options *o = k->o;

	if (!o || (!o->ranks && !o->stages))
		return err_rule(e, RULE_SET_FORM, ERR_NOPOS, "it names no folder with weights");
	return err_rule(e, RULE_CHECK_RANK, ERR_NOPOS,
		"rank %u of %u, stage %u of %u was asked for (0 of 0: any), and that is not there",
		o->rank, o->ranks, o->stage, o->stages);
}

static int intake(struct intake *k, const struct folder *f, struct err *e)
{
	struct chain_walk w = {
		.io = k->d->io, .ctx = k, .wants = wants, .set = take_set, .folder = take_one
	};

	k->d->info.kind = kind_rows[f->kind].id;
	if (chain_walk(&w, f->dir, e) || (!k->took && no_such_rank(k, e)) || settle(k->d, e))
		return err_at(e, "%s", text_quote(f->path).s);
	return 0;
}

int handle_open(struct dsv4 **d, const struct io *io, const char *path,
	const struct dsv4_open_options *o, struct err *e)
{
	struct intake k = { .o = o };
	struct folder f;
	int rc;

	*d = NULL;
	if (!path)
		return err_rule(e, RULE_LIB_CALL, ERR_NOPOS, "no path");
	if (check_options(o, e) ||
		folder_open(&f, io, path, USE_TENSORS, &(struct ckpt_opts){ 0 }, e))
		return -1;
	k.d = calloc(1, sizeof *k.d);
	if (!k.d) {
		folder_close(&f);
		return err_nomem(e);
	}
	k.d->io = io;
	k.d->features = cpu_features();
	sha256_kit_best(&k.d->kit, k.d->features);
	rc = intake(&k, &f, e);
	folder_close(&f);
	config_free(&k.config);
	if (rc) {
		dsv4_close(k.d);
		return -1;
	}
	*d = k.d;
	return 0;
}
