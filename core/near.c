/* SPDX-License-Identifier: MIT */
#include "core/near.h"

#include <stddef.h>
#include <string.h>

enum { LETTERS = 40 }; /* longer words are not compared */

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

/* Optimal string alignment: d[i][j] is that of the first i letters of a and the first j of b. */
static unsigned distance(const char *a, size_t n, const char *b, size_t m)
{
	unsigned d[LETTERS + 1][LETTERS + 1];
	size_t i, j;

	for (i = 0; i <= n; i++)
		d[i][0] = (unsigned)i;
	for (j = 0; j <= m; j++)
		d[0][j] = (unsigned)j;
	for (i = 1; i <= n; i++) {
		for (j = 1; j <= m; j++) {
			d[i][j] = least(d[i - 1][j] + 1, d[i][j - 1] + 1,
				d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				d[i - 2][j - 2] + 1 < d[i][j])
				d[i][j] = d[i - 2][j - 2] + 1;
		}
	}
	return d[n][m];
}

void near_try(struct near *n, const char *word)
{
	size_t typed = strlen(n->typed), len = strlen(word);
	unsigned d;

	if (!typed || typed > LETTERS || len > LETTERS)
		return;
	d = distance(n->typed, typed, word, len);
	if (typed >= 2 && !strncmp(n->typed, word, typed))
		d = 1;
	if (d > 1 + (typed - 1) / 4 || d >= typed || (n->word && d >= n->distance))
		return;
	n->word = word;
	n->distance = d;
}
