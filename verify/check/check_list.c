/* check_list.c -- --source-sha256 LIST: every line of the list is held against what it is about, whatever the folder is.
 *
 *	a download     the files of that name; shards are digested by the pass, other files here
 *	a conversion   the digests of its source that its manifest has, and the small files that it has of it
 *
 * SPDX-License-Identifier: MIT */
#include "verify/check/check.h"

#include "core/file.h"
#include "core/hash/hash_file.h"
#include "core/hash/xxh.h"
#include "core/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int check_list_open(struct check *c)
{
	if (!c->o->source_sha256)
		return 0;
	if (c->only)
		return err_set(c->e, ERR_USAGE,
			"--source-sha256 is about a whole folder, not about the file %s",
			text_quote(c->only).s);
	if (sumlist_read(&c->list, c->o->io, c->o->source_sha256, c->e))
		return err_at(c->e, "--source-sha256");
	c->listed = calloc(c->list.n + 1, sizeof *c->listed);
	return c->listed ? 0 : err_nomem(c->e);
}

void check_list_close(struct check *c)
{
	sumlist_free(&c->list);
	free(c->listed);
}

/* The line about a file, which counts as looked at; NULL: there is none. */
static const struct sum *take(struct check *c, const char *name)
{
	const struct sum *s = sumlist_find(&c->list, name);

	if (s)
		c->listed[s - c->list.v] = true;
	return s;
}

static void tell(struct check *c, const char *path, const uint8_t is[32], const struct sum *s)
{
	char got[65], want[65];

	hex_of(is, 32, got);
	hex_of(s->sha256, 32, want);
	report_add(c->r, RULE_SOURCE_SHA256, &(struct report_place){ .file = path },
		"its SHA-256 is %s, --source-sha256 says %s", got, want);
}

/* Lines that nothing was found for. A download without its weights or one of its documents is not whole; of a
 * conversion only the weights that it was made of are asked for. */
static void tell_rest(struct check *c, bool download, const char *gone)
{
	const char *name;
	size_t i;

	for (i = 0; i < c->list.n; i++) {
		if (c->listed[i])
			continue;
		name = c->list.v[i].name;
		if (!strchr(name, '/') &&
			(text_ends(name, ".safetensors") || (download && text_ends(name, ".json"))))
			report_add(c->r, RULE_CHECK_MISSING, &(struct report_place){ .file = name },
				"%s", gone);
		else
			report_count(c->r, "checked",
				"lines of the list that nothing here was held to", 1, 0);
	}
}

/* --- a download --- */

/* Opens a file that the list names, which may lie in a folder below. Returns 1, 0 where it is not there, or -1. */
static int open_listed(struct check *c, const char *name, int *fd, struct stat *st, struct err *e)
{
	const char *slash = strrchr(name, '/');
	char actual[CKPT_PATH], folder[1024];
	int dir, rc;
	bool there;

	if (!slash) {
		if (ckpt_file(&c->ckpt, name, actual, st, &there, e))
			return -1;
		return !there ? 0 : file_open(c->o->io, c->ckpt.dir, actual, fd, st, e) ? -1 : 1;
	}
	if ((size_t)(slash - name) >= sizeof folder)
		return 0;
	memcpy(folder, name, (size_t)(slash - name));
	folder[slash - name] = 0;
	if (strstr(folder, "..") || name[0] == '/' ||
		file_open_below(c->o->io, c->ckpt.dir, folder, &dir, NULL))
		return 0;
	rc = c->o->io->lstat(c->o->io, dir, slash + 1, st) && errno == ENOENT ? 0
		: file_open(c->o->io, dir, slash + 1, fd, st, e)              ? -1
									      : 1;
	(void)c->o->io->close(c->o->io, dir); /* a folder has nothing to flush */
	return rc;
}

bool check_is_shard(const struct check *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->ckpt.n_shards; i++)
		if (!strcmp(c->ckpt.shards[i].name, name))
			return true;
	return false;
}

