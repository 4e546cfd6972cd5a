/* SPDX-License-Identifier: MIT */
#include "formats/model/mix.h"

#include "core/cli/value.h"
#include "core/near.h"
#include "core/text.h"
#include "formats/format_id.h"
#include "formats/gguf/ggml_type.h"
#include "formats/model/family.h"
#include "formats/model/gguf_name.h"
#include "formats/model/selection.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FIELDS = 4, WORD = 128 };
static const char container[] = "gguf";

/* A recipe that is being read. */
struct reading {
	struct mix *m;
	const struct config *c;
	const char *name;
	unsigned number, rank;
	char word[FIELDS][WORD]; /* of the line at hand */
	struct err *e;
};

static int wrong(const struct reading *r, const char *what, const char *word)
{
	return err_rule(r->e, RULE_PLAN_RECIPE, ERR_NOPOS, "%s, line %u: %s%s%s",
		text_quote(r->name).s, r->number, what, word ? " " : "",
		word ? text_quote(word).s : "");
}

/* --- words --- */

/* Whether s is of the pattern p, in which * stands for any letters. */
static bool matches(const char *p, const char *s)
{
	const char *star = NULL, *back = NULL;

	while (*s) {
		if (*p == '*') {
			star = p++;
			back = s;
		} else if (*p == *s) {
			p++;
			s++;
		} else if (star) {
			p = star + 1;
			s = ++back;
		} else {
			return false;
		}
	}
	while (*p == '*')
		p++;
	return !*p;
}

/* The name of a role without ".weight". */
static void role_word(const struct role *role, char out[WORD])
{
	size_t n = text_stem(role->name, ".weight");

	snprintf(out, WORD, "%.*s", (int)(n ? n : strlen(role->name)), role->name);
}

/* Marks the roles that the word names. */
static int take_role(const struct reading *r, struct mix_line *l)
{
	const struct family *f = r->c->family;
	struct near near = { .typed = r->word[0] };
	char(*names)[WORD] = calloc(f->n_roles, sizeof *names);
	bool any = false;
	unsigned i;

	if (!names)
		return err_nomem(r->e);
	for (i = 0; i < f->n_roles && i < MIX_ROLES; i++) {
		role_word(&f->roles[i], names[i]);
		near_try(&near, names[i]);
		l->role[i] = matches(r->word[0], names[i]) || !strcmp(r->word[0], f->roles[i].name);
		any = any || l->role[i];
	}
	if (!any)
		err_rule(r->e, RULE_PLAN_RECIPE, ERR_NOPOS,
			"%s, line %u: no role is called %s%s%s%s (dsv4-convert roles lists them)",
			text_quote(r->name).s, r->number, text_quote(r->word[0]).s,
			near.word ? ". Did you mean " : "", near.word ? near.word : "",
			near.word ? "?" : "");
	free(names);
	return any ? 0 : -1;
}

static int take_blocks(const struct reading *r, struct mix_line *l)
{
	size_t places = (size_t)r->c->L + 2 + r->c->stages;
	struct err why = { 0 };

	if (!strcmp(r->word[1], "*"))
		return 0;
	l->on = arena_alloc(&r->m->arena, places);
	if (!l->on)
		return err_nomem(r->e);
	memset(l->on, 0, places);
	return selection_take("BLOCKS", l->on, r->c, r->word[1], &why) ? wrong(r, why.text, NULL)
								       : 0;
}

static int take_experts(const struct reading *r, struct mix_line *l)
{
	char word[WORD], *dash;

	l->from = 0;
	l->to = UINT64_MAX;
	if (!strcmp(r->word[2], "*"))
		return 0;
	memcpy(word, r->word[2], sizeof word);
	dash = strchr(word, '-');
	if (dash)
		*dash = 0;
	if (cli_number(word, 0, r->c->E - 1, &l->from, NULL) ||
		cli_number(dash ? dash + 1 : word, 0, r->c->E - 1, &l->to, NULL) || l->to < l->from)
		return wrong(r,
			"neither * nor an id of an expert nor a range of them:", r->word[2]);
	return 0;
}

