/* ranks.h -- the rank files of target official (formats/st/rankset.h) read as one checkpoint: each tensor joined
 * from the ranks as the official converter shared it out.
 *
 * The folder has no config.json: what the tensors are is said by the source that it is compared with. Opening
 * holds every header to it, so that afterwards name, dtype, shape and scale of a tensor can be relied on:
 *
 *	wo_a.weight         BF16, without a scale: the official model computes it so
 *	routed experts      F4 with a scale for 32 columns, or F8_E4M3 with one for 128 x 128
 *	anything else       as in the source
 *	rows, columns       an equal part on every rank; an expert on the rank that owns its id; others whole on all
 *
 * Reading a tensor that all ranks hold whole compares their copies, since each rank computes with its own.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_RANKS_H
#define FORMATS_MODEL_RANKS_H
#include "formats/model/checkpoint.h"
#include "formats/model/inventory.h"
#include "formats/st/rankset.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ranks {
	const struct inventory *inv; /* borrows */
	const struct ckpt *c;        /* borrows: the one that was opened */
	struct rankset set;          /* owns */
	struct ckpt_payload payload;
	struct arena arena;
};

/* Makes *c (zeroed) of the files: its tensors and its payload, which points to r; nothing else of *c is set. inv
 * is the source's. Returns -1 and the first fault (rank.*, model.*, st.*). */
int ranks_open(struct ranks *r, struct ckpt *c, const struct io *io, int dir,
	const struct inventory *inv, struct err *e);
/* Frees what r and c own. */
void ranks_close(struct ranks *r, struct ckpt *c);

/* The role of a tensor by its name alone, for readers without a config.json. scale says that the name ends in
 * ".scale". NULL: no model has such a tensor. */
const struct role *ranks_role(const char *name, bool scale);
/* Returns whether the official converter writes this dtype for a weight of the role, or for its scale. */
bool ranks_dtype(const struct role *r, bool scale, enum dtype dtype);

#ifdef __cplusplus
}
#endif
#endif
