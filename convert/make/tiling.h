/* tiling.h -- the part of a stream that lays experts out for an engine (OP_TILE): gathers the rows of a
 * band from one or two tensors, packs them slab by slab, goes on to the next expert.
 *
 * Rows of w1 and w3 are never put together anywhere: the layout takes pointers, in the order of the row
 * map, into what was read.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_MAKE_TILING_H
#define CONVERT_MAKE_TILING_H
#include "convert/make/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that a step needs: rows read, pointers to them, the row map; and of a slab. */
struct tiling_need {
	uint64_t stage, rows, map, slab;
};
struct tiling_need tiling_need(const struct ckpt *c, const struct step_tile *t);

void tiling_begin(struct tiling *g, const struct step_tile *t);
/* Slabs of one expert that may be made in one call, beginning with slab at of the whole step. */
uint64_t tiling_at_once(const struct step_tile *t, uint64_t at);
/* Makes slabs at..at+n of the step. */
int tiling_make(struct stream *s, const struct step *st, uint64_t at, size_t n, uint8_t *dst,
	struct err *e);
/* All slabs are made: digests what is left of the last expert. */
int tiling_end(struct stream *s, const struct step *st, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
