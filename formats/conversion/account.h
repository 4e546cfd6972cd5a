/* account.h -- a sidecar, read whole and strictly: digests of a file, and of each tensor in it how it came
 * about.
 *
 * Read through a window from an open file, so that its size costs nothing; what is kept is bounded. (What
 * the way back needs of sidecars that were held to a digest is read by sidecar.h.)
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_ACCOUNT_H
#define FORMATS_CONVERSION_ACCOUNT_H
#include "core/err.h"
#include "core/io.h"
#include "core/mem.h"
#include "core/hash/xxh.h"
#include "formats/op.h"

#ifdef __cplusplus
extern "C" {
#endif

/* At most; names and shapes in bytes. What a rank of the largest model has is an eighth of it. */
enum { ACCOUNT_TENSORS = 1 << 19, ACCOUNT_SOURCES = 1 << 20, ACCOUNT_NAMES = 96 << 20 };

struct account_source {
	const char *tensor;
	uint32_t shard;     /* index into shards */
	bool has_xxh, part; /* part: xxh is of what is taken, row by row */
	struct xxh_digest xxh;
};

struct account_tensor {
	const char *name;
	const uint64_t *dim;     /* rank of them */
	uint64_t begin, end;     /* bytes of the payload */
	uint64_t row[2], col[2]; /* of each source; [1] 0: all */
	struct xxh_digest xxh;
	const char *layout, *map; /* of OP_TILE, else NULL */
	uint32_t first, n;        /* sources */
	uint32_t version;         /* of the layout */
	uint32_t e8m0[3];         /* scale bytes 0, above 247, above 249 */
	uint64_t blocks, inexact;
	uint64_t dropped[2]; /* bytes of NAME.dropped; [1] 0: none */
	uint8_t dtype, rank, op, parts;
	bool scaled;
};

struct account {
	char name[256], target[64], plan[65], tool[128];
	uint64_t bytes, header_bytes; /* of the file */
	uint8_t sha256[32];
	bool has_sha;
	uint64_t dropped_bytes; /* of NAME.dropped; 0: there is none */
	uint8_t dropped_sha256[32];
	struct xxh_digest *chunks; /* owns; one for each MAN_CHUNK */
	size_t n_chunks, chunks_cap;
	struct account_tensor *tensors; /* owns; in payload order, without gap */
	size_t n, cap;
	struct account_source *sources; /* owns */
	size_t n_sources, sources_cap;
	const char **shards; /* owns; names of source shards, in order of first use */
	size_t n_shards, shards_cap;
	struct arena arena;
};

/* Bytes 0..size of an open file. Holds numbers against each other: chunks to the size, tensors to the
 * payload. On failure *a is zeroed. */
int account_read(struct account *a, const struct io *io, int fd, uint64_t size, struct err *e);
void account_free(struct account *a);

/* The tensors that have bytes in from..to of the file: first .. first + the result. */
size_t account_in(const struct account *a, uint64_t from, uint64_t to, size_t *first);

#ifdef __cplusplus
}
#endif
#endif
