/* shell.h -- a tool as a script calls it: its exit status, and what it said on stdout and stderr.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_SHELL_H
#define TESTS_SHELL_H
#include "tests/model.h"

#include <stdarg.h>
#include <sys/wait.h>

static struct path out_file, err_file; /* what the last call printed */

/* Notes the rules that the file names, for the runner (tests/produced.h). */
static void shell_note(const char *file)
{
	size_t n;
	char *s = (char *)file_get_all(file, &n);

	if (s) {
		s[n] = 0;
		produced_in(s);
	}
	free(s);
}

/* Runs "TOOL ARGS" of this build in a shell, and returns the exit status. */
static int shell(const char *tool, const char *args)
{
	char line[3600];
	const char *b = getenv("B");
	int rc;

	out_file = dirs_path("stdout");
	err_file = dirs_path("stderr");
	snprintf(line, sizeof line, "%s/%s %s >%s 2>%s", b ? b : "build/gcc-opt", tool, args,
		out_file.s, err_file.s);
	rc = system(line);
	shell_note(out_file.s);
	shell_note(err_file.s);
	rc = WIFEXITED(rc) ? WEXITSTATUS(rc) : 128;
	CHECK_IN(line, rc < 126); /* no input lets a tool die by a signal, and there is a tool */
	return rc;
}

/* True if the file has what in it; "": if it is empty. */
static bool holds(const char *file, const char *what)
{
	size_t n;
	char *s = (char *)file_get_all(file, &n);
	bool yes;

	if (!s)
		return false;
	s[n] = 0;
	yes = *what ? strstr(s, what) != NULL : n == 0;
	free(s);
	return yes;
}

/* Runs "TOOL ARGS"; true if it ends with that status and, where what is not NULL, has said that. Else it prints what
 * came instead. */
static inline __attribute__((format(printf, 4, 5))) bool ends(int status, const char *what,
	const char *tool, const char *fmt, ...)
{
	char args[2048];
	va_list ap;
	size_t n;
	char *s;
	int rc;

	va_start(ap, fmt);
	vsnprintf(args, sizeof args, fmt, ap);
	va_end(ap);
	rc = shell(tool, args);
	if (rc == status && (!what || holds(err_file.s, what) || holds(out_file.s, what)))
		return true;
	s = (char *)file_get_all(err_file.s, &n);
	fprintf(stderr, "%s %s: %d and not %d, %s: %.*s\n", tool, args, rc, status,
		what ? what : "", (int)n, s ? s : "");
	free(s);
	return false;
}
#endif
