/* dirs.h -- for tests that need folders: made below $TMPDIR or /tmp, removed at the end.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_DIRS_H
#define TESTS_DIRS_H
#include "tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

struct path {
	char s[512];
};

static struct path dirs_top;

static inline int dirs_remove_one(const char *p, const struct stat *st, int type, struct FTW *f)
{
	(void)st, (void)type, (void)f;
	return remove(p);
}

static inline void dirs_remove(const char *p)
{
	nftw(p, dirs_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void dirs_end(void)
{
	dirs_remove(dirs_top.s);
}

/* A path below a folder of this process. */
static inline struct path dirs_path(const char *name)
{
	struct path p;

	if (!dirs_top.s[0]) {
		snprintf(dirs_top.s, sizeof dirs_top.s, "%s/dsv4-test-XXXXXX",
			getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
		if (!mkdtemp(dirs_top.s)) {
			perror("mkdtemp");
			exit(2);
		}
		atexit(dirs_end);
	}
	if (snprintf(p.s, sizeof p.s, "%.255s/%.255s", dirs_top.s, name) >= (int)sizeof p.s)
		exit(2);
	return p;
}

/* Returns the path dir/name. */
static inline struct path below(const char *dir, const char *name)
{
	struct path p;

	if (snprintf(p.s, sizeof p.s, "%.300s/%.200s", dir, name) >= (int)sizeof p.s)
		exit(2);
	return p;
}

/* Returns a path below the folder of this process at which nothing lies: what was there is removed. */
static inline struct path dirs_gone(const char *name)
{
	struct path p = dirs_path(name);

	dirs_remove(p.s);
	return p;
}

/* A new empty folder of that name. */
static inline struct path dirs_new(const char *name)
{
	struct path p = dirs_gone(name);

	if (mkdir(p.s, 0777)) {
		perror(p.s);
		exit(2);
	}
	return p;
}

/* A copy of that name of a folder with all that is in it, in place of the last one. */
static inline struct path dirs_copy(const char *name, const char *from)
{
	struct path to = dirs_gone(name);
	char line[1100];

	snprintf(line, sizeof line, "cp -r %.500s %s", from, to.s);
	if (system(line))
		exit(2);
	return to;
}

static inline void file_put_all(const char *path, const void *p, size_t n)
{
	FILE *f = fopen(path, "wb");

	if (!f || (n && fwrite(p, 1, n, f) != n) || fclose(f)) {
		perror(path);
		exit(2);
	}
}

/* The whole file; NULL if it is not there. The caller frees. */
static inline uint8_t *file_get_all(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	uint8_t *p = NULL;
	long size;

	*n = 0;
	if (!f)
		return NULL;
	if (!fseek(f, 0, SEEK_END) && (size = ftell(f)) >= 0 && !fseek(f, 0, SEEK_SET)) {
		p = malloc((size_t)size + 1);
		if (p)
			*n = fread(p, 1, (size_t)size, f);
	}
	fclose(f);
	return p;
}

static inline bool same_files(const char *got, const char *want)
{
	size_t n, m;
	uint8_t *a = file_get_all(got, &n), *b = file_get_all(want, &m);
	bool same = a && b && n == m && same_bytes(got, a, b, n);

	if (a && b && n != m)
		fprintf(stderr, "%s: %zu bytes, expected %zu\n", got, n, m);
	free(a);
	free(b);
	return same;
}

static inline bool is_file(const char *path)
{
	struct stat st;

	return !lstat(path, &st);
}
#endif
