/* SPDX-License-Identifier: MIT */
#include "verify/compare/source_made.h"

#include "core/file.h"

#include <string.h>

void source_made_read(struct manifest *m, const struct folder *source)
{
	struct text t = { 0 };
	struct err why = { 0 };

	memset(m, 0, sizeof *m);
	if (source->kind == KIND_HF_SOURCE &&
		!file_load(source->io, source->dir, MAN_NAME, MANIFEST_CAP, &t, &why))
		(void)manifest_read(m, &t, &why); /* zeroes *m where it fails */
	text_free(&t);
}

/* Whether both were made of shards of the same names and sizes with as many tensors and bytes. */
static bool same_source(const struct manifest *a, const struct manifest *b)
{
	size_t i;

	if (a->source_bytes != b->source_bytes || a->source_tensors != b->source_tensors ||
		a->shards.n != b->shards.n)
		return false;
	for (i = 0; i < a->shards.n; i++)
		if (strcmp(a->shards.v[i].name, b->shards.v[i].name) != 0 ||
			a->shards.v[i].bytes != b->shards.v[i].bytes)
			return false;
	return true;
}

/* Whether the tensors lie in shards of the names that the checkpoint has, so that sidecars name them where they are. */
static bool same_shards(const struct manifest *m, const struct ckpt *c)
{
	size_t i;

	if (c->n_shards != m->shards.n)
		return false;
	for (i = 0; i < c->n_shards && manifest_find(&m->shards, c->shards[i].name); i++)
		;
	return i == c->n_shards;
}

int source_made_hold(const struct manifest *m, const struct ckpt *c, const struct manifest *out,
	struct err *e)
{
	if (!m->shards.n || !same_source(m, out) ||
		(c->bytes == m->source_bytes && c->n == m->source_tensors && same_shards(m, c)))
		return 0;
	return err_set(e, ERR_UNSUPPORTED,
		"SOURCE is a conversion itself, in other number formats or other shards than the checkpoint that it was made of, and OUT was made of that checkpoint: dsv4-quant reads such a SOURCE as what it restores to. Compare with that checkpoint, or with what dsv4-convert restore makes of SOURCE");
}
