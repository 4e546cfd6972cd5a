/* tables.h -- tables of Engram of a model folder that lie there as records (formats/layout/rowrec.h), in one tensor or in one for each
 * of several ranks.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_ATLAS_TABLES_H
#define VERIFY_ATLAS_TABLES_H
#include "formats/layout/rowrec.h"
#include "formats/model/checkpoint.h"
#include "formats/model/engram.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The records of one rank. */
struct table_piece {
	const struct tensor *t; /* of the ckpt */
	const char *word; /* static; what the name says that they are: "record", "mxfp4", "cb4" */
	uint64_t layer, rank, ranks;
	uint64_t first; /* row of the table with which they begin */
};

/* Zeroed = none. */
struct tables {
	const struct ckpt *c;  /* borrows */
	struct table_piece *v; /* owns; by layer, then by rank */
	size_t n;
};

/* Collects them by their names. t borrows tensors of c. */
int tables_open(struct tables *t, const struct ckpt *c, struct err *e);
void tables_close(struct tables *t);

/* What has all rows of a table. */
struct table_rows {
	const struct rowrec *how;
	const struct table_piece *v; /* [n] of struct tables, in the order of rows */
	size_t n;
	uint64_t bytes;              /* of all records */
	const struct tensor *levels; /* of ROWREC_CB4: FP32 [16]; else NULL */
};
/* Finds the records of the table whose codes are called so in the source, rows x cols of codes in CODEC_FP8_ROW. Returns false where
 * there are none, a rank or the levels are missing, or they have not the size that a layout makes of so many rows. */
bool tables_find(const struct tables *t, const char *codes, uint64_t rows, uint64_t cols,
	struct table_rows *to);
/* Reads the records of rows row .. row + n, which are in the table, to buf. */
int tables_read(const struct table_rows *t, const struct ckpt *c, uint64_t row, uint64_t n,
	uint8_t *buf, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
