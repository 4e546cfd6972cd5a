/* stack.h -- what a tensor must be that holds routed experts for an engine, one after the other, each laid out.
 *
 * Name, order of the experts, layout, order of rows, type and shape follow from the sources and the target alone.
 * Who reads a set as its source, and who compares it with the source, hold its sidecars to that.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_STACK_H
#define FORMATS_CONVERSION_STACK_H
#include "formats/conversion/sidecar.h"
#include "formats/layout/rowmap.h"
#include "formats/layout/tile.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A tensor of a sidecar that is laid out (OP_TILE), with what was found out of its layout. Borrows all. */
struct stack {
	const struct sidecar *s;
	const struct sidecar_tensor
		*t; /* of s; t->n is a multiple of t->parts, which is that of map */
	const struct tile *tile;
	const struct rowmap *map;
	uint32_t rows; /* of one expert, laid out: those of all its parts */
	uint64_t cols; /* bytes of a row that are taken of each source */
	bool scale;    /* the sources are scales */
};

/* Returns whether it is what the engine of that name takes; if not, *why is a clause that says what is wrong. */
bool stack_fits(const struct stack *k, const char *engine, char *why, size_t room);

#ifdef __cplusplus
}
#endif
#endif
