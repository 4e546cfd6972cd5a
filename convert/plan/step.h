/* step.h -- how one output tensor is made: slice, then decode and encode, then layout, of which most steps
 * have only some.
 *
 *	slice     which rows of its sources, and which bytes of each row: every step has one (take)
 *	recode    another number format: decode and encode in one (as.recode, as.reform)
 *	layout    matrices of experts stacked and laid out for an engine (as.tile)
 *
 * A step is a tagged union: op says which member of as there is. What an op is called is in formats/op.h, how
 * it is made in convert/make, how it is checked in verify/compare.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_PLAN_STEP_H
#define CONVERT_PLAN_STEP_H
#include "formats/layout/engine.h"
#include "formats/layout/rowrec.h"
#include "formats/gguf/imatrix.h"
#include "formats/model/checkpoint.h"
#include "formats/op.h"
#include "quant/ggml.h"
#include "quant/recode.h"
#include "quant/reform.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of each source the same: rows row..row+rows, and of each of those the bytes col..col+cols. Where a
 * source is the scales of another, it is the other that is meant. */
struct step_slice {
	uint64_t row, rows;
	uint64_t col, cols;
};

/* OP_COPY, OP_ROWS, OP_COLS: the bytes of the slice. */
struct step_copy {
	uint32_t src; /* index into ckpt->tensors, as all sources are */
	bool e8m0;    /* it holds E8M0 scales: a NaN among them is an error */
};

/* OP_NARROW is of as.copy too: ids of experts in fewer bits. */

/* OP_REMAP: ids of experts, of which so many are left. */
struct step_remap {
	uint32_t src;
	uint64_t experts;
};

/* OP_DEQUANT, OP_CAST: codes and scales make new codes. OP_CAST_SCALE, OP_WIDEN: scales make new scales, and codes
 * is not used. */
struct step_recode {
	uint32_t codes, scales;
	const struct recode *how;
};

/* OP_REFORM: a matrix in another number format, of which the step makes one tensor. */
struct step_reform {
	uint32_t codes, scales; /* of the source */
	uint32_t
		partner; /* scales of the matrix that has the same factor; scales itself where there is none */
	const struct reform *how;
	bool signs;  /* as in struct reformer */
	float input; /* value of PART_INPUT */
	/* Of ways that round: the importance of its columns, which is matrix number `matrix` of that; NULL: 1. */
	const struct imatrix_tensor *importance;
	uint32_t matrix;
};
struct step_reform_part {
	const struct step_reform *of; /* in the plan's arena; the steps of a matrix share it */
	enum op_part part;
};

/* OP_TILE: the matrices of one or two parts (w1 and w3, or w2) of some experts. */
struct step_tile {
	struct engine_fit fit;
	const uint32_t *src; /* in the plan's arena; [experts][parts] */
	uint32_t experts, parts;
	uint8_t e_min, e_max; /* scale bytes that the engine reads as they are meant */
	const char *engine;
	bool scale; /* the matrices are scales */
};

/* OP_GGML: matrices one after the other, in rows of a type of ggml. */
struct step_ggml {
	const struct ggml_way *how;
	const uint32_t *src; /* in the plan's arena; [matrices][each] */
	uint32_t matrices;
	uint32_t each;       /* sources of a matrix: codes, and scales where the format has some */
	uint64_t rows, cols; /* of a matrix */
	const struct imatrix_tensor
		*importance; /* borrows; of its columns, for a search; NULL: 1 */
	bool searched; /* rows are made by a search (quant/ggml_search.h), and values are rounded */
	bool beside;   /* the matrices are put side by side, not below each other */
};

/* OP_HALVES is of as.copy, and takes all of it. */

/* OP_JOIN, OP_JOIN_F32: tensors below one another, which have rows of the same length. Of each the step takes the bytes
 * take.col..take.col+take.cols of a row, and of source k the rows take.row..take.row+first[k+1]-first[k]. */
struct step_join {
	const uint32_t *src; /* in the plan's arena; [n] */
	const uint64_t *
		first; /* in the plan's arena; [n + 1] row of the result with which source k begins */
	uint32_t n;
	bool e8m0; /* they hold E8M0 scales: a NaN among them is an error */
};

/* OP_RECORD: rows of codes and scales as records; take is of the codes. OP_LEVELS: the levels of those, of all of the table. */
struct step_record {
	uint32_t codes, scales;
	const struct rowrec *how;
};

/* OP_FIRSTS: rows of an Engram table. Row to[k] + i of the result, below to[k + 1], is row from[k] + i of the source; take is all of the
 * source. */
struct step_firsts {
	uint32_t src;
	bool e8m0;                 /* it holds scales, as in step_copy */
	uint32_t n;                /* columns of the table */
	const uint64_t *from, *to; /* in the plan's arena; [n + 1] */
};

struct step {
	struct tensor out; /* name, type, shape, place in the payload; .shard and .pos unused */
	struct step_slice take;
	uint8_t op;     /* enum op: the tag of as */
	uint8_t record; /* bit k: this step digests source k, so that each source is digested once in a
			 * conversion. Of ops with many sources bit 0 is for all of them, and the digest is of
			 * what is taken */
	uint32_t
		order; /* place among the tensors of a file with several blocks (plan_opts.file_size) */
	union {
		struct step_copy copy;
		struct step_remap remap;
		struct step_recode recode;
		struct step_reform_part reform;
		struct step_record record;
		const struct step_tile *tile;     /* in the plan's arena */
		const struct step_ggml *ggml;     /* the same */
		const struct step_join *join;     /* the same */
		const struct step_firsts *firsts; /* the same */
	} as;
};

/* How many sources a step has, and which tensor source k of them is. */
uint32_t step_sources(const struct step *s);
uint32_t step_source(const struct step *s, uint32_t k);

/* Whether as.join is what it has. */
static inline bool step_joins(const struct step *s)
{
	return s->op == OP_JOIN || s->op == OP_JOIN_F32;
}

/* Whether it may have any number of sources, all of which it records or none. */
static inline bool step_many(const struct step *s)
{
	return s->op == OP_TILE || s->op == OP_GGML || step_joins(s);
}

static inline bool step_records(const struct step *s, uint32_t k)
{
	return step_many(s) ? s->record & 1 : s->record >> k & 1;
}

/* The matrix layout of a step, NULL where it has none. */
static inline const struct step_tile *step_tile(const struct step *s)
{
	return s->op == OP_TILE ? s->as.tile : NULL;
}

/* Whether the step takes less than all of its source k, and records a digest of that part: no other op with one
 * source does. */
bool step_part(const struct step *s, uint32_t k, const struct tensor *source);

/* Rows of a tensor (1 of a scalar) and bytes of a row. */
uint64_t step_tensor_rows(const struct tensor *t);
uint64_t step_row_bytes(const struct tensor *t);
/* The slice that is all of t. */
struct step_slice step_all(const struct tensor *t);
/* The four numbers by which a plan's hash tells steps of one op apart: first row, rows, first byte of a row,
 * and bytes of a row or experts that are left. */
void step_numbers(const struct step *s, uint64_t n[4]);

#ifdef __cplusplus
}
#endif
#endif
