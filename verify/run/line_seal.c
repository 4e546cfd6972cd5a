/* SPDX-License-Identifier: MIT */
#include "verify/run/line_seal.h"

#include "core/file.h"
#include "core/hash/xxh.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What stands behind the bytes that a digest is of. */
#define TAIL ", \"xxh3_128\": \"%s\"}"
enum { TAIL_BYTES = 15 + 32 + 2, WINDOW = 1 << 16 };

int line_seal_holds(const struct io *io, int fd, uint64_t from, uint64_t n, const char *run,
	struct err *e)
{
	char *win = malloc(WINDOW), hex[33], want[TAIL_BYTES + 1], tail[TAIL_BYTES];
	struct xxh *x = xxh_new();
	uint64_t at, left = n > TAIL_BYTES ? n - TAIL_BYTES : 0;
	struct xxh_digest d;
	size_t take;
	int rc = win && x ? 0 : err_nomem(e);

	if (!rc)
		xxh_update(x, run, strlen(run));
	for (at = from; !rc && left; at += take, left -= take) {
		take = left < WINDOW ? (size_t)left : WINDOW;
		rc = file_read(io, fd, win, take, at, e);
		if (!rc)
			xxh_update(x, win, take);
	}
	if (!rc && n > TAIL_BYTES)
		rc = file_read(io, fd, tail, TAIL_BYTES, at, e);
	if (!rc) {
		d = xxh_final(x);
		hex_of(d.b, sizeof d.b, hex);
		snprintf(want, sizeof want, TAIL, hex);
		if (n <= TAIL_BYTES || memcmp(tail, want, TAIL_BYTES) != 0)
			rc = err_set(e, ERR_USAGE,
				"the line is not as it was written (its digest is another); name another file, or remove this one");
	}
	xxh_free(x);
	free(win);
	return rc;
}

int line_seal_put(const char *run, struct jwrite *o, struct text *t, struct err *e)
{
	struct xxh *x = xxh_new();
	struct xxh_digest d;

	if (!x || t->failed) {
		xxh_free(x);
		return err_nomem(e);
	}
	xxh_update(x, run, strlen(run));
	xxh_update(x, t->s, t->n);
	d = xxh_final(x);
	xxh_free(x);
	jwrite_hex(o, "xxh3_128", d.b, sizeof d.b);
	jwrite_close(o, '}');
	return 0;
}
