/* slice_cut.h -- what stays of a model in a slice of it: layers, stages of drafts, experts and rows of Engram tables, so that what
 * config.json says of them stays true.
 *
 * Layers get new numbers. A layer that takes keys or indices from another one needs that one; an Engram table needs the number of
 * its layer, by which its hashes are seeded, and the tables in front of it, whose primes it does not use.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_SLICE_CUT_H
#define FORMATS_MODEL_SLICE_CUT_H
#include "formats/model/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SLICE_NONE UINT32_MAX

/* What is asked to stay of a model. All is borrowed. */
struct slice_ask {
	const struct ckpt *
		ckpt; /* the model; its config describes what is cut, without Engram if that is left out */
	const bool *selected; /* [places]; blocks as in selection.h */
	uint32_t places;      /* of the model: embedding, layers, head, stages */
	uint64_t keep;        /* so many experts of each layer; 0: all */
	uint64_t vocab; /* engram_vocab_size by whose primes tables are cut; 0: they stay whole */
};

struct slice_cut {
	uint64_t layers, stages, n_hash; /* how many stay */
	uint64_t experts, stage_experts; /* of a layer, of a stage */
	uint64_t vocab;  /* engram_vocab_size: that of the source where tables stay whole */
	uint32_t *place; /* owns; [inv.places] which shard, from 0; SLICE_NONE if it is dropped */
	uint32_t places;
};

/* Decides it for what is asked. Returns -1, with rule plan.slice, where it would be no model. On failure *k is freed. */
int slice_cut_make(struct slice_cut *k, const struct slice_ask *a, struct err *e);
void slice_cut_free(struct slice_cut *k);

/* The new number of a layer; SLICE_NONE: it is dropped. */
uint32_t slice_layer(const struct slice_cut *k, uint64_t layer);
/* Rows that the Engram table of a layer of c has in the slice; 0: it has none, or is dropped. */
uint64_t slice_rows(const struct slice_cut *k, const struct config *c, uint64_t layer);

/* *text, which the caller frees: config.json of the slice, with its last newline. */
int slice_config(char **text, const struct slice_cut *k, const struct ckpt *c, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
