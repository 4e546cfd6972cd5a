/* SPDX-License-Identifier: MIT */
#include "verify/doctor/module_lists.h"

#include "verify/doctor/group_args.h"
#include "verify/doctor/module_pattern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The members of config_groups. */
struct groups {
	const char **name;               /* owns the list, borrows the names; [n] */
	const json_t **o;                /* owns the list, borrows the members; [n] */
	struct module_patterns *targets; /* owns; [n] */
	uint64_t *matched;               /* owns; [n] how many quantized modules each names */
	enum codec *form;                /* owns; [n] number format of the first of these */
	size_t n;
	bool unknown; /* targets of some could not be read */
};

static void groups_free(struct groups *g)
{
	size_t i;

	for (i = 0; g->targets && i < g->n; i++)
		module_patterns_free(&g->targets[i]);
	free(g->name);
	free(g->o);
	free(g->targets);
	free(g->matched);
	free(g->form);
}

/* Returns false without memory; groups_free is called then too. */
static bool groups_read(struct groups *g, const struct quant_doc *s)
{
	json_t *all = json_object_get(s->q, "config_groups"), *o;
	size_t room = json_object_size(all) + 1;
	const char *key;

	*g = (struct groups){ .name = calloc(room, sizeof *g->name),
		.o = calloc(room, sizeof *g->o),
		.targets = calloc(room, sizeof *g->targets),
		.matched = calloc(room, sizeof *g->matched),
		.form = calloc(room, sizeof *g->form) };
	if (!g->name || !g->o || !g->targets || !g->matched || !g->form)
		return false;
	json_object_foreach(all, key, o)
	{
		g->name[g->n] = key;
		g->o[g->n] = o;
		if (!module_patterns_read(&g->targets[g->n], json_object_get(o, "targets"), false))
			return false;
		g->unknown = g->unknown || g->targets[g->n].unknown;
		g->n++;
	}
	return true;
}

/* Returns the number of the group that names the module, by its name before its class; -1: none does. */
static long group_of(const struct groups *g, const char *module)
{
	size_t i;

	for (i = 0; i < g->n; i++)
		if (module_patterns_match(&g->targets[i], module))
			return (long)i;
	for (i = 0; i < g->n; i++)
		if (g->targets[i].by_class)
			return (long)i;
	return -1;
}

/* Modules of one fault. */
struct some {
	uint64_t n;
	char first[ST_NAME_MAX + 1];
};

static void add(struct some *x, const char *module)
{
	if (!x->n++)
		snprintf(x->first, sizeof x->first, "%s", module);
}

/* Modules of which something false is said, or nothing. Those of plain are not quantized, all others are. */
struct faults {
	struct some left_out, ungrouped, unread, plain, mixed;
};

/* Looks for the group of a quantized matrix, all of whose matrices have to be in one number format. */
static void judge_grouped(struct groups *g, const char *module, enum codec c, struct faults *x)
{
	long i = group_of(g, module);

	if (i < 0) {
		add(g->unknown ? &x->unread : &x->ungrouped, module);
		return;
	}
	if (g->matched[i]++ && g->form[i] != c)
		add(&x->mixed, module);
	else
		g->form[i] = c;
}

/* Whether drafts are in other number formats than layers. */
static bool drafts_differ(const struct formed *f)
{
	return f->form[FORMED_DRAFTS] != f->form[FORMED_EXPERTS] ||
		f->form[FORMED_DENSE_DRAFTS] != f->form[FORMED_DENSE];
}

/* Holds each module of the model to what groups and the list of what is left out say of it. */
static void judge_modules(const struct quant_doc *s, struct groups *g,
	const struct module_patterns *out, struct faults *x)
{
	const struct formed *f = s->f;
	char module[ST_NAME_MAX + 1];
	size_t i;

	for (i = 0; i < f->inv.n; i++) {
		const struct want *w = &f->inv.wants[i];
		bool expert = w->role->store == STORE_EXPERT;
		enum codec c;

		if (w->stage >= 0 && (!s->compressed || drafts_differ(f)))
			continue; /* these are judged by reads.c */
		if (!formed_module(w, module, sizeof module))
			continue;
		c = formed_matrix(f->c, module, w->dim[0], w->dim[1]);
		if (c == CODEC_NONE || codecs[c].scale == DT_COUNT) {
			if (c != CODEC_NONE && s->compressed &&
				!module_patterns_match(out, module) && group_of(g, module) >= 0)
				add(&x->plain, module);
			continue;
		}
		if (s->experts_only && !expert)
			continue;
		if (module_patterns_match(out, module))
			add(&x->left_out, module);
		else if (s->compressed)
			judge_grouped(g, module, c, x);
	}
}

