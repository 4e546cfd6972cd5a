/* SPDX-License-Identifier: MIT */
#include "convert/out/account.h"

#include "convert/out/rows.h"
#include "core/file.h"
#include "formats/conversion/sidecar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int account_take(void *ctx, const char *p, size_t n, struct err *e)
{
	struct account_sink *k = ctx;
	struct sha256 *s = &k->sha;
	const void *data = p;

	if (sha256_update(&s, &data, n, 1, e))
		return -1;
	if (!k->compare) {
		if (file_write(k->io, k->fd, p, n, k->at, e))
			return -1;
	} else if (k->equal) {
		if (mem_grow(&k->old, &k->old_cap, n, 1))
			return err_nomem(e);
		k->equal =
			!file_read(k->io, k->fd, k->old, n, k->at, NULL) && !memcmp(k->old, p, n);
	}
	k->at += n;
	return 0;
}

/* All of a sidecar but its tensors and the names of shards. Its arrays are borrowed. */
static void describe(const struct account *a, struct sidecar *s)
{
	memset(s, 0, sizeof *s);
	snprintf(s->name, sizeof s->name, "%s", a->f->name);
	snprintf(s->target, sizeof s->target, "%s", a->p->opts.target);
	snprintf(s->plan, sizeof s->plan, "%s", a->p->hash);
	snprintf(s->tool, sizeof s->tool, "%s", a->tool);
	s->bytes = a->bytes;
	s->header_bytes = a->f->header_bytes;
	s->has_sha256 = a->sha256;
	if (a->sha256)
		memcpy(s->sha256, a->sha256, sizeof s->sha256);
	s->dropped_bytes = a->keep ? a->keep->bytes : 0;
	if (s->dropped_bytes)
		memcpy(s->dropped_sha256, a->keep->sha256, sizeof s->dropped_sha256);
	s->chunks = (struct xxh_digest *)(uintptr_t)a->chunks;
	s->n_chunks = mem_ceil_div(a->bytes, MAN_CHUNK);
	s->n = a->steps;
}

int account_put(const struct account *a, struct account_sink *k, struct err *e)
{
	struct rows r = { .p = a->p, .f = a->f, .s = a->s };
	const struct sidecar_rows rows = { rows_tensor, rows_source, &r };
	const struct ckpt *c = a->p->ckpt;
	const char **shards = malloc((c->n_shards + 1) * sizeof *shards);
	struct sidecar s;
	size_t i;
	int rc = shards ? sha256_init(&k->sha, NULL, e) : err_nomem(e);

	if (rc)
		goto out;
	for (i = 0; i < c->n_shards; i++)
		shards[i] = c->shards[i].name;
	describe(a, &s);
	s.shards = shards;
	s.n_shards = c->n_shards;
	rc = sidecar_put(&s, &rows, account_take, k, e);
	if (rc)
		sha256_free(&k->sha);
out:
	free(shards);
	return rc;
}
