/* line_seal.h -- the digest that a line of a file of results ends in: XXH3-128 of the call and of the line before it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_RUN_LINE_SEAL_H
#define VERIFY_RUN_LINE_SEAL_H
#include "formats/json/jwrite.h"
#include "core/err.h"
#include "core/io.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 0 if the line of n bytes at byte from of fd ends in its digest for the call run; -1: it does not (ERR_USAGE), or it cannot be read. */
int line_seal_holds(const struct io *io, int fd, uint64_t from, uint64_t n, const char *run,
	struct err *e);
/* Ends the line in t, which o has written but for its last member and bracket. */
int line_seal_put(const char *run, struct jwrite *o, struct text *t, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
