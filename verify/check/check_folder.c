/* SPDX-License-Identifier: MIT */
#include "verify/check/check.h"

#include "core/text.h"
#include "formats/conversion/atlas_head.h"
#include "formats/conversion/bystander.h"
#include "formats/conversion/manifest.h"
#include "formats/conversion/vllm_form.h"
#include "formats/st/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A folder while it is looked at. */
struct made {
	struct check *c;
	const struct chain_folder *d;
	uint64_t blocks, inexact; /* of the sidecars that were read */
	bool all;                 /* every sidecar was read */
	bool *dropped; /* owns; [files] it has a NAME.dropped, or that could not be told */
};

/* A file of it, with what its sidecar says. */
struct member {
	const struct manifest_file *f;
	int fd;
	struct sidecar s;
	bool has_sidecar; /* s was read */
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

static void look_at_header(const struct made *d, struct member *m)
{
	struct check *c = d->c;
	struct st_header h = { 0 };
	struct arena arena = { 0 };
	struct report_place at = m->at;
	const char *tensor;
	struct err e = { 0 };

	if (chain_header(&h, &arena, c->o->io, m->fd, &m->s, c->o->header_cap, &tensor, &e)) {
		at.to = m->s.header_bytes;
		at.tensors = &tensor;
		at.n_tensors = tensor ? 1 : 0;
		tell(d, &at, &e);
	}
	st_free(&h);
	arena_free(&arena);
}

static int look_at_sidecar(struct made *d, struct member *m)
{
	struct check *c = d->c;
	struct err e = { 0 };
	size_t i;

	if (chain_sidecar(&m->s, d->d, m->f, &e)) {
		tell(d, &m->side_at, &e);
		d->all = false;
		return 0;
	}
	m->has_sidecar = true;
	report_count(c->r, "checked", "sidecars", 1, m->f->side_bytes);
	for (i = 0; i < m->s.n; i++) {
		d->blocks += m->s.tensors[i].blocks;
		d->inexact += m->s.tensors[i].inexact;
		if (roles_add(&c->roles, m->s.tensors[i].name,
			    m->s.tensors[i].end - m->s.tensors[i].begin, c->e))
			return -1;
	}
	report_count(c->r, "checked", "tensors", m->s.n, 0);
	return 0;
}

/* --- files --- */

/* What the pass holds the bytes against. */
static int keep_digests(struct check *c, const struct sidecar *a, struct check_item *it)
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
	x = xxh_of(d->d->m->plan, strlen(d->d->m->plan));
	memcpy(&w, x.b, sizeof w);
	return v ^ w;
}

enum { WHOLE = 1 << 20 }; /* bytes of a file that is read whole even in haste */

static int plan_pass(struct made *d, const struct member *m)
{
	struct check *c = d->c;
	struct check_item it = {
		.has_sha = m->f->has_sha256, .rule = RULE_CHECK_SHA256, .said_by = MAN_NAME
	};
	struct pass_job *j;

	memcpy(it.sha256, m->f->sha256, 32);
	it.folder = strdup(d->d->name);
	it.name = strdup(m->f->name);
	if (!it.folder || !it.name || (m->has_sidecar && keep_digests(c, &m->s, &it))) {
		free(it.folder);
		free(it.name);
		free(it.chunks);
		free(it.spans);
		return err_nomem(c->e); /* unless something was said already */
	}
	j = check_add(c, &it, m->f->bytes);
	if (!j)
		return -1;
	j->n_spans = m->has_sidecar ? m->s.n : 0;
	j->sha = true;
	j->sampled = c->o->quick && m->has_sidecar && m->f->bytes > WHOLE;
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
		if (m->has_sidecar)
			n = sidecar_in(&m->s, at.from, at.to, &first);
		for (i = 0; i < n && i < REPORT_TENSORS; i++)
			names[i] = m->s.tensors[first + i].name;
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
	struct check_item it = {
		.has_sha = true, .rule = RULE_CHECK_SHA256, .said_by = "its sidecar"
	};
	struct path_text path;
	struct report_place at = { .file = path.s };
	struct pass_job *j;
	struct err e = { 0 };
	uint64_t size;
	char name[300];
	int fd;

	snprintf(name, sizeof name, "%s" MAN_DROPPED, m->f->name);
	path = check_path(d->d->name, name);
	if (chain_open(d->d, name, m->s.dropped_bytes, &fd, &size, &e)) {
		tell(d, &at, &e);
		return 0;
	}
	(void)d->c->o->io->close(d->c->o->io, fd); /* read only */
	report_count(d->c->r, "checked", "files", 1, size);
	memcpy(it.sha256, m->s.dropped_sha256, 32);
	it.folder = strdup(d->d->name);
	it.name = strdup(name);
	if (!it.folder || !it.name) {
		free(it.folder);
		free(it.name);
		return err_nomem(d->c->e);
	}
	j = check_add(d->c, &it, m->s.dropped_bytes);
	if (j)
		j->sha = true;
	return j ? 0 : -1;
}

