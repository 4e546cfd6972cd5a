/* shardmap.h -- model.safetensors.index.json: which shard holds which tensor.
 *
 *	{ "metadata": {"total_size": BYTES, ...}, "weight_map": {TENSOR: SHARD, ...} }
 *
 * A shard is named by one plain component; anything with a path in it is refused here, before
 * anybody opens it. Members other than these are stepped over.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_ST_SHARDMAP_H
#define FORMATS_ST_SHARDMAP_H
#include "core/err.h"
#include "core/io.h"
#include "core/mem.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SHARDS_MAX = 512 };

struct shardmap_entry {
	const char *tensor; /* in the arena */
	uint32_t shard;     /* index into names */
};

struct shardmap {
	struct shardmap_entry *v; /* owns; in the order of the file */
	size_t n, cap;
	const char *name[SHARDS_MAX]; /* in the arena; in order of first use */
	uint32_t shards;
	uint32_t last; /* shard that was asked for last */
	bool total_said;
	double total_size; /* exact below 2^53; some tools write it as 123.0 or 1.23e2 */
};

/* Bytes 0..size of an open file. On failure *m is zeroed. */
int shardmap_read(struct shardmap *m, const struct io *io, int fd, uint64_t size,
	struct arena *arena, struct err *e);
void shardmap_free(struct shardmap *m);
/* A tensor and the shard that has it. */
struct shardmap_place {
	const char *tensor, *file;
};
/* Appends an index of these, sorted by tensor: as json.dumps(index, indent=2, sort_keys=True) and a newline. v is put
 * in order. */
struct text;
void shardmap_put(struct text *out, struct shardmap_place *v, size_t n, uint64_t total);

/* The number of that shard, added if it is new. -1 without memory or with too many. */
long shardmap_shard(struct shardmap *m, const char *name, struct arena *arena, struct err *e);

/* True for a plain file name that may be a shard: [A-Za-z0-9][A-Za-z0-9._-]*.safetensors, at most
 * 212 bytes, no "..". */
bool shardmap_plain(const char *s);

#ifdef __cplusplus
}
#endif
#endif
