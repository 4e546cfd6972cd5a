/* maker.h -- making the bytes of one output tensor, as its step says: a row of functions for each op.
 *
 * Whoever wants the bytes (stream.h) begins a step, asks for units of it in order, and ends it. A unit is
 * what cannot be made in parts: a byte of a copy, a row of a cast, a slab of a layout. A row's functions
 * read through source.h, record what they read through recorder.h, and write where they are told; they know
 * neither files nor each other.
 *
 * They work in two places. The state is the maker's own and small. The stage may be as large as a matrix of an
 * expert, and many makers take turns on one: whoever calls lends it, and may lend another one whenever the maker
 * is at rest, which it is at the beginning of each episode. An episode is a row of units that need what lies in
 * the stage: the slabs of an expert that is laid out by columns, the rows of a tensor whose cast drops something.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_MAKE_MAKER_H
#define CONVERT_MAKE_MAKER_H
#include "convert/make/keep.h"
#include "convert/make/recorder.h"
#include "convert/make/source.h"
#include "convert/plan/plan.h"
#include "formats/conversion/sidecar.h"

#ifdef __cplusplus
extern "C" {
#endif

struct step_result {
	struct xxh_digest out, src[2]; /* src: only where the step records */
	uint64_t blocks, inexact;      /* blocks cast, and those that lost something */
	uint32_t lost, n_lost;         /* of those, the blocks maker.lost[lost .. lost + n_lost] */
	uint64_t rescued; /* of the others: those whose scale is none of the new format */
	struct xxh_digest
		*many; /* of ops with many sources that record: of all of them; in the stream */
	uint64_t scales[3];        /* OP_TILE: scale bytes 0, above 247, above 249 */
	struct keep_place dropped; /* OP_CAST, OP_REFORM: place of its frame, if it has one */
};

struct maker {
	const struct plan *p;        /* borrows */
	const struct step *st;       /* borrows; the step at hand */
	struct step_result *res;     /* borrows; its result */
	struct source source;        /* owns */
	struct recorder recorder[2]; /* own; of the two sources, or parts, of the step */
	unsigned features;           /* bits of enum cpu_feature; results do not depend on them */
	bool lossy;                  /* a value that changes is counted and is no error */
	struct keep *keep;           /* borrows; NULL: what casts drop is not kept */
	struct sidecar_block *lost;  /* owns; [n_lost] of all steps of the file, in order */
	size_t n_lost, lost_cap;
	void *state;       /* owns; as large as the step of the file that needs most says */
	const void *holds; /* whose tables are at its beginning, NULL nobody's */
	uint8_t *stage;    /* borrows; maker_stage_need bytes, lent by who calls */
};

struct make_op {
	/* Bytes of state and of stage that a step of p works in. */
	size_t (*state)(const struct plan *p, const struct step *s);
	size_t (*stage)(const struct plan *p, const struct step *s);
	/* Bytes of a unit of s. */
	uint64_t (*unit)(const struct plan *p, const struct step *s);
	/* Begins m->st. No stage is lent yet. */
	void (*begin)(struct maker *m);
	/* The unit with which the episode ends that unit at is in: the first of the next one. NULL: nothing stays in
	 * the stage, and the maker is at rest always, within a unit too. */
	uint64_t (*episode)(const struct maker *m, uint64_t at);
	/* How many units, beginning with unit at, may be asked for in one call; at least 1. */
	uint64_t (*at_once)(const struct maker *m, uint64_t at);
	/* Writes units at..at+n to dst. Units come in order, each once. Sets m->res as it goes. */
	int (*make)(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e);
	/* All units were made: finishes m->res but for its digest out. NULL: nothing is to do. */
	int (*end)(struct maker *m, struct err *e);
};
/* A row for each enum op. */
extern const struct make_op *const make_ops[OP_COUNT];

/* Bytes of memory that a maker of file f of p takes, and bytes of the stage that it is to be lent. */
uint64_t maker_need(const struct plan *p, const struct plan_file *f);
uint64_t maker_stage_need(const struct plan *p, const struct plan_file *f);
/* Makes m ready for the steps of f. On failure it is closed. */
int maker_open(struct maker *m, const struct plan *p, const struct plan_file *f, struct err *e);
/* m may be zeroed. */
void maker_close(struct maker *m);
/* Begins step s of the file; its result goes to *res. */
void maker_begin(struct maker *m, const struct step *s, struct step_result *res);

/* For rows of the table. Reads bytes of source k of the step, and records them if the step does. */
int maker_read(struct maker *m, unsigned k, uint64_t off, uint8_t *dst, size_t n, struct err *e);
/* Reads what is not yet recorded of the sources that the step records (room: a buffer of n bytes), and
 * sets their digests in m->res. */
int maker_end_records(struct maker *m, uint8_t *room, size_t n, struct err *e);
/* Source rows that are read together: as many as half a MiB has, which is enough for a disk to be read at
 * its speed and little enough to stay in a second-level cache; at least one. */
enum { MAKER_ROWS = 512 << 10 };
static inline size_t maker_rows(uint64_t row_bytes)
{
	return row_bytes > MAKER_ROWS ? (size_t)row_bytes : (size_t)MAKER_ROWS;
}

/* Returns which of the n runs of rows, at least one, row at lies in: run k begins with row first[k], run 0 with row 0. at is below
 * first[n]. */
uint32_t maker_run(const uint64_t *first, uint32_t n, uint64_t at);

/* Holds n scales of tensor t of a step of OP_REFORM, which begin with number first, to what its way takes. */
int maker_hold_scales(struct maker *m, uint32_t t, const uint8_t *p, size_t n, uint64_t first,
	struct err *e);

/* Notes that block (row, col) of the step lost something; only so many of a file are kept. */
int maker_lost(struct maker *m, uint64_t row, size_t col, struct err *e);

/* The rows of slicing.c, recoding.c, tiling.c, reforming.c, records.c, blocks.c and joining.c. */
extern const struct make_op slicing_bytes, slicing_columns, slicing_ids, slicing_narrow,
	slicing_halves, slicing_firsts;
extern const struct make_op recoding_codes, recoding_scales;
extern const struct make_op tiling_op, records_op, levels_op;
extern const struct make_op reforming_op, blocks_op, joining_op, joining_f32;

#ifdef __cplusplus
}
#endif
#endif
