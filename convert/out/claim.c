/* SPDX-License-Identifier: MIT */
#include "convert/out/claim.h"

#include "core/file.h"
#include "formats/conversion/chain.h"
#include "formats/conversion/head.h"
#include "formats/conversion/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a name in the folder is to the plan. */
enum name_is {
	NAME_FOREIGN,
	NAME_PART,
	NAME_MARK,
	NAME_MANIFEST,
	NAME_SMALL,
	NAME_DATA,
	NAME_SIDECAR,
	NAME_DROPPED,
	NAME_SOURCE /* the folder, made last: no evidence for or against */
};

static enum name_is bare_name_is(const struct plan *p, const char *name)
{
	size_t i, k;

	if (!strcmp(name, CLAIM_NAME))
		return NAME_MARK;
	if (!strcmp(name, MAN_NAME))
		return NAME_MANIFEST;
	if (p->opts.back && !strcmp(name, SET_SOURCE))
		return NAME_SOURCE;
	for (i = 0; i < p->n_smalls; i++)
		if (!strcmp(name, p->smalls[i].name))
			return NAME_SMALL;
	for (i = 0; i < p->n_files; i++) {
		k = strlen(p->files[i].name);
		if (strncmp(name, p->files[i].name, k))
			continue;
		if (!name[k])
			return NAME_DATA;
		if (!strcmp(name + k, MAN_SIDECAR))
			return NAME_SIDECAR;
		if (p->opts.back && !strcmp(name + k, MAN_DROPPED))
			return NAME_DROPPED;
	}
	return NAME_FOREIGN;
}

/* .NAME.part is a temporary file if NAME is the plan's. */
static enum name_is name_is(const struct plan *p, const char *name)
{
	static const char part[] = ".part";
	char bare[300];
	size_t n = strlen(name);

	if (name[0] != '.' || n <= sizeof part || n >= sizeof bare ||
		strcmp(name + n - (sizeof part - 1), part) != 0)
		return bare_name_is(p, name);
	n -= sizeof part; /* and the dot in front */
	memcpy(bare, name + 1, n);
	bare[n] = 0;
	return bare_name_is(p, bare) == NAME_FOREIGN ? NAME_FOREIGN : NAME_PART;
}

/* --- evidence --- */

/* 1 if the mark is of this plan, 0 if not, -1 if that could not be found out. The same for the next. */
static int is_mark(const struct claim *c, struct err *e)
{
	struct text t = { 0 };
	struct err why = { 0 };
	size_t n = strlen(c->p->hash);
	int rc;

	rc = !file_load(c->io, c->dir, CLAIM_NAME, 4096, &t, &why) && t.n == n + 1 &&
		!memcmp(t.s, c->p->hash, n) && t.s[n] == '\n';
	text_free(&t);
	return why.kind == ERR_SYSTEM ? err_move(e, &why) : rc;
}

/* Whether a manifest or sidecar says that it is of this plan: 1, 0, or -1 if that could not be found out. To be of
 * the plan is to be replaced by it: nothing else of the document is believed, and it may be damaged. */
static int is_of_plan(const struct claim *c, const char *name, struct err *e)
{
	struct err why = { 0 };
	char plan[65];

	if (head_plan(c->io, c->dir, name, plan, &why)) {
		if (why.kind != ERR_SYSTEM)
			return 0;
		err_set(e, ERR_SYSTEM, "%s: %s", text_quote(name).s, why.text);
		return -1;
	}
	return !strcmp(plan, c->p->hash);
}

/* --- looking --- */

struct found {
	const char *foreign; /* the first name that is not the plan's */
	const char *name;    /* the first that is */
	bool mark, manifest;
	size_t data, ours; /* data files, and those with a sidecar of this plan */
};

static int look_at(const struct claim *c, const char *name, struct found *f, struct err *e)
{
	char side[300];
	enum name_is is = name_is(c->p, name);
	int ours;

	if (is == NAME_FOREIGN && !f->foreign)
		f->foreign = name;
	if (is >= NAME_MARK && !f->name)
		f->name = name;
	f->mark = f->mark || is == NAME_MARK;
	f->manifest = f->manifest || is == NAME_MANIFEST;
	if (is != NAME_DATA)
		return 0;
	snprintf(side, sizeof side, "%s%s", name, MAN_SIDECAR);
	ours = is_of_plan(c, side, e);
	f->data++;
	f->ours += ours > 0;
	return ours < 0 ? -1 : 0;
}

static int judge(struct claim *c, const struct found *f, const char *path, bool overwrite,
	struct err *e)
{
	int ours = 0;

	if (f->foreign)
		return err_rule(e, RULE_OUT_FOREIGN, ERR_NOPOS,
			"%s holds %s, which this plan does not write; take an empty folder",
			text_quote(path).s, text_quote(f->foreign).s);
	c->fresh = !f->name;
	if (f->mark)
		ours = is_mark(c, e);
	c->marked = ours > 0;
	if (!ours && f->manifest)
		ours = is_of_plan(c, MAN_NAME, e);
	if (!ours)
		ours = c->fresh || overwrite || !c->p->n_files || (f->data && f->ours == f->data);
	if (ours)
		return ours < 0 ? -1 : 0;
	return err_rule(e, RULE_OUT_OTHER, ERR_NOPOS,
		"%s holds %s, and nothing there says that this plan has made it; take an empty "
		"folder, or --overwrite to replace it",
		text_quote(path).s, text_quote(f->name).s);
}

int claim_look(struct claim *c, const struct plan *p, int dir, const char *path, bool overwrite,
	struct err *e)
{
	struct found f = { 0 };
	char *names, *s;
	size_t n, i;
	int rc = 0;

	*c = (struct claim){ .io = p->ckpt->io, .dir = dir, .p = p };
	if (c->io->list(c->io, dir, &names, &n))
		return err_sys(e, "cannot list %s", text_quote(path).s);
	for (i = 0, s = names; !rc && i < n; i++, s += strlen(s) + 1)
		rc = look_at(c, s, &f, e);
	rc = rc ? rc : judge(c, &f, path, overwrite, e);
	free(names);
	return rc;
}

/* --- taking --- */

int claim_take(struct claim *c, struct err *e)
{
	char line[80];
	int n;

	if (c->taken)
		return 0;
	if (!c->marked) {
		n = snprintf(line, sizeof line, "%s\n", c->p->hash);
		if (file_remove(c->io, c->dir, CLAIM_NAME, e) ||
			file_put(c->io, c->dir, CLAIM_NAME, line, (size_t)n, e))
			return -1;
		c->marked = true;
	}
	if (file_remove(c->io, c->dir, MAN_NAME, e)) {
		(void)c->io->unlink(c->io, c->dir, CLAIM_NAME); /* nothing has changed */
		c->marked = false;
		return -1;
	}
	c->taken = true;
	return 0;
}

int claim_release(struct claim *c, struct err *e)
{
	if (c->marked && file_remove(c->io, c->dir, CLAIM_NAME, e))
		return -1;
	c->marked = false;
	return 0;
}

void claim_undo(struct claim *c)
{
	if (c->fresh && c->marked)
		(void)c->io->unlink(c->io, c->dir, CLAIM_NAME);
}
