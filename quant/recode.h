/* recode.h -- the ways from one number format to another: a row for each pair that is offered.
 *
 * The meaning of every row is decode, then encode (quant/codec.h) with the new scales; a row adds how the
 * new scales follow from the old ones, what is known beforehand about exactness, and a quick way. It works
 * in bands: as many rows of a matrix as the taller of the two blocks has, 128 with FP8 on either side.
 *
 *	recoder_begin   once for a matrix (or several of one width)
 *	recoder_band    for each band, in any order: its old scales, from which the new ones follow
 *	recoder_row     for the rows of that band, in any order
 *
 * Nothing here knows of files or tensors. A band's verdicts say, block by block, whether a value changed.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_RECODE_H
#define QUANT_RECODE_H
#include "quant/codec.h"

#ifdef __cplusplus
extern "C" {
#endif

/* About a block of the recoder's verdicts. */
enum recode_verdict {
	RECODE_EXACT,   /* every value stays, whatever the codes are */
	RECODE_DEPENDS, /* the scales alone do not tell: it depends on the codes */
	RECODE_LOW, /* the new scale would be below the smallest that there is and is set to that;
			   * values stay exact here, but other converters make something else of it */
	RECODE_LOST = 128 /* bit that recoder_row adds where a value changed */
};

struct recoder;
struct recode {
	enum codec from, to;
	uint32_t rows, cols; /* of a band, and columns of a block that verdicts are about */
	/* Bytes of tables and scales that a recoder of so many columns needs. */
	size_t (*room)(size_t cols);
	/* Makes tables that are the same for all bands and do not depend on cols; NULL: none. */
	void (*begin)(struct recoder *r);
	long (*band)(struct recoder *r, const uint8_t *scales);
	size_t (*row)(struct recoder *r, uint32_t row, const uint8_t *src, uint8_t *dst);
	/* The name of the quick way that features allow; NULL: there is one way. */
	const char *(*way)(unsigned features);
	const char *exact; /* a clause: when no value changes */
	const char *drops; /* a clause: what is not kept though no value changes; NULL: nothing */
	bool zero;         /* minus zero becomes zero */
};
extern const struct recode recodes[]; /* ends with from == CODEC_NONE */
/* Returns the row of that pair, or NULL where there is none. */
const struct recode *recode_find(enum codec from, enum codec to);

struct recoder {
	const struct recode *how;
	size_t cols;
	unsigned features;     /* bits of enum cpu_feature that may be used */
	const uint8_t *scales; /* borrows: of the band, [rows / block rows][cols / block cols] */
	uint8_t *to_scales;    /* of the band, in bytes of the new format; in room */
	uint8_t *exponents; /* the same as E8M0; to_scales itself where the new format has E8M0 */
	uint8_t *verdict;   /* [cols / how->cols] enum recode_verdict, of the band; in room */
	void *tables;       /* of the row; in room */
};

/* Bytes that recoder_begin wants. */
size_t recode_room(const struct recode *how, size_t cols);
/* Makes a recoder for matrices of cols columns. room: recode_room() bytes, aligned as malloc does, which
 * the caller owns and which must outlive r. features: bits of enum cpu_feature; results do not depend on
 * them. cols is a multiple of how->cols. */
void recoder_begin(struct recoder *r, const struct recode *how, size_t cols, void *room,
	unsigned features);
/* Makes r one for matrices of another width, keeping its tables. Its room must be enough for that too. */
void recoder_resize(struct recoder *r, size_t cols);
/* The old scales of a row of the band at hand. */
const uint8_t *recoder_scales(const struct recoder *r, uint32_t row);
/* Takes the scales of the next band as they lie on disk (kept, not copied, until the next band), sets
 * r->to_scales and r->verdict. Returns -1, or the index of the first scale that is NaN or infinite: then the
 * band must not be used. */
long recoder_band(struct recoder *r, const uint8_t *scales);
/* Recodes row (0 is the first of the band). Returns the index of the first code that is NaN, r->cols if
 * there is none. */
size_t recoder_row(struct recoder *r, uint32_t row, const uint8_t *src, uint8_t *dst);

/* True if a verdict says that the block is not, or not certainly by everyone's reading, what it was. */
static inline bool recode_inexact(uint8_t verdict)
{
	return (verdict & RECODE_LOST) || verdict == RECODE_LOW;
}

/* The meaning: the same as recoder_row by decode and encode, with verdicts by comparing values. v: room for
 * 2 * r->cols values. */
size_t recoder_row_plain(struct recoder *r, uint32_t row, const uint8_t *src, uint8_t *dst,
	double *v);
/* Returns the first column of the row whose value in dst is not that in src, r->cols if there is none. */
size_t recoder_changed(const struct recoder *r, uint32_t row, const uint8_t *src,
	const uint8_t *dst, double *v);

#ifdef __cplusplus
}
#endif
#endif
