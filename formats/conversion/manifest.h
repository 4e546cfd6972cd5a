/* manifest.h -- what was made from what: a sidecar beside every output file, and one manifest.
 *
 *	NAME.manifest.json  how NAME came about, with digests of it, its chunks and its tensors
 *	manifest.json       all files with their digests; written last: without it a folder is
 *	                    unfinished
 *
 * Both are reproducible: keys sorted, no time, host or path. docs/format.md describes every member.
 * This file knows how they are written down, not what a conversion is.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_MANIFEST_H
#define FORMATS_CONVERSION_MANIFEST_H
#include "core/err.h"
#include "core/text.h"
#include "core/hash/xxh.h"
#include "formats/dtype.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MAN_NAME "manifest.json"
#define MAN_SIDECAR ".manifest.json" /* after the file's name */
#define MAN_MARK \
	".dsv4-plan" /* in a folder that a run is filling: the hash of its plan, and a newline */
#define MAN_DROPPED ".dropped" /* the same; what its casts to FP8 dropped */
#define MAN_CHUNK (16u << 20)  /* bytes */
/* Bytes of a manifest. One with 65,536 files and as many shards, the most that are taken, has 40 MB. */
#define MANIFEST_CAP (64u << 20)

/* A range of anything; to 0: none is meant. */
struct man_range {
	uint64_t from, to;
};

/* A source of an output tensor. */
struct man_source {
	const char *shard, *tensor;
	const struct xxh_digest
		*xxh; /* of the whole source tensor; NULL if another file records it */
	bool part;    /* of the part that is taken of it, row by row */
};

struct man_tensor {
	const char *name, *transform;
	enum dtype dtype;
	const uint64_t *dim;
	unsigned rank;
	uint64_t begin, end;
	struct xxh_digest xxh;
	/* Gives source k. */
	void (*source)(const void *ctx, uint64_t k, struct man_source *out);
	const void *source_ctx;
	uint64_t sources;
	/* Of experts laid out for an engine; layout NULL: it is not. */
	const char *layout, *map;
	unsigned version, parts;
	uint64_t scales[3]; /* scale bytes 0, above 247, above 249 */
	bool scaled;
	/* What it takes of its sources, where that is not all: rows, bytes of a row; to 0: all. */
	struct man_range rows, cols;
	struct man_range dropped; /* bytes of NAME.dropped */
	uint64_t blocks, inexact; /* of a cast; no blocks: nothing was cast */
	uint64_t rescued;         /* of those that are exact; see quant/reform.h */
	const char *from, *to,
		*of; /* of a matrix in another number format: both names, and the part; NULL: it is none */
	bool unsigned_zeros; /* of that: minus zeros became zeros */
	/* Row and column, in blocks, of the i-th block that lost something; n_lost of them. */
	void (*lost)(const void *ctx, uint64_t i, uint32_t at[2]);
	const void *lost_ctx;
	uint64_t n_lost;
};

struct man_file {
	const char *name, *target, *plan, *tool; /* plan: hash in hex */
	uint64_t bytes, header_bytes;            /* header_bytes: 8+N */
	const uint8_t *sha256;                   /* 32 bytes, or NULL if not computed */
	const uint8_t *dropped_sha256;           /* of NAME.dropped; NULL: there is none */
	uint64_t dropped_bytes;
	const struct xxh_digest *chunks; /* one for each MAN_CHUNK of the file */
	uint64_t n_chunks;
	uint64_t n_tensors;
	/* Gives tensor i, in the order of the file. */
	void (*tensor)(void *ctx, uint64_t i, struct man_tensor *out);
	void *ctx;
};
/* Gives the sidecar of f to sink, piece by piece: a big model's has tens of megabytes. */
int man_put_sidecar(const struct man_file *f,
	int (*sink)(void *ctx, const char *p, size_t n, struct err *e), void *ctx, struct err *e);

/* A line of the manifest. */
struct man_entry {
	const char *name;
	uint64_t bytes;
	const uint8_t *sha256; /* NULL if not computed */
	const char *sidecar;   /* its name; NULL for files without */
	uint64_t sidecar_bytes;
	const uint8_t *sidecar_sha256;
};

struct man_option {
	const char *name, *value; /* value NULL: null */
};

/* What became of the blocks of one kind of matrix in another number format. */
struct man_role {
	const char *where; /* static: "hash", "score" (how the layers route), "drafts" */
	char role[48];
	uint64_t total, rescued, lossy; /* blocks; rescued: of those that are exact */
};
/* A block that was rounded: row of the matrix, and which block of that row. */
struct man_place {
	const char *tensor;
	uint32_t row, block;
};

struct man_top {
	const char *target, *plan, *tool;
	const struct man_option *options; /* sorted by name */
	unsigned n_options;
	const struct man_entry *files; /* sorted by name */
	uint64_t n_files;
	const struct man_entry
		*shards; /* of the source; sha256 NULL if nobody said what it should be */
	uint64_t n_shards;
	bool verified; /* every shard had the expected SHA-256 */
	uint64_t source_tensors, source_bytes;
	const struct man_entry
		*restore;         /* the folder of what the way back needs; NULL: none. name of the
					  * folder, bytes and sha256 of its manifest */
	uint64_t blocks, inexact; /* of all casts */
	const struct man_role *roles; /* sorted by where and role */
	size_t n_roles;
	const struct man_place *lossy; /* the first of them */
	size_t n_lossy;
};
/* out is empty before. */
void man_put_top(struct text *out, const struct man_top *m);

#ifdef __cplusplus
}
#endif
#endif
