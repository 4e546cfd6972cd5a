/* sumlist.h -- published SHA-256 of files: a list as sha256sum or openssl print it, or a folder of Git-LFS pointers.
 *
 *	HEX  NAME       or HEX *NAME; # begins a comment
 *	SHA256 (NAME) = HEX     --tag, BSD; also SHA2-256(NAME)= HEX
 *
 * Names are taken from the folder in which the weights lie: "./NAME" is NAME, and of a list with paths the folder
 * of the .safetensors file with the shortest path is that folder. What lies in other folders above it does not
 * belong to the model.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_SUMLIST_H
#define FORMATS_MODEL_SUMLIST_H
#include "core/err.h"
#include "core/io.h"
#include "core/mem.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sum {
	const char *name; /* in the arena; may have folders in front, below that of the weights */
	uint8_t sha256[32];
};
struct sumlist {
	struct sum *v; /* owns; sorted by name, none twice */
	size_t n, cap;
	struct arena arena;
};

/* Reads the list, or the pointers in the folder, at path. Returns -1 with source.list where a line is none of these
 * forms, or a name has two different digests, and where path cannot be read. On failure *l is zeroed. */
int sumlist_read(struct sumlist *l, const struct io *io, const char *path, struct err *e);
void sumlist_free(struct sumlist *l);
/* The entry of that name; NULL: there is none. */
const struct sum *sumlist_find(const struct sumlist *l, const char *name);

/* Reads a Git-LFS pointer: version https://git-lfs..., oid sha256:HEX, size N. Returns false where the text is none. */
bool sumlist_pointer(const char *text, uint8_t sha256[32], uint64_t *bytes);

#ifdef __cplusplus
}
#endif
#endif
