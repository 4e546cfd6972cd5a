/* owned.h -- the files of the conversion that an output folder holds already, by its own documents: what
 * --overwrite removes where the new conversion has no file of that name.
 *
 * Only a finished conversion says what is its own: manifest.json at the top with a whole seal, and below it what the
 * chain of digests reaches (formats/conversion/chain.h). Files that no document names, and folders that hold such a
 * file, are not its own, whatever they are called.
 *
 *	OUT/NAME                 files that the manifest lists, their sidecars, and what casts dropped
 *	OUT/rank-R-of-N, source  folders that the manifest lists, if nothing else is in them
 *
 * Manifests go last and the one at the top stands until all others are gone, so that after a kill the same call finds
 * what is left.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_OUT_OWNED_H
#define CONVERT_OUT_OWNED_H
#include "core/err.h"
#include "core/io.h"
#include "core/mem.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct owned_path {
	const char *s; /* below OUT, in the arena */
	bool folder;
	bool mixed;      /* a folder that holds what is not owned: it cannot go */
	uint64_t blocks; /* bytes that removing it gives back */
};

/* A zeroed one owns nothing. */
struct owned {
	struct owned_path *v; /* owns; sorted by path */
	size_t n, cap;
	struct arena arena;
};

/* Reads the documents in the open folder OUT. What they do not say, or say of files that are not there, is not owned: that is
 * no error. Returns -1 where reading fails; *o can be freed in any case. */
int owned_read(struct owned *o, const struct io *io, int out, struct err *e);
void owned_free(struct owned *o);

/* Returns whether dir/name (dir "": name) is a file or a whole folder of the old conversion. o may be NULL. */
bool owned_has(const struct owned *o, const char *dir, const char *name);

/* Which paths stay, since the new conversion writes them: dir/name (dir "": name), a file or a folder. */
struct owned_keep {
	const void *ctx;
	bool (*stays)(const void *ctx, const char *dir, const char *name, bool folder);
};
/* Bytes that owned_remove gives back. */
uint64_t owned_blocks(const struct owned *o, const struct owned_keep *k);
/* Removes everything below the open folder out that does not stay, but OUT/manifest.json. */
int owned_remove(const struct owned *o, const struct io *io, int out, const struct owned_keep *k,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
