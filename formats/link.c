/* SPDX-License-Identifier: MIT */
#include "formats/link.h"

#include "core/file.h"
#include "formats/blob.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LINKS_MAX = 8 };

/* Appends where the link at the path actual leads to: text as it is where that is absolute, else behind the folder
 * of actual. */
static int follow(char actual[LINK_PATH], const char *text, struct err *e)
{
	char *slash = strrchr(actual, '/');
	size_t dir = text[0] == '/' || !slash ? 0 : (size_t)(slash + 1 - actual);

	if (dir + strlen(text) >= LINK_PATH)
		return err_set(e, ERR_USAGE, "the link %s is too long", text_quote(actual).s);
	memcpy(actual + dir, text, strlen(text) + 1);
	return 0;
}

static int refuse_link(const char *name, const char *text, struct err *e)
{
	return err_rule(e, RULE_FILE_SYMLINK, ERR_NOPOS,
		"%s is a link to %s, which is not ../../blobs/HASH of a hub's cache: --follow-links follows it",
		text_quote(name).s, text_quote(text).s);
}

/* What to open for name: name itself, the blob that it is a link to, or with --follow-links where other links
 * lead. *hash is the place in actual of the hash that names the blob, or NULL. */
static int resolve(const struct link_dir *d, const char *name, char actual[LINK_PATH],
	const char **hash, struct err *e)
{
	char text[LINK_PATH];
	ssize_t n;
	int hops;

	*hash = NULL;
	if (strlen(name) >= LINK_NAME)
		return err_set(e, ERR_USAGE, "%s is too long a name", text_quote(name).s);
	memcpy(actual, name, strlen(name) + 1);
	for (hops = 0; hops < LINKS_MAX; hops++) {
		n = d->io->readlink(d->io, d->dir, actual, text, sizeof text - 1);
		if (n < 0 && (errno == EINVAL || (hops && errno == ENOENT)))
			return 0; /* no link; what is not there is found out by who opens it */
		if (n < 0)
			return err_sys(e, "cannot look at %s", text_quote(name).s);
		text[n] = 0;
		if (!hops && blob_of(text, 0)) {
			memcpy(actual, text, (size_t)n + 1);
			*hash = blob_of(actual, 0);
			return 0;
		}
		if (!d->follow)
			return refuse_link(name, text, e);
		if (follow(actual, text, e))
			return -1;
	}
	return err_rule(e, RULE_FILE_SYMLINK, ERR_NOPOS, "%s is a link through more than %d others",
		text_quote(name).s, LINKS_MAX);
}

/* 1 or 0; -1 where the system cannot tell. */
static int is_there(const struct link_dir *d, const char *name, struct stat *st, struct err *e)
{
	if (!d->io->lstat(d->io, d->dir, name, st))
		return 1;
	return errno == ENOENT ? 0 : err_sys(e, "cannot look at %s", text_quote(name).s);
}

static int dangling(const char *name, const char *actual, struct err *e)
{
	return err_rule(e, RULE_FILE_DANGLING, ERR_NOPOS, "%s is a link to %s, which is not there",
		text_quote(name).s, text_quote(actual).s);
}

int link_open(const struct link_dir *d, const char *name, int *fd, struct stat *st, bool *there,
	char actual[LINK_PATH], const char **hash, struct err *e)
{
	int rc = is_there(d, name, st, e);

	*fd = -1;
	*there = rc > 0;
	if (rc <= 0)
		return rc;
	if (resolve(d, name, actual, hash, e))
		return -1;
	rc = is_there(d, actual, st, e);
	if (rc <= 0)
		return rc ? -1 : dangling(name, actual, e);
	return file_open(d->io, d->dir, actual, fd, st, e);
}

int link_look(const struct link_dir *d, const char *name, char actual[LINK_PATH], struct stat *st,
	bool *there, struct err *e)
{
	const char *hash;
	int rc = is_there(d, name, st, e);

	*there = rc > 0;
	if (rc <= 0)
		return rc;
	if (resolve(d, name, actual, &hash, e))
		return -1;
	rc = is_there(d, actual, st, e);
	if (rc <= 0)
		return rc ? -1 : dangling(name, actual, e);
	if (!S_ISREG(st->st_mode))
		return err_rule(e, RULE_FILE_NOT_REGULAR, ERR_NOPOS, "%s is not a regular file",
			text_quote(name).s);
	return 0;
}

int link_open_small(const struct link_dir *d, const char *name, uint64_t cap, int *fd,
	struct stat *st, bool *there, struct err *e)
{
	char actual[LINK_PATH];
	const char *hash = NULL;
	int rc = link_open(d, name, fd, st, there, actual, &hash, e);

	if (rc || !*there)
		return rc;
	if ((uint64_t)st->st_size > cap)
		rc = err_rule(e, RULE_FILE_TOO_BIG, ERR_NOPOS,
			"%s has %lld bytes, at most %llu are taken", text_quote(name).s,
			(long long)st->st_size, (unsigned long long)cap);
	else if (hash)
		rc = blob_check(d->io, *fd, (uint64_t)st->st_size, hash, name, e);
	if (!rc)
		return 0;
	(void)d->io->close(d->io, *fd); /* read only */
	*fd = -1;
	return -1;
}

int link_load(const struct link_dir *d, const char *name, uint64_t cap, struct text *out,
	bool *there, struct err *e)
{
	struct stat st;
	char *s;
	int fd, rc;

	if (link_open_small(d, name, cap, &fd, &st, there, e))
		return -1;
	if (!*there)
		return 0;
	s = malloc((size_t)st.st_size + 1);
	rc = s ? file_read(d->io, fd, s, (size_t)st.st_size, 0, e) : err_nomem(e);
	if (!rc)
		text_put(out, s, (size_t)st.st_size);
	free(s);
	(void)d->io->close(d->io, fd); /* read only */
	return !rc && out->failed ? err_nomem(e) : rc;
}
