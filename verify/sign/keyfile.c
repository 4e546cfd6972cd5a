/* SPDX-License-Identifier: MIT */
#include "verify/sign/keyfile.h"

#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int too_long(const char *what, struct err *e)
{
	return err_rule(e, RULE_KEY_FORM, ERR_NOPOS, "%s is longer than any key", what);
}

static int fill_from_file(struct keyfile *k, const struct io *io, int fd, const char *path,
	bool secret, struct err *e)
{
	struct stat st;

	if (io->fstat(io, fd, &st))
		return err_sys(e, "cannot stat %s", text_quote(path).s);
	if (!S_ISREG(st.st_mode))
		return err_rule(e, RULE_KEY_FORM, ERR_NOPOS,
			"%s is no regular file; what comes from elsewhere is handed over by descriptor",
			text_quote(path).s);
	if (secret && st.st_uid != geteuid() && st.st_uid != 0)
		return err_rule(e, RULE_KEY_OWNER, ERR_NOPOS,
			"%s belongs to another user (%u), who can read and replace it: take a copy of your "
			"own, or hand it over by descriptor",
			text_quote(path).s, (unsigned)st.st_uid);
	if (secret && (st.st_mode & 077))
		return err_rule(e, RULE_KEY_MODE, ERR_NOPOS,
			"%s is open to others (mode %04o): chmod 600 it, or hand it over by descriptor",
			text_quote(path).s, (unsigned)(st.st_mode & 07777));
	if (st.st_size > KEYFILE_CAP)
		return too_long(text_quote(path).s, e);
	if (file_read(io, fd, k->p, (size_t)st.st_size, 0, e))
		return err_at(e, "%s", text_quote(path).s);
	k->n = (size_t)st.st_size;
	return 0;
}

static int fill_from_fd(struct keyfile *k, const struct io *io, int fd, struct err *e)
{
	ssize_t got;

	for (;;) {
		got = io->read(io, fd, k->p + k->n, KEYFILE_CAP + 1 - k->n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(e, "cannot read from descriptor %d", fd);
		if (!got)
			return 0;
		k->n += (size_t)got;
		if (k->n > KEYFILE_CAP)
			return too_long("what the descriptor gives", e);
	}
}

int keyfile_read(struct keyfile *k, const struct io *io, const struct keyfile_at *at, bool secret,
	struct err *e)
{
	int fd, rc;

	memset(k, 0, sizeof *k);
	k->p = calloc(1, KEYFILE_CAP + 2);
	if (!k->p)
		return err_nomem(e);
	if (!at->path) {
		rc = fill_from_fd(k, io, at->fd, e);
	} else {
		/* The user named it, so links are followed: secrets are often mounted that way. */
		fd = io->open(io, AT_FDCWD, at->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
			0);
		if (fd < 0) {
			rc = err_sys(e, "cannot open %s", text_quote(at->path).s);
		} else {
			rc = fill_from_file(k, io, fd, at->path, secret, e);
			(void)io->close(io, fd); /* read only */
		}
	}
	if (rc)
		keyfile_free(k);
	else
		k->p[k->n] = 0;
	return rc;
}

void keyfile_first_line(struct keyfile *k)
{
	k->n = strcspn(k->p, "\r\n");
	k->p[k->n] = 0;
}

void keyfile_free(struct keyfile *k)
{
	if (k->p)
		OPENSSL_cleanse(k->p, KEYFILE_CAP + 2);
	free(k->p);
	memset(k, 0, sizeof *k);
}
