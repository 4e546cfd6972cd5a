/* SPDX-License-Identifier: MIT */
#include "convert/out/known.h"

#include "formats/conversion/chain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Whether the sidecar lists the tensors of the plan, at their places. */
static int is_planned(const struct sidecar *s, const struct plan_file *f, struct err *e)
{
	size_t i;

	for (i = 0; s->n == f->n && i < f->n; i++)
		if (strcmp(s->tensors[i].name, f->steps[i].out.name) ||
			s->tensors[i].begin != f->steps[i].out.begin ||
			s->tensors[i].end != f->steps[i].out.end ||
			s->tensors[i].op != f->steps[i].op)
			break;
	if (s->n == f->n && i == f->n)
		return 0;
	return err_rule(e, RULE_CHECK_PLAN, ERR_NOPOS, "it lists other tensors than the plan");
}

static int add(struct publisher *u, size_t i, const struct sidecar *s, struct err *e)
{
	const struct plan_file *f = &u->p->files[i];
	struct output *o = &u->outputs[i];
	size_t k, b;

	if (is_planned(s, f, e) || tally_of_sidecar(&u->tally, &o->lossy, u->p, f, s, e))
		return -1;
	for (k = 0; k < s->n; k++) {
		for (b = 0; b < 3; b++)
			o->scales[b] += s->tensors[k].e8m0[b];
		o->blocks += s->tensors[k].blocks;
		o->inexact += s->tensors[k].inexact;
	}
	return 0;
}

static int hold_size(const struct publisher *u, size_t i, struct err *e)
{
	const struct plan_file *f = &u->p->files[i];
	struct stat *st = &u->outputs[i].data.st;

	if (u->dir->io->lstat(u->dir->io, u->dir->fd, f->name, st))
		return errno == ENOENT
			? err_rule(e, RULE_CHECK_MISSING, ERR_NOPOS, "it is not there")
			: err_sys(e, "cannot look at it");
	if (S_ISREG(st->st_mode) && (uint64_t)st->st_size == f->bytes)
		return 0;
	return err_rule(e, RULE_SET_SIZE, ERR_NOPOS, "it has %llu bytes, %llu are planned",
		(unsigned long long)st->st_size, (unsigned long long)f->bytes);
}

int known_take(struct publisher *u, size_t i, const struct known *k, struct err *e)
{
	struct output *o = &u->outputs[i];
	struct manifest m = { .seal = SEAL_NONE };
	const struct chain_folder at = { u->dir->io, u->dir->fd, u->p->dir, &m };
	struct manifest_file file = { .name = u->p->files[i].name,
		.bytes = u->p->files[i].bytes,
		.side = o->side_name,
		.side_bytes = k->side_bytes,
		.has_sha256 = u->p->opts.sha256 };
	struct sidecar s;
	int rc;

	memcpy(file.sha256, k->sha256, sizeof file.sha256);
	memcpy(file.side_sha256, k->side_sha256, sizeof file.side_sha256);
	snprintf(m.target, sizeof m.target, "%s", u->p->opts.target);
	snprintf(m.plan, sizeof m.plan, "%s", u->p->hash);
	snprintf(m.tool, sizeof m.tool, "%s", u->tool);
	if (hold_size(u, i, e))
		return err_at(e, "%s", file.name);
	if (chain_sidecar(&s, &at, &file, e))
		return err_at(e, "%s", o->side_name);
	o->blocks = o->inexact = 0;
	memset(o->scales, 0, sizeof o->scales);
	rc = add(u, i, &s, e) ? err_at(e, "%s", o->side_name) : 0;
	sidecar_free(&s);
	if (rc)
		return -1;
	memcpy(o->sha256, k->sha256, sizeof o->sha256);
	memcpy(o->side_sha256, k->side_sha256, sizeof o->side_sha256);
	o->side_bytes = k->side_bytes;
	o->state = OUTPUT_KEPT;
	return 0;
}
