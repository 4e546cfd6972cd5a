/* verify.h -- for tests of dsv4-verify: a verb in one call, what its report has, a table of I/O that flips
 * bits and watches what is opened.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_VERIFY_H
#define TESTS_VERIFY_H
#include "formats/conversion/manifest.h"
#include "tests/sanitized.h"
#include "tests/set.h"
#include "verify/check/check.h"

enum { SLOW = SANITIZED };

static inline struct check_opts verify_opts(void)
{
	struct check_opts o = {
		.io = io_posix(), .threads = 2, .features = cpu_features(), .max_memory = 256 << 20
	};

	return o;
}

/* Runs it; *r is to be freed. The exit status. */
static inline int verify_check(struct report *r, const char *path, const struct check_opts *o)
{
	struct err e = { 0 };

	report_begin(r, "test 0", "check", path, NULL);
	if (!check_run(r, path, o, &e))
		report_finish(r, &e);
	else
		report_take(r, NULL, &(struct err){ .kind = e.kind, .rule = e.rule, .pos = e.pos });
	return err_exit_code(&e);
}

/* The first finding of that rule (NULL: any), about that file (NULL: any). */
static inline const struct report_finding *verify_find(const struct report *r, const char *rule,
	const char *file)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if ((!rule || (r->findings[i].rule && !strcmp(r->findings[i].rule, rule))) &&
			(!file ||
				(r->findings[i].at.file && !strcmp(r->findings[i].at.file, file))))
			return &r->findings[i];
	return NULL;
}

static inline void verify_print(const struct report *r)
{
	struct text t = { 0 };

	report_put_text(r, false, &t);
	fprintf(stderr, "%s", t.s ? t.s : "");
	text_free(&t);
}

/* It is whole. */
static inline bool verify_true(const char *path, const struct check_opts *o)
{
	struct report r;
	int rc = verify_check(&r, path, o);
	bool ok = !rc && !r.errors && !r.unknown;

	if (!ok)
		verify_print(&r);
	report_free(&r);
	return ok;
}

/* It is not, and this is found: a rule about a file (NULL: any). */
static inline bool verify_false(const char *path, const struct check_opts *o, const char *rule,
	const char *file)
{
	struct report r;
	int rc = verify_check(&r, path, o);
	bool ok = rc == 1 && verify_find(&r, rule, file);

	if (!ok) {
		fprintf(stderr, "%s: expected %s for %s, status %d\n", path, rule, file ? file : "",
			rc);
		verify_print(&r);
	}
	report_free(&r);
	return ok;
}

/* --- documents changed on purpose, with digests that fit again --- */

/* The first from in the file becomes to. */
static inline void verify_exchange(const char *path, const char *from, const char *to)
{
	size_t n, f = strlen(from), t = strlen(to);
	char *p = (char *)file_get_all(path, &n), *at = p ? memmem(p, n, from, f) : NULL, *q;

	if (!at || !(q = malloc(n + t))) {
		fprintf(stderr, "%s has no %s\n", path, from);
		exit(2);
	}
	memcpy(q, p, (size_t)(at - p));
	memcpy(q + (at - p), to, t);
	memcpy(q + (at - p) + t, at + f, n - (size_t)(at - p) - f);
	unlink(path);
	file_put_all(path, q, n - f + t);
	free(p);
	free(q);
}

/* Gives the manifest in dir its digest anew. */
static inline void verify_seal(const char *dir)
{
	struct path path = model_file(dir, MAN_NAME);
	struct text t = { 0 };
	struct xxh_digest d;
	char hex[33], *end;
	size_t n;
	uint8_t *p = file_get_all(path.s, &n);

	text_put(&t, p, n);
	free(p);
	end = strstr(t.s, ",\n \"xxh3_128\"");
	t.n = end ? (size_t)(end - t.s) : t.n;
	d = xxh_of(t.s, t.n);
	hex_of(d.b, 16, hex);
	text_fmt(&t, ",\n \"xxh3_128\": \"%s\"\n}\n", hex);
	unlink(path.s);
	file_put_all(path.s, t.s, t.n);
	text_free(&t);
}

/* The same in a sidecar of a folder, whose manifest then knows it. */
static inline void verify_edit(const char *dir, const char *file, const char *from, const char *to)
{
	char side[300], old[65], now[65], was[64], is[64];
	struct stat a, b;

	snprintf(side, sizeof side, "%s" MAN_SIDECAR, file);
	digest_file(model_file(dir, side).s, old);
	stat(model_file(dir, side).s, &a);
	verify_exchange(model_file(dir, side).s, from, to);
	digest_file(model_file(dir, side).s, now);
	stat(model_file(dir, side).s, &b);
	verify_exchange(model_file(dir, MAN_NAME).s, old, now);
	snprintf(was, sizeof was, "\"sidecar\": {\"bytes\": %lld", (long long)a.st_size);
	snprintf(is, sizeof is, "\"sidecar\": {\"bytes\": %lld", (long long)b.st_size);
	verify_exchange(model_file(dir, MAN_NAME).s, was, is);
	verify_seal(dir);
}

/* A table of I/O in which one file reads with one bit flipped, and which notes how things are opened. */
struct flip_io {
	struct io io;     /* first */
	const char *name; /* ends so; NULL: none */
	uint64_t bit;
	int fd;
	uint64_t opens, outside; /* outside: not from the top, or through a link */
	const char *top;
};

static inline int flip_open(const struct io *io, int dir, const char *path, int flags, mode_t mode)
{
	struct flip_io *f = (struct flip_io *)(uintptr_t)io;
	int fd = io_posix()->open(io_posix(), dir, path, flags, mode);
	size_t n = strlen(path), m = f->name ? strlen(f->name) : 0;

	f->opens++;
	if (dir == AT_FDCWD ? strcmp(path, f->top ? f->top : "") != 0
			    : strchr(path, '/') || !strcmp(path, "..") || !(flags & O_NOFOLLOW))
		f->outside++;
	if (fd >= 0 && m && n >= m && !strcmp(path + n - m, f->name) &&
		(n == m || path[n - m - 1] == '/'))
		f->fd = fd;
	return fd;
}

static inline int flip_close(const struct io *io, int fd)
{
	struct flip_io *f = (struct flip_io *)(uintptr_t)io;

	if (f->fd == fd)
		f->fd = -1;
	return close(fd);
}

static inline ssize_t flip_pread(const struct io *io, int fd, void *buf, size_t n, off_t at)
{
	const struct flip_io *f = (const struct flip_io *)(uintptr_t)io;
	ssize_t got = pread(fd, buf, n, at);
	uint64_t byte = f->bit / 8;

	if (fd == f->fd && got > 0 && byte >= (uint64_t)at && byte < (uint64_t)at + (uint64_t)got)
		((uint8_t *)buf)[byte - (uint64_t)at] ^= (uint8_t)(1 << f->bit % 8);
	return got;
}

static inline struct flip_io flip_make(const char *name, uint64_t bit, const char *top)
{
	struct flip_io f = { .io = *io_posix(), .name = name, .bit = bit, .fd = -1, .top = top };

	f.io.open = flip_open;
	f.io.close = flip_close;
	f.io.pread = flip_pread;
	return f;
}
#endif
