/* SPDX-License-Identifier: MIT */
#include "verify/check/check.h"

#include "core/file.h"
#include "core/hash/hash_file.h"
#include "formats/conversion/account.h"
#include "formats/conversion/manifest.h"
#include "formats/st/safetensors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DROPPED ".dropped" /* after a file's name: what its casts did not keep */

/* A folder while it is looked at. */
struct made {
	struct check *c;
	const char *rel;
	int dir;
	struct toc toc;
	uint64_t blocks, inexact; /* of the sidecars */
	bool all;                 /* every sidecar was read */
	bool *dropped; /* owns; [files] it has a NAME.dropped, or that could not be told */
};

/* A file of it, with what its sidecar says. */
struct member {
	const struct toc_file *f;
	int fd;
	struct account a; /* n_chunks 0: none */
	bool has_account;
	struct report_place at, side_at;
	struct path_text path, side_path;
};

static int memory_spent(struct check *c, uint64_t bytes)
{
	c->kept += bytes;
	if (c->kept <= c->o->max_memory)
		return 0;
	return err_set(c->e, ERR_SYSTEM,
		"the digests of all files need more than --max-memory allows");
}

/* Reports what e says about the place; ERR_SYSTEM goes there too: other files can still be looked at. */
static void tell(const struct made *d, const struct report_place *at, struct err *e)
{
	report_take(d->c->r, at, e);
}

/* --- headers --- */

static bool same_shape(const struct tensor *t, const struct account_tensor *a)
{
	return t->dtype == a->dtype && t->rank == a->rank && t->begin == a->begin &&
		t->end == a->end && (!t->rank || !memcmp(t->dim, a->dim, t->rank * sizeof *t->dim));
}

