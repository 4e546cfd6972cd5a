/* usage.h -- what "help" prints: of a program, and of one of its verbs.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_CLI_USAGE_H
#define CORE_CLI_USAGE_H
#include "core/cli/command.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Appended to out, each line with its end. */
void usage_of_tool(struct text *out, const struct cli_tool *t);
void usage_of_verb(struct text *out, const struct cli_tool *t, const struct cli_cmd *c);
void usage_line(struct text *out, const struct cli_tool *t, const struct cli_cmd *c);
/* The names of an option, as "-j, -@, --threads". */
void usage_names(struct text *out, const struct cli_opt *o);

/* What every program has besides its table; ends with a NULL name. */
extern const struct cli_cmd usage_own[];

#ifdef __cplusplus
}
#endif
#endif
