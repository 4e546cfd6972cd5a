/* inspect_gguf.h -- what GGUF files hold, by whoever wrote them: keys, types, tensors, parts, and what is wrong with them.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_CLI_INSPECT_GGUF_H
#define CONVERT_CLI_INSPECT_GGUF_H
#include "formats/folder/folder.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Looks at the GGUF files of f, puts the report, and adds what is wrong to f->found. Returns -1 only where nothing can be
 * said. */
int inspect_gguf(struct text *out, struct folder *f, bool json, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
