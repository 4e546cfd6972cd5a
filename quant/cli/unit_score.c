/* SPDX-License-Identifier: MIT */
#include "quant/cli/unit_score.h"

#include "quant/cli/gain.h"
#include "quant/lowbit.h"

#include <stdlib.h>
#include <string.h>

/* What was read of a unit so far. */
struct sums {
	uint32_t mats, weighted; /* matrices, and how many with an importance */
	double tokens;           /* of a matrix, the most */
	/* With use as it is in the lines, and with use 1. */
	double energy[2], error[2][SCORE_TYPES];
	uint32_t type[SCORE_TYPES], seen[SCORE_TYPES]; /* seen: matrices that have it */
	size_t n;
};

struct reading {
	const struct units *u;
	struct sums *v; /* owns; [u->n] */
	const char *path;
	size_t last; /* unit of the line before */
	struct err *e;
};

static int other(const struct reading *r, const char *what, const char *name)
{
	return err_rule(r->e, RULE_SCORE_OTHER, ERR_NOPOS, "--score %s: %s%s%s",
		text_quote(r->path).s, what, name ? " " : "", name ? text_quote(name).s : "");
}

/* Holds the first line to what the score must be of. */
static int check_head(const struct reading *r, const struct score_head *h,
	const struct unit_scores_of *of)
{
	if (strcmp(h->source, of->source) != 0)
		return other(r,
			"it is of another model (names, shapes or weights differ): measure this one with dsv4-quant score",
			NULL);
	if (strcmp(h->encoders, LOWBIT_ID) != 0)
		return other(r,
			"it was measured with other encoders than this program has (" LOWBIT_ID
			"):",
			h->encoders);
	if (h->imatrix[0] && !of->imatrix)
		return other(r, "it was measured with an importance: say that file with --imatrix",
			NULL);
	if (!h->imatrix[0] && of->imatrix)
		return other(r,
			"it was measured without importance: leave --imatrix out, or measure with it",
			NULL);
	if (of->imatrix && strcmp(h->imatrix, of->imatrix) != 0)
		return other(r, "it was measured with another file of --imatrix", NULL);
	return 0;
}

/* The unit of a line; r->u->n: the plan has none. */
static size_t unit_of(struct reading *r, const struct score_row *x)
{
	size_t i, k;

	for (i = 0; i < r->u->n; i++) {
		k = (r->last + i) % r->u->n;
		if (!strcmp(r->u->v[k].block, x->block) && !strcmp(r->u->v[k].role, x->role))
			return r->last = k;
	}
	return r->u->n;
}

static int take_types(const struct reading *r, struct sums *s, const struct score_row *x)
{
	double use[2] = { x->tokens >= 0 ? x->tokens : 1, 1 };
	size_t i, k;
	int w;

	s->weighted += x->weighted;
	s->tokens = x->tokens > s->tokens ? x->tokens : s->tokens;
	for (w = 0; w < 2; w++)
		s->energy[w] += use[w] * x->energy;
	for (i = 0; i < x->n; i++) {
		for (k = 0; k < s->n && s->type[k] != x->v[i].type; k++)
			;
		if (k == s->n) {
			if (s->n == SCORE_TYPES)
				return other(r, "too many types of", x->tensor);
			s->type[s->n++] = x->v[i].type;
		}
		s->seen[k]++;
		for (w = 0; w < 2; w++)
			s->error[w][k] += use[w] * x->v[i].error;
	}
	return 0;
}

static int take_row(struct reading *r, const struct score_row *x, bool drafts)
{
	size_t i = unit_of(r, x);
	const struct unit *u = &r->u->v[i];

	if (i == r->u->n)
		return !drafts && !strncmp(x->block, "mtp.", 4)
			? 0
			: other(r, "this plan has no tensor", x->tensor);
	if (strcmp(x->tensor, u->tensor) != 0 || x->rows != u->rows || x->cols != u->cols ||
		strcmp(x->codec, codecs[u->from].name) != 0)
		return other(r, "another shape or number format than here has", x->tensor);
	if (r->v[i].mats == u->mats || x->expert != (u->experts ? (int64_t)r->v[i].mats : -1))
		return other(r, "a matrix twice, or out of order, in", x->tensor);
	r->v[i].mats++;
	return take_types(r, &r->v[i], x);
}

