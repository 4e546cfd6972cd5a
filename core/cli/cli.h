/* cli.h -- one program, many verbs: all of main, from the tables of command.h.
 *
 * Results go to stdout, everything else to stderr, stdout first. Usage that was asked for goes to stdout and ends
 * with 0; a wrong call gets one line and the usage line on stderr and ends with 2. Every program has the verbs help
 * and version, and every verb the options -h, --help, -V, --version.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_CLI_CLI_H
#define CORE_CLI_CLI_H
#include "core/cli/command.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The value of --NAME in a call, as "--NAME VALUE" or "--NAME=VALUE"; "" for a flag; NULL if it is not there. It
 * reads calls that do not parse, for cli_tool.failed. */
const char *cli_word(int argc, char **argv, const char *name, bool flag);

/* Prints t to stdout and frees it. Returns -1 if t has failed; whether stdout took it is cli_main's to say. */
int cli_print(struct text *t, struct err *e);

/* Prints t to stderr and frees it. */
void cli_note(struct text *t);

/* Calls on where a signal asks the program to end, so that it can do so in good order: SIGINT, SIGTERM, SIGUSR1 (which
 * schedulers send some time before they kill), and SIGHUP
 * unless whoever called wants it ignored (nohup). */
void cli_signals(void (*on)(int signal));

/* All of main. */
int cli_main(const struct cli_tool *tool, int argc, char **argv);

#ifdef __cplusplus
}
#endif
#endif
