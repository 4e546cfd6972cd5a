/* SPDX-License-Identifier: MIT */
#include "convert/out/base.h"

#include "convert/out/options.h"
#include "convert/out/rows.h"
#include "formats/model/tensor_xxh.h"
#include "formats/conversion/chain.h"
#include "formats/model/engram.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct base_folder {
	const char *name, *options; /* in the arena */
	char target[64], plan[65], tool[128];
	size_t first, n; /* its files are files[first .. first + n] */
};

/* --- what the conversion says --- */

/* Whether files of that name may be taken. */
static bool may_take(const struct base *b, const char *file)
{
	return !b->tables || !strncmp(file, ENGRAM_FILE, sizeof ENGRAM_FILE - 1);
}

/* Takes the digests of whole tensors of the source that a sidecar has. */
static int take_digests(struct base *b, const struct sidecar *s, struct err *e)
{
	const struct sidecar_source *x;
	const struct tensor *t;
	size_t i, at;

	for (i = 0; i < s->n_sources; i++) {
		x = &s->sources[i];
		t = x->has_xxh && !x->part ? ckpt_find(b->c, x->tensor) : NULL;
		if (!t || (b->tables && !engram_table(t->name)))
			continue;
		at = (size_t)(t - b->c->tensors);
		if (b->has[at] && memcmp(&b->xxh[at], &x->xxh, sizeof x->xxh) != 0)
			return err_rule(e, RULE_SET_FORM, ERR_NOPOS,
				"two of its files have different digests of tensor %s",
				text_quote(t->name).s);
		b->has[at] = true;
		b->xxh[at] = x->xxh;
	}
	return 0;
}

static const char *keep(struct base *b, const char *s, struct err *e)
{
	const char *mine = arena_strndup(&b->arena, s, strlen(s));

	if (!mine)
		err_nomem(e);
	return mine;
}

static int take_file(struct base *b, const struct chain_folder *at, const struct manifest_file *m,
	struct err *e)
{
	struct manifest_file *f;
	struct sidecar s;
	int rc;

	if (!m->side || !may_take(b, m->name))
		return 0;
	if (mem_grow(&b->files, &b->files_cap, b->n_files + 1, sizeof *b->files))
		return err_nomem(e);
	f = &b->files[b->n_files];
	*f = *m;
	f->name = keep(b, m->name, e);
	f->side = keep(b, m->side, e);
	if (!f->name || !f->side || chain_sidecar(&s, at, m, e))
		return -1;
	b->n_files++;
	rc = take_digests(b, &s, e);
	sidecar_free(&s);
	return rc ? err_at(e, "%s", text_quote(m->side).s) : 0;
}

static int take_folder(void *ctx, const struct chain_folder *at, struct err *e)
{
	struct base *b = ctx;
	struct base_folder *d;
	size_t i;

	if (mem_grow(&b->folders, &b->folders_cap, b->n_folders + 1, sizeof *b->folders))
		return err_nomem(e);
	d = &b->folders[b->n_folders];
	*d = (struct base_folder){ .name = keep(b, at->name, e),
		.options = keep(b, at->m->options, e),
		.first = b->n_files };
	if (!d->name || !d->options)
		return -1;
	snprintf(d->target, sizeof d->target, "%s", at->m->target);
	snprintf(d->plan, sizeof d->plan, "%s", at->m->plan);
	snprintf(d->tool, sizeof d->tool, "%s", at->m->tool);
	for (i = 0; i < at->m->files.n; i++)
		if (take_file(b, at, &at->m->files.v[i], e))
			return -1;
	d->n = b->n_files - d->first;
	b->n_folders++;
	return 0;
}

/* --- what the new source has --- */

/* Digests the tensors of which the conversion has a digest, and sets same. */
static int compare(struct base *b, unsigned threads, const volatile sig_atomic_t *stop,
	struct progress *progress, struct err *e)
{
	struct xxh_digest *is = calloc(b->c->n + 1, sizeof *is);
	size_t i;
	int rc;

	if (!is)
		return err_nomem(e);
	rc = tensor_xxh(b->c, b->has, is, threads, stop, progress, e);
	for (i = 0; i < b->c->n && !rc; i++)
		b->same[i] = b->has[i] && !memcmp(&is[i], &b->xxh[i], sizeof *is);
	free(is);
	return rc;
}

const char *base_option(const struct base_from *from)
{
	return from->tables ? "--engram-from" : "--base";
}

int base_open(struct base *b, const struct ckpt *c, const struct base_from *from, const char *tool,
	unsigned threads, const volatile sig_atomic_t *stop, struct progress *progress,
	struct err *e)
{
	const struct chain_walk w = { .io = c->io, .ctx = b, .folder = take_folder };

