/* SPDX-License-Identifier: MIT */
#include "formats/model/misfit.h"

#include "core/text.h"
#include "formats/model/family.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- marks --- */

void misfits_claim(struct misfits *m, struct batch *b, size_t i)
{
	const struct tensor *t = &m->c->tensors[i];

	if (!b->n++) {
		b->first = t->name;
		b->file = m->c->shards[t->shard].name;
	}
	m->unexpected[i] = m->other[i] = false;
}

void misfits_absent(struct misfits *m, size_t want)
{
	m->missing[want] = false;
}

long misfits_want(const struct misfits *m, const char *name)
{
	const struct want *w = inventory_find(m->inv, name);

	return w ? (long)(w - m->inv->wants) : -1;
}

bool misfits_fits(const struct tensor *t, const struct want *w)
{
	return t->rank == w->rank && t->dtype == w->dtype &&
		!memcmp(t->dim, w->dim, t->rank * sizeof *t->dim);
}

/* Of the optional tensors all are there or none: then those that lack are missing. */
static void mark_optional(struct misfits *m, size_t optional, size_t there)
{
	const struct inventory *v = m->inv;
	size_t i;

	for (i = 0; there && there < optional && i < v->n; i++)
		m->missing[i] = m->missing[i] ||
			(v->wants[i].optional && !ckpt_find(m->c, v->wants[i].name));
}

/* Walks what is expected and what is there, both sorted by name, side by side. */
static void mark(struct misfits *m, bool all_read)
{
	const struct ckpt *c = m->c;
	const struct inventory *v = m->inv;
	size_t i = 0, k = 0, optional = 0, there = 0;
	int d;

	while (i < v->n || k < c->n) {
		d = i == v->n ? 1 : k == c->n ? -1 : strcmp(v->wants[i].name, c->tensors[k].name);
		if (d <= 0 && v->wants[i].optional) {
			optional++;
			there += !d;
		}
		if (d == 0)
			m->other[k] = !misfits_fits(&c->tensors[k], &v->wants[i]);
		else if (d > 0)
			m->unexpected[k] = true;
		else
			m->missing[i] = !v->wants[i].optional && all_read;
		i += d <= 0;
		k += d >= 0;
	}
	if (all_read)
		mark_optional(m, optional, there);
	for (i = 0; i < v->n; i++)
		m->total += m->missing[i];
	for (k = 0; k < c->n; k++)
		m->total += m->unexpected[k] + m->other[k];
}

void misfits_describe(char *s, size_t room, enum dtype d, const uint64_t *dim, unsigned rank)
{
	size_t n = 0;
	unsigned i;

	for (i = 0; i < rank && n < room; i++)
		n += (size_t)snprintf(s + n, room - n, "%c%llu", i ? ',' : '[',
			(unsigned long long)dim[i]);
	if (n < room)
		snprintf(s + n, room - n, "%s %s", rank ? "]" : "[]", dtypes[d].name);
}

/* --- what no cause has claimed, by role --- */

enum { NAMES = 64, NAME_ROOM = 128 };

struct groups {
	struct batch missing[FAMILY_ROLES_MAX][2], form[FAMILY_ROLES_MAX][2]; /* [role][is scale] */
	size_t form_at[FAMILY_ROLES_MAX][2]; /* first tensor of that form */
	struct batch
		odd[NAMES + 1]; /* unexpected names, numbers in them alike; the last: all others */
	char name[NAMES][NAME_ROOM];
	size_t names;
};

/* "layers.3.attn.x" as "layers.#.attn.x", cut where room ends. */
static void pattern(char *out, size_t room, const char *name)
{
	size_t n = 0;

	while (*name && n + 1 < room) {
		out[n++] = *name >= '0' && *name <= '9' ? '#' : *name;
		name += *name >= '0' && *name <= '9' ? strspn(name, "0123456789") : 1;
	}
	out[n] = 0;
}

static struct batch *odd_of(struct groups *g, const char *name)
{
	char p[NAME_ROOM];
	size_t i;

	pattern(p, sizeof p, name);
	for (i = 0; i < g->names; i++)
		if (!strcmp(g->name[i], p))
			return &g->odd[i];
	if (g->names == NAMES)
		return &g->odd[NAMES];
	memcpy(g->name[g->names], p, sizeof p);
	return &g->odd[g->names++];
}

static void gather(struct misfits *m, struct groups *g)
{
	const struct want *w;
	struct batch *b;
	size_t i;

	for (i = 0; i < m->inv->n; i++) {
		w = &m->inv->wants[i];
		if (!m->missing[i])
			continue;
		b = &g->missing[w->nth][w->scale];
		b->first = b->n++ ? b->first : w->name;
	}
	for (i = 0; i < m->c->n; i++) {
		w = m->want[i];
		if (m->other[i]) {
			b = &g->form[w->nth][w->scale];
			g->form_at[w->nth][w->scale] = b->n ? g->form_at[w->nth][w->scale] : i;
			misfits_claim(m, b, i);
		} else if (m->unexpected[i]) {
			misfits_claim(m, odd_of(g, m->c->tensors[i].name), i);
		}
	}
}

