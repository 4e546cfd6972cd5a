/* SPDX-License-Identifier: MIT */
#include "formats/model/tensor_xxh.h"

#include "core/par.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { SOME = 1 << 20 }; /* bytes of the source that are read at once */

struct digesting {
	const struct ckpt *c;
	const bool *want;
	struct xxh_digest *xxh;
	const volatile sig_atomic_t *stop;
	struct progress *progress;
	atomic_size_t next;
};

static int digest_tensor(const struct digesting *d, void *reader, size_t i, struct xxh *x,
	uint8_t *buf, struct err *e)
{
	const struct tensor *t = &d->c->tensors[i];
	uint64_t at, bytes = t->end - t->begin;
	size_t n;

	xxh_reset(x);
	for (at = 0; at < bytes; at += n) {
		n = bytes - at < SOME ? (size_t)(bytes - at) : SOME;
		if (d->stop && *d->stop)
			return err_set(e, ERR_SYSTEM, "interrupted");
		if (reader ? d->c->payload->read(reader, (uint32_t)i, at, buf, n, e)
			   : ckpt_read(d->c, t, at, buf, n, e))
			return -1;
		xxh_update(x, buf, n);
		progress_add(d->progress, n);
	}
	d->xxh[i] = xxh_final(x);
	return 0;
}

static int digest_work(struct par *par, unsigned me, struct err *e)
{
	struct digesting *d = par_ctx(par);
	const struct ckpt_payload *p = d->c->payload;
	void *reader = p ? p->open(p->ctx) : NULL;
	uint8_t *buf = malloc(SOME);
	struct xxh *x = xxh_new();
	int rc = buf && x && (reader || !p) ? 0 : err_nomem(e);
	size_t i;

	(void)me;
	while (!rc && !par_stopping(par) && (i = atomic_fetch_add(&d->next, 1)) < d->c->n)
		if (d->want[i])
			rc = digest_tensor(d, reader, i, x, buf, e);
	if (reader)
		p->close(reader);
	free(buf);
	xxh_free(x);
	return rc;
}

int tensor_xxh(const struct ckpt *c, const bool *want, struct xxh_digest *xxh, unsigned threads,
	const volatile sig_atomic_t *stop, struct progress *progress, struct err *e)
{
	struct digesting d = {
		.c = c, .want = want, .xxh = xxh, .stop = stop, .progress = progress
	};

	return par_run(threads, digest_work, &d, e);
}
