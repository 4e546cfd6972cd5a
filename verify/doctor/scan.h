/* scan.h -- one pass over what tensors hold: all of the scales, pieces of the weights, or all of it.
 *
 * What was seen is counted here and judged elsewhere (suspect.h). Memory: a buffer for each thread, a few
 * numbers for each tensor. Tensors are taken in the order of the list, so that a file is read forwards.
 *
 * A piece is 16 KiB; of a weight the first, the middle and the last are read, which a page of zeros or a file
 * cut off does not escape where it reaches an end of a tensor; --full reads them all.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_DOCTOR_SCAN_H
#define VERIFY_DOCTOR_SCAN_H
#include "core/err.h"
#include "formats/model/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

enum scan_class {
	SCAN_E8M0,       /* scales */
	SCAN_F32_SCALE,  /* scales of -Base: powers of two in FP32 */
	SCAN_E4M3_SCALE, /* scales of NVFP4 */
	SCAN_FP8,
	SCAN_FP4,
	SCAN_BF16,
	SCAN_F32,
	SCAN_IDS /* int64, rows of width ids */
};

enum {
	SCAN_PIECE = 16 << 10,
	/* Zeros in a row that are no weights. A row of FP4 codes of the real models has 1 to 3.5 KiB, so even two
	 * rows of dead channels one after the other stay below. */
	SCAN_ZEROS = 8 << 10,
	SCAN_ZEROS_SMALL =
		512 /* a whole piece of zeros counts from here on; zeros among scales too */
};

/* Codes at places that break a rule: how many, and the byte of the first. */
struct scan_spot {
	uint64_t n, first;
};

struct scan_mark {
	uint64_t looked;         /* bytes */
	uint64_t zeros, end;     /* first region of nothing but zeros; end 0: none */
	struct scan_spot nan;    /* NaN codes, values that are not finite */
	struct scan_spot least;  /* E8M0 bytes 0 */
	struct scan_spot range;  /* E8M0 bytes outside e_min..e_max */
	struct scan_spot odd;    /* FP32 scales that are no power of two; ids that there are not */
	struct scan_spot twice;  /* ids twice in a row */
	uint64_t top;            /* the largest id */
	struct scan_spot spread; /* 128 x 128 blocks whose scales are more than 2^14 apart */
	bool scaled;             /* low, high and median are set: exponent bytes */
	uint8_t low, high, median;
	uint64_t rich, fine; /* FP32 values with a mantissa; those that BF16 cannot write */
	bool varied;         /* not all values are the same */
};

struct scan_item {
	const char *file, *name; /* of the file, of the tensor; borrowed */
	int fd;
	uint64_t at;     /* byte in the file */
	uint32_t tensor; /* for a payload */
	uint64_t bytes;
	enum scan_class holds;
	uint64_t width; /* SCAN_IDS: ids in a row; SCAN_E8M0 of FP4: scales in a row, else 0 */
	uint64_t limit; /* SCAN_IDS: ids are below */
	struct scan_mark m;
};

struct scan {
	const struct io *io;
	const struct ckpt_payload *payload; /* NULL: files */
	struct scan_item *v;                /* owns */
	size_t n, cap;
	bool full;
	bool spread;          /* look at how far scales of a block are apart */
	uint8_t e_min, e_max; /* scale bytes that are read as they are meant */
	unsigned threads;
	uint64_t looked; /* bytes */
};

int scan_add(struct scan *s, const struct scan_item *t, struct err *e);
int scan_run(struct scan *s, struct err *e);
void scan_free(struct scan *s);

/* What a buffer of n bytes, byte off of the tensor, adds to m: for tests of the pieces themselves. */
void scan_look(const struct scan *s, const struct scan_item *t, const uint8_t *p, size_t n,
	uint64_t off, uint64_t hist[256], struct scan_mark *m);

#ifdef __cplusplus
}
#endif
#endif