static void tell(const struct quant_doc *s, const struct faults *x, const char *list)
{
	if (x->left_out.n)
		report_add(s->r, RULE_CONFIG_QUANT_EXCLUDED, &s->at,
			"%s: \"%s%s\" leaves out %llu modules that are stored quantized; the first is %s",
			s->at.file, s->in, list, (unsigned long long)x->left_out.n,
			text_quote(x->left_out.first).s);
	if (x->ungrouped.n)
		report_add(s->r, RULE_CONFIG_QUANT_EXCLUDED, &s->at,
			"%s: the targets of no group name %llu modules that are stored quantized; the first is %s",
			s->at.file, (unsigned long long)x->ungrouped.n,
			text_quote(x->ungrouped.first).s);
	if (x->unread.n)
		report_add(s->r, RULE_CONFIG_QUANT_UNREAD, &s->at,
			"%s: whether the targets of a group name %llu modules that are stored quantized is not known, as this program does not read all of them; the first is %s",
			s->at.file, (unsigned long long)x->unread.n, text_quote(x->unread.first).s);
	if (x->plain.n)
		report_add(s->r, RULE_CONFIG_FIELD_TENSORS, &s->at,
			"%s: the targets of a group name %llu modules that are not quantized; the first is %s",
			s->at.file, (unsigned long long)x->plain.n, text_quote(x->plain.first).s);
	if (x->mixed.n)
		report_add(s->r, RULE_CONFIG_FIELD_TENSORS, &s->at,
			"%s: a group names %llu modules in another number format than its first; the first of them is %s",
			s->at.file, (unsigned long long)x->mixed.n, text_quote(x->mixed.first).s);
}

/* Tells of a list that no engine can read: in names it, or the group whose targets it is. */
static void tell_wrong(const struct quant_doc *s, const char *in, const struct module_patterns *p)
{
	if (p->wrong)
		report_add(s->r, RULE_CONFIG_FIELD_TENSORS, &s->at,
			"%s: \"%s%s\" has a pattern that names nothing: it is no string, or an expression whose parentheses do not match",
			s->at.file, s->in, text_quote(in).s);
}

/* Judges what group i says of its weights, and whether it names any. */
static void judge_group(const struct quant_doc *s, const struct groups *g, size_t i)
{
	if (!s->compressed) {
		if (s->f->form[FORMED_EXPERTS] == CODEC_NVFP4)
			group_args_judge(s, g->o[i], g->name[i], CODEC_NVFP4);
		return;
	}
	tell_wrong(s, g->name[i], &g->targets[i]);
	if (g->matched[i])
		group_args_judge(s, g->o[i], g->name[i], g->form[i]);
	else if (!g->targets[i].unknown)
		report_add(s->r, RULE_CONFIG_QUANT_UNMATCHED, &s->at,
			"%s: the targets of group %s name no module that is stored quantized",
			s->at.file, text_quote(g->name[i]).s);
}

bool module_lists_judge(const struct quant_doc *s, const char *list)
{
	struct module_patterns out = { 0 };
	struct groups g = { 0 };
	struct faults *x = calloc(1, sizeof *x);
	bool ok = x && module_patterns_read(&out, json_object_get(s->q, list), !s->compressed) &&
		groups_read(&g, s);
	size_t i;

	if (ok) {
		judge_modules(s, &g, &out, x);
		tell(s, x, list);
	}
	if (ok && s->compressed)
		tell_wrong(s, list, &out);
	for (i = 0; ok && i < g.n; i++)
		judge_group(s, &g, i);
	groups_free(&g);
	module_patterns_free(&out);
	free(x);
	return ok;
}
