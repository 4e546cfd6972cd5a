/* derive.h -- an output tensor made once more from the source, as its sidecar says it was made.
 *
 * By the value functions of quant/num.h and by the address functions of layouts alone: element by element,
 * with nothing of the converter in it. Works in units, which can be made in any order:
 *
 *	tile          an expert, laid out
 *	fp4-to-fp8    a band of 128 rows
 *	all others    some rows, about a MiB
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_DERIVE_H
#define VERIFY_COMPARE_DERIVE_H
#include "formats/conversion/account.h"
#include "formats/model/checkpoint.h"
#include "formats/layout/rowmap.h"
#include "formats/layout/tile.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is to be made, after it was looked at whether that can be. Read-only then. */
struct derive {
	const struct ckpt *c;
	const struct account *a;
	const struct account_tensor *t;
	const struct tensor *src[2]; /* weight, scale; of a tile the first source */
	const struct tile *tile;
	const struct rowmap *map;
	struct tile_dim dim;        /* of an expert, laid out */
	uint64_t row, rows;         /* of each source that are taken */
	uint64_t col, cols;         /* bytes of a row */
	uint64_t src_bytes;         /* of a row of the source */
	uint64_t row_bytes, n_rows; /* of the result; of a tile: of an expert, experts */
	uint64_t unit_rows, units;
	uint64_t keep; /* of a remap: experts that are left */
	size_t stage;  /* bytes that a maker needs */
};

/* Sidecar and source agree on names, types and shapes: what the transform makes of them is what t is. -1:
 * they do not (compare.shape, compare.source), or it is not known how to (set.layout). renamed: layers may
 * have other numbers. target: of the manifest. */
int derive_open(struct derive *d, const struct ckpt *c, const struct account *a,
	const struct account_tensor *t, const char *target, bool renamed, struct err *e);
uint64_t derive_unit_bytes(const struct derive *d, uint64_t unit); /* at most those of unit 0 */

/* Memory of one thread. */
struct derive_maker {
	uint8_t *stage;       /* owns */
	const uint8_t **rows; /* owns */
	uint32_t *from;       /* owns */
	size_t stage_cap, rows_cap, from_cap;
};
int derive_unit(struct derive_maker *m, const struct derive *d, uint64_t unit, uint8_t *out,
	struct err *e);
void derive_free(struct derive_maker *m);

/* Where byte `at` of a unit is, in words: "row 5, column 17". */
struct derive_place {
	char s[160];
};
struct derive_place derive_where(const struct derive *d, uint64_t unit, uint64_t at);

#ifdef __cplusplus
}
#endif
#endif
