/* sidecar.h -- reading what this tool wrote about a set: its manifest, the manifests of its folders, and
 * from sidecars the pieces of joined.h.
 *
 * All of it was held to a digest before; it is read strictly all the same, and no number of it is used
 * before it was bounded by what the source headers say.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_SIDECAR_H
#define FORMATS_CONVERSION_SIDECAR_H
#include "formats/conversion/joined.h"
#include "core/text.h"

#ifdef __cplusplus
extern "C" {
#endif

struct set_folder {
	char name[96];
	uint8_t sha256[32]; /* of its manifest.json */
};
struct set_folders {
	char target[64];
	bool flat;            /* it is one folder, whose manifest this is; v names source alone */
	struct set_folder *v; /* owns */
	size_t n, cap;
};
int set_folders_read(struct set_folders *d, const struct text *t, struct err *e);
void set_folders_free(struct set_folders *d);

struct set_file {
	char name[256], sidecar[256]; /* sidecar "": it has none */
	uint64_t bytes;
	uint8_t sha256[32], sidecar_sha256[32];
};
struct set_files {
	struct set_file *v; /* owns */
	size_t n, cap;
};
int set_files_read(struct set_files *f, const struct text *t, struct err *e);
void set_files_free(struct set_files *f);

/* Adds the pieces of j->files[file], and what it says of digests. */
int sidecar_read(struct joined *j, uint32_t file, const struct text *t, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
