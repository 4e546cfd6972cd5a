/* engine.h -- what a user asks for: a table of engines and of what each wants the routed experts to
 * look like.
 *
 * An engine is two layouts (values and scales), two row orders (w1 and w3 in one matrix, and w2), and
 * the type and shape under which it takes the result. The experts of a rank lie one after the other:
 *
 *	layers.N.ffn.experts.w13.weight   [experts, ...]      .w2.weight   [experts, ...]
 *	layers.N.ffn.experts.w13.scale    [experts, ...]      .w2.scale    [experts, ...]
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_LAYOUT_ENGINE_H
#define FORMATS_LAYOUT_ENGINE_H
#include "formats/dtype.h"
#include "formats/layout/rowmap.h"
#include "formats/layout/tile.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A matrix of one expert, n rows of k columns (codes), and what it is packed with. */
struct engine_fit {
	const struct tile *tile;
	const struct rowmap *map;
	struct tile_dim dim; /* in elements of the layout */
	uint64_t bytes;      /* of the result, one expert */
	uint8_t dtype;       /* declared */
	uint8_t rank;
	uint64_t shape[6]; /* behind the number of experts */
};

enum engine_part { ENGINE_W13, ENGINE_W2 };

struct engine {
	const char *name;
	/* Names of layouts. frag-k32 stands for -256, -128 or -64, the largest that divides the rows. */
	const char *values, *scales;
	const char *w13, *w2; /* names of row maps */
	uint8_t dtype, scale_dtype;
	/* Dimensions as formulas: N rows, K columns, KB = K/32, KP = KB/4; T rows of the layout's
	 * slab; "~" in front: rounded up as the layout pads. */
	const char *shape, *scale_shape;
	uint8_t e_min, e_max; /* scale bytes that it reads as they are meant */
	bool experimental;    /* one of its layouts was only read, not compared */
	const char *what;     /* GPU, call */
};
extern const struct engine engines[];
extern const unsigned n_engines;

const struct engine *engine_find(const char *name); /* NULL: there is none */

/* What becomes of the values (or scales) of one expert with n rows of k columns; false and a clause
 * in why where the engine does not take that size. */
bool engine_fit(const struct engine *g, enum engine_part part, bool scale, uint32_t n, uint32_t k,
	struct engine_fit *fit, char *why, size_t room);

#ifdef __cplusplus
}
#endif
#endif
