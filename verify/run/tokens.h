/* tokens.h -- the token ids of a command line: "1,2,3", or a file of numbers.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_RUN_TOKENS_H
#define VERIFY_RUN_TOKENS_H
#include "core/err.h"
#include "core/io.h"

#ifdef __cplusplus
extern "C" {
#endif

/* *ids (malloc) of *n tokens, 1 to most. Numbers in a file stand between spaces, newlines or commas. */
int tokens_read(const struct io *io, const char *arg, uint32_t most, uint32_t **ids, uint32_t *n,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
