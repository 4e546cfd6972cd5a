/* items.h -- what the lanes of a run do, in the order in which they take it up.
 *
 * An item is a file that is made or kept, or a shard of the source that is only digested. A shard comes
 * before the first file that is made of it, so that the file can be published as soon as it is made. The
 * folders of a stage advance together, file by file: ranks are made of the same tensors, which are then
 * still in the page cache.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_RUN_ITEMS_H
#define CONVERT_RUN_ITEMS_H
#include "convert/out/units.h"
#include "convert/plan/conversion.h"

#include <pthread.h>

#ifdef __cplusplus
extern "C" {
#endif

struct item {
	bool is_shard;
	uint32_t folder; /* of conversion->folders; not of a shard */
	uint32_t i;      /* of that folder's files; or of ckpt->shards */
};

struct items {
	struct item *v; /* owns; [n] */
	size_t n;
	pthread_mutex_t lock; /* guards next */
	size_t next;          /* the first that nobody has taken */
};

/* Lists the items of c; shards: also all shards of the source. With units only the files that are in it, and the shards
 * that these are made of. Returns 0, or -1. In both cases items_free is needed. */
int items_list(struct items *it, const struct conversion *c, bool shards,
	const struct run_units *units, struct err *e);
/* The same of these files alone, in that order, and of all shards but those that are gone. */
int items_of(struct items *it, const struct conversion *c, const struct item *files, size_t n,
	struct err *e);
/* The files of c in the order of items_list: v has room for c->files. */
void items_files(struct item *v, const struct conversion *c);
/* The next item, or NULL when all are taken. Any thread. */
const struct item *items_take(struct items *it);
/* Whether there are items that nobody has taken. */
bool items_left(struct items *it);
void items_free(struct items *it);

#ifdef __cplusplus
}
#endif
#endif
