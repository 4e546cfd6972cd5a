/* SPDX-License-Identifier: MIT */
#include "convert/out/copy.h"

#include "core/file.h"
#include "core/hash/sha256.h"
#include "formats/conversion/manifest.h"

#include <stdlib.h>
#include <string.h>

enum { COPY_PIECE = 256 << 10 };

struct copy {
	const struct ckpt *c;
	struct outdir *dir;
	const char *name;
	int in, old; /* old: the file of that name that is in the folder already, or -1 */
	uint64_t bytes;
	uint8_t piece[COPY_PIECE], was[COPY_PIECE];
};

/* Reads all of it: to out, or against the old one; its SHA-256. *equal: it is the old one. */
static int pass(struct copy *k, struct file_out *out, bool *equal, uint8_t sha[32], struct err *e)
{
	struct sha256_kit kit;
	struct sha256 s, *sp = &s;
	const void *p = k->piece;
	uint64_t at;
	size_t n;
	int rc = 0;

	sha256_kit_evp(&kit);
	if (sha256_init(&s, &kit, e))
		return -1;
	*equal = !out;
	for (at = 0; !rc && at < k->bytes; at += n) {
		n = k->bytes - at < COPY_PIECE ? (size_t)(k->bytes - at) : COPY_PIECE;
		rc = file_read(k->c->io, k->in, k->piece, n, at, e);
		rc = rc ? rc : sha256_update(&sp, &p, n, 1, e);
		if (!rc && out)
			rc = file_write(k->dir->io, out->fd, k->piece, n, at, e);
		else if (!rc && *equal)
			*equal = !file_read(k->dir->io, k->old, k->was, n, at, NULL) &&
				!memcmp(k->was, k->piece, n);
	}
	if (!rc)
		return sha256_final(&s, sha, e);
	sha256_free(&s);
	return -1;
}

static int copy_anew(struct copy *k, uint8_t sha[32], struct err *e)
{
	struct file_out out;
	bool equal;

	if (claim_take(&k->dir->claim, e) || file_remove(k->dir->io, k->dir->fd, k->name, e) ||
		file_out_begin(&out, k->dir->io, k->dir->fd, k->name, k->bytes, e))
		return -1;
	if (!pass(k, &out, &equal, sha, e) && !file_out_close(&out, e) &&
		!file_out_publish(&out, e))
		return 0;
	file_out_abandon(&out);
	return -1;
}

int copy_file(const struct ckpt *c, struct outdir *dir, const char *name, uint64_t *bytes,
	uint8_t sha[32], struct err *e)
{
	struct copy *k = malloc(sizeof *k);
	char actual[CKPT_PATH];
	struct stat st;
	bool there, equal = false, has;
	int rc;

	if (!k)
		return err_nomem(e);
	k->c = c;
	k->dir = dir;
	k->name = name;
	k->old = -1;
	if (ckpt_blob_check(c, name, &has, &st, e) || ckpt_file(c, name, actual, &st, &there, e) ||
		file_open(c->io, c->dir, actual, &k->in, &st, e)) {
		free(k);
		return -1;
	}
	*bytes = k->bytes = (uint64_t)st.st_size;
	rc = 0;
	if (!file_open(k->dir->io, k->dir->fd, name, &k->old, &st, NULL)) {
		if ((uint64_t)st.st_size == k->bytes)
			rc = pass(k, NULL, &equal, sha, e);
		(void)k->dir->io->close(k->dir->io, k->old);
	}
	if (!rc && !equal)
		rc = copy_anew(k, sha, e);
	(void)c->io->close(c->io, k->in);
	free(k);
	return rc ? err_at(e, "%s", name) : 0;
}
