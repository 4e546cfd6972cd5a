/* command.h -- the tables of a program with many verbs: its commands, and the options of each.
 *
 * Parsing, usage, man pages and shell completions are made from these tables, so that nothing about a command is
 * written down twice.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_CLI_COMMAND_H
#define CORE_CLI_COMMAND_H
#include "core/err.h"
#include "core/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum cli_kind {
	CLI_FLAG,   /* bool */
	CLI_TEXT,   /* const char *, borrows argv */
	CLI_NUMBER, /* uint64_t in min..max */
	CLI_SIZE,   /* uint64_t in min..max; value.h says how it is written */
	CLI_CHOICE, /* const char *, one of the words in arg ("a|b") */
	CLI_THREADS /* uint64_t up to max; 0, and not said: all processors that the process may use. Also -@ */
};

struct cli_opt {
	const char *name; /* long name, without dashes; NULL ends a table */
	char letter;      /* short name, or 0 */
	const char *arg;  /* what stands for the value in the usage; NULL for a flag */
	enum cli_kind kind;
	uint64_t min, max; /* of numbers and sizes */
	size_t at;         /* offset of the field in the caller's option struct */
	const char *help;
};

struct cli_cmd {
	const char *name; /* NULL ends the table */
	const char *args; /* synopsis of what is not optional: "DIR -o OUT" */
	const char *help; /* one line */
	const char *more; /* further text for "help NAME", or NULL */
	const struct cli_opt *opts;
	int min_args, max_args; /* positional ones */
	/* opts points to the struct that was filled; args are the positional ones. */
	int (*run)(void *opts, int nargs, char **args, struct err *e);
};

/* A call that ended with an error. */
struct cli_failure {
	const char *tool; /* its name */
	const char *verb; /* NULL: none was named */
	int argc;
	char **argv; /* borrows; all words of the call, in the order in which they came */
	const struct err *e;
};

struct cli_tool {
	const char *name, *help;
	const struct cli_cmd *cmds;
	size_t opts_size;             /* of the option struct that all commands share */
	void (*defaults)(void *opts); /* fills it before parsing */
	/* Says what was built, as text or as one JSON document. */
	void (*version)(struct text *out, bool json);
	const char *exit_text; /* meaning of the exit statuses */
	/* Further sections of the man page, each a text with empty lines between its paragraphs; a line that begins
	 * with two blanks stays a line. */
	const char *examples, *files, *see_also;
	/* The i-th word that an option whose kind is CLI_TEXT knows, for completion; NULL at the end, and for options
	 * that take any text. May be NULL. */
	const char *(*word)(const char *option, unsigned i);
	/* Called for an error that no document on stdout says yet (err.told): may print one. NULL: nothing. */
	void (*failed)(const struct cli_failure *f);
};

#ifdef __cplusplus
}
#endif
#endif
