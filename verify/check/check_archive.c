/* check_archive.c -- an archive that is read as the folder that it restores: dsv4-archive.json has the SHA-256 of every
 * file, and each is held to it. The sums of frames alone do not tell a file from another copy's that was put in its place.
 *
 * Files that the pass reads are held to the list there; all others are read here. Where there is a manifest, it says which
 * files belong to the folder; a download has only the list to say so.
 *
 * SPDX-License-Identifier: MIT */
#include "verify/check/check.h"

#include "core/file.h"
#include "core/hash/hash_file.h"
#include "core/hash/xxh.h"
#include "formats/archive/archive_io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Returns the row of the list about a file of the pass, NULL if there is none. */
static const struct listed *row_of(const struct listing *l, const struct check_item *it)
{
	char path[LISTING_PATH];
	int n = snprintf(path, sizeof path, "%s%s%s", it->folder, *it->folder ? "/" : "", it->name);

	return n < LISTING_PATH ? listing_find(l, path) : NULL;
}

static void tell(struct check *c, const struct listed *f, const uint8_t is[32], const char *said_by)
{
	char got[65], want[65];

	hex_of(is, 32, got);
	hex_of(f->sha256, 32, want);
	report_add(c->r, RULE_ARCHIVE_SHA256, &(struct report_place){ .file = f->name },
		"its SHA-256 is %s%s%s, " LISTING_NAME " says %s", got, said_by ? " as of " : "",
		said_by ? said_by : "", want);
}

static void count(struct check *c, const struct listed *f)
{
	report_count(c->r, "checked", "files by the list of the archive", 1, f->bytes);
}

/* Has the pass hold file i to the list. Where another document has said its SHA-256 already, both must say the same. */
static void hold_item(struct check *c, size_t i, const struct listed *f)
{
	struct check_item *it = &c->items[i];

	if (it->has_sha && memcmp(it->sha256, f->sha256, 32)) {
		tell(c, f, it->sha256, it->said_by);
		return;
	}
	if (!it->has_sha) {
		memcpy(it->sha256, f->sha256, 32);
		it->has_sha = true;
		it->said_by = LISTING_NAME;
		it->rule = RULE_ARCHIVE_SHA256;
	}
	if (!c->jobs[i].sampled)
		count(c, f);
}

enum { HASTY = 1 << 20 }; /* bytes of a file that --quick reads whole */

static int hold_open(struct check *c, const struct listed *f, int fd, uint64_t bytes, struct err *e)
{
	uint8_t sha[32];

	if (hash_file(c->o->io, fd, bytes, NULL, sha, e))
		return -1;
	if (memcmp(sha, f->sha256, 32))
		tell(c, f, sha, NULL);
	else
		count(c, f);
	return 0;
}

/* Reads a file that the pass does not read. One that is not there is told where no manifest does. */
static int hold_alone(struct check *c, const struct listed *f, struct err *e)
{
	const struct io *io = c->o->io;
	const char *slash = strrchr(f->name, '/'), *name = slash ? slash + 1 : f->name;
	char folder[LISTING_PATH];
	struct stat st;
	int dir, fd, rc = 0;

	snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - f->name) : 0, f->name);
	if (file_open_below(io, c->top, folder, &dir, e))
		return -1;
	if (io->lstat(io, dir, name, &st) && errno == ENOENT) {
		if (c->ckpt.io)
			report_add(c->r, RULE_CHECK_MISSING,
				&(struct report_place){ .file = f->name },
				LISTING_NAME " names it, and it is not there");
	} else if (!c->o->quick || f->bytes <= HASTY) {
		rc = file_open(io, dir, name, &fd, &st, e);
		if (!rc) {
			rc = hold_open(c, f, fd, (uint64_t)st.st_size, e);
			(void)io->close(io, fd); /* read only */
		}
	}
	(void)io->close(io, dir); /* a folder has nothing to flush */
	return rc;
}

/* Every file of the list; of a rank, or where one file is asked for, only those of the pass. */
static int hold_files(struct check *c, const struct listing *l)
{
	bool *held = calloc(l->n + 1, sizeof *held);
	const struct listed *f;
	struct err e;
	size_t i;

	if (!held)
		return err_nomem(c->e);
	for (i = 0; i < c->n; i++) {
		f = row_of(l, &c->items[i]);
		if (!f)
			continue;
		held[f - l->files] = true;
		hold_item(c, i, f);
	}
	for (i = 0; i < l->n && !c->only && !c->o->rank; i++) {
		e = (struct err){ 0 };
		/* shards that the pass does not read were told, or are not read in haste */
		if (!held[i] && !check_is_shard(c, l->files[i].name) &&
			hold_alone(c, &l->files[i], &e))
			report_take(c->r, &(struct report_place){ .file = l->files[i].name }, &e);
	}
	free(held);
	return 0;
}

/* What lies in the folder at path and is not in the list. */
static int check_names(struct check *c, const struct listing *l, const char *path)
{
	const struct io *io = c->o->io;
	char whole[LISTING_PATH + 256], *names, *p;
	struct err e = { 0 };
	size_t n, i;
	int dir;

	if (file_open_below(io, c->top, path, &dir, &e)) {
		report_take(c->r, &(struct report_place){ .file = path }, &e);
		return 0;
	}
	if (io->list(io, dir, &names, &n)) {
		err_sys(c->e, "cannot list folder %s", text_quote(path).s);
		(void)io->close(io, dir); /* a folder has nothing to flush */
		return -1;
	}
	for (i = 0, p = names; i < n; i++, p += strlen(p) + 1) {
		snprintf(whole, sizeof whole, "%s%s%s", path, *path ? "/" : "", p);
		if (!listing_find(l, whole) && !listing_has_folder(l, whole))
			check_stray(c, dir, p, whole, LISTING_NAME);
	}
	free(names);
	(void)io->close(io, dir); /* a folder has nothing to flush */
	return 0;
}

int check_archive(struct check *c)
{
	const struct listing *l = archive_io_listing(c->o->io, c->top);
	size_t i;

	if (!l)
		return 0;
	if (hold_files(c, l))
		return -1;
	if (!c->ckpt.io)
		return 0; /* the manifest says which files belong there */
	if (check_names(c, l, ""))
		return -1;
	for (i = 0; i < l->n_folders; i++)
		if (check_names(c, l, l->folders[i]))
			return -1;
	return 0;
}
