/* gguf_set.h -- a model in GGUF: one file, or parts STEM-00001-of-0000N.gguf of one run.
 *
 * All parts must be there, say which they are and how many there are, and hold together as many tensors as they say, no
 * name twice. The first holds the metadata of the model. Parts of our own carry the key dsv4.run, by which parts of two
 * runs are told apart; those of other writers can be told apart only by what does not fit.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_GGUF_GGUF_SET_H
#define FORMATS_GGUF_GGUF_SET_H
#include "formats/gguf/gguf_file.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { GGUF_PARTS_MAX = 4096 };

struct gguf_part {
	char name[256]; /* below the folder */
	uint64_t size;
	struct gguf_file file;
};

struct gguf_set {
	struct gguf_part *parts; /* owns */
	size_t n;
	size_t tensors;     /* of all parts */
	struct arena arena; /* names of tensors */
};

/* Opens a part for reading, where it is a link what that leads to. blob: the digest that a hub's cache calls the file by, ""
 * where it is none of such. */
int gguf_part_open(const struct io *io, int dir, const char *name, int *fd, struct stat *st,
	char blob[65], struct err *e);
/* Reads the headers of the set to which the file name in the folder dir belongs; look gets the metadata of the first
 * part. On failure *s is zeroed. */
int gguf_set_read(struct gguf_set *s, const struct io *io, int dir, const char *name,
	gguf_look *look, void *ctx, struct err *e);
void gguf_set_free(struct gguf_set *s);

/* Whether a file of that name is a GGUF. */
bool gguf_named(const char *name);
/* The name of part no (from 0) of parts; STEM.gguf where parts is 1. Returns false where it would be too long. */
bool gguf_part_name(char out[256], const char *stem, size_t stem_n, unsigned no, unsigned parts);
/* Takes such a name apart: *stem_n bytes of it are the stem, *no counts from 0, *parts is 1 where the name has no
 * numbers. Returns false where it does not end with .gguf, or its numbers make no sense. */
bool gguf_part_parse(const char *name, size_t *stem_n, unsigned *no, unsigned *parts);

#ifdef __cplusplus
}
#endif
#endif
