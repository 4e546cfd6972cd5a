/* SPDX-License-Identifier: MIT */
#include "convert/run/readback.h"

#include "core/file.h"
#include "core/hash/hash_file.h"
#include "formats/conversion/chain.h"

#include <stdio.h>
#include <string.h>

static int hold(const struct io *io, int fd, const char *name, uint64_t bytes,
	const uint8_t sha256[32], struct err *e)
{
	char is[65], said[65];
	uint8_t sha[32];

	if (io->fsync(io, fd))
		return err_sys(e, "cannot sync %s", name);
	if (io->forget)
		io->forget(io, fd);
	if (hash_file(io, fd, bytes, NULL, sha, e))
		return err_at(e, "%s", name);
	if (!memcmp(sha, sha256, sizeof sha))
		return 0;
	hex_of(sha, 32, is);
	hex_of(sha256, 32, said);
	return err_rule(e, RULE_CHECK_SHA256, ERR_NOPOS,
		"%s: read again, its SHA-256 is %s, and it was written with %s", name, is, said);
}

int readback_small(const struct io *io, int dir, const char *name, uint64_t bytes,
	const uint8_t sha256[32], struct err *e)
{
	struct stat st;
	int fd, rc;

	if (file_open(io, dir, name, &fd, &st, e))
		return -1;
	rc = (uint64_t)st.st_size == bytes
		? hold(io, fd, name, bytes, sha256, e)
		: err_rule(e, RULE_SET_SIZE, ERR_NOPOS, "%s has %llu bytes, and %llu were written",
			  name, (unsigned long long)st.st_size, (unsigned long long)bytes);
	(void)io->close(io, fd); /* nothing was written */
	return rc;
}

/* What casts dropped, by the sidecar, which is as it was written. */
static int hold_dropped(const struct publisher *u, size_t i, struct err *e)
{
	const struct output *o = &u->outputs[i];
	struct manifest m = { .seal = SEAL_NONE };
	const struct chain_folder at = { u->dir->io, u->dir->fd, u->p->dir, &m };
	struct manifest_file file = { .name = u->p->files[i].name,
		.bytes = u->p->files[i].bytes,
		.side = o->side_name,
		.side_bytes = o->side_bytes,
		.has_sha256 = true };
	struct sidecar s;
	int rc = 0;

	memcpy(file.sha256, o->sha256, sizeof file.sha256);
	memcpy(file.side_sha256, o->side_sha256, sizeof file.side_sha256);
	snprintf(m.target, sizeof m.target, "%s", u->p->opts.target);
	snprintf(m.plan, sizeof m.plan, "%s", u->p->hash);
	snprintf(m.tool, sizeof m.tool, "%s", u->tool);
	if (chain_sidecar(&s, &at, &file, e))
		return err_at(e, "%s", o->side_name);
	if (s.dropped_bytes)
		rc = readback_small(u->dir->io, u->dir->fd, o->keep_name, s.dropped_bytes,
			s.dropped_sha256, e);
	sidecar_free(&s);
	return rc;
}

int readback_file(const struct out_folder *d, size_t i, struct err *e)
{
	const struct publisher *u = &d->pub;
	const struct output *o = &u->outputs[i];
	const struct io *io = u->dir->io;
	const char *name = u->p->files[i].name;
	int is = file_is(io, u->dir->fd, name, &o->data.st);

	if (is < 0)
		return err_sys(e, "cannot look at %s", name);
	if (!is)
		return err_rule(e, RULE_OUT_RACE, ERR_NOPOS,
			"another process has removed or replaced %s", name);
	if (readback_small(io, u->dir->fd, name, u->p->files[i].bytes, o->sha256, e) ||
		readback_small(io, u->dir->fd, o->side_name, o->side_bytes, o->side_sha256, e) ||
		hold_dropped(u, i, e))
		return -1;
	return file_sync_dir(io, u->dir->fd) ? err_sys(e, "cannot sync the folder of %s", name) : 0;
}
