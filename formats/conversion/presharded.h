/* presharded.h -- checksum.json and READY of the folder that SGLang's presharded loader reads (0.5.23, model_loader/loader.py,
 * PreshardedModelLoader).
 *
 *	rank_to_reads    for each rank: file, key in its header, name of the parameter
 *	rank_checksums   for each rank: sum mod 2^64, over its parameters, of the first 8 bytes, big-endian, of the
 *	                 XXH3-128 of "NAME:HASH", where HASH is in hex the XXH3-128 of shape and type as Python prints
 *	                 them, and of the bytes
 *	shard_config     what the launch computes too, and compares
 *
 * SGLang's own writer takes HASH for the key as well. Its reader takes any; here the key is the name of the parameter, so
 * that a header says what is in its file, and equal tensors have a place each.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_PRESHARDED_H
#define FORMATS_CONVERSION_PRESHARDED_H
#include "core/err.h"
#include "core/io.h"
#include "core/text.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A tensor in a file; all that it points to is the caller's. */
struct presharded_tensor {
	const char *name;
	uint8_t dtype, rank;
	const uint64_t *dim;
	uint64_t at, bytes; /* in the file */
};
/* A file of rank rank, with what is in it. */
struct presharded_file {
	const char *name;
	uint64_t rank;
	const struct presharded_tensor *v;
	size_t n;
};

/* Returns what PyTorch calls a type (enum dtype), without "torch."; "" for one that no parameter has. */
const char *presharded_dtype(unsigned dtype);

/* Appends checksum.json of the n files to *out; they lie in folder dir and are read for it once, and those of a rank come one
 * after the other. shard_config is JSON. Returns -1 where a file cannot be read, or its rank is none of `ranks`. */
int presharded_put(struct text *out, const struct io *io, int dir, const char *shard_config,
	uint64_t ranks, const struct presharded_file *files, size_t n, struct err *e);

/* Writes READY of a folder of so many ranks. The time in it is 0, so that the same call makes the same bytes. */
void presharded_ready(struct text *out, uint64_t ranks);

/* Whether the folder at path is such a conversion, by its manifest; false where that cannot be found out. */
bool presharded_folder(const struct io *io, const char *path);

#ifdef __cplusplus
}
#endif
#endif
