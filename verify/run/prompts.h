/* prompts.h -- the prompts of a command line, as token ids: one, as tokens.h has it, or a file of JSON lines, each of
 * which is a list of ids ("dsv4-verify tokens --lines" writes such lines).
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_RUN_PROMPTS_H
#define VERIFY_RUN_PROMPTS_H
#include "core/err.h"
#include "core/io.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { PROMPTS_FILE_MAX = 64 << 20 }; /* bytes of such a file: about ten million tokens */

struct prompts {
	uint32_t *ids; /* owns; of all prompts, one behind the other */
	size_t *at;    /* owns; [n + 1]: where each begins, and the end */
	size_t n, ids_cap, at_cap;
};

/* arg as it was typed. Each prompt has 1 to most tokens; a line of spaces is none. What is wrong is ERR_USAGE, with file and
 * line. On failure *p is empty. */
int prompts_read(struct prompts *p, const struct io *io, const char *arg, uint32_t most,
	struct err *e);
/* Holds all ids to the vocabulary (ERR_USAGE). */
int prompts_fit(const struct prompts *p, uint64_t vocabulary, struct err *e);
void prompts_free(struct prompts *p);

static inline uint32_t prompts_tokens(const struct prompts *p, size_t i)
{
	return (uint32_t)(p->at[i + 1] - p->at[i]);
}

#ifdef __cplusplus
}
#endif
#endif
