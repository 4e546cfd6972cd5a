/* index.h -- model.safetensors.index.json held against the headers of the shards, and made anew from them.
 *
 * An index that agrees in most is reported where it does not, one finding for each kind of disagreement. One that
 * agrees in less than half, while the shards by themselves are whole, is of other files: that is one finding, and
 * the checkpoint is read as if there were none.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_INDEX_H
#define FORMATS_MODEL_INDEX_H
#include "formats/finding.h"
#include "formats/st/safetensors.h"
#include "formats/st/shardmap.h"

#include <sys/stat.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CKPT_INDEX "model.safetensors.index.json"

struct shard {
	const char *name;
	int fd;         /* owns, -1 if it could not be read */
	struct stat st; /* as it was when opened */
	bool timeless;  /* its file system has no times that stay: they say nothing about changes */
	bool gone; /* it is not in the folder any more: fd is a copy of its header (ckpt_gone), st.st_size what it had */
	uint64_t data_at; /* byte in the file of the payload */
	size_t n;         /* tensors in it */
	const char *
		blob; /* the hash that names it in a hub's cache (blob.h); NULL: it is no link to a blob */
	const uint8_t *
		sha256; /* borrows; of a shard that is joined from a conversion: what it was verified to
				* have when it was converted. NULL: nobody says */
};

struct index {
	const struct shard *shards; /* borrows, as the next three; sorted by name */
	size_t n_shards;
	const struct tensor *tensors; /* sorted by name; .shard indexes shards */
	size_t n;
	const struct shardmap *map; /* entries sorted by tensor; shards are numbers in shards */
	const bool *there;          /* [n_shards] the file is in the folder */
	struct findings *f;
};

/* Sets *stale where the index is of other files, and adds that to *x->f, or shards that one has and the other lacks.
 * Returns -1 only without memory. */
int index_judge(const struct index *x, bool *stale);
/* Adds what an index that is not stale says otherwise of tensors. Returns -1 only without memory. */
int index_tensors(const struct index *x);

/* Appends the index that the headers say; map, there and f may be NULL: as json.dumps(index, indent=2, sort_keys=True) and a newline. */
int index_put(const struct index *x, struct text *out, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
