/* reclaimed.h -- traces that run --reclaim leaves in the folder of a source: its list, and shards that are not there.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_FOLDER_RECLAIMED_H
#define FORMATS_FOLDER_RECLAIMED_H
#include "formats/finding.h"
#include "formats/folder/kind.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Counts in *gone the shards of the open folder dir that run --reclaim has freed; where there are some, more says of which
 * conversion. *damaged: the list cannot be read, and nothing is counted. Returns 0, or -1 where the system fails. */
int reclaimed_find(const struct io *io, int dir, size_t *gone, bool *damaged, char more[KIND_MORE],
	struct err *e);
/* Returns whether one of the findings is a shard that the index names and that is not there. */
bool reclaimed_lacks(const struct findings *f);

#ifdef __cplusplus
}
#endif
#endif
