/* keyfile.h -- keys and passwords, read from a file or a descriptor and wiped after use.
 *
 * There is no other way to hand one over: what stands in an argument or in the environment can be read
 * by others on the machine.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_SIGN_KEYFILE_H
#define VERIFY_SIGN_KEYFILE_H
#include "core/err.h"
#include "core/io.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { KEYFILE_CAP = 64 << 10 };

/* Where something is to come from. Zeroed with fd -1: from nowhere. */
struct keyfile_at {
	const char *path; /* NULL: from fd */
	int fd;           /* -1: none; stays open */
};

/* Zeroed = none. */
struct keyfile {
	char *p; /* owns; n bytes and a NUL */
	size_t n;
};
/* A secret file that group or others may touch is refused (key.mode), and so is one that belongs to
 * another user than the caller or root (key.owner). */
int keyfile_read(struct keyfile *k, const struct io *io, const struct keyfile_at *at, bool secret,
	struct err *e);
/* The first line only, as a password has it. */
void keyfile_first_line(struct keyfile *k);
void keyfile_free(struct keyfile *k);

#ifdef __cplusplus
}
#endif
#endif
