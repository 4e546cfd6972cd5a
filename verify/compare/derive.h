/* derive.h -- an output tensor made once more from the source, as its sidecar says it was made.
 *
 * There are two ways, which share nothing with the converter but tables of formats and layouts, and of what is rounded the
 * encoders (quant/lowbit.h, quant/round.h, quant/table4.h, quant/cb4.h), which have plain ways of their own. The plain one
 * is the meaning: codec_ops decode and encode (quant/codec.h) and the address functions of layouts, element
 * by element. The quick one looks results of the plain one up: products, casts and other formats in tables that
 * decode and encode filled (derive_look.h), layouts by gather.h. A test holds the quick one to the plain one, and compare asks the
 * plain one before it calls anything different.
 *
 * Work is done in units, which can be made in any order:
 *
 *	tile          an expert, laid out
 *	fp4-to-fp8    a band of 128 rows
 *	dequantize    128 rows
 *	reform        some rows, about a MiB
 *	ggml          some rows of any matrix
 *	all others    some rows, about a MiB
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_DERIVE_H
#define VERIFY_COMPARE_DERIVE_H
#include "formats/conversion/manifest.h"
#include "formats/conversion/sidecar.h"
#include "formats/gguf/imatrix.h"
#include "formats/model/checkpoint.h"
#include "formats/layout/rowrec.h"
#include "formats/layout/rowmap.h"
#include "formats/layout/tile.h"
#include "quant/cb4.h"
#include "quant/codec.h"
#include "verify/compare/gather.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { DERIVE_UNIT = 1 << 20 }; /* bytes of a result that are made at a time, or a row */

/* What tensors are made of. reader is of c->payload, for one thread; NULL where there is none. */
struct derive_from {
	const struct ckpt *c;
	void *reader;
	const struct imatrix *imatrix; /* importance of columns; NULL: 1 */
};

/* What is to be made, after it was looked at whether that can be. Read-only then. */
struct derive {
	const struct ckpt *c;
	void *reader; /* borrows, as c */
	const struct sidecar *a;
	const struct sidecar_tensor *t;
	const struct tensor *src[2]; /* weight, scale; of a tile the first source */
	const struct tile *tile;
	const struct rowmap *map;
	struct tile_dim dim;        /* of an expert, laid out */
	uint64_t row, rows;         /* of each source that are taken */
	uint64_t col, cols;         /* bytes of a row */
	uint64_t src_bytes;         /* of a row of the source */
	uint64_t row_bytes, n_rows; /* of the result; of a tile: of an expert, experts */
	uint64_t unit_rows, units;
	enum codec from, to; /* of a change of number format, else CODEC_NONE */
	double second;       /* of a matrix in another number format: its factor */
	uint64_t
		keep; /* of a remap: experts that are left; of ggml: sources of a matrix; of first rows: engram_vocab_size */
	uint32_t ggml;                           /* of ggml: the type, enum ggml_type */
	const struct imatrix *imatrix;           /* of ggml: of the columns of its rows; NULL: 1 */
	const struct imatrix_tensor *importance; /* the same */
	bool rounds;                             /* of reform: the pair rounds */
	uint64_t matrix;                         /* of those: which of the importance */
	bool searched;      /* of ggml: rows are made by a search, and values are rounded */
	bool beside;        /* of ggml: the matrices lie side by side */
	enum drafts drafts; /* of the conversion */
	enum engram engram; /* the same */
	const struct rowrec *record; /* the same: layout of its tables; NULL: as they are */
	struct cb4_book book;        /* of tables with levels of their own: those, by the source */
	size_t stage;                /* bytes that a maker needs */
};

/* Looks whether sidecar and source agree on names, types and shapes, so that what the transform makes of the
 * sources is what t says. *d keeps c and the reader of *from, a and t. Returns -1 where they do not (compare.shape, compare.source)
 * or where the layout is not known (set.layout). m is that of the folder, and not kept. */
int derive_open(struct derive *d, const struct derive_from *from, const struct sidecar *a,
	const struct sidecar_tensor *t, const struct manifest *m, struct err *e);
/* Reads bytes off .. off + n of a source tensor, from where its payload is. For the files derive*.c. */
int derive_read(const struct derive *d, const struct tensor *s, uint64_t off, void *dst, size_t n,
	struct err *e);
/* Bytes of that unit; unit 0 is as large as any. */
uint64_t derive_unit_bytes(const struct derive *d, uint64_t unit);

/* What the tensor uses of its source k, which is s: rows row..row+rows and of each the bytes col..col+cols. */
struct derive_use {
	uint64_t row, rows, col, cols;
};
struct derive_use derive_use(const struct derive *d, uint32_t k, const struct tensor *s);
/* Bytes that deriving a unit of t takes at most, with the unit and what it is compared with. */
uint64_t derive_memory(const struct sidecar_tensor *t);

/* Blocks of codes in another number format, and what became of their values. */
struct derive_blocks {
	uint64_t n, lossy, rescued;
};

/* The memory of one thread; zeroed before its first use, derive_free gives it back. */
struct derive_maker {
	uint8_t *stage;       /* owns */
	const uint8_t **rows; /* owns */
	uint32_t *from;       /* owns */
	size_t stage_cap, rows_cap, from_cap;
	struct derive_tables *tables; /* owns; NULL until a format is changed */
	struct derive_looks *looks;   /* owns; the same, of derive_look.h */
	struct gather gather;         /* owns */
	struct table4 *table4;        /* owns; NULL until a table is rounded */
	struct cb4 *cb4;              /* the same of levels */
	struct derive_blocks
		blocks; /* added up by units of the transform reform; its caller sets it to 0 */
	/* Owns; the rounded ones of these, the first SIDECAR_LOST, in order. Its caller sets n_lost to 0. */
	struct sidecar_block *lost;
	size_t n_lost, lost_cap;
};
/* Writes the unit to out, derive_unit_bytes() bytes. Returns -1 if the source cannot be read or memory is
 * out. derive_unit is the quick way, derive_unit_plain the meaning. */
