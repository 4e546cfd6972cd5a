/* gguf_folder.h -- the GGUF models of a folder, or the one that a file belongs to: each read with its metadata, and what it
 * is of by these.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_GGUF_FOLDER_H
#define FORMATS_MODEL_GGUF_FOLDER_H
#include "formats/gguf/gguf_meta.h"
#include "formats/gguf/gguf_set.h"

#ifdef __cplusplus
extern "C" {
#endif

enum gguf_is { GGUF_IS_OTHER, GGUF_IS_MODEL, GGUF_IS_MTP, GGUF_IS_DSPARK, GGUF_KINDS };
/* What each is, in a few words. */
extern const char *const gguf_is_names[GGUF_KINDS];

/* A file, or its parts. */
struct gguf_in {
	char name[256];        /* of a part that is there */
	struct gguf_set set;   /* owns */
	struct gguf_meta meta; /* owns; of the first part */
	struct err err;        /* why it cannot be read; then set is empty */
	enum gguf_is is;
};
struct gguf_folder {
	struct gguf_in *v; /* owns; by name */
	size_t n, cap;
};

/* Reads the headers of all GGUF files in the open folder dir; only: of the set that this file belongs to, unless it is "". What
 * is wrong with one of them stays with it. */
int gguf_folder_read(struct gguf_folder *g, const struct io *io, int dir, const char *only,
	struct err *e);
void gguf_folder_free(struct gguf_folder *g);
/* Returns the first that is so, NULL where there is none. */
const struct gguf_in *gguf_folder_find(const struct gguf_folder *g, enum gguf_is is);
/* Returns the tensor of that name, NULL where there is none. */
const struct gguf_tensor *gguf_in_tensor(const struct gguf_in *x, const char *name);
/* Returns the type of the routed experts of its first block, UINT32_MAX where there are none. */
uint32_t gguf_in_experts(const struct gguf_in *x);

#ifdef __cplusplus
}
#endif
#endif
