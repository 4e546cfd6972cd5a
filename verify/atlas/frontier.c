/* SPDX-License-Identifier: MIT */
#include "verify/atlas/frontier.h"

#include "core/file.h"
#include "formats/json/jread.h"

#include <math.h>
#include <string.h>

enum {
	CAP = 16 << 20,
	/* bytes of the file; a plan of a thousand files has less than one million */ DEPTH = 16,
	LONGEST = 64
};
#define BYTES_MAX ((1ull << 53) - 1) /* what every reader of JSON keeps exactly */

static int wrong(struct err *e, const char *what)
{
	return err_rule(e, RULE_SCORE_FORM, ERR_NOPOS, "%s", what);
}

static int read_error(struct jread *j, double *v)
{
	if (jread_real(j, v))
		return -1;
	return isfinite(*v) && *v >= 0 ? 0 : wrong(j->e, "an error is negative or infinite");
}

static int read_word(struct jread *j, char *to, size_t room)
{
	size_t i;

	if (jread_string(j, LONGEST))
		return -1;
	if (j->str.n >= room || memchr(j->str.s, 0, j->str.n))
		return wrong(j->e, "a name is too long");
	for (i = 0; i < j->str.n; i++) /* it is printed */
		if (j->str.s[i] < ' ' || j->str.s[i] > '~')
			return wrong(j->e, "a name is of other letters than ASCII's");
	memcpy(to, j->str.s, j->str.n + 1);
	return 0;
}

/* What a member sets; each may be there once. */
enum {
	HAS_BYTES = 1,
	HAS_ERROR = 2,
	HAS_NAME = 4,
	HAS_FRONTIER = 8,
	HAS_NAMES = 16,
	HAS_MODEL = 32,
	HAS_WEIGHTS = 64,
	HAS_KEPT = 128
};

static int once(struct jread *j, unsigned *seen, unsigned bit)
{
	if (*seen & bit)
		return wrong(j->e, "a member is there twice");
	*seen |= bit;
	return 0;
}

static int read_point_member(struct jread *j, struct frontier_point *p, unsigned *seen)
{
	if (!strcmp(j->str.s, "bytes"))
		return once(j, seen, HAS_BYTES) || jread_u64(j, BYTES_MAX, &p->bytes) ? -1 : 0;
	if (!strcmp(j->str.s, "error"))
		return once(j, seen, HAS_ERROR) || read_error(j, &p->error) ? -1 : 0;
	if (!strcmp(j->str.s, "name"))
		return once(j, seen, HAS_NAME) || read_word(j, p->name, sizeof p->name) ? -1 : 0;
	return jread_skip(j);
}

/* Reads an array of at most room points, each of which has the members of want. */
static int read_points(struct jread *j, struct frontier_point *v, size_t room, size_t *n,
	unsigned want)
{
	unsigned seen;
	int more, rc;

	if (jread_array(j))
		return -1;
	for (*n = 0; (rc = jread_item(j)) == 1; ++*n) {
		if (*n == room)
			return wrong(j->e, "it has more points than are written");
		seen = 0;
		if (jread_object(j))
			return -1;
		while ((more = jread_key(j)) == 1)
			if (read_point_member(j, &v[*n], &seen))
				return -1;
		if (more)
			return -1;
		if ((seen & want) != want)
			return wrong(j->e, "a point lacks a member");
	}
	return rc;
}

static int read_weights(struct jread *j, struct frontier *f)
{
	char word[FRONTIER_WORD];

	if (read_word(j, word, sizeof word))
		return -1;
	f->weighted = !strcmp(word, "imatrix");
	return f->weighted || !strcmp(word, "one") ? 0 : wrong(j->e, "its weights are not known");
}

static int read_member(struct jread *j, struct frontier *f, unsigned *seen)
{
	const char *key = j->str.s;

	if (!strcmp(key, "frontier"))
		return once(j, seen, HAS_FRONTIER) ||
				read_points(j, f->v, FRONTIER_POINTS, &f->n, HAS_BYTES | HAS_ERROR)
			? -1
			: 0;
	if (!strcmp(key, "names"))
		return once(j, seen, HAS_NAMES) ||
				read_points(j, f->names, FRONTIER_NAMES, &f->n_names,
					HAS_BYTES | HAS_ERROR | HAS_NAME)
			? -1
			: 0;
	if (!strcmp(key, "source"))
		return once(j, seen, HAS_MODEL) || read_word(j, f->model, sizeof f->model) ? -1 : 0;
	if (!strcmp(key, "weights"))
		return once(j, seen, HAS_WEIGHTS) || read_weights(j, f) ? -1 : 0;
	if (!strcmp(key, "kept"))
		return once(j, seen, HAS_KEPT) || jread_u64(j, BYTES_MAX, &f->kept) ? -1 : 0;
	return read_point_member(j, &f->chosen, seen);
}

static int read_budget(struct jread *j, struct frontier *f)
{
	const unsigned all = HAS_BYTES | HAS_ERROR | HAS_FRONTIER | HAS_NAMES | HAS_MODEL |
		HAS_WEIGHTS | HAS_KEPT;
	unsigned seen = 0;
	size_t i;
	int more;

	if (jread_object(j))
		return -1;
	while ((more = jread_key(j)) == 1)
		if (read_member(j, f, &seen))
			return -1;
	if (more)
		return -1;
	if ((seen & all) != all || !f->n)
		return wrong(j->e, "a member of its budget is missing");
	for (i = 1; i < f->n; i++)
		if (f->v[i].bytes <= f->v[i - 1].bytes || f->v[i].error > f->v[i - 1].error)
			return wrong(j->e, "its frontier does not go from small to good");
	return 0;
}

static int read_document(struct frontier *f, const struct text *t, struct err *e)
{
	bool found = false;
	struct jread j;
	int more = -1;

	jread_open_mem(&j, t->s, t->n, DEPTH, e);
	if (!jread_object(&j))
		while ((more = jread_key(&j)) == 1) {
			if (strcmp(j.str.s, "budget") != 0 ? jread_skip(&j)
					: found            ? wrong(e, "a member is there twice")
							   : read_budget(&j, f))
				break;
			found |= f->n > 0;
		}
	if (!more)
		more = jread_end(&j, true);
	jread_close(&j);
	return more ? -1 : found ? 0 : wrong(e, "it has no budget");
}

int frontier_of(struct frontier *f, const struct text *t, struct err *e)
{
	memset(f, 0, sizeof *f);
	return read_document(f, t, e);
}

/* The file could not be read. Always returns -1. */
static int unread(struct err *e)
{
	return e->kind == ERR_SYSTEM ? err_at(e, "--frontier") : err_of_call(e, "--frontier");
}

int frontier_read(struct frontier *f, const struct io *io, const char *path, struct err *e)
{
	struct err why = { 0 };
	struct text t = { 0 };
	const char *name;
	int dir, rc;

	if (file_open_above(io, path, &dir, &name, e))
		return unread(e);
	rc = file_load(io, dir, name, CAP, &t, e);
	(void)io->close(io, dir); /* read only */
	if (rc)
		rc = unread(e);
	else if ((rc = frontier_of(f, &t, &why)) != 0)
		rc = err_rule(e, RULE_SCORE_FORM, ERR_NOPOS,
			"--frontier %s: it is not what dsv4-quant plan --budget --json writes: %s",
			text_quote(path).s, why.text);
	text_free(&t);
	return rc;
}
