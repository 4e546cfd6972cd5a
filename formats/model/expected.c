/* SPDX-License-Identifier: MIT */
#include "formats/model/expected.h"

#include "core/file.h"
#include "core/hash/xxh.h"
#include "formats/blob.h"
#include "formats/model/sumlist.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { POINTER_CAP = 1024 };

static int bad(struct err *e, const char *path, const char *what)
{
	return err_rule(e, RULE_SOURCE_LIST, ERR_NOPOS, "%s: %s", text_quote(path).s, what);
}

static int read_list(struct expected *x, const struct ckpt *c, const char *path, struct err *e)
{
	const struct sum *s;
	struct sumlist l;
	size_t i;
	int rc = sumlist_read(&l, c->io, path, e);

	for (i = 0; !rc && i < c->n_shards; i++) {
		s = sumlist_find(&l, c->shards[i].name);
		if (s)
			memcpy(x->sha256[i], s->sha256, 32);
		else
			rc = err_rule(e, RULE_SOURCE_LIST, ERR_NOPOS, "%s: %s is not in it",
				text_quote(path).s, c->shards[i].name);
	}
	sumlist_free(&l);
	return rc;
}

static int read_pointer(struct expected *x, const struct ckpt *c, int dir, size_t i, struct err *e)
{
	struct text t = { 0 };
	uint64_t bytes = 0;
	int rc = file_load(c->io, dir, c->shards[i].name, POINTER_CAP, &t, e);

	if (!rc && !sumlist_pointer(t.s, x->sha256[i], &bytes))
		rc = bad(e, c->shards[i].name,
			"it is no Git-LFS pointer with a SHA-256 and a size");
	if (!rc && bytes != (uint64_t)c->shards[i].st.st_size)
		rc = err_rule(e, RULE_SOURCE_SIZE, ERR_NOPOS,
			"%s has %lld bytes, its Git-LFS pointer says %llu", c->shards[i].name,
			(long long)c->shards[i].st.st_size, (unsigned long long)bytes);
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
