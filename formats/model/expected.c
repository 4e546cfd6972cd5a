/* SPDX-License-Identifier: MIT */
#include "formats/model/expected.h"

#include "core/file.h"
#include "core/hash/xxh.h"
#include "formats/model/blob.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_CAP = 4 << 20, POINTER_CAP = 1024 };

static long shard_named(const struct ckpt *c, const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < c->n_shards; i++)
		if (strlen(c->shards[i].name) == n && !memcmp(c->shards[i].name, s, n))
			return (long)i;
	return -1;
}

static int bad(struct err *e, const char *path, const char *what)
{
	return err_rule(e, RULE_SOURCE_LIST, ERR_NOPOS, "%s: %s", text_quote(path).s, what);
}

/* One line without its newline. */
static int read_line(struct expected *x, bool *seen, const struct ckpt *c, const char *path,
	char *s, struct err *e)
{
	size_t n = strlen(s);
	uint8_t sha[32];
	long i;

	while (n && (s[n - 1] == '\r' || s[n - 1] == ' ' || s[n - 1] == '\t'))
		s[--n] = 0;
	if (!n || s[0] == '#')
		return 0;
	if (n < 67 || !hex_to(s, sha, 32) || s[64] != ' ' || (s[65] != ' ' && s[65] != '*'))
		return err_rule(e, RULE_SOURCE_LIST, ERR_NOPOS,
			"%s: the line \"%s\" is not \"sha256  name\"", text_quote(path).s,
			text_quote(s).s);
	i = shard_named(c, s + 66, n - 66);
	if (i < 0)
		return 0;
	if (seen[i] && memcmp(x->sha256[i], sha, 32))
		return err_rule(e, RULE_SOURCE_LIST, ERR_NOPOS, "%s: two different digests for %s",
			text_quote(path).s, c->shards[i].name);
	seen[i] = true;
	memcpy(x->sha256[i], sha, 32);
	return 0;
}

static int read_list(struct expected *x, const struct ckpt *c, const char *path, struct err *e)
{
	struct text t = { 0 };
	bool *seen = calloc(c->n_shards + 1, sizeof *seen);
	char *p, *end;
	size_t i;
	int rc;

	if (!seen)
		return err_nomem(e);
	rc = file_load(c->io, AT_FDCWD, path, LIST_CAP, &t, e);
	if (!rc && memchr(t.s, 0, t.n))
		rc = bad(e, path, "it holds a NUL byte");
	for (p = t.s; !rc && p && *p; p = end ? end + 1 : p + strlen(p)) {
		end = strchr(p, '\n');
		if (end)
			*end = 0;
		rc = read_line(x, seen, c, path, p, e);
	}
	for (i = 0; !rc && i < c->n_shards; i++)
		if (!seen[i])
			rc = err_rule(e, RULE_SOURCE_LIST, ERR_NOPOS, "%s: %s is not in it",
				text_quote(path).s, c->shards[i].name);
	text_free(&t);
	free(seen);
	return rc;
}

/* version https://git-lfs.github.com/spec/v1 \n oid sha256:HEX \n size N \n */
static int read_pointer(struct expected *x, const struct ckpt *c, int dir, size_t i, struct err *e)
{
	static const char start[] = "version https://git-lfs",
			  oid[] = "\noid sha256:", size[] = "\nsize ";
	struct text t = { 0 };
	const char *o, *z;
	int rc;

	rc = file_load(c->io, dir, c->shards[i].name, POINTER_CAP, &t, e);
	o = rc || strncmp(t.s, start, sizeof start - 1) ? NULL : strstr(t.s, oid);
	z = o ? strstr(t.s, size) : NULL;
	if (!rc && (!z || !hex_to(o + sizeof oid - 1, x->sha256[i], 32)))
		rc = bad(e, c->shards[i].name,
			"it is no Git-LFS pointer with a SHA-256 and a size");
	if (!rc && strtoull(z + sizeof size - 1, NULL, 10) != (uint64_t)c->shards[i].st.st_size)
		rc = err_rule(e, RULE_SOURCE_SIZE, ERR_NOPOS,
			"%s has %lld bytes, its Git-LFS pointer says %llu", c->shards[i].name,
			(long long)c->shards[i].st.st_size,
			strtoull(z + sizeof size - 1, NULL, 10));
	text_free(&t);
	return rc;
}

static int read_pointers(struct expected *x, const struct ckpt *c, const char *path, struct err *e)
{
	size_t i;
	int dir, rc = 0;

	if (file_open_dir(c->io, path, &dir, e))
		return -1;
	for (i = 0; !rc && i < c->n_shards; i++)
		rc = read_pointer(x, c, dir, i, e);
	(void)c->io->close(c->io, dir);
	return rc;
}

int expected_read(struct expected *x, const struct ckpt *c, const char *path, struct err *e)
{
	struct stat st;
	int rc;

	memset(x, 0, sizeof *x);
	x->sha256 = calloc(c->n_shards + 1, sizeof *x->sha256);
	if (!x->sha256)
		return err_nomem(e);
	if (c->io->lstat(c->io, AT_FDCWD, path, &st))
		rc = err_sys(e, "cannot look at %s", text_quote(path).s);
	else if (S_ISDIR(st.st_mode))
		rc = read_pointers(x, c, path, e);
	else
		rc = read_list(x, c, path, e);
	if (rc) {
		expected_free(x);
		return err_at(e, "--source-sha256");
	}
	return 0;
}

long expected_of_blobs(struct expected *x, const struct ckpt *c, struct err *e)
{
	const char *blob;
	long unsaid = 0;
	size_t i;

	memset(x, 0, sizeof *x);
	x->sha256 = calloc(c->n_shards + 1, sizeof *x->sha256);
	if (!x->sha256)
		return err_nomem(e);
	for (i = 0; i < c->n_shards; i++) {
		blob = c->shards[i].blob;
		unsaid += !blob || !blob_is_sha256(blob) || !hex_to(blob, x->sha256[i], 32);
	}
	if (unsaid)
		expected_free(x);
	return unsaid;
}

void expected_free(struct expected *x)
{
	free(x->sha256);
	memset(x, 0, sizeof *x);
}