	*b = (struct base){ .io = c->io, .c = c, .tool = tool, .tables = from->tables, .top = -1 };
	if (c->payload)
		return err_set(e, ERR_USAGE,
			"%s is for checkpoints as downloaded; this source is a conversion",
			base_option(from));
	b->xxh = calloc(c->n + 1, sizeof *b->xxh);
	b->has = calloc(c->n + 1, sizeof *b->has);
	b->same = calloc(c->n + 1, sizeof *b->same);
	if (!b->xxh || !b->has || !b->same) {
		base_close(b);
		return err_nomem(e);
	}
	if (file_open_dir(c->io, from->path, &b->top, e) || chain_walk(&w, b->top, e)) {
		base_close(b);
		return err_at(e, "%s %s", base_option(from), text_quote(from->path).s);
	}
	progress_say(progress, from->tables ? "comparing tables" : "comparing with the base");
	if (compare(b, threads, stop, progress, e)) {
		base_close(b);
		return -1;
	}
	return 0;
}

void base_close(struct base *b)
{
	if (b->io && b->top >= 0)
		(void)b->io->close(b->io, b->top); /* a folder has nothing to flush */
	free(b->folders);
	free(b->files);
	free(b->xxh);
	free(b->has);
	free(b->same);
	arena_free(&b->arena);
	*b = (struct base){ .top = -1 };
}

/* --- one file --- */

/* Whether tensor i of the file came about by the same step of the same bytes. */
static bool same_tensor(const struct base *b, struct rows *r, const struct sidecar *a, size_t i)
{
	const struct sidecar_tensor *t = &a->tensors[i];
	struct sidecar_tensor would = { 0 };
	struct sidecar_source x;
	uint32_t k;

	rows_tensor(r, i, &would);
	if (!rows_same_step(t, &would))
		return false;
	for (k = 0; k < t->n; k++) {
		x = (struct sidecar_source){ 0 };
		rows_source(r, k, &x);
		if (x.part || strcmp(a->sources[t->first + k].tensor, x.tensor) != 0 ||
			!b->same[step_source(r->step, k)])
			return false;
	}
	return true;
}

/* Whether the sidecar is that of the file which the plan has; then its results are in s. */
static bool same_file(const struct base *b, const struct sidecar *a, const struct plan *p,
	const struct plan_file *f, struct stream *s)
{
	struct rows r = { .p = p, .f = f, .s = s };
	size_t i;

	if (a->n != f->n || a->bytes != f->bytes || a->header_bytes != f->header_bytes ||
		a->dropped_bytes || !partial_has(f, f->n))
		return false;
	for (i = 0; i < a->n; i++)
		if (!same_tensor(b, &r, a, i) || a->tensors[i].inexact)
			return false;
	for (i = 0; i < a->n; i++)
		if (!partial_step(a, i, &f->steps[i], &s->res[i]))
			return false;
	return true;
}

/* Whether the open file begins with the header of the plan. */
static int same_header(const struct base *b, int fd, const struct plan *p,
	const struct plan_file *f, bool *same, struct err *e)
{
	struct text want = { 0 };
	uint8_t *is = NULL;
	int rc = -1;

	if (plan_header(p, f, &want, e))
		goto out;
	is = malloc(want.n + 1);
	if (!is) {
		err_nomem(e);
		goto out;
	}
	if (file_read(b->io, fd, is, want.n, 0, e))
		goto out;
	*same = want.n == f->header_bytes && !memcmp(is, want.s, want.n);
	rc = 0;
out:
	free(is);
	text_free(&want);
	return rc;
}

/* *d: the folder there that the plan's would be, NULL: none. */
static int find_folder(const struct base_folder **d, const struct base *b, const struct plan *p,
	struct err *e)
{
	const struct base_folder *x;
	struct text t = { 0 };
	int rc;

	*d = NULL;
	options_put(p, &t);
	for (x = b->folders; !t.failed && x < b->folders + b->n_folders; x++)
		if (!strcmp(x->name, p->dir) && !strcmp(x->tool, b->tool) &&
			(b->tables ||
				(!strcmp(x->target, p->opts.target) && !strcmp(x->options, t.s))))
			*d = x;
	rc = t.failed ? err_nomem(e) : 0;
	text_free(&t);
	return rc;
}

/* Reads the sidecar of the file, held to the manifest once more, and looks whether the file is the one of the plan. */
static int look(const struct base *b, const struct base_folder *d, const struct manifest_file *x,
	int dir, const struct plan *p, const struct plan_file *f, struct stream *s,
	struct partial *k, struct err *e)
{
	struct manifest m = { .seal = SEAL_NONE };
	const struct chain_folder at = { b->io, dir, d->name, &m };
	struct sidecar a;

