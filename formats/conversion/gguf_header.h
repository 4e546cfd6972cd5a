/* gguf_header.h -- the header of a GGUF file in the terms of safetensors, for those who hold files of weights to their
 * sidecars: blocks of a quantized type are bytes (U8), the last dimension of a shape is the fastest.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_GGUF_HEADER_H
#define FORMATS_CONVERSION_GGUF_HEADER_H
#include "formats/gguf/gguf.h"
#include "formats/st/safetensors.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads the header of an open GGUF file of size bytes: h->data_at is where its data begins, the tensors are in the
 * order of the file. Names and dims go to the arena. On failure *h is zeroed. */
int gguf_header_read(struct st_header *h, const struct io *io, int fd, uint64_t size,
	struct arena *arena, struct err *e);
/* Returns the type (enum dtype) that the tensor has in a sidecar, U8 for blocks, and writes its shape, rows before columns
 * and columns of blocks in bytes, to dim, of g->rank entries. */
unsigned gguf_header_type(const struct gguf_tensor *g, uint64_t *dim);

#ifdef __cplusplus
}
#endif
#endif
