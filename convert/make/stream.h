/* stream.h -- the bytes of one output file, produced in order from the source, with digests.
 *
 * A stream knows nothing of output files on disk: what is done with the bytes (written, compared)
 * is run.c's matter. It reads with pread, in pieces, and holds one band of 128 rows at most of what
 * it transforms. Every tensor that it produces and every source that the plan tells it to record is
 * digested on the way.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_MAKE_STREAM_H
#define CONVERT_MAKE_STREAM_H
#include "convert/make/keep.h"
#include "convert/plan/plan.h"
#include "core/hash/xxh.h"
#include "quant/fp4to8.h"
#include "quant/fp8to16.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What all streams of a run share; read-only. */
struct stream_tools {
	const struct fp4to8_impl *cast;
	struct fp4to8_table table;
	bool lossy;        /* go on where a cast or a product is not exact */
	unsigned features; /* bits of enum cpu_feature */
};
void stream_tools_make(struct stream_tools *t, unsigned features, bool lossy);

/* Bytes of scratch that the stream of a file needs, by use. */
struct stream_need {
	size_t stage;  /* source rows on their way */
	size_t row;    /* one output row that did not fit into what was asked for */
	size_t scales; /* scales of a band */
	size_t blocks; /* 128-column blocks of a row */
	size_t rows;   /* pointers to rows of a band */
	size_t map;    /* the row map of a matrix */
	size_t drop;   /* what a cast drops, and the frame of it */
	size_t frame;  /* of which the frame */
	size_t luts;   /* tables of products, one for each block, if the file dequantizes */
	size_t total;  /* of all that, and of a reader of the source's payload */
};
/* Walks the steps of f, a file of p. */
struct stream_need stream_need(const struct plan *p, const struct plan_file *f);

struct step_result {
	struct xxh_digest out, src[2]; /* src: only where the step records */
	uint64_t blocks, inexact;      /* 128 x 128 blocks cast, and those that lost something */
	struct xxh_digest *many;       /* OP_TILE that records: of all its sources; in the stream */
	uint64_t scales[3];            /* OP_TILE: scale bytes 0, above 247, above 249 */
	struct man_range dropped;      /* OP_CAST: place of its frame, if it has one */
};

/* A 128 x 128 block whose cast lost something. */
struct lost_block {
	uint64_t step;
	uint32_t row, col; /* in blocks */
};
enum { LOST_KEPT = 1 << 16 }; /* of one file; the counts are of all */

/* Where OP_TILE is; see tiling.h. */
struct tiling {
	struct tile_grid grid;
	uint32_t rows;          /* that are read together */
	uint64_t expert, group; /* whose, and which so many rows, are in row; UINT64_MAX none */
	const uint8_t **row;    /* in stage */
	uint32_t *from;         /* row map: where row r of the matrix comes from */
};

struct stream {
	const struct plan *p;
	const struct plan_file *f;
	const struct stream_tools *tools;
	struct step_result *res; /* owns until taken; [f->n] */
	struct lost_block *lost; /* owns; in order */
	size_t n_lost, lost_cap;
	struct text header; /* owns */
	uint64_t at;        /* bytes of the file produced so far */
	size_t step;
	uint64_t off; /* bytes of the step's tensor produced so far */

	void *reader;            /* owns; of ckpt->payload, if there is one */
	struct xxh_digest *many; /* owns; of res[].many */
	struct tiling tiling;
	struct xxh *out, *src[2];                        /* owns; running digests of the step */
	uint64_t src_at[2];                              /* bytes of the source digested */
	uint8_t *stage, *row, *scales, *band_t, *band_v; /* one allocation, owned by stage */
	struct fp8to16_table *luts; /* owns; [blocks], if the file dequantizes */
	struct stream_need need;
	struct keep *keep;      /* borrows; NULL: what casts drop is not kept */
	struct dropped dropped; /* of the tensor that is being cast */
	uint8_t *drop;          /* owns; what that has, then its frame */
	uint64_t row_no;        /* which row is in row; UINT64_MAX none */
	uint64_t band_no;       /* which band is in scales and band_*; UINT64_MAX none */
};

int stream_open(struct stream *s, const struct plan *p, const struct plan_file *f,
	const struct stream_tools *tools, struct err *e);
/* The next n bytes of the file, which has at least that many left. */
int stream_next(struct stream *s, uint8_t *dst, size_t n, struct err *e);
void stream_close(struct stream *s);

/* For tiling.c: bytes off..off+n of tensor i of the source, and an error about byte off of source k of
 * a step. */
int stream_get(struct stream *s, uint32_t i, uint64_t off, uint8_t *dst, size_t n, struct err *e);
int stream_bad_byte(const struct stream *s, const struct step *st, uint32_t k, uint64_t off,
	enum rule_id rule, const char *what, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
