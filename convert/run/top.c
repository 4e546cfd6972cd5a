/* SPDX-License-Identifier: MIT */
#include "convert/run/top.h"

#include "core/file.h"
#include "formats/conversion/bystander.h"
#include "formats/conversion/seal.h"
#include "formats/format_id.h"
#include "formats/json/jwrite.h"

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
	const struct owned *old, struct err *e)
{
	bool empty;

	if (outdir_open_any(top, &c->folders[0], out, e) ||
		check_names(c, top->io, top->fd, out, old, &empty, e) ||
		(empty && outdir_room(top, c->bytes, e)))
		return -1;
	return 0;
}

static void put_folders(struct jwrite *j, const struct conversion *c, const struct man_entry *made)
{
	size_t k;

	jwrite_open(j, "folders", '[');
	for (k = 0; k < c->n; k++) {
		jwrite_open(j, NULL, '{');
		jwrite_u64(j, "bytes", made[k].bytes);
		jwrite_str(j, "name", made[k].name);
		jwrite_str(j, "plan", c->folders[k].hash);
		jwrite_hex(j, "sha256", made[k].sha256, 32);
		jwrite_close(j, '}');
	}
	jwrite_close(j, ']');
}

static void put_options(struct jwrite *j, const struct share *h)
{
	jwrite_open(j, "options", '{');
	jwrite_str(j, "attention", h->attention_tp ? "tp" : "replicate");
	jwrite_str(j, "experts_by", h->experts_tp ? "tp" : "ep");
	jwrite_u64(j, "ranks", h->ranks);
	jwrite_u64(j, "stages", h->stages);
	jwrite_close(j, '}');
}

int top_put(const struct outdir *top, const struct conversion *c, const struct man_entry *made,
	const char *tool, struct err *e)
{
	struct text t = { 0 };
	struct jwrite j;
	int rc;

	jwrite_begin(&j, &t, 2);
	jwrite_open(&j, NULL, '{');
	put_folders(&j, c, made);
	jwrite_str(&j, "format", FORMAT_SET);
	put_options(&j, &c->opts.share);
	jwrite_str(&j, "plan", c->hash);
	jwrite_str(&j, "target", c->opts.target);
	jwrite_str(&j, "tool", tool);
	seal_put(&j);
	jwrite_close(&j, '}');
	rc = t.failed ? err_nomem(e) : file_put(top->io, top->fd, MAN_NAME, t.s, t.n, e);
	text_free(&t);
	return rc;
}
