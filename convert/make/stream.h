/* stream.h -- the bytes of one output file, produced in order from the source, with digests.
 *
 * A piece of a file goes once through
 *
 *	read -> record -> decode -> encode -> layout -> digest -> write
 *
 * source.h reads, recorder.h records what is read, recoding.c decodes and encodes, tiling.c lays out, the
 * stream digests what comes out of them, and convert/run writes. A stream knows headers, the order of steps
 * and the digests of what they make; how a step is made is a row of maker.h, and what is done with the bytes
 * (written, compared) is its caller's matter.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_MAKE_STREAM_H
#define CONVERT_MAKE_STREAM_H
#include "convert/make/maker.h"

#ifdef __cplusplus
extern "C" {
#endif

struct stream {
	const struct plan *p;      /* borrows */
	const struct plan_file *f; /* borrows; of p */
	struct maker maker;
	struct step_result *res; /* owns; [f->n] */
	struct xxh_digest *many; /* owns; of res[].many */
	struct text header;      /* owns */
	uint64_t at;             /* bytes of the file produced so far */
	size_t step;             /* the step at hand */
	uint64_t off;            /* bytes of its tensor produced so far */
	struct xxh *out;         /* owns; running digest of its tensor */
	uint8_t *unit;           /* owns; a unit that was not asked for whole */
	uint64_t unit_no;        /* which one that is, UINT64_MAX none */
};

/* Bytes of memory that the stream of f, a file of p, takes, and bytes of the stage that it is to be lent. */
uint64_t stream_need(const struct plan *p, const struct plan_file *f);
uint64_t stream_stage(const struct plan *p, const struct plan_file *f);

/* Makes s the stream of f from its first byte on. lossy: a value that changes is counted and no error.
 * features: bits of enum cpu_feature; the bytes do not depend on them. keep is where what casts drop goes,
 * NULL if it is not kept. On failure s is closed. */
int stream_open(struct stream *s, const struct plan *p, const struct plan_file *f,
	unsigned features, bool lossy, struct err *e);
/* How many bytes stream_next has to make before the stream is at rest; 0: it is, and another stage may be lent. */
uint64_t stream_rest(const struct stream *s);
/* Writes the next n bytes of the file to dst; the file has at least that many left. stage: stream_stage bytes of
 * working space, the same from one rest to the next. After the last byte of the file all of s->res is set. */
int stream_next(struct stream *s, uint8_t *stage, uint8_t *dst, size_t n, struct err *e);
/* The first n steps of the file are made, and their results are in s->res: goes on after them. s has just been
 * opened. */
void stream_skip(struct stream *s, size_t n);
/* Empties s->res, which somebody has begun to fill for stream_skip. */
void stream_forget(struct stream *s);
/* Bytes of the file up to the end of its first n steps; of none: 0. */
uint64_t stream_bytes(const struct plan_file *f, size_t n);
/* s may be zeroed. */
void stream_close(struct stream *s);

#ifdef __cplusplus
}
#endif
#endif
