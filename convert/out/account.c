/* SPDX-License-Identifier: MIT */
#include "convert/out/account.h"

#include "convert/out/rows.h"
#include "core/file.h"

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

int account_put(const struct account *a, struct account_sink *k, struct err *e)
{
	struct rows r = { .p = a->p, .f = a->f, .s = a->s };
	struct man_file f = { .name = a->f->name,
		.target = a->p->opts.target,
		.plan = a->p->hash,
		.tool = a->tool,
		.bytes = a->bytes,
		.header_bytes = a->f->header_bytes,
		.sha256 = a->sha256,
		.dropped_sha256 = a->keep && a->keep->bytes ? a->keep->sha256 : NULL,
		.dropped_bytes = a->keep ? a->keep->bytes : 0,
		.chunks = a->chunks,
		.n_chunks = mem_ceil_div(a->bytes, MAN_CHUNK),
		.n_tensors = a->steps,
		.tensor = rows_give,
		.ctx = &r };

	if (sha256_init(&k->sha, NULL, e))
		return -1;
	if (!man_put_sidecar(&f, account_take, k, e))
		return 0;
	sha256_free(&k->sha);
	return -1;
}
