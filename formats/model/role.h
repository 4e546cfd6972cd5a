/* role.h -- what a tensor is in a model: a row of a family's table (family.h).
 *
 * A role says in which blocks it occurs, its shape as a formula over config fields, how it is stored and how the
 * official converter shards it. Quantized roles have a companion: "X.weight" comes with "X.scale".
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_ROLE_H
#define FORMATS_MODEL_ROLE_H
#include "formats/codec.h"
#include "formats/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How a role lies on disk: in a type of its own, or quantized in one of the two number formats of a checkpoint. */
enum store {
	STORE_PLAIN,  /* in role.dtype */
	STORE_DENSE,  /* in model_forms.dense */
	STORE_EXPERT, /* in model_forms.experts */
	STORE_TABLE   /* in CODEC_FP8_ROW: rows that are gathered one by one */
};

/* The number formats that a checkpoint has: rows of formats/codec.h, which know types and blocks. */
struct model_forms {
	/* The family's, with E8M0 scales, or CODEC_FP8_F32 as in -Base, where scales are powers of two in FP32. */
	enum codec dense;
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
	IN_COMPRESS = 64,        /* compresses keys: compress ratio > 0, of V4.1 a source of keys */
	IN_INDEX = 128,          /* has an indexer: compress ratio 4, of V4.1 a source of indices */
	IN_HASH = 256,           /* routes by token id */
	IN_SCORE = 512,          /* routes by score */
	IN_MTP_EXTRA = 1024,     /* optional, in MTP blocks: copies that only -Base has */
	IN_VISION = 2048,        /* of no block; the model sees images */
	IN_BLOCK_VL = 4096,      /* a layer or stage of a model that sees images */
	IN_COMPRESS_GATE = 8192, /* its compressor joins more than one key */
	IN_ENGRAM = 16384,       /* has an Engram table */
	IN_BLOCK = IN_LAYER | IN_STAGE
};

struct role {
	const char *
		name; /* after "layers.N." or "mtp.N."; "#" stands for the expert id, "@" for a block of the vision tower */
	unsigned where; /* bits of enum where, one of which must hold */
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

/* The codec of what has that role; CODEC_NONE where it is not quantized. */
static inline enum codec role_codec(const struct role *r, struct model_forms forms)
{
	return r->store == STORE_DENSE     ? forms.dense
		: r->store == STORE_EXPERT ? forms.experts
		: r->store == STORE_TABLE  ? CODEC_FP8_ROW
					   : CODEC_NONE;
}

#ifdef __cplusplus
}
#endif
#endif
