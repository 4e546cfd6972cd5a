/* complete.h -- completions for shells: verbs, options, and the words that an option knows. Names of files may have
 * blanks.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_CLI_COMPLETE_H
#define CORE_CLI_COMPLETE_H
#include "core/cli/command.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Appended to out: a script for the shell of that name. */
void complete_bash(struct text *out, const struct cli_tool *t);
void complete_zsh(struct text *out, const struct cli_tool *t);
void complete_fish(struct text *out, const struct cli_tool *t);

#ifdef __cplusplus
}
#endif
#endif
