/* pyjson.h -- JSON as Python's json.dumps(x, ensure_ascii=False) writes it: the form in which a chat has schemas and
 * arguments.
 *
 * ", " and ": " between, members in their order, of characters only quotes, backslashes and control characters below
 * U+0020 escaped, numbers with a point as the shortest that reads the same.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_TOKENIZER_PYJSON_H
#define FORMATS_TOKENIZER_PYJSON_H
#include "core/text.h"

#ifdef __cplusplus
extern "C" {
#endif

struct json_t; /* of jansson */

/* Appends v. What was parsed has a depth that jansson limits. */
void pyjson_put(struct text *out, const struct json_t *v);

#ifdef __cplusplus
}
#endif
#endif
