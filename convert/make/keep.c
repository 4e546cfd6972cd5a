/* SPDX-License-Identifier: MIT */
#include "convert/make/keep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int open_old(struct keep *k, struct err *e)
{
	struct stat st;

	if (k->io->lstat(k->io, k->dir, k->name, &st))
		return errno == ENOENT ? 0 : err_sys(e, "cannot stat %s", k->name);
	if (file_open(k->io, k->dir, k->name, &k->old, &st, e))
		return -1;
	k->old_bytes = (uint64_t)st.st_size;
	return 0;
}

int keep_begin(struct keep *k, const struct io *io, int dir, const char *name, bool compare,
	struct err *e)
{
	memset(k, 0, sizeof *k);
	k->old = -1;
	k->dir = dir;
	k->compare = compare;
	k->equal = true;
	snprintf(k->name, sizeof k->name, "%s", name);
	sha256_kit_evp(&k->kit);
	if (sha256_init(&k->sha, &k->kit, e))
		return -1;
	k->io = io;
	k->digesting = true;
	return compare ? open_old(k, e) : 0;
}

static int compare_old(struct keep *k, const uint8_t *p, size_t n, struct err *e)
{
	uint8_t *old;

	if (!k->equal || k->old < 0 || k->bytes + n > k->old_bytes) {
		k->equal = false;
		return 0;
	}
	old = malloc(n);
	if (!old)
		return err_nomem(e);
	k->equal = !file_read(k->io, k->old, old, n, k->bytes, NULL) && !memcmp(old, p, n);
	free(old);
	return 0;
}

static int write_new(struct keep *k, const uint8_t *p, size_t n, struct err *e)
{
	if (!k->out.begun && file_out_begin(&k->out, k->io, k->dir, k->name, 0, e))
		return -1;
	return file_write(k->io, k->out.fd, p, n, k->bytes, e);
}

int keep_tensor(struct keep *k, struct dropped *d, uint8_t *frame, size_t room,
	struct keep_place *at, struct err *e)
{
	*at = (struct keep_place){ 0, 0 };
	if (!k->io || !d->any)
		return 0;
	return keep_frame(k, frame, dropped_pack(d, frame, room), at, e);
}

int keep_frame(struct keep *k, const uint8_t *frame, size_t n, struct keep_place *at, struct err *e)
{
	struct sha256 *sha = &k->sha;
	const void *data = frame;

	if (!k->io)
		return 0;
	if (!n)
		return err_set(e, ERR_SYSTEM, "%s: zstd failed", k->name);
	if (k->compare ? compare_old(k, frame, n, e) : write_new(k, frame, n, e))
		return err_at(e, "%s", k->name);
	if (sha256_update(&sha, &data, n, 1, e))
		return -1;
	*at = (struct keep_place){ k->bytes, k->bytes + n };
	k->bytes += n;
	return 0;
}

int keep_end(struct keep *k, struct err *e)
{
	if (!k->io)
		return 0;
	k->digesting = false;
	if (sha256_final(&k->sha, k->sha256, e))
		return -1;
	if (k->compare) {
		k->equal = k->equal && (k->bytes ? k->old_bytes == k->bytes : k->old < 0);
		return 0;
	}
	k->out.size = k->bytes;
	return k->out.begun ? file_out_close(&k->out, e) : 0;
}

void keep_free(struct keep *k)
{
	if (!k->io)
		return;
	if (k->old >= 0)
		(void)k->io->close(k->io, k->old); /* read only */
	if (k->digesting)
		sha256_free(&k->sha);
	file_out_abandon(&k->out);
	memset(k, 0, sizeof *k);
}
