/* manual.h -- man page and shell completions of a program, made from its tables of commands and options.
 *
 * What help prints, set for other readers: "TOOL help --man", and "--bash", "--zsh", "--fish". Nothing about
 * a command is written down twice.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_CLI_MANUAL_H
#define CORE_CLI_MANUAL_H
#include "core/cli/command.h"
#include "core/text.h"

#ifdef __cplusplus
extern "C" {
#endif

struct manual_form {
	const char *option; /* of help, without dashes; NULL ends the table */
	void (*put)(struct text *out, const struct cli_tool *t);
};
extern const struct manual_form manual_forms[];

#ifdef __cplusplus
}
#endif
#endif
