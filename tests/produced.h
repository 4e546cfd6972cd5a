/* produced.h -- which rules a test produced, in its own process or in the output of a tool that it ran.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_PRODUCED_H
#define TESTS_PRODUCED_H
#include <stdbool.h>

/* Starts noting if RULES is in the environment. */
void produced_begin(void);
/* Notes each rule whose id is in the text, which a tool printed. */
void produced_in(const char *text);
/* Prints a line "rule ID" for each rule noted since the last call. */
void produced_print(void);
/* Returns whether the text has the whole id: "kind.set" is not in "kind.sets". */
bool produced_names(const char *text, const char *id);
#endif
