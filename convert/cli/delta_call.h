/* delta_call.h -- the verb delta.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_CLI_DELTA_CALL_H
#define CONVERT_CLI_DELTA_CALL_H
#include "convert/cli/call.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Compares the releases in the folders was and now, and prints in what they differ; where o names a target, also in what the
 * conversions would. jo: what to make of each, of target hf where o names none. Returns 0 also where they differ. */
int delta_call(const struct call *o, const struct job_opts *jo, const char *was, const char *now,
	const struct call_tool *tool, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
