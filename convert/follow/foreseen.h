/* foreseen.h -- a checkpoint that has not arrived yet, as a table of I/O through which it can be planned: shards that are
 * not verified are shown with the header that config.json and the index let expect, and without payload.
 *
 *	open NAME    of a VERIFIED shard the file itself; of any other one a file in memory with the header that is expected
 *	list         shards that are not there yet too; names of unfinished downloads are not shown
 *	pread        of payload that is not verified fails with EIO: nothing can be made of it
 *
 * Everything else goes to the system as it is. Any number of threads may read through it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_FOLLOW_FORESEEN_H
#define CONVERT_FOLLOW_FORESEEN_H
#include "convert/follow/arriving.h"
#include "core/text.h"
#include "formats/archive/passing.h"

#ifdef __cplusplus
extern "C" {
#endif

struct foreseen {
	struct passing pass;      /* first: its io is what is handed around */
	const struct arriving *a; /* borrows; not to change while the table is in use */
	struct inventory inv;     /* owns */
	dev_t folder_dev, memory; /* of the folder; of files in memory */
	ino_t folder_ino;
	bool has_memory; /* memory is known */
};

/* Fills *f for what has arrived so far, over a->io; assume: what the experts are where config.json does not say it. Returns
 * -1 where the index has a tensor that no such model has: then it cannot be foreseen. The caller closes it in any case. */
int foreseen_open(struct foreseen *f, const struct arriving *a, enum codec assume, struct err *e);
void foreseen_close(struct foreseen *f);
/* The first bytes of the shard, as they are expected, and the bytes of its payload. */
int foreseen_header(const struct foreseen *f, const struct coming *c, struct text *out,
	uint64_t *payload, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
