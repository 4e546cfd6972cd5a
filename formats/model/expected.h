/* expected.h -- the published SHA-256 of the shards of a checkpoint: from a list or Git-LFS pointers (sumlist.h), or
 * from the names of the blobs of a hub's cache.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_EXPECTED_H
#define FORMATS_MODEL_EXPECTED_H
#include "formats/model/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

struct expected {
	uint8_t (*sha256)[32]; /* owns; [ckpt->n_shards] */
};
/* path: the list or the folder. Every shard must be named, once; a pointer's size must be the
 * shard's; a name that is no shard is of no interest. */
int expected_read(struct expected *x, const struct ckpt *c, const char *path, struct err *e);
/* The same from the names of the blobs of a hub's cache. Returns how many shards have no SHA-256 for a name; unless that
 * is 0, or where memory is out (-1), *x is zeroed. */
long expected_of_blobs(struct expected *x, const struct ckpt *c, struct err *e);
void expected_free(struct expected *x);

#ifdef __cplusplus
}
#endif
#endif
