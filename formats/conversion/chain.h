/* chain.h -- from manifest.json at the top of a conversion down to the headers of its files of weights: each
 * document is held to what the one above says of it, and only then read and believed.
 *
 *	manifest.json  --SHA-256-->  manifests of folders  --SHA-256-->  sidecars  --digests-->  files
 *
 * The document at the top has nothing above it and must carry a whole seal (seal.h). Payload is not digested
 * here; who reads payload holds it to the digests that the sidecars have.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_CHAIN_H
#define FORMATS_CONVERSION_CHAIN_H
#include "formats/conversion/manifest.h"
#include "formats/conversion/sidecar.h"
#include "formats/st/safetensors.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SET_SOURCE "source" /* the folder of a conversion that has the headers of its source */

/* A folder of a conversion, whose manifest is the one that is meant. Borrowed by those who are called. */
struct chain_folder {
	const struct io *io;
	int dir;
	const char *name; /* below the top; "": the top itself */
	const struct manifest *m;
};

/* A walk over the folders of a conversion. ctx goes to each of the functions. */
struct chain_walk {
	const struct io *io;
	void *ctx;
	/* The policy for what is wrong with the document or folder at path: to stop, the function returns -1,
	 * and *why becomes the error of the walk; to report or to skip it, it returns 0, and the walk goes on
	 * without it. NULL: always stop. */
	int (*tell)(void *ctx, const char *path, struct err *why);
	/* Whether the folder of that name is wanted. NULL: all are. */
	bool (*wants)(void *ctx, const char *name);
	/* Is given the document of a set before its folders are looked at. May be NULL. */
	int (*set)(void *ctx, const struct set_manifest *s, struct err *e);
	/* Is given each folder: the top, if it has weights, and then the folders that its document names, in that
	 * order. The memory is freed when it returns. */
	int (*folder)(void *ctx, const struct chain_folder *f, struct err *e);
};

/* Walks the conversion in the open folder top. Returns -1 where a fault stops it, or set or folder said -1.
 * Rules: set.manifest (a broken seal, another SHA-256 or size than said), check.unsealed, check.missing,
 * check.plan, set.form, and what reading gives. One manifest is in memory at a time, and that of the top. */
int chain_walk(const struct chain_walk *w, int top, struct err *e);
/* The same where manifest.json was loaded before, so that what is believed is what the caller has looked at. */
int chain_walk_text(const struct chain_walk *w, int top, const struct text *t, struct err *e);

/* Opens a file of the folder, which must be regular and have that many bytes; *size is what it has, where it
 * could be opened. Rules: check.missing, set.size, file.*. On failure nothing is open. */
int chain_open(const struct chain_folder *f, const char *name, uint64_t bytes, int *fd,
	uint64_t *size, struct err *e);
/* Reads the sidecar of a file that has one, holds it to its size and SHA-256 and to what the manifest says of
 * the file. Rules: those of chain_open, set.manifest, check.plan, set.form, json.*. On failure *s is zeroed. */
int chain_sidecar(struct sidecar *s, const struct chain_folder *f, const struct manifest_file *file,
	struct err *e);
/* Reads the header of the open file fd, whose sidecar is s, and holds it to that, metadata of
 * engines too (engine_meta.h). On success the tensors of h
 * have the order of those of s. Rules: check.header, st.*; then *tensor is the name of the first tensor that
 * is not the same, or NULL. The caller frees *h and *arena in any case. header_cap 0: ST_HEADER_CAP. */
int chain_header(struct st_header *h, struct arena *arena, const struct io *io, int fd,
	const struct sidecar *s, uint64_t header_cap, const char **tensor, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
