/* follow_call.h -- run --follow: a conversion whose source is still being downloaded, as both tools carry it out.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_CLI_FOLLOW_CALL_H
#define CONVERT_CLI_FOLLOW_CALL_H
#include "convert/cli/call.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Refuses options that do not go with --follow, and --follow-timeout without it. */
int follow_call_check(const struct call *o, struct err *e);
/* Follows the download in dir (convert/follow/follow.h), and prints the outcome as call_run does. */
int follow_call_run(const struct call *o, const struct job_opts *jo, const char *dir,
	const struct call_tool *tool, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
