/* SPDX-License-Identifier: MIT */
#include "formats/st/rankset.h"

#include "core/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool rankset_name(const char *name, unsigned *rank, unsigned *of)
{
	char again[64];
	unsigned a, b;

	if (sscanf(name, "model%4u-mp%4u.safetensors", &a, &b) != 2)
		return false;
	snprintf(again, sizeof again, "model%u-mp%u.safetensors", a, b);
	if (strcmp(again, name) != 0)
		return false;
	if (rank)
		*rank = a;
	if (of)
		*of = b;
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

const struct tensor *rankset_find(const struct rank_file *f, const char *name)
{
	const struct tensor key = { .name = name };

	return f->h.n ? bsearch(&key, f->h.tensors, f->h.n, sizeof key, by_name) : NULL;
}

/* --- opening --- */

static int add_name(struct rankset *s, const char *name, struct findings *f, struct err *e)
{
	struct rank_file x = { .fd = -1 };
	unsigned of;
	size_t i;

	if (!rankset_name(name, &x.rank, &of))
		return 0;
	snprintf(x.name, sizeof x.name, "%s", name);
	s->of = s->n ? s->of : of;
	if (of != s->of || x.rank >= of)
		return finding_add(f, RULE_RANK_MIXED, x.name,
			       "%s is of another number of ranks than its neighbours", x.name)
			? err_nomem(e)
			: 0;
	if (mem_grow(&s->v, &s->cap, s->n + 1, sizeof x))
		return err_nomem(e);
	for (i = s->n; i > 0 && s->v[i - 1].rank > x.rank; i--)
		s->v[i] = s->v[i - 1];
	s->v[i] = x;
	s->n++;
	return 0;
}

static int list(struct rankset *s, int dir, struct findings *f, struct err *e)
{
	char *names = NULL, *p;
	size_t n, i;
	int rc = 0;

	if (s->io->list(s->io, dir, &names, &n))
		return err_sys(e, "cannot list the folder");
	for (i = 0, p = names; !rc && i < n; i++, p += strlen(p) + 1)
		rc = add_name(s, p, f, e);
	free(names);
	if (!rc && s->of > RANKSET_MAX)
		return err_rule(e, RULE_RANK_MIXED, ERR_NOPOS,
			"files of %u ranks, at most %u can be", s->of, (unsigned)RANKSET_MAX);
	return rc;
}

/* Reads one header. A file that breaks a rule becomes a finding and stays closed; -1 for what the system
 * reports. */
static int read_header(struct rankset *s, int dir, struct rank_file *x, uint64_t cap,
	struct findings *f, struct err *e)
{
	struct stat st;

	if (file_open(s->io, dir, x->name, &x->fd, &st, e)) {
		x->fd = -1;
	} else if (!st_read(&x->h, s->io, x->fd, (uint64_t)st.st_size, cap, &s->arena, e)) {
		if (x->h.n)
			qsort(x->h.tensors, x->h.n, sizeof *x->h.tensors, by_name);
		return 0;
	} else {
		(void)s->io->close(s->io, x->fd); /* read only */
		x->fd = -1;
	}
	s->whole = false;
	if (e->kind == ERR_SYSTEM)
		return -1;
	err_at(e, "%s", x->name);
	return finding_take(f, x->name, e);
}

static int read_all(struct rankset *s, int dir, uint64_t cap, struct findings *f, struct err *e)
{
	unsigned rank;
	size_t i = 0;

	s->whole = s->n == s->of;
	for (rank = 0; rank < s->of; rank++) {
		if (i < s->n && s->v[i].rank == rank) {
			if (read_header(s, dir, &s->v[i++], cap, f, e))
				return -1;
		} else if (finding_add(f, RULE_RANK_MISSING, NULL,
				   "model%u-mp%u.safetensors is not there", rank, s->of)) {
			return err_nomem(e);
		}
	}
	return 0;
}

int rankset_open(struct rankset *s, const struct io *io, int dir, uint64_t header_cap,
	struct findings *f, struct err *e)
{
	int rc;

	memset(s, 0, sizeof *s);
	s->io = io;
	rc = list(s, dir, f, e);
	rc = rc ? rc : read_all(s, dir, header_cap ? header_cap : ST_HEADER_CAP, f, e);
	if (rc)
		rankset_close(s);
	return rc;
}

void rankset_close(struct rankset *s)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (s->v[i].fd >= 0)
			(void)s->io->close(s->io, s->v[i].fd); /* read only */
		st_free(&s->v[i].h);
	}
	free(s->v);
	arena_free(&s->arena);
	memset(s, 0, sizeof *s);
}