void check_list_download(struct check *c)
{
	const struct sum *s;
	struct stat st;
	uint8_t sha[32];
	int fd, there;

	for (s = c->list.v; s && s < c->list.v + c->list.n; s++) {
		struct err e = { 0 };

		if (check_is_shard(c, s->name)) { /* the pass digests it */
			(void)take(c, s->name);
			continue;
		}
		there = open_listed(c, s->name, &fd, &st, &e);
		if (there)
			(void)take(c, s->name);
		if (there > 0) {
			there = hash_file(c->o->io, fd, (uint64_t)st.st_size, NULL, sha, &e) ? -1
											     : 1;
			(void)c->o->io->close(c->o->io, fd); /* read only */
		}
		if (there < 0)
			report_take(c->r, &(struct report_place){ .file = s->name }, &e);
		else if (there > 0 && memcmp(sha, s->sha256, 32))
			tell(c, s->name, sha, s);
		else if (there > 0)
			report_count(c->r, "checked", "other files by the list", 1,
				(uint64_t)st.st_size);
	}
	tell_rest(c, true, "--source-sha256 names it, and it is not there");
}

/* --- a conversion --- */

/* The shards that the conversion was made of, by the first manifest that lists them. */
static void hold_shards(struct check *c, const struct manifest *m)
{
	const struct manifest_file *shard, *own;
	const char *unknown = NULL;
	const struct sum *s;
	size_t i, n = 0;

	for (i = 0; i < m->shards.n; i++) {
		shard = &m->shards.v[i];
		s = take(c, shard->name);
		own = manifest_find(&m->files, shard->name);
		if (s && shard->has_sha256) {
			if (memcmp(shard->sha256, s->sha256, 32))
				tell(c, shard->name, shard->sha256, s);
			else
				report_count(c->r, "checked", "shards of the source by the list", 1,
					shard->bytes);
		} else if (s && own && own->has_sha256 && !memcmp(own->sha256, s->sha256, 32)) {
			report_count(c->r, "checked", "shards of the source by the list", 1,
				shard->bytes);
		} else {
			unknown = unknown ? unknown : shard->name;
			n++;
		}
	}
	if (n)
		report_add(c->r, RULE_CHECK_SOURCE_UNKNOWN, NULL,
			"whether %zu of %zu shards of the source had the SHA-256 of the list, such as %s, "
			"is not recorded",
			n, m->shards.n, text_quote(unknown).s);
}

/* Whether a file of a conversion is one of the source, byte for byte. */
static bool is_copy(const struct chain_folder *d, const struct manifest_file *f)
{
	if (!strcmp(d->m->target, "restore"))
		return true;
	if (f->side)
		return false;
	return !strcmp(d->name, SET_SOURCE) ||
		(strcmp(f->name, "config.json") && strcmp(f->name, CKPT_INDEX));
}

void check_list_folder(struct check *c, const struct chain_folder *d)
{
	const struct manifest_file *f;
	const struct sum *s;
	size_t i;

	if (!c->listed)
		return;
	if (!c->held_shards && d->m->shards.n) {
		c->held_shards = true;
		hold_shards(c, d->m);
	}
	for (i = 0; i < d->m->files.n; i++) {
		f = &d->m->files.v[i];
		s = is_copy(d, f) ? take(c, f->name) : NULL;
		if (s && !f->has_sha256)
			report_add(c->r, RULE_CHECK_SOURCE_UNKNOWN,
				&(struct report_place){ .file = check_path(d->name, f->name).s },
				"its manifest has no SHA-256 of it, so that it cannot be held to the list");
		else if (s && memcmp(f->sha256, s->sha256, 32))
			tell(c, check_path(d->name, f->name).s, f->sha256, s);
	}
}

void check_list_end(struct check *c)
{
	if (c->listed && !c->o->rank)
		tell_rest(c, false,
			"--source-sha256 names it, and the conversion was not made of it");
}
