/* shell_line.h -- for tests whose steps are lines of the shell: %-letters in a line stand for the paths of the test.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_SHELL_LINE_H
#define TESTS_SHELL_LINE_H
#include "tests/dirs.h"

#include <sys/wait.h>

/* Returns the folder of the build that is tested; the caller does not free it. */
static inline const char *shell_build(void)
{
	return getenv("B") ? getenv("B") : "build/gcc-opt";
}

/* Runs before and line in a shell and returns the exit status; 128: a signal ended it. In line %B stands for the folder of the
 * build, and % with the i-th of letters for *paths[i]. */
static inline int shell_line(const char *before, const char *line, const char *letters,
	const struct path *const paths[])
{
	const char *at;
	char s[8192];
	size_t n = (size_t)snprintf(s, sizeof s, "%s", before);
	int rc;

	for (; *line && n < sizeof s - 600; line++) {
		at = *line == '%' && line[1] ? strchr(letters, line[1]) : NULL;
		if (*line == '%' && line[1] == 'B')
			n += (size_t)snprintf(s + n, 600, "%s", shell_build()), line++;
		else if (at)
			n += (size_t)snprintf(s + n, 600, "%s", paths[at - letters]->s), line++;
		else
			s[n++] = *line;
	}
	if (*line) {
		fprintf(stderr, "the line is too long for this: %s\n", line);
		exit(2);
	}
	s[n] = 0;
	rc = system(s);
	return WIFEXITED(rc) ? WEXITSTATUS(rc) : 128;
}
#endif
