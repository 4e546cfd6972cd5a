/* par.h -- run one function on several threads; the first error wins and stops the others.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_PAR_H
#define CORE_PAR_H
#include "core/err.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct par; /* one such run */

/* Calls work(p, me, e) for me = 0..threads-1, each on a thread of its own (the last on the
 * caller's), and returns when all have. Where the system gives fewer threads, fewer run: work must
 * take its items from a shared list and not rely on their number. -1 if any returned -1. */
int par_run(unsigned threads, int (*work)(struct par *p, unsigned me, struct err *e), void *ctx,
	struct err *e);
void *par_ctx(const struct par *p);
/* True once a worker has failed; the others look now and then and return 0. */
bool par_stopping(const struct par *p);

#ifdef __cplusplus
}
#endif
#endif
