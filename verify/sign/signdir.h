/* signdir.h -- a folder that is to be signed, or was: the files in it, what its manifests say, and where
 * the signature lies.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_SIGN_SIGNDIR_H
#define VERIFY_SIGN_SIGNDIR_H
#include "formats/folder/folder.h"
#include "verify/sign/lineage.h"
#include "verify/sign/sigfile.h"
#include "verify/sign/sign_opts.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zeroed = none. */
struct signdir {
	int dir; /* owns, if open */
	bool open;
	enum kind kind; /* what the folder is */
	struct sigfile sig;
	struct tree there;    /* what is in it */
	struct tree should;   /* what its manifests say */
	struct text manifest; /* manifest.json, once read */
	struct lineage lineage;
};
/* Opens o->dir for use (USE_SIGN and so on). usual: the name of the signature where the user gave none. */
int signdir_open(struct signdir *f, const struct sign_opts *o, enum use use, const char *usual,
	struct err *e);
void signdir_close(struct signdir *f, const struct io *io);

/* Lists what is there. Entries of the folder itself that are no part of it: signatures, without a word,
 * and with a warning what else is in left_out (may be NULL). */
int signdir_scan(struct signdir *f, const struct sign_opts *o, const char *const *left_out,
	struct report *r, struct err *e);
/* Reads manifest.json; sha256 NULL: whatever it is, else it must have that digest. */
int signdir_manifest(struct signdir *f, const struct sign_opts *o, const uint8_t *sha256,
	struct report *r, struct err *e);
/* Lists, hashes, and holds to the manifests what is there; all: they must cover every file. */
int signdir_take(struct signdir *f, const struct sign_opts *o, bool all, struct report *r,
	struct err *e);
/* A row of the report. */
void signdir_show(const struct tree *files, struct report *r);

#ifdef __cplusplus
}
#endif
#endif
