/* check_gguf.c -- GGUF files without a manifest of ours: their structure, and whether the model has all of its tensors.
 * What nobody says or knows is said not to have been looked at.
 *
 * SPDX-License-Identifier: MIT */
#include "verify/check/check.h"

#include "core/file.h"
#include "formats/gguf/ggml_type.h"
#include "formats/model/gguf_config.h"
#include "formats/model/gguf_folder.h"
#include "quant/gguf_model.h"

#include <stdlib.h>
#include <string.h>

static const char none[] = "not looked at";

/* Tensors and bytes of each type. */
static void count_types(struct check *c, const struct gguf_in *x)
{
	size_t i, k;

	for (i = 0; i < x->set.n; i++)
		for (k = 0; k < x->set.parts[i].file.n; k++) {
			const struct gguf_tensor *t = &x->set.parts[i].file.tensors[k];

			report_count(c->r, "types", ggml_type_name(t->type), 1, t->bytes);
		}
}

/* Whether all tensors of the model are there, as its keys say. */
static int look_at_model(struct check *c, struct folder *f, const struct gguf_in *x)
{
	struct findings found = { 0 };
	struct gguf_model m;
	struct ckpt k;
	struct err e = { 0 };
	int rc = 0;

	if (gguf_model_open(&m, &k, c->o->io, f->dir, x->name,
		    x->is == GGUF_IS_MTP ? GGUF_OF_MTP : GGUF_OF_MODEL, &found, &e)) {
		if (e.kind == ERR_SYSTEM)
			rc = err_move(c->e, &e);
		else
			report_take(c->r, &(struct report_place){ .file = x->name }, &e);
	} else {
		report_findings(c->r, &found);
		report_count(c->r, "checked", "tensors by the keys", k.n, 0);
		if (m.extra)
			report_row(c->r, none, x->name, m.extra, 0,
				"tensors of drafts behind the layers");
		gguf_model_close(&m, &k);
	}
	finding_free(&found);
	return rc;
}

static int look_at(struct check *c, struct folder *f, struct gguf_in *x)
{
	const struct report_place at = { .file = x->name };

	if (x->err.kind != ERR_NONE) {
		report_take(c->r, &at, &x->err);
		return 0;
	}
	count_types(c, x);
	report_count(c->r, "checked", "tensors", x->set.tensors, 0);
	if (x->is == GGUF_IS_MODEL || x->is == GGUF_IS_MTP)
		return look_at_model(c, f, x);
	if (x->is == GGUF_IS_OTHER)
		report_add(c->r, RULE_KIND_GGUF, &at,
			"general.architecture is \"%s\": which tensors it must have is not known",
			text_quote(gguf_config_arch(&x->meta)).s);
	else
		report_row(c->r, none, x->name, x->set.tensors, 0,
			"whether all tensors of this draft are there");
	return 0;
}

/* A part as a shard of c->ckpt, so that its digest is read and held to a list as that of a download's. */
static int add_part(struct check *c, int dir, const char *name)
{
	struct shard *s = &c->ckpt.shards[c->ckpt.n_shards];
	char blob[65];

	*s = (struct shard){ .name = arena_strndup(&c->ckpt.arena, name, strlen(name)), .fd = -1 };
	if (!s->name)
		return err_nomem(c->e);
	if (gguf_part_open(c->o->io, dir, name, &s->fd, &s->st, blob, c->e)) {
		s->fd = -1;
		return -1;
	}
	s->blob = *blob ? arena_strndup(&c->ckpt.arena, blob, strlen(blob)) : NULL;
	if (*blob && !s->blob)
		return err_nomem(c->e);
	c->ckpt.n_shards++;
	return 0;
}

static int add_parts(struct check *c, struct folder *f, const struct gguf_folder *g)
{
	size_t i, k, n = 0;

	for (i = 0; i < g->n; i++)
		n += g->v[i].set.n;
	c->ckpt.shards = calloc(n + 1, sizeof *c->ckpt.shards);
	if (!c->ckpt.shards)
		return err_nomem(c->e);
	if (file_open_below(c->o->io, f->dir, "", &c->ckpt.dir, c->e))
		return -1;
	c->ckpt.io = c->o->io;
	for (i = 0; i < g->n; i++)
		for (k = 0; k < g->v[i].set.n; k++)
			if (add_part(c, f->dir, g->v[i].set.parts[k].name))
				return -1;
	return 0;
}

int check_gguf(struct check *c, struct folder *f)
{
	struct gguf_folder g;
	size_t i;
	int rc = gguf_folder_read(&g, c->o->io, f->dir, f->gguf, c->e);

	if (rc)
		return -1;
	for (i = 0; !rc && i < g.n; i++)
		rc = look_at(c, f, &g.v[i]);
	rc = rc ? rc : add_parts(c, f, &g);
	gguf_folder_free(&g);
	if (rc)
		return -1;
	report_row(c->r, none, "values of tensors", 0, 0, "doctor looks at them");
	return check_shards(c);
}
