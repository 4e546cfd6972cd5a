/* gguf_file.h -- one GGUF file: all of its tensors, and the rules that need more than one entry at a time.
 *
 * No key and no name may be there twice. The tensors lie in the order of their list, each at the next multiple of the
 * alignment behind the one before; the file ends with the last, or with the padding behind it. That is what llama.cpp
 * asks for, and gaps in which something could be hidden are no part of any format.
 *
 * Memory: about the bytes of all keys and names, and 100 bytes for a tensor; values of metadata are not kept.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_GGUF_GGUF_FILE_H
#define FORMATS_GGUF_GGUF_FILE_H
#include "core/mem.h"
#include "formats/gguf/gguf.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { GGUF_RUN_MAX = 64 }; /* bytes of dsv4.run */

struct gguf_file {
	struct gguf_tensor *tensors; /* owns; in the order of the file; names live in the arena */
	size_t n;
	uint64_t data_at; /* byte in the file where the data begins */
	uint64_t alignment;
	uint64_t end; /* byte in the file after the last tensor */
	/* Of files in parts, -00001-of-0000N.gguf; parts is 0 where the file does not say that it is one. */
	uint32_t part;  /* split.no: from 0 */
	uint32_t parts; /* split.count */
	uint64_t all;   /* split.tensors.count: tensors of all parts */
	char run[GGUF_RUN_MAX +
		1]; /* dsv4.run, which our own parts have in common; "" where it is not said */
};

/* Looks at a pair of metadata, whose key is g->key; items of an array it may pull with gguf_item. Returns 0 or -1. */
typedef int gguf_look(void *ctx, struct gguf *g, const struct gguf_value *v, struct err *e);

/* Reads the header of an open regular file of size bytes. look is called for every pair, in the order of the file; it
 * may be NULL. Names go to the arena. On failure *f is zeroed. */
int gguf_file_read(struct gguf_file *f, const struct io *io, int fd, uint64_t size, gguf_look *look,
	void *ctx, struct arena *arena, struct err *e);
void gguf_file_free(struct gguf_file *f);

/* n rounded up to a multiple of alignment, a power of two. */
static inline uint64_t gguf_pad(uint64_t n, uint64_t alignment)
{
	return (n + alignment - 1) & ~(alignment - 1);
}

#ifdef __cplusplus
}
#endif
#endif
