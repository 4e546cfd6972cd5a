/* pack_call.h -- the verbs pack and unpack.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_CLI_PACK_CALL_H
#define CONVERT_CLI_PACK_CALL_H
#include "convert/cli/call.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Carry out the call and print what became of the files. */
int pack_call(const struct call *o, const char *dir, const struct call_tool *tool, struct err *e);
int pack_call_back(const struct call *o, const char *dir, const struct call_tool *tool,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
