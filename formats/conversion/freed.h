/* freed.h -- dsv4-reclaim.json in the folder of a source: which of its shards `run --reclaim` has removed, and in which
 * files of a conversion their tensors are.
 *
 *	{ "files": [ { "name", "sha256", "sidecar": { "bytes", "sha256" } }, ... ],  below OUT, held to these digests
 *	  "format", "plan",
 *	  "shards": [ { "bytes", "header_sha256", "name", "sha256" }, ... ],
 *	  "target", "tool", "xxh3_128" }
 *
 * OUT has the same document as dsv4-only-copy.json, from before the first shard is removed: what lies there may be the only copy.
 * While that lies there no other run writes to OUT (reclaim.kept).
 *
 * A shard stands in it before it is removed, and it is replaced in one step. So a shard that is not there and stands
 * in it was removed by us, and every file that it went into is listed; one that stands in it may still be there. Names are in the order of
 * their bytes. The document carries the digest of itself (seal.h); the reader is strict.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_FREED_H
#define FORMATS_CONVERSION_FREED_H
#include "core/err.h"
#include "core/io.h"
#include "core/mem.h"
#include "core/text.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FREED_NAME "dsv4-reclaim.json"   /* in DIR */
#define FREED_KEPT "dsv4-only-copy.json" /* in OUT */
enum {
	FREED_PATH = 400,    /* bytes of a path, with its NUL */
	FREED_MOST = 1 << 17 /* shards, and files */
};

struct freed_shard {
	const char *name; /* in the arena */
	uint64_t bytes;
	uint8_t sha256[32];
	uint8_t header_sha256[32]; /* of its first bytes, which OUT/source/NAME.header holds */
};

struct freed_file {
	const char *name; /* in the arena; a path below OUT */
	uint64_t side_bytes;
	uint8_t sha256[32], side_sha256[32]; /* of it and of its sidecar */
};

/* The list. Zeroed, it is empty; freed_free releases it. */
struct freed {
	char plan[65], target[64], tool[128]; /* of the conversion */
	struct freed_shard *shards;           /* owns; sorted by name */
	size_t n_shards, cap_shards;
	struct freed_file *files; /* owns; sorted by name */
	size_t n_files, cap_files;
	struct arena arena;
};
void freed_free(struct freed *f);
/* Add a row where its name belongs, unless there is one of that name; names are copied. Return 0, or -1 when memory is out or there
 * are FREED_MOST rows. */
int freed_add_shard(struct freed *f, const struct freed_shard *s, struct err *e);
int freed_add_file(struct freed *f, const struct freed_file *s, struct err *e);
/* Makes *to, which is zeroed, a copy of f. Returns 0 or -1; the caller frees *to in both cases. */
int freed_copy(struct freed *to, const struct freed *f, struct err *e);
/* Return the row of that name, NULL if there is none. */
const struct freed_shard *freed_shard_of(const struct freed *f, const char *name);
const struct freed_file *freed_file_of(const struct freed *f, const char *name);
/* Appends the document. Returns -1 when memory is out. */
int freed_put(struct text *out, const struct freed *f, struct err *e);
/* Reads the document of that name in the open folder dir into *f, which the caller frees. *there becomes whether there is one; where
 * there is none, *f is empty. Returns 0, or -1 with reclaim.list where the document is not as freed_put writes it; then *f is zeroed. */
int freed_read(struct freed *f, const struct io *io, int dir, const char *name, bool *there,
	struct err *e);
/* Counts in *gone the shards of f that are not in the open folder dir. Returns 0, or -1 where that cannot be found out. */
int freed_gone(const struct freed *f, const struct io *io, int dir, size_t *gone, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
