/* sidecar.h -- a sidecar (dsv4-sidecar-1): digests of a file of weights, and of each tensor in it how it came about.
 * What it says, how it is written down (sidecar_put.c) and read again (sidecar_read.c).
 *
 * It is reproducible: keys are sorted, and there is no time, host or path in it. docs/format.md describes every member.
 *
 * The one reader is strict. It reads an open file through a window, so that the size of the file
 * costs no memory; what is kept is bounded by the numbers below, and time is linear in the size. What breaks
 * the form is set.form or a rule of json. Whether the sidecar is the one that a manifest names is looked at
 * before, by chain.h.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_SIDECAR_H
#define FORMATS_CONVERSION_SIDECAR_H
#include "core/err.h"
#include "core/hash/xxh.h"
#include "core/io.h"
#include "core/mem.h"
#include "formats/op.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The most that is taken: tensors of a file, sources of all of them, shards that they lie in, blocks
 * that are listed, bytes of all names and shapes. One rank that holds all of DeepSeek-V4-Pro has 145,116 tensors, which is a quarter. */
enum {
	SIDECAR_TENSORS = 1 << 19,
	SIDECAR_SOURCES = 1 << 20,
	SIDECAR_SHARDS = 1 << 16,
	SIDECAR_LOST = 1 << 16,
	SIDECAR_NAMES = 96 << 20
};

/* A tensor of the source that a tensor of the file was made of. */
struct sidecar_source {
	const char *tensor; /* in the arena of the sidecar, as all strings here */
	uint32_t shard;     /* index into shards */
	bool has_xxh; /* this file records the digest of the source tensor, or of a part of it */
	bool part;    /* xxh is of the part that is taken, row by row */
	struct xxh_digest xxh;
};

/* A block of a matrix, by its row and column among the blocks. */
struct sidecar_block {
	uint32_t row, col;
};

struct sidecar_tensor {
	const char *name;
	const uint64_t *dim;     /* [rank] */
	uint64_t begin, end;     /* bytes of the payload */
	uint64_t row[2], col[2]; /* rows, and bytes of a row, of each source; [1] 0: all of them */
	struct xxh_digest xxh;   /* of its bytes */
	const char *layout,
		*map;      /* of OP_TILE: names of the layout and of the row order; else NULL */
	uint32_t first, n; /* its sources are sources[first .. first + n] */
	uint32_t version;  /* of the layout */
	uint32_t e8m0[3];  /* how many scale bytes are 0, above 247, above 249; with scaled */
	uint64_t blocks, inexact; /* blocks of a cast, and those of them that lost something */
	const struct sidecar_block *lost; /* [n_lost] some of the latter, in order */
	uint32_t n_lost;                  /* at most SIDECAR_LOST in all of a file */
	uint64_t rescued;        /* of the others: those whose scale is none of the new format */
	uint64_t dropped[2];     /* its bytes of NAME.dropped; [1] 0: it has none */
	uint8_t dtype, rank, op; /* enum dtype; enum op */
	uint16_t ggml;           /* enum ggml_type of blocks in a GGUF; 0: nothing is said */
	uint8_t from, to, of;    /* of OP_REFORM: enum codec of both formats; enum op_part */
	bool unsigned_zeros;     /* minus zeros became zeros */
	uint8_t parts;           /* of OP_TILE: matrices that were laid out as one, 1 or 2 */
	bool scaled;
};

struct sidecar {
	char name[256], target[64], plan[65], tool[128];
	uint64_t bytes, header_bytes; /* of the file of weights; header_bytes: 8+N */
	uint8_t sha256[32];           /* of it, if has_sha256 */
	bool has_sha256;
	char share
		[128]; /* what the header of the file has to say of its rank, by the manifest (chain.h); "": nobody says */
	uint64_t dropped_bytes;     /* of NAME.dropped; 0: there is no such file */
	uint8_t dropped_sha256[32]; /* of it */
	struct xxh_digest *chunks;  /* owns; one for each MAN_CHUNK bytes of the file */
	size_t n_chunks, chunks_cap;
	struct sidecar_tensor *tensors; /* owns; in the order of the payload, without gap */
	size_t n, cap;
	struct sidecar_source *sources; /* owns */
	size_t n_sources, sources_cap;
	const char **shards; /* owns; names of source shards, in order of first use */
	size_t n_shards, shards_cap;
	struct arena arena;
};

/* Where the tensors of a sidecar that is written come from, one by one: of a big model they need not all be there. */
struct sidecar_rows {
	/* Sets tensor i, which is zeroed before, but for first. They are asked for in order. */
	void (*tensor)(void *ctx, size_t i, struct sidecar_tensor *t);
	/* Sets source k, which is zeroed before, of the tensor that was set last. */
	void (*source)(void *ctx, uint32_t k, struct sidecar_source *x);
	void *ctx;
};
/* Gives the document of s to sink, piece by piece: a big model's has tens of megabytes. rows NULL: tensors and sources
 * are those of s; else s has their number n, and s->tensors and s->sources are not looked at. */
int sidecar_put(const struct sidecar *s, const struct sidecar_rows *rows,
	int (*sink)(void *ctx, const char *p, size_t n, struct err *e), void *ctx, struct err *e);

/* Reads bytes 0..size of the open file fd. The numbers in it are held against each other: chunks against the
 * size, tensors against the payload, frames against NAME.dropped; a copy has the digest of its source. On failure *s is zeroed. */
int sidecar_read(struct sidecar *s, const struct io *io, int fd, uint64_t size, struct err *e);
void sidecar_free(struct sidecar *s);

/* Whether t is the bytes of one whole source tensor, so that one digest is that of both. */
bool sidecar_is_copy(const struct sidecar_tensor *t);

/* Finds the tensors that have bytes in from..to of the file: they are *first .. *first + the result. */
size_t sidecar_in(const struct sidecar *s, uint64_t from, uint64_t to, size_t *first);

#ifdef __cplusplus
}
#endif
#endif