	snprintf(m.target, sizeof m.target, "%s", d->target);
	snprintf(m.plan, sizeof m.plan, "%s", d->plan);
	snprintf(m.tool, sizeof m.tool, "%s", d->tool);
	if (chain_sidecar(&a, &at, x, e))
		return -1;
	if (same_file(b, &a, p, f, s)) {
		*k = (struct partial){
			.bytes = a.bytes, .steps = a.n, .chunks = a.chunks, .base = true
		};
		a.chunks = NULL;
	}
	sidecar_free(&a);
	return 0;
}

static const struct manifest_file *find_file(const struct base *b, const struct base_folder *d,
	const char *name)
{
	size_t i;

	for (i = d->first; i < d->first + d->n; i++)
		if (!strcmp(b->files[i].name, name))
			return &b->files[i];
	return NULL;
}

/* A file that is there under the name of one of the plan. */
struct found {
	int dir, fd; /* own; -1: none is open */
	const struct manifest_file *x;
};

static void found_close(const struct base *b, struct found *at)
{
	if (at->fd >= 0)
		(void)b->io->close(b->io, at->fd); /* read only */
	if (at->dir >= 0)
		(void)b->io->close(b->io, at->dir); /* a folder has nothing to flush */
	*at = (struct found){ .dir = -1, .fd = -1 };
}

/* Finds file f and fills k and s; at->fd is -1 where it is not there or may not be taken. */
static int find(struct found *at, const struct base *b, const struct plan *p,
	const struct plan_file *f, struct stream *s, struct partial *k, struct err *e)
{
	const struct base_folder *d;
	struct stat st;
	bool same = false;

	*at = (struct found){ .dir = -1, .fd = -1 };
	*k = (struct partial){ 0 };
	if (!may_take(b, f->name))
		return 0;
	if (find_folder(&d, b, p, e))
		return -1;
	at->x = d ? find_file(b, d, f->name) : NULL;
	if (!at->x)
		return 0;
	if (file_open_below(b->io, b->top, d->name, &at->dir, e) ||
		look(b, d, at->x, at->dir, p, f, s, k, e))
		return -1;
	if (k->bytes && !file_open(b->io, at->dir, at->x->name, &at->fd, &st, NULL) &&
		(uint64_t)st.st_size == f->bytes && same_header(b, at->fd, p, f, &same, e))
		return -1;
	if (!same) {
		found_close(b, at);
		partial_free(k);
		stream_forget(s);
	}
	return 0;
}

int base_offer(const struct base *b, const struct plan *p, const struct plan_file *f, int dir,
	struct stream *s, struct partial *k, struct file_out *out, struct err *e)
{
	struct found at;
	bool taken = false;
	int rc = find(&at, b, p, f, s, k, e);

	if (!rc && at.fd >= 0)
		rc = file_out_from(out, b->io, dir, f->name, at.fd, at.dir, at.x->name, f->bytes,
			&taken, e);
	found_close(b, &at);
	if (!taken) {
		partial_free(k);
		stream_forget(s);
	}
	return rc ? err_at(e, b->tables ? "the tables' folder" : "the base") : 0;
}

int base_bytes(const struct base *b, const struct plan *p, uint64_t *bytes, struct err *e)
{
	struct partial k = { 0 };
	struct found at;
	struct stream s;
	size_t i;
	int rc = 0;

	*bytes = 0;
	for (i = 0; i < p->n_files && !rc; i++) {
		if (stream_open(&s, p, &p->files[i], 0, false, e))
			return -1;
		rc = find(&at, b, p, &p->files[i], &s, &k, e);
		*bytes += at.fd >= 0 ? p->files[i].bytes : 0;
		found_close(b, &at);
		partial_free(&k);
		stream_close(&s);
	}
	return rc ? err_at(e, b->tables ? "the tables' folder" : "the base") : 0;
}

/* --- none of its files --- */

static bool by_this_version(const struct base *b)
{
	size_t i;

	for (i = 0; i < b->n_folders && strcmp(b->folders[i].tool, b->tool) != 0; i++)
		;
	return i < b->n_folders;
}

const char *base_unused(const struct base *b, const struct conversion *c)
{
	const struct base_folder *d;
	struct err ignored = { 0 };
	uint64_t bytes, all = 0;
	bool found = false;
	size_t i;

	for (i = 0; i < c->n; i++) {
		if (find_folder(&d, b, &c->folders[i], &ignored) ||
			base_bytes(b, &c->folders[i], &bytes, &ignored))
			return NULL;
		found = found || d;
		all += bytes;
	}
	if (!b->n_files)
		return b->tables ? "it has no table in a file of its own"
				 : "it has no file of weights";
	if (!by_this_version(b))
		return "another version of this program made it";
	if (!found)
		return "it was made with another target or other options";
	if (all)
		return "its files can have no second name in the output folder: it is an archive, or "
		       "lies on another file system";
	return b->tables
		? "each of its tables has changed, is rounded, or lies in another layout or on other ranks"
		: "each of its files has changed or is of a kind that is always made";
}