/* Makes the entry of a unit: of types that all of its matrices can have. */
static int settle(const struct reading *r, struct unit_scores *l, size_t i)
{
	const struct unit *u = &r->u->v[i];
	const struct sums *s = &r->v[i];
	struct unit_score *x = &l->v[i];
	int w = s->energy[0] > 0 ? 0 : 1;
	size_t k;

	if (s->mats != u->mats)
		return other(r, "it has not all matrices of", u->tensor);
	x->weighted = s->weighted == u->mats;
	for (k = 0; k < s->n; k++)
		if (s->seen[k] == u->mats && unit_takes(u, s->type[k]))
			x->v[x->n++] = (struct unit_type){ s->type[k], unit_bytes(u, s->type[k]),
				s->energy[w] > 0 ? s->error[w][k] / s->energy[w] : 0 };
	return unit_score_find(x, u->exact) ? 0 : other(r, "it has no exact type of", u->tensor);
}

/* Multiplies errors by gains, where those are known. */
static int weigh(const struct reading *r, struct unit_scores *l)
{
	double *gain = calloc(l->n + 1, sizeof *gain);
	struct gain_of *v = calloc(l->n + 1, sizeof *v);
	size_t i, k;
	int rc = gain && v ? 0 : err_nomem(r->e);

	for (i = 0; !rc && i < l->n; i++)
		v[i] = (struct gain_of){ r->v[i].energy[0], r->v[i].tokens, l->v[i].weighted };
	l->gained = !rc && gain_find(gain, r->u, v);
	for (i = 0; l->gained && i < l->n; i++)
		for (k = 0; k < l->v[i].n; k++)
			l->v[i].v[k].error *= gain[i];
	free(gain);
	free(v);
	return rc;
}

static int read_all(struct reading *r, struct unit_scores *l, const struct io *io,
	const struct unit_scores_of *of)
{
	struct score_in in;
	struct score_row x;
	int more = 1, rc;
	size_t i;

	if (score_open(&in, io, r->path, r->e))
		return r->e->kind == ERR_DATA ? err_of_call(r->e, "--score")
					      : err_at(r->e, "--score");
	l->head = in.head;
	rc = check_head(r, &in.head, of);
	while (!rc && more) {
		more = score_next(&in, &x, r->e);
		rc = more < 0  ? err_at(r->e, "--score %s", text_quote(r->path).s)
			: more ? take_row(r, &x, of->drafts)
			       : 0;
	}
	for (i = 0; !rc && i < r->u->n; i++)
		rc = settle(r, l, i);
	score_close(&in);
	return rc ? rc : weigh(r, l);
}

int unit_scores_read(struct unit_scores *l, const struct io *io, const char *path,
	const struct units *u, const struct unit_scores_of *of, struct err *e)
{
	struct reading r = { .u = u, .path = path, .e = e };
	int rc;

	*l = (struct unit_scores){ .n = u->n };
	l->v = calloc(u->n + 1, sizeof *l->v);
	r.v = calloc(u->n + 1, sizeof *r.v);
	rc = l->v && r.v ? read_all(&r, l, io, of) : err_nomem(e);
	free(r.v);
	if (rc)
		unit_scores_free(l);
	return rc;
}

void unit_scores_free(struct unit_scores *l)
{
	free(l->v);
	memset(l, 0, sizeof *l);
}

const struct unit_type *unit_score_find(const struct unit_score *x, uint32_t type)
{
	size_t i;

	for (i = 0; i < x->n; i++)
		if (x->v[i].type == type)
			return &x->v[i];
	return NULL;
}