static int take_type(const struct reading *r, struct mix_line *l)
{
	const struct ggml_type_row *t;
	struct text all = { 0 };

	for (t = ggml_types; t->name; t++)
		if (!strcasecmp(t->name, r->word[3])) {
			l->type = t->type;
			return 0;
		}
	for (t = ggml_types; t->name; t++)
		text_fmt(&all, " %s", t->name);
	err_rule(r->e, RULE_PLAN_RECIPE, ERR_NOPOS,
		"%s, line %u: ggml has no type %s; it has%s (dsv4-quant formats says which are written)",
		text_quote(r->name).s, r->number, text_quote(r->word[3]).s,
		all.failed ? " others" : all.s);
	text_free(&all);
	return -1;
}

/* --- lines --- */

/* Takes the line apart: blanks part words, and a word # ends it. Returns how many words there are; -1 where one is too
 * long, or there are more than a line has. */
static int split(struct reading *r, const char *s, size_t n)
{
	size_t at = 0, len;
	int words = 0;

	for (;;) {
		while (at < n && (s[at] == ' ' || s[at] == '\t' || s[at] == '\r'))
			at++;
		for (len = 0; at + len < n && !strchr(" \t\r", s[at + len]); len++)
			;
		if (!len || (len == 1 && s[at] == '#'))
			return words;
		if (words == FIELDS || len >= WORD)
			return -1;
		memcpy(r->word[words], s + at, len);
		r->word[words++][len] = 0;
		at += len;
	}
}

static int add_line(struct reading *r)
{
	struct mix *m = r->m;
	struct mix_line *l;

	if (m->n == MIX_LINES)
		return wrong(r, "more lines than are taken", NULL);
	if (mem_grow(&m->v, &m->cap, m->n + 1, sizeof *m->v))
		return err_nomem(r->e);
	l = &m->v[m->n];
	*l = (struct mix_line){ .number = r->number, .rank = r->rank };
	if (take_role(r, l) || take_blocks(r, l) || take_experts(r, l) || take_type(r, l))
		return -1;
	m->n++;
	text_fmt(&m->text, "%s %s %s %s\n", r->word[0], r->word[1], r->word[2], r->word[3]);
	return 0;
}

static int take_line(struct reading *r, const char *s, size_t n, bool *begun)
{
	int words = memchr(s, 0, n) ? -1 : split(r, s, n);

	if (!words)
		return 0;
	if (!*begun) {
		if (words != 2 || strcmp(r->word[0], FORMAT_RECIPE) != 0 ||
			strcmp(r->word[1], container) != 0)
			return wrong(r, "a recipe begins with the line \"" FORMAT_RECIPE " gguf\"",
				NULL);
		*begun = true;
		text_str(&r->m->text, FORMAT_RECIPE " gguf\n");
		return 0;
	}
	if (words == 1 && !strcmp(r->word[0], "then")) {
		r->rank++;
		text_str(&r->m->text, "then\n");
		return 0;
	}
	if (words != FIELDS)
		return wrong(r, "a line is ROLE BLOCKS EXPERTS TYPE", NULL);
	return add_line(r);
}

int mix_read(struct mix *m, const char *s, size_t n, const char *name, const struct config *c,
	struct err *e)
{
	struct reading r = { .m = m, .c = c, .name = name, .e = e };
	bool begun = false;
	const char *end = s + n, *p;
	int rc = 0;

	memset(m, 0, sizeof *m);
	if (n > MIX_BYTES)
		rc = err_rule(e, RULE_PLAN_RECIPE, ERR_NOPOS, "%s: more than %d bytes",
			text_quote(name).s, MIX_BYTES);
	while (!rc && s < end) {
		p = memchr(s, '\n', (size_t)(end - s));
		p = p ? p : end;
		r.number++;
		rc = take_line(&r, s, (size_t)(p - s), &begun);
		s = p + (p < end);
	}
	if (!rc && !m->n)
		rc = err_rule(e, RULE_PLAN_RECIPE, ERR_NOPOS, "%s: it names nothing",
			text_quote(name).s);
	if (!rc && m->text.failed)
		rc = err_nomem(e);
	if (rc)
		mix_free(m);
	return rc;
}

