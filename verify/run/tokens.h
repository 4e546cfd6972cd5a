/* tokens.h -- the token ids of a command line: "1,2,3", or a file of numbers.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_RUN_TOKENS_H
#define VERIFY_RUN_TOKENS_H
#include "core/err.h"
#include "core/io.h"
#include "core/text.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whether arg is the ids themselves, and no file. */
bool tokens_typed(const char *arg);
/* The text of the file at path, of at most `most` bytes, none of them NUL. The caller frees it, also after a failure. */
int tokens_load(const struct io *io, const char *path, uint64_t most, struct text *t,
	struct err *e);

/* *ids (malloc) of *n tokens, 1 to most. Numbers in a file stand between spaces, newlines or commas. */
int tokens_read(const struct io *io, const char *arg, uint32_t most, uint32_t **ids, uint32_t *n,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