/* " and 95 more of its role (routed expert, gate) " or a blank. */
static void more(char *s, size_t room, size_t n, const char *what)
{
	if (n > 1)
		snprintf(s, room, " and %zu more (%s) are", n - 1, what);
	else
		snprintf(s, room, " is");
}

static int put_missing(struct misfits *m, const struct batch *b, unsigned role, bool scale)
{
	char rest[260];

	more(rest, sizeof rest, b->n, m->c->config.family->roles[role].what);
	return finding_add(m->f, scale ? RULE_MODEL_SCALE_MISSING : RULE_MODEL_MISSING,
		"config.json", "config.json: tensor %s%s missing%s", text_quote(b->first).s, rest,
		scale ? ": a weight without its scale" : "");
}

static int put_form(struct misfits *m, const struct groups *g, unsigned role, bool scale)
{
	const struct batch *b = &g->form[role][scale];
	const struct tensor *t = &m->c->tensors[g->form_at[role][scale]];
	const struct want *w = m->want[g->form_at[role][scale]];
	bool same = t->rank == w->rank && !memcmp(t->dim, w->dim, t->rank * sizeof *t->dim);
	char is[128], said[128], rest[260];

	misfits_describe(is, sizeof is, t->dtype, t->dim, t->rank);
	misfits_describe(said, sizeof said, w->dtype, w->dim, w->rank);
	more(rest, sizeof rest, b->n, m->c->config.family->roles[role].what);
	return finding_add(m->f,
		scale          ? RULE_MODEL_SCALE_FORM
			: same ? RULE_MODEL_DTYPE
			       : RULE_MODEL_SHAPE,
		b->file, "%s: tensor %s%s %s, expected %s", b->file, text_quote(b->first).s, rest,
		is, said);
}

static int put_odd(struct misfits *m, const struct batch *b, const char *name)
{
	size_t n = strlen(b->first);
	bool orphan = text_stem(b->first, ".scale") > 0;
	char weight[ST_NAME_MAX + 8], rest[260];

	snprintf(weight, sizeof weight, "%.*s.weight", (int)(n - (orphan ? 6 : 0)), b->first);
	orphan = orphan && !ckpt_find(m->c, weight);
	more(rest, sizeof rest, b->n, name);
	if (orphan)
		return finding_add(m->f, RULE_MODEL_SCALE_ORPHAN, b->file,
			"%s: tensor %s%s a scale without its weight", b->file,
			text_quote(b->first).s, rest);
	return finding_add(m->f, RULE_MODEL_UNEXPECTED, b->file,
		"%s: tensor %s%s not part of the model that config.json describes", b->file,
		text_quote(b->first).s, rest);
}

/* A sentence to come: of a role, or of unexpected names. */
struct line {
	const char *first; /* name; what they are sorted by */
	enum { LINE_MISSING, LINE_FORM, LINE_ODD } what;
	unsigned at; /* role, or index into odd */
	bool scale;
};

static int by_first(const void *a, const void *b)
{
	return strcmp(((const struct line *)a)->first, ((const struct line *)b)->first);
}

static size_t list_lines(const struct groups *g, unsigned n_roles, struct line *v)
{
	size_t n = 0;
	unsigned r, s;

	for (r = 0; r < n_roles; r++)
		for (s = 0; s < 2; s++) {
			if (g->missing[r][s].n)
				v[n++] =
					(struct line){ g->missing[r][s].first, LINE_MISSING, r, s };
			if (g->form[r][s].n)
				v[n++] = (struct line){ g->form[r][s].first, LINE_FORM, r, s };
		}
	for (r = 0; r <= NAMES; r++)
		if (g->odd[r].n)
			v[n++] = (struct line){ g->odd[r].first, LINE_ODD, r, false };
	return n;
}

static int put_rest(struct misfits *m, struct groups *g)
{
	struct line *v = calloc(4 * FAMILY_ROLES_MAX + NAMES + 1, sizeof *v);
	size_t n, i;
	int rc = v ? 0 : -1;

	gather(m, g);
	n = v ? list_lines(g, m->c->config.family->n_roles, v) : 0;
	if (n)
		qsort(v, n, sizeof *v, by_first);
	for (i = 0; !rc && i < n; i++)
		rc = v[i].what == LINE_MISSING
			? put_missing(m, &g->missing[v[i].at][v[i].scale], v[i].at, v[i].scale)
			: v[i].what == LINE_FORM
			? put_form(m, g, v[i].at, v[i].scale)
			: put_odd(m, &g->odd[v[i].at],
				  v[i].at < NAMES ? text_quote(g->name[v[i].at]).s
						  : "of other names");
	free(v);
	return rc;
}

/* --- */

int misfits_report(struct misfits *m)
{
	struct groups *g = calloc(1, sizeof *g);
	int rc = -1;

	m->missing = calloc(m->inv->n + 1, sizeof *m->missing);
	m->unexpected = calloc(m->c->n + 1, sizeof *m->unexpected);
	m->other = calloc(m->c->n + 1, sizeof *m->other);
	if (m->missing && m->unexpected && m->other && g) {
		mark(m, m->all_read);
		rc = m->total ? causes_find(m) || put_rest(m, g) : 0;
	}
	free(g);
	free(m->other);
	free(m->unexpected);
	free(m->missing);
	m->missing = m->unexpected = m->other = NULL;
	return rc ? err_nomem(m->e) : 0;
}
