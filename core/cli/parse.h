/* parse.h -- the words behind a verb: options of its table, and what is left.
 *
 * --name VALUE and --name=VALUE; -x VALUE, -xVALUE, -x=VALUE, and flags in clusters, the last of which may have a value (-qj4);
 * after "--" there are no options. -@ is another name of the option that says how many threads there are.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_CLI_PARSE_H
#define CORE_CLI_PARSE_H
#include "core/cli/command.h"

#ifdef __cplusplus
extern "C" {
#endif

enum parsed { PARSED_CALL, PARSED_HELP, PARSED_VERSION };

/* Fills opts, and moves the words that are no options to the front of argv. *what: the call, or a question that stands
 * for it. Returns how many words there are, or -1 and ERR_USAGE. An option for threads that is not there, or is 0, is
 * set to the number of processors that this process may use. */
int parse_options(const struct cli_tool *t, const struct cli_cmd *c, int argc, char **argv,
	void *opts, enum parsed *what, struct err *e);

/* The verb of that name; NULL: there is none. */
const struct cli_cmd *parse_verb(const struct cli_tool *t, const char *name);
/* Reports that there is no such verb: which there are, and which was probably meant. Returns -1. */
int parse_no_verb(const struct cli_tool *t, const char *name, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
