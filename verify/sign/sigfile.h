/* sigfile.h -- where a signature lies: in the folder that it is about, or anywhere else.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_SIGN_SIGFILE_H
#define VERIFY_SIGN_SIGFILE_H
#include "core/err.h"
#include "core/io.h"
#include "core/text.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Zeroed = none. */
struct sigfile {
	int dir; /* owns, if it is not the folder itself */
	bool own_dir;
	bool inside; /* right in the folder that it is about */
	char name[240];
};
/* path NULL: the file usual in the folder about. */
int sigfile_at(struct sigfile *s, const struct io *io, int about, const char *path,
	const char *usual, struct err *e);
void sigfile_close(struct sigfile *s, const struct io *io);
/* sig.missing if it is not there. */
int sigfile_load(const struct sigfile *s, const struct io *io, uint64_t cap, struct text *out,
	struct err *e);
/* To be called before the work: returns -1 if sigfile_put would fail, with sig.exists for a file that is there and
 * is not to be replaced. */
int sigfile_try(const struct sigfile *s, const struct io *io, bool overwrite, struct err *e);
/* Writes the file whole. One of that name is replaced in one step, and only if so asked. */
int sigfile_put(const struct sigfile *s, const struct io *io, const struct text *t, bool overwrite,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