int derive_unit(struct derive_maker *m, const struct derive *d, uint64_t unit, uint8_t *out,
	struct err *e);
int derive_unit_plain(struct derive_maker *m, const struct derive *d, uint64_t unit, uint8_t *out,
	struct err *e);
void derive_free(struct derive_maker *m);

/* --- tensors of a GGUF: derive_ggml.c, for derive.c and derive_make.c --- */

/* Whether source k of the tensor may be what it is made of by its name; of experts, of which each has `each` sources,
 * also in the order of their ids. */
bool derive_ggml_named(const struct derive *d, uint32_t k, uint32_t each);
/* Looks at types and shapes of all sources, whose first two are d->src; sets n_rows, row_bytes, unit_rows, stage, from
 * and ggml of *d. Returns NULL, or what is wrong. source(d, k) gives each source, NULL where there is none. */
const char *derive_ggml_open(struct derive *d,
	const struct tensor *(*source)(const struct derive *d, uint64_t k));
/* Makes rows row..row+n of the result. Rows that a search makes are made by its plain way, or by its best one: in all other
 * things the two are the same. Their blocks are counted in m. */
int derive_ggml_plain(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e);
int derive_ggml_make(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e);

/* --- */

/* Where byte `at` of a unit is, in words: "row 5, column 17". */
struct derive_place {
	char s[160];
};
struct derive_place derive_where(const struct derive *d, uint64_t unit, uint64_t at);

/* --- derive_record.c: tables as records, for derive.c and derive_make.c --- */

/* Looks whether the tensor is the rows that the manifest's layout makes of its sources; sets what derive_open sets. */
int derive_record_open(struct derive *d, const char *target, struct err *e);
/* The same of the levels of such a table; and writes them, which are one row. */
int derive_levels_open(struct derive *d, const char *target, struct err *e);
int derive_levels_make(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e);
/* Makes rows row .. row + n of it to out: the quick way, and the plain one, by what each byte of the result is. Of a table that is rounded
 * both count blocks. */
int derive_record_make(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e);
int derive_record_plain(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e);

/* --- derive_firsts.c: tables of which columns have fewer rows, for derive.c and derive_make.c --- */

/* Looks whether the tensor is a smaller table by the rule of primes; sets what derive_open sets. */
int derive_firsts_open(struct derive *d, const char *target, struct err *e);
/* Makes rows row .. row + n of it to out. */
int derive_firsts_make(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e);

/* --- derive_reform.c: matrices in another number format, for derive.c and derive_make.c --- */

/* Looks whether the tensor is what the recipe of that name demands of its sources; sets what derive_open sets. */
int derive_reform_open(struct derive *d, const char *target, struct err *e);
/* Refuses a tensor that is as in the source where the recipe demands another number format (compare.shape). */
int derive_reform_left(const struct derive *d, const char *target, struct err *e);
/* Whether source s appears in it, and is not only looked at. */
bool derive_reform_uses(const struct derive *d, const struct tensor *s);
/* derive_reform_make.c: rows row .. row + n of it to out. The plain way and the quick one, which looks it up. */
int derive_reform_plain(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e);
int derive_reform_make(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e);

/* For derive_round.c. Reads codes of rows row .. row + n to the stage, and their scales, which are at *old; those of row
 * + i. */
int derive_reform_read(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t **old, struct err *e);
const uint8_t *derive_reform_scales(const struct derive *d, uint64_t row, uint64_t i,
	const uint8_t *old);
/* Counts a block of a row of the result, and notes where it was rounded. For derive_record.c too. */
int derive_count_block(struct derive_maker *m, uint64_t row, uint64_t block, bool changed,
	bool rescued, struct err *e);
/* derive_round.c: pairs that round. Sets unit_rows, stage, importance and second of *d; other: the scales that share the
 * factor, or NULL. *what: what is wrong, NULL nothing. */
int derive_round_open(struct derive *d, const struct tensor *other, uint64_t cols,
	const char **what, struct err *e);
int derive_round_make(struct derive_maker *m, const struct derive *d, bool plain, uint64_t row,
	uint64_t n, uint8_t *out, struct err *e);

/* What the plain way makes of some codes of a row, whose first is the first of a block. */
struct derive_row {
	double *was, *is; /* [cols] values there and back */
	uint8_t *scales;  /* the new ones; 4 bytes for each column are enough */
};
/* Makes cols columns of codes, with their old scales from that block on, to out and r. */
void derive_reform_row(const struct derive *d, const uint8_t *codes, const uint8_t *old,
	uint64_t cols, struct derive_row *r, uint8_t *out);
/* Whether column c of such a row is not what it was. */
bool derive_reform_changed(const struct derive *d, const struct derive_row *r, const uint8_t *codes,
	const uint8_t *old, uint64_t c);
/* Columns of a block that is counted: the least that shares both an old and a new scale. */
uint32_t derive_reform_block(const struct derive *d);
/* Whether the scale of column c is one that the new format has not, and that is made up for by codes (NVFP4). */
bool derive_reform_below(const struct derive *d, const uint8_t *old, uint64_t c);

#ifdef __cplusplus
}
#endif
#endif
