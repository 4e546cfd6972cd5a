/* inventory.h -- what a DeepSeek-V4 checkpoint holds: one table of tensor roles, from which the whole
 * expected inventory of a config.json is made.
 *
 * A checkpoint is some global tensors and a row of blocks: the layers, then the stages (mtp.0 ..,
 * either MTP blocks or a DSpark drafter). A role says in which blocks it occurs, its shape as a
 * formula over config fields, how it is stored and how the official converter shards it. Quantized
 * roles have a companion: "X.weight" comes with "X.scale".
 *
 * Source: deepseek-ai/DeepSeek-V4-Flash and -Pro, index and headers; the counts and bytes that
 * this table yields for them are tested (tests/test_model.c).
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_INVENTORY_H
#define FORMATS_MODEL_INVENTORY_H
#include "core/err.h"
#include "core/mem.h"
#include "formats/model/config.h"
#include "formats/model/role.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One tensor that must be there. */
struct want {
	const char *name; /* in the arena of the inventory */
	uint64_t dim[3];
	uint64_t bytes;
	const struct role *role;
	uint16_t nth; /* of its family's roles it is this one */
	uint8_t dtype, rank;
	bool scale; /* it is the companion scale of the role */
	bool optional;
	int32_t layer;  /* N of layers.N, else -1 */
	int32_t stage;  /* N of mtp.N, else -1 */
	int32_t expert; /* its id, else -1 */
	uint32_t place; /* which shard of an official checkpoint, from 0 */
};

struct inventory {
	struct want *wants; /* owns; sorted by name */
	size_t n;
	uint32_t places; /* official shards: embed, layers, head, stages */
	struct arena arena;
};

/* Makes the list of what config describes, in these number formats, of which none may be CODEC_NONE. Optional
 * tensors are in, marked. Returns -1 where a shape has no size, or without memory; then *v is zeroed. */
int inventory_make(struct inventory *v, const struct config *c, struct model_forms forms,
	struct err *e);
void inventory_free(struct inventory *v);
const struct want *inventory_find(const struct inventory *v, const char *name);
/* Number and bytes of what is not optional, or of all. */
void inventory_sum(const struct inventory *v, bool with_optional, uint64_t *n, uint64_t *bytes);

/* Values of a shape formula; false where it has an unknown name, wraps, or has over 3 dimensions. */
bool inventory_shape(const char *shape, const struct config *c, uint64_t ratio, uint64_t dim[3],
	uint8_t *rank);

#ifdef __cplusplus
}
#endif
#endif