void mix_free(struct mix *m)
{
	free(m->v);
	text_free(&m->text);
	arena_free(&m->arena);
	memset(m, 0, sizeof *m);
}

/* --- what they name --- */

static bool names(const struct mix_line *l, unsigned role, uint32_t place, long expert)
{
	return role < MIX_ROLES && l->role[role] && (!l->on || l->on[place]) &&
		(expert < 0 || ((uint64_t)expert >= l->from && (uint64_t)expert <= l->to));
}

const struct mix_line *mix_find_at(const struct mix *m, unsigned role, uint32_t place, long expert)
{
	const struct mix_line *l, *best = NULL;

	for (l = m->v; l < m->v + m->n; l++)
		if ((!best || l->rank < best->rank) && names(l, role, place, expert))
			best = l;
	return best;
}

const struct mix_line *mix_find(const struct mix *m, const struct want *w)
{
	return mix_find_at(m, w->nth, w->place, w->expert);
}

/* Marks the lines that name w. */
static int check_want(struct mix *m, const char *name, const struct want *w, const struct config *c,
	struct err *e)
{
	struct mix_line *l, *other;

	for (l = m->v; l < m->v + m->n; l++) {
		if (!names(l, w->nth, w->place, w->expert))
			continue;
		if (w->expert >= 0 && (l->from > 0 || l->to < c->E - 1))
			return err_rule(e, RULE_PLAN_RECIPE, ERR_NOPOS,
				"%s, line %u: a GGUF has the experts of a layer in one tensor of one type: say * for the experts",
				text_quote(name).s, l->number);
		for (other = m->v; other < l; other++)
			if (other->rank == l->rank && names(other, w->nth, w->place, w->expert))
				return err_rule(e, RULE_PLAN_RECIPE, ERR_NOPOS,
					"%s: lines %u and %u both name %s", text_quote(name).s,
					other->number, l->number, text_quote(w->name).s);
		l->used = true;
	}
	return 0;
}

/* The tensor in which h_proj lies beside e_proj has the type of e_proj: a line that names h_proj and says another is refused,
 * but for one that stands behind "then" after that of e_proj. w is h_proj. */
static int check_beside(const struct mix *m, const char *name, const struct want *w,
	const struct config *c, struct err *e)
{
	const struct mix_line *l = mix_find(m, w), *first = NULL;
	unsigned i;

	for (i = 0; i < c->family->n_roles && i < MIX_ROLES; i++)
		if (gguf_side_of(&c->family->roles[i]) == 0)
			first = mix_find_at(m, i, w->place, w->expert);
	if (!l || (first && (first->type == l->type || first->rank < l->rank)))
		return 0;
	return err_rule(e, RULE_PLAN_RECIPE, ERR_NOPOS,
		"%s, line %u: a GGUF has e_proj and h_proj of a block in one tensor, which has the type that is said of e_proj: name e_proj, or both with one type",
		text_quote(name).s, l->number);
}

int mix_check(struct mix *m, const char *name, const struct inventory *v, const struct config *c,
	bool drafts, bool preset, struct err *e)
{
	unsigned own = preset && m->n ? m->v[m->n - 1].rank : UINT_MAX;
	const struct want *w;
	size_t i;

	for (i = 0; i < m->n; i++)
		m->v[i].used = false;
	for (w = v->wants; w < v->wants + v->n; w++) {
		if (w->scale || w->optional || w->expert > 0 || (w->stage >= 0 && !drafts))
			continue;
		if (check_want(m, name, w, c, e) ||
			(gguf_side_of(w->role) == 1 && check_beside(m, name, w, c, e)))
			return -1;
	}
	for (i = 0; i < m->n; i++)
		if (!m->v[i].used && m->v[i].rank < own)
			return err_rule(e, RULE_PLAN_RECIPE, ERR_NOPOS,
				"%s, line %u: it names no tensor of this model", text_quote(name).s,
				m->v[i].number);
	return 0;
}
