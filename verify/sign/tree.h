/* tree.h -- all regular files below a folder, by their paths from it, with SHA-256; and what a signature
 * says they are.
 *
 * Links are not followed, but for those of a snapshot of the hub's cache into its blobs (formats/blob.h): such a
 * file is signed as what it holds. Nothing but regular files and folders may be there. Paths have '/'
 * between their components, are UTF-8 without control bytes, and are compared byte by byte.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_SIGN_TREE_H
#define VERIFY_SIGN_TREE_H
#include "core/mem.h"
#include "core/text.h"
#include "verify/report/report.h"

#include "core/io.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { TREE_DEPTH = 8, TREE_PATH = 1024, TREE_FILES = 200000, TREE_LINK = 256 };

struct tree_file {
	const char *name; /* in the arena */
	uint64_t bytes;
	uint8_t sha256[32];
	bool sized, hashed; /* bytes, sha256 are known */
	bool want;          /* is to be hashed */
};
/* Zeroed = none. */
struct tree {
	struct tree_file *v; /* owns; sorted by name once tree_sort was called */
	size_t n, cap;
	struct arena arena;
};
void tree_free(struct tree *t);

/* A path that stays below its folder: components other than "", "." and "..", printable UTF-8. */
bool tree_plain(const char *s, size_t n);
int tree_add(struct tree *t, const char *name, size_t n, const struct tree_file *f, struct err *e);
/* Sorts by name; a finding (sig.name-twice, sig.case-twin) for names that are equal, or would be on a
 * file system that does not tell upper from lower case. who is told in it. */
void tree_sort(struct tree *t, const char *who, struct report *r, struct err *e);
const struct tree_file *tree_find(const struct tree *t, const char *name); /* NULL: not there */
/* The same among the first n. */
const struct tree_file *tree_find_in(const struct tree *t, size_t n, const char *name);

/* Adds all files below dir. Entries of the folder itself that stand in skip (ends with NULL) are left
 * out, with a warning (sig.ignored) unless they are quiet (the first n_quiet). */
int tree_scan(struct tree *t, const struct io *io, int dir, const char *const *skip,
	unsigned n_quiet, struct report *r, struct err *e);
/* Opens the folder that the file of this path lies in; *at is dir where the path is a name alone. */
int tree_open_dir(const struct io *io, int dir, const char *path, int *at, struct err *e);
/* Opens a file by its path, component by component, following no link. */
int tree_open(const struct io *io, int dir, const char *path, int *fd, struct stat *st,
	struct err *e);
int tree_load(const struct io *io, int dir, const char *path, uint64_t cap, struct text *out,
	struct err *e);
/* Digests of all files that are wanted, on so many threads; what cannot be read is a finding. */
int tree_hash(struct tree *t, const struct io *io, int dir, unsigned threads, unsigned features,
	struct report *r, struct err *e);
/* Says that the file at path is covered by nothing: sig.extra, or the warning sig.ignored. strict: only what systems
 * leave behind is ignored; else all that no engine reads (formats/conversion/bystander.h). */
void tree_say_extra(const char *path, bool strict, struct report *r);
/* Holds the files that are there against those that should be: sig.extra, sig.gone, sig.changed. Marks
 * and hashes what is needed. Both are sorted. strict as above. */
int tree_compare(struct tree *there, const struct tree *should, bool strict, const struct io *io,
	int dir, unsigned threads, unsigned features, struct report *r, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