static int by_offset(const void *a, const void *b)
{
	const struct tensor *x = a, *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	if (x->end != y->end)
		return x->end < y->end ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* The header of the file says the same as its sidecar. */
static void compare_header(const struct made *d, struct member *m, struct st_header *h)
{
	const struct account_tensor *a = m->a.tensors;
	struct report_place at = m->at;
	size_t i;

	at.to = m->a.header_bytes;
	if (h->n != m->a.n || h->data_at != m->a.header_bytes) {
		report_add(d->c->r, RULE_CHECK_HEADER, &at,
			"its header has %zu tensors and ends at byte %llu, its sidecar says %zu and "
			"%llu",
			h->n, (unsigned long long)h->data_at, m->a.n,
			(unsigned long long)m->a.header_bytes);
		return;
	}
	if (h->n)
		qsort(h->tensors, h->n, sizeof *h->tensors, by_offset);
	for (i = 0; i < h->n; i++) {
		if (!strcmp(h->tensors[i].name, a[i].name) && same_shape(&h->tensors[i], &a[i]))
			continue;
		at.tensors = &a[i].name;
		at.n_tensors = 1;
		report_add(d->c->r, RULE_CHECK_HEADER, &at,
			"its header has tensor %s with another name, type, shape or place than its "
			"sidecar",
			text_quote(h->tensors[i].name).s);
		return;
	}
}

static int look_at_header(const struct made *d, struct member *m)
{
	struct check *c = d->c;
	struct st_header h = { 0 };
	struct arena arena = { 0 };
	struct err e = { 0 };

	if (st_read(&h, c->o->io, m->fd, m->f->bytes,
		    c->o->header_cap ? c->o->header_cap : ST_HEADER_CAP, &arena, &e))
		tell(d, &m->at, &e);
	else if (m->has_account)
		compare_header(d, m, &h);
	st_free(&h);
	arena_free(&arena);
	return 0;
}

/* --- sidecars --- */

/* What it says against what the manifest says. */
static void compare_account(const struct made *d, const struct member *m)
{
	const struct account *a = &m->a;
	struct report *r = d->c->r;

	if (strcmp(a->plan, d->toc.plan) || strcmp(a->target, d->toc.target) ||
		strcmp(a->tool, d->toc.tool))
		report_add(r, RULE_CHECK_PLAN, &m->side_at,
			"it is of another run than manifest.json: plan %.12s of %s for %s, not %.12s "
			"of %s for %s",
			a->plan, text_quote(a->tool).s, text_quote(a->target).s, d->toc.plan,
			text_quote(d->toc.tool).s, text_quote(d->toc.target).s);
	if (strcmp(a->name, m->f->name))
		report_add(r, RULE_SET_FORM, &m->side_at, "it is about %s", text_quote(a->name).s);
	if (a->bytes != m->f->bytes || a->has_sha != m->f->has_sha ||
		memcmp(a->sha256, m->f->sha256, 32))
		report_add(r, RULE_CHECK_PLAN, &m->side_at,
			"size or SHA-256 of the file are others than in manifest.json");
}

static void read_account(struct made *d, struct member *m, int fd, uint64_t size)
{
	uint8_t sha[32];
	struct err e = { 0 };

	if (size != m->f->side_bytes) {
		report_add(d->c->r, RULE_SET_SIZE, &m->side_at,
			"it has %llu bytes, manifest.json says %llu", (unsigned long long)size,
			(unsigned long long)m->f->side_bytes);
		return;
	}
	if (hash_file(d->c->o->io, fd, size, NULL, sha, &e)) {
		tell(d, &m->side_at, &e);
		return;
	}
	if (memcmp(sha, m->f->side_sha256, 32)) {
		report_add(d->c->r, RULE_SET_MANIFEST, &m->side_at,
			"its SHA-256 is another than manifest.json says: it was edited or damaged, or "
			"is of another run");
		return;
	}
	if (account_read(&m->a, d->c->o->io, fd, size, &e)) {
		tell(d, &m->side_at, &e);
		return;
	}
	m->has_account = true;
	compare_account(d, m);
}

/* True if it is there; what is in its way is reported. */
static bool open_member(const struct made *d, const char *name, const struct report_place *at,
	int *fd, struct stat *st)
{
	const struct io *io = d->c->o->io;
	struct err e = { 0 };

	if (io->lstat(io, d->dir, name, st) && errno == ENOENT) {
		report_add(d->c->r, RULE_CHECK_MISSING, at,
			"manifest.json names it, and it is not there");
		return false;
	}
	if (!file_open(io, d->dir, name, fd, st, &e))
		return true;
	tell(d, at, &e);
	return false;
}

static int look_at_sidecar(struct made *d, struct member *m)
{
	struct check *c = d->c;
	struct stat st;
	size_t i;
	int fd;

	if (open_member(d, m->f->side, &m->side_at, &fd, &st)) {
		read_account(d, m, fd, (uint64_t)st.st_size);
		(void)c->o->io->close(c->o->io, fd); /* read only */
		report_count(c->r, "checked", "sidecars", 1, (uint64_t)st.st_size);
	}
	if (!m->has_account) {
		d->all = false;
		return 0;
	}
	for (i = 0; i < m->a.n; i++) {
		d->blocks += m->a.tensors[i].blocks;
		d->inexact += m->a.tensors[i].inexact;
		if (roles_add(&c->roles, m->a.tensors[i].name,
			    m->a.tensors[i].end - m->a.tensors[i].begin, c->e))
			return -1;
	}
	report_count(c->r, "checked", "tensors", m->a.n, 0);
	return 0;
}

/* --- files --- */

/* What the pass holds the bytes against. */
static int keep_digests(struct check *c, const struct account *a, struct check_item *it)
{
	size_t i;

	if (memory_spent(c, a->n * sizeof *it->spans + a->n_chunks * (2 * sizeof *it->chunks + 1)))
		return -1;
	it->chunks = malloc((a->n_chunks + 1) * sizeof *it->chunks);
	it->spans = malloc((a->n + 1) * sizeof *it->spans);
	if (!it->chunks || !it->spans)
		return err_nomem(c->e);
	if (a->n_chunks)
		memcpy(it->chunks, a->chunks, a->n_chunks * sizeof *it->chunks);
	for (i = 0; i < a->n; i++)
		it->spans[i] = (struct pass_span){ a->header_bytes + a->tensors[i].begin,
			a->header_bytes + a->tensors[i].end, a->tensors[i].xxh };
	return 0;
}

static uint64_t seed_of(const struct made *d, const char *name)
{
	struct xxh_digest x = xxh_of(name, strlen(name));
	uint64_t v, w;

	memcpy(&v, x.b, sizeof v);
	x = xxh_of(d->toc.plan, strlen(d->toc.plan));
	memcpy(&w, x.b, sizeof w);
	return v ^ w;
}

enum { WHOLE = 1 << 20 }; /* bytes of a file that is read whole even in haste */

static int plan_pass(struct made *d, const struct member *m)
{
	struct check *c = d->c;
	struct check_item it = { .has_sha = m->f->has_sha, .said_by = "manifest.json" };
	struct pass_job *j;

	memcpy(it.sha256, m->f->sha256, 32);
	it.folder = strdup(d->rel);
	it.name = strdup(m->f->name);
	if (!it.folder || !it.name || (m->has_account && keep_digests(c, &m->a, &it))) {
		free(it.folder);
		free(it.name);
		free(it.chunks);
		free(it.spans);
		return err_nomem(c->e); /* unless something was said already */
	}
	j = check_add(c, &it, m->f->bytes);
	if (!j)
		return -1;
	j->n_spans = m->has_account ? m->a.n : 0;
	j->sha = true;
	j->sampled = c->o->quick && m->has_account && m->f->bytes > WHOLE;
	j->seed = seed_of(d, m->f->name);
	return 0;
}

/* A file that ends too early, or goes on: which tensors that concerns. */
static void tell_size(const struct made *d, const struct member *m, uint64_t size)
{
	const char *names[REPORT_TENSORS];
	struct report_place at = m->at;
	size_t first, n = 0, i;

	if (size < m->f->bytes) {
		at.from = size;
		at.to = m->f->bytes;
		if (m->has_account)
			n = account_in(&m->a, at.from, at.to, &first);
		for (i = 0; i < n && i < REPORT_TENSORS; i++)
			names[i] = m->a.tensors[first + i].name;
		at.tensors = names;
		at.n_tensors = n;
	} else {
		at.from = m->f->bytes;
		at.to = size;
	}
	report_add(d->c->r, RULE_SET_SIZE, &at, "it has %llu bytes, manifest.json says %llu",
		(unsigned long long)size, (unsigned long long)m->f->bytes);
}

/* What the casts of a file did not keep: held to its sidecar. */
static int check_dropped(struct made *d, const struct member *m)
{
	struct check_item it = { .has_sha = true, .said_by = "its sidecar" };
	struct path_text path;
	struct report_place at = { .file = path.s };
	struct pass_job *j;
	struct stat st;
	char name[300];
	int fd;

	snprintf(name, sizeof name, "%s" DROPPED, m->f->name);
	path = check_path(d->rel, name);
	if (!open_member(d, name, &at, &fd, &st))
		return 0;
	(void)d->c->o->io->close(d->c->o->io, fd); /* read only */
	report_count(d->c->r, "checked", "files", 1, (uint64_t)st.st_size);
	if ((uint64_t)st.st_size != m->a.dropped_bytes) {
		report_add(d->c->r, RULE_SET_SIZE, &at, "it has %llu bytes, its sidecar says %llu",
			(unsigned long long)st.st_size, (unsigned long long)m->a.dropped_bytes);
		return 0;
	}
	memcpy(it.sha256, m->a.dropped_sha256, 32);
	it.folder = strdup(d->rel);
	it.name = strdup(name);
	if (!it.folder || !it.name) {
		free(it.folder);
		free(it.name);
		return err_nomem(d->c->e);
	}
	j = check_add(d->c, &it, m->a.dropped_bytes);
	if (j)
		j->sha = true;
	return j ? 0 : -1;
}

static int check_file(struct made *d, const struct toc_file *f)
{
	struct member m = { .f = f, .fd = -1 };
	struct check *c = d->c;
	struct stat st;
	int rc = 0;

	m.path = check_path(d->rel, f->name);
	m.at.file = m.path.s;
	if (f->side) {
		m.side_path = check_path(d->rel, f->side);
		m.side_at.file = m.side_path.s;
		rc = look_at_sidecar(d, &m);
		d->dropped[f - d->toc.files.v] = !m.has_account || m.a.dropped_bytes;
		if (!rc && m.a.dropped_bytes)
			rc = check_dropped(d, &m);
	}
	if (!rc && open_member(d, f->name, &m.at, &m.fd, &st)) {
		report_count(c->r, "checked", "files", 1, (uint64_t)st.st_size);
		if ((uint64_t)st.st_size != f->bytes)
			tell_size(d, &m, (uint64_t)st.st_size);
		else if (!f->side)
			rc = plan_pass(d, &m);
		else
			rc = look_at_header(d, &m) || plan_pass(d, &m) ? -1 : 0;
		(void)c->o->io->close(c->o->io, m.fd); /* read only */
	}
	if (!f->has_sha)
		report_add(c->r, RULE_CHECK_NO_DIGEST, &m.at,
			"it was made without SHA-256: only XXH3 speaks for it");
	account_free(&m.a);
	return rc;
}

/* --- the folder --- */

/* name without its end is a file of the manifest, and that goes with it. */
static bool goes_with(const struct made *d, const char *name, const char *end)
{
	size_t n = strlen(name), tail = strlen(end);
	const struct toc_file *f;
	char file[256];

	if (n <= tail || n >= sizeof file || strcmp(name + n - tail, end))
		return false;
	memcpy(file, name, n - tail);
	file[n - tail] = 0;
	f = toc_find(&d->toc.files, file);
	return f && f->side && (strcmp(end, DROPPED) || d->dropped[f - d->toc.files.v]);
}

static bool is_listed(const struct made *d, const char *name)
{
	return toc_find(&d->toc.files, name) || goes_with(d, name, MAN_SIDECAR) ||
		goes_with(d, name, DROPPED) || !strcmp(name, MAN_NAME) ||
		(d->toc.restore.name[0] && !strcmp(name, d->toc.restore.name)) ||
		check_is_signature(name);
}

static int check_names(const struct made *d)
{
	const struct io *io = d->c->o->io;
	struct report_place at = { .file = NULL };
	struct path_text path;
	char *names, *p;
	size_t n, i;

	if (io->list(io, d->dir, &names, &n))
		return err_sys(d->c->e, "cannot list folder %s", text_quote(d->rel).s);
	for (i = 0, p = names; i < n; i++, p += strlen(p) + 1) {
		if (is_listed(d, p))
			continue;
		path = check_path(d->rel, p);
		at.file = path.s;
		report_add(d->c->r, RULE_CHECK_EXTRA, &at,
			"it is in the folder, and manifest.json does not name it");
	}
	free(names);
	return 0;
}

/* model3-mp8.safetensors is of rank 3. */
static bool is_of_rank(const char *name, const char *rank)
{
	size_t n = strlen(rank);

	return !strncmp(name, "model", 5) && !strncmp(name + 5, rank, n) &&
		!strncmp(name + 5 + n, "-mp", 3);
}

static int check_files(struct made *d)
{
	struct check *c = d->c;
	bool some = c->only || (c->o->rank && !d->rel[0]);
	size_t i, n = 0;

	for (i = 0; i < d->toc.files.n; i++) {
		const struct toc_file *f = &d->toc.files.v[i];

		if (c->only ? strcmp(f->name, c->only) != 0
			    : some && !is_of_rank(f->name, c->o->rank))
			continue;
		n++;
		if (check_file(d, f))
			return -1;
	}
	if (c->only && !n)
		report_add(c->r, RULE_CHECK_EXTRA, &(struct report_place){ .file = c->only },
			"manifest.json does not name it");
	else if (some && !n)
		return err_rule(c->e, RULE_CHECK_RANK, ERR_NOPOS,
			"--rank %s: there is no such rank", text_quote(c->o->rank).s);
	if (!some && d->all && (d->blocks != d->toc.blocks || d->inexact != d->toc.inexact))
		report_add(c->r, RULE_SET_FORM, &(struct report_place){ .file = MAN_NAME },
			"cast_blocks is not the sum of those of the sidecars");
	if (some)
		return 0;
	if (d->toc.restore.name[0] && check_sub(c, d->rel, &d->toc.restore))
		return -1;
	return check_names(d);
}

int check_folder(struct check *c, const char *rel, const struct text *t, const char *plan)
{
	struct made d = { .c = c, .rel = rel, .all = true };
	struct path_text path = check_path(rel, MAN_NAME);
	struct report_place at = { .file = path.s };
	struct err e = { 0 };
	int rc;

	if (toc_read(&d.toc, t, &e)) {
		tell(&d, &at, &e);
		return 0;
	}
	if (!plan && !d.toc.sealed)
		report_add(c->r, RULE_CHECK_UNSEALED, &at,
			"it has no digest of itself: damage to it would not be seen");
	if (plan && *plan && strcmp(plan, d.toc.plan))
		report_add(c->r, RULE_CHECK_PLAN, &at,
			"its plan is %.12s, the manifest above says %.12s", d.toc.plan, plan);
	if (plan && d.toc.restore.name[0]) {
		report_add(c->r, RULE_SET_FORM, &at, "a folder below another has one too");
		d.toc.restore.name[0] = 0;
	}
	d.dropped = calloc(d.toc.files.n + 1, sizeof *d.dropped);
	rc = d.dropped ? file_open_below(c->o->io, c->top, rel, &d.dir, &e) : err_nomem(&e);
	if (rc) {
		at.file = rel;
		tell(&d, &at, &e);
		rc = 0;
	} else {
		rc = check_files(&d);
		(void)c->o->io->close(c->o->io, d.dir); /* a folder has nothing to flush */
	}
	free(d.dropped);
	toc_free(&d.toc);
	return rc;
}
