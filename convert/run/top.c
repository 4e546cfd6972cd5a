/* SPDX-License-Identifier: MIT */
#include "convert/run/top.h"

#include "core/file.h"
#include "formats/conversion/bystander.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* name is the path dir or its first component. */
static bool is_first_of(const char *dir, const char *name)
{
	size_t n = strlen(name);

	return !strncmp(dir, name, n) && (!dir[n] || dir[n] == '/');
}

static int check_names(const struct conversion *c, const struct io *io, int dir, const char *out,
	const struct owned *old, bool *empty, struct err *e)
{
	char *names, *p;
	size_t n, i, k;
	struct stat st;
	int rc = 0;

	if (io->list(io, dir, &names, &n))
		return err_sys(e, "cannot list %s", text_quote(out).s);
	*empty = !n;
	for (i = 0, p = names; !rc && i < n; i++, p += strlen(p) + 1) {
		for (k = 0; k < c->n && !is_first_of(c->folders[k].dir, p); k++)
			;
		if (k == c->n && strcmp(p, MAN_NAME) && !io->lstat(io, dir, p, &st) &&
			bystander_of(p, st.st_mode) == BYSTANDER_MODEL && !owned_has(old, "", p))
			rc = err_rule(e, RULE_OUT_FOREIGN, ERR_NOPOS,
				"%s holds %s, which this plan does not write; take an empty folder%s",
				text_quote(out).s, text_quote(p).s,
				old ? "" : ", or --overwrite if it is of a finished conversion");
	}
	free(names);
	return rc;
}

int top_look(const struct conversion *c, const char *out, const struct owned *old, struct err *e)
{
	const struct io *io = c->folders[0].ckpt->io;
	bool empty;
	int fd, rc;

	if (outdir_nested(&c->folders[0], out, e))
		return -1;
	if (file_open_dir(io, out, &fd, NULL))
		return 0; /* not there yet; whatever else is wrong, run will say */
	rc = check_names(c, io, fd, out, old, &empty, e);
	(void)io->close(io, fd); /* a folder has nothing to flush */
	return rc;
}

int top_open(struct outdir *top, const struct conversion *c, const char *out,
	const struct owned *old, uint64_t need, struct err *e)
{
	bool empty;

	if (outdir_open_any(top, &c->folders[0], out, e) ||
		check_names(c, top->io, top->fd, out, old, &empty, e) ||
		(empty && outdir_room(top, need, e)))
		return -1;
	return 0;
}

static void put_options(const struct plan_opts *p, struct text *t)
{
	const struct share *h = &p->share;
	struct jwrite o;

	manifest_options(&o, t);
	jwrite_str(&o, "attention", h->attention_tp ? "tp" : "replicate");
	jwrite_str(&o, "experts_by", h->experts_tp ? "tp" : "ep");
	if (p->file_size)
		jwrite_u64(&o, "file_size", p->file_size);
	jwrite_u64(&o, "ranks", h->ranks);
	jwrite_u64(&o, "stages", h->stages);
	manifest_options_end(&o);
}

int top_put(const struct outdir *top, const struct conversion *c, struct manifest_folder *made,
	const char *tool, struct err *e)
{
	struct set_manifest m = { .v = made, .n = c->n };
	struct text t = { 0 }, options = { 0 };
	int rc;

	snprintf(m.target, sizeof m.target, "%s", c->opts.target);
	snprintf(m.plan, sizeof m.plan, "%s", c->hash);
	snprintf(m.tool, sizeof m.tool, "%s", tool);
	put_options(&c->opts, &options);
	m.options = options.s;
	if (!options.failed)
		set_manifest_put(&t, &m);
	rc = options.failed || t.failed ? err_nomem(e)
					: file_put(top->io, top->fd, MAN_NAME, t.s, t.n, e);
	text_free(&options);
	text_free(&t);
	return rc;
}
