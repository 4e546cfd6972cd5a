/* cli.h -- one program, many verbs: a table of commands, each with a table of options.
 *
 * Usage, parsing with bounds, exit status, man pages and shell completions (manual.h) all come from the tables of
 * command.h.
 * Results go to stdout, everything else to stderr. Usage that was asked for goes to stdout and
 * ends with 0; a wrong call gets one line and the usage line on stderr and ends with 2.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_CLI_CLI_H
#define CORE_CLI_CLI_H
#include "core/cli/command.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The value of --NAME in a call, as "--NAME VALUE" or "--NAME=VALUE"; "" for a flag; NULL if it is not there. It
 * reads calls that do not parse, for cli_tool.failed. */
const char *cli_word(int argc, char **argv, const char *name, bool flag);

/* All of main. */
int cli_main(const struct cli_tool *tool, int argc, char **argv);

/* Whole string, decimal, min..max. */
int cli_number(const char *s, uint64_t min, uint64_t max, uint64_t *v, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