static int check_file(struct made *d, const struct manifest_file *f)
{
	struct member m = { .f = f, .fd = -1 };
	struct check *c = d->c;
	struct err e = { 0 };
	uint64_t size;
	int rc = 0;

	m.path = check_path(d->d->name, f->name);
	m.at.file = m.path.s;
	if (f->side) {
		m.side_path = check_path(d->d->name, f->side);
		m.side_at.file = m.side_path.s;
		rc = look_at_sidecar(d, &m);
		d->dropped[f - d->d->m->files.v] = !m.has_sidecar || m.s.dropped_bytes;
		if (!rc && m.s.dropped_bytes)
			rc = check_dropped(d, &m);
	}
	if (!rc && chain_open(d->d, f->name, f->bytes, &m.fd, &size, &e)) {
		if (e.rule == rules[RULE_SET_SIZE].id)
			tell_size(d, &m, size);
		else
			tell(d, &m.at, &e);
	} else if (!rc) {
		report_count(c->r, "checked", "files", 1, size);
		if (m.has_sidecar)
			look_at_header(d, &m);
		rc = plan_pass(d, &m);
		(void)c->o->io->close(c->o->io, m.fd); /* read only */
	}
	if (!f->has_sha256)
		report_add(c->r, RULE_CHECK_NO_DIGEST, &m.at,
			"it was made without SHA-256: only XXH3 speaks for it");
	sidecar_free(&m.s);
	return rc;
}

/* --- the folder --- */

/* name without its end is a file of the manifest, and that goes with it. */
static bool goes_with(const struct made *d, const char *name, const char *end)
{
	size_t n = text_stem(name, end);
	const struct manifest_file *f;
	char file[256];

	if (!n || n >= sizeof file)
		return false;
	memcpy(file, name, n);
	file[n] = 0;
	f = manifest_find(&d->d->m->files, file);
	return f && f->side && (strcmp(end, MAN_DROPPED) || d->dropped[f - d->d->m->files.v]);
}

static bool is_listed(const struct made *d, const char *name)
{
	return manifest_find(&d->d->m->files, name) || goes_with(d, name, MAN_SIDECAR) ||
		goes_with(d, name, MAN_DROPPED) || !strcmp(name, MAN_NAME) ||
		(d->d->m->restore.name[0] && !strcmp(name, d->d->m->restore.name));
}

/* Holds an atlas beside the weights to its own last line, and to the files that the manifest names. */
static int check_atlas(const struct made *d, const char *name)
{
	const struct report_place at = { .file = name };
	struct err why = { 0 };
	struct xxh_digest files;
	struct atlas_head h;

	if (atlas_head_read(&h, d->c->o->io, d->d->dir, name, &why)) {
		if (why.kind == ERR_SYSTEM)
			report_take(d->c->r, &at, &why);
		else
			report_add(d->c->r, RULE_CHECK_ATLAS, &at, "%s", why.text);
		return 0;
	}
	if (atlas_head_files(&files, d->d->m, d->c->e))
		return -1;
	if (!h.has_files || memcmp(&h.files, &files, sizeof files) != 0)
		report_add(d->c->r, RULE_CHECK_ATLAS, &at,
			"it is of other files of weights than those that " MAN_NAME " names");
	return 0;
}

static int check_names(const struct made *d)
{
	const struct io *io = d->c->o->io;
	struct path_text path;
	char *names, *p;
	struct stat st;
	size_t n, i;
	int rc = 0;

	if (io->list(io, d->d->dir, &names, &n))
		return err_sys(d->c->e, "cannot list folder %s", text_quote(d->d->name).s);
	for (i = 0, p = names; !rc && i < n; i++, p += strlen(p) + 1) {
		if (is_listed(d, p))
			continue;
		path = check_path(d->d->name, p);
		if (!d->d->name[0] && !strcasecmp(p, BYSTANDER_ATLAS) &&
			!io->lstat(io, d->d->dir, p, &st) && S_ISREG(st.st_mode))
			rc = check_atlas(d, p);
		else
			check_stray(d->c, d->d->dir, p, path.s, MAN_NAME);
	}
	free(names);
	return rc;
}

/* model3-mp8.safetensors is of rank 3, as model-rank-3-part-0.safetensors is. */
static bool is_of_rank(const char *name, const char *rank)
{
	size_t n = strlen(rank);

	long of = vllm_rank_of(name);
	char text[24];

	snprintf(text, sizeof text, "%ld", of);
	if (of >= 0)
		return !strcmp(text, rank);
	return !strncmp(name, "model", 5) && !strncmp(name + 5, rank, n) &&
		!strncmp(name + 5 + n, "-mp", 3);
}

static int check_files(struct made *d)
{
	struct check *c = d->c;
	bool some = c->only || (c->o->rank && !d->d->name[0]);
	size_t i, n = 0;

	for (i = 0; i < d->d->m->files.n; i++) {
		const struct manifest_file *f = &d->d->m->files.v[i];

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
	if (!some && d->all && (d->blocks != d->d->m->blocks || d->inexact != d->d->m->inexact))
		report_add(c->r, RULE_SET_FORM, &(struct report_place){ .file = MAN_NAME },
			"cast_blocks is not the sum of those of the sidecars");
	return some ? 0 : check_names(d);
}

int check_folder(struct check *c, const struct chain_folder *f)
{
	struct made d = { .c = c, .d = f, .all = true };
	int rc;

	d.dropped = calloc(f->m->files.n + 1, sizeof *d.dropped);
	rc = d.dropped ? check_files(&d) : err_nomem(c->e);
	free(d.dropped);
	return rc;
}
