/* score_types.h -- lists of types as people write them: "q2_k,q4_k".
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_CLI_SCORE_TYPES_H
#define QUANT_CLI_SCORE_TYPES_H
#include "core/err.h"
#include "quant/cli/score_file.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads the types that there is an encoder of, in any case of letters, between commas; NULL: all of them. They are in the order of
 * quant/lowbit.h whatever that of the list is. Returns 0, or -1 where the list names another, or one twice. */
int score_types_read(const char *list, uint32_t types[SCORE_TYPES], size_t *n, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
