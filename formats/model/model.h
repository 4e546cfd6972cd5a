/* model.h -- what a DeepSeek-V4 checkpoint holds: one table of tensor roles, from which the whole
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
#ifndef FORMATS_MODEL_MODEL_H
#define FORMATS_MODEL_MODEL_H
#include "core/err.h"
#include "core/mem.h"
#include "formats/codec.h"
#include "formats/dtype.h"
#include "formats/model/config.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How a role lies on disk: in a type of its own, or quantized in one of the two number formats of a checkpoint. */
enum store {
	STORE_PLAIN, /* in role.dtype */
	STORE_DENSE, /* in model_forms.dense */
	STORE_EXPERT /* in model_forms.experts */
};

/* The number formats that a checkpoint has: rows of formats/codec.h, which know types and blocks. */
struct model_forms {
	enum codec
		dense; /* CODEC_FP8, or CODEC_FP8_F32 as in -Base, where scales are powers of two in FP32 */
	enum codec experts; /* routed experts: CODEC_MXFP4, CODEC_FP8 or CODEC_FP8_F32 */
};

/* How the official converter gives it to N ranks. */
enum split {
	SPLIT_NONE,   /* every rank gets all of it */
	SPLIT_ROWS,   /* rank i gets the i-th part of dimension 0, of the scale too */
	SPLIT_COLS,   /* of dimension 1 */
	SPLIT_EXPERTS /* experts go whole to the rank that owns their id */
};

/* Where a role occurs: in a block that has one of these properties. */
enum where {
	IN_GLOBAL = 1,
	IN_LAYER = 2,        /* layers.N */
	IN_STAGE = 4,        /* mtp.N */
	IN_MTP = 8,          /* a stage that is an MTP block */
	IN_SPARK_FIRST = 16, /* the first stage of a DSpark drafter */
	IN_SPARK_LAST = 32,
	IN_COMPRESS = 64,    /* compress ratio > 0 */
	IN_INDEX = 128,      /* compress ratio 4 */
	IN_HASH = 256,       /* routes by token id */
	IN_SCORE = 512,      /* routes by score */
	IN_MTP_EXTRA = 1024, /* optional, in MTP blocks: copies that only -Base has */
	IN_BLOCK = IN_LAYER | IN_STAGE
};

struct role {
	const char *name; /* after "layers.N." or "mtp.N."; "#" stands for the expert id */
	unsigned where;   /* bits of enum where, one of which must hold */
	enum store store;
	enum dtype dtype; /* of STORE_PLAIN */
	/* Logical shape, dimensions separated by commas; fields of struct config, "ratio" of the
	 * layer, "lap" = 2 where compression windows overlap (ratio 4), else 1. */
	const char *shape;
	enum split split;
	/* What a split must not cut: the number of ranks has to divide this. NULL: rows are enough. */
	const char *unit;
	const char *what;
};
extern const struct role roles[];
extern const unsigned n_roles;

/* One tensor that must be there. */
struct want {
	const char *name; /* in the arena of the inventory */
	uint64_t dim[3];
	uint64_t bytes;
	uint16_t role; /* index into roles */
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

/* The codec of what has that role; CODEC_NONE where it is not quantized. */
enum codec model_codec(const struct role *r, struct model_forms forms);

/* Makes the list of what config describes, in these number formats, of which none may be CODEC_NONE. Optional
 * tensors are in, marked. Returns -1 where a shape has no size, or without memory; then *v is zeroed. */
int inventory_make(struct inventory *v, const struct config *c, struct model_forms forms,
	struct err *e);
void inventory_free(struct inventory *v);
const struct want *inventory_find(const struct inventory *v, const char *name);
/* Number and bytes of what is not optional, or of all. */
void inventory_sum(const struct inventory *v, bool with_optional, uint64_t *n, uint64_t *bytes);

/* Values of a shape formula; false where it has an unknown name, wraps, or has over 3 dimensions. */
bool model_shape(const char *shape, const struct config *c, uint64_t ratio, uint64_t dim[3],
	uint8_t *rank);

#ifdef __cplusplus
}
#endif
#endif
