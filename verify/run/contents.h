/* contents.h -- the tensors that a record of a model has, by how much was recorded: the one list of their names,
 * types and shapes, for who writes a record and for who reads it.
 *
 *	logits   ids, logits
 *	layers   and layers.0.in, layers.L.out
 *	all      and what goes into and comes out of every sub-block, routing, picks, the MTP block's logits
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_RUN_CONTENTS_H
#define VERIFY_RUN_CONTENTS_H
#include "formats/dtype.h"
#include "formats/model/config.h"
#include "verify/run/record.h"

#ifdef __cplusplus
extern "C" {
#endif

enum contents_level { CONTENTS_LOGITS, CONTENTS_LAYERS, CONTENTS_ALL };

struct content {
	char name[64];
	enum contents_level level; /* the least with which it is recorded */
	enum dtype dtype;          /* as this program writes it */
	uint64_t dim[3];
	uint8_t rank;
	bool mtp; /* of the MTP block, which a foreign record may lack */
};

/* What decides names and shapes. */
struct contents {
	const struct config *c;
	uint32_t tokens, topk; /* topk of the indexer */
	bool fp32;             /* streams in F32, since nothing is rounded to BF16 */
	bool no_drafts; /* the model is without its drafts, which a record may have all the same */
};

/* Hands each tensor to each(), in no order that matters, until it returns -1. */
int contents_each(const struct contents *k,
	int (*each)(void *ctx, const struct content *x, struct err *e), void *ctx, struct err *e);

/* Holds a record that was opened to the list: every tensor of it is one of these with its shape (indexer.picked
 * may be narrower), logits are there, and of what a level adds all is there or nothing. *level is what it has. A
 * record of this program has the digest of every layer's output too. Returns -1 with record.form, so that nothing
 * in a record can stay unread while the verdict says true. */
int contents_check(const struct contents *k, const struct record *r, enum contents_level *level,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
