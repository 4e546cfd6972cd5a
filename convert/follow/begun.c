/* SPDX-License-Identifier: MIT */
#include "convert/follow/begun.h"

#include "convert/out/claim.h"
#include "convert/out/options.h"
#include "core/file.h"

#include <stdio.h>
#include <string.h>

/* Returns whether the manifest is of another target, or was made with other options, than the plan. */
static int is_other(const struct plan *p, const struct manifest *m, bool *yes, struct err *e)
{
	struct text t = { 0 };

	options_put(p, &t);
	if (t.failed) {
		text_free(&t);
		return err_nomem(e);
	}
	*yes = strcmp(m->target, p->opts.target) != 0 || strcmp(m->options, t.s) != 0;
	text_free(&t);
	return 0;
}

/* Counts the files that the manifest names and the plan does not write. */
static void count_lacking(struct begun *b, const struct plan *p, const struct manifest *m)
{
	size_t i;

	for (i = 0; i < m->files.n; i++) {
		if (claim_writes(p, m->files.v[i].name))
			continue;
		if (!b->n++)
			snprintf(b->name, sizeof b->name, "%s", m->files.v[i].name);
	}
}

static int look_at_manifest(struct begun *b, const struct plan *p, int dir, struct err *e)
{
	const struct io *io = p->ckpt->io;
	struct text t = { 0 };
	struct manifest m;
	bool other = false;
	int rc = 0;

	if (!file_load(io, dir, MAN_NAME, MANIFEST_CAP, &t, NULL) && !manifest_read(&m, &t, NULL)) {
		/* That of source/ has a target and options of its own. */
		rc = p->n_files ? is_other(p, &m, &other, e) : 0;
		b->manifest = b->manifest || p->n_files;
		b->other = b->other || other;
		count_lacking(b, p, &m);
		manifest_free(&m);
	}
	text_free(&t);
	return rc;
}

int begun_look(struct begun *b, const struct conversion *c, const char *out, struct err *e)
{
	static const char *const names[] = { CLAIM_NAME, MAN_NAME };
	const struct io *io;
	struct stat st;
	char path[4400];
	size_t k, i;
	int dir, rc = 0;

	*b = (struct begun){ 0 };
	for (k = 0; !rc && k < c->n; k++) {
		io = c->folders[k].ckpt->io;
		snprintf(path, sizeof path, "%.4000s/%s", out, c->folders[k].dir);
		if (file_open_dir(io, path, &dir, NULL))
			continue;
		for (i = 0; i < 2; i++)
			b->any = b->any || !io->lstat(io, dir, names[i], &st);
		rc = look_at_manifest(b, &c->folders[k], dir, e);
		(void)io->close(io, dir); /* a folder has nothing to flush */
	}
	return rc;
}
