/* reform.h -- the ways from one number format to another in which each row of a matrix is made from its own codes and
 * scales alone: a row for each pair, there and back.
 *
 *	codes    a row of codes from the old codes, given the old scales of that row
 *	scales   a row of scales from the old scales of that row
 *	second   a factor for the matrix, a power of two, from all old scales of the matrices that share it
 *
 * What happens to a block of the row is told by a verdict: its values stay, or stay though its scale could not (NVFP4,
 * see below), or some value changes. What is not in codes, scales and factor any more though no value changed is kept
 * beside them, so that reform_back writes the old codes and scales again.
 *
 *	NVFP4   The factor is 2^(top-8), with 2^top the largest old scale of the matrices that share it. A block's scale
 *	        relative to it is 2^p with p <= 8; E4M3 has those with p >= -9. A block below gets 2^-9, and its codes
 *	        are divided by 2^(-9-p): its halves of 16 are rescued if all their codes have that value, else lossy,
 *	        rounded to nearest, ties to even. An old scale byte 0 is no scale for top, unless there are no others:
 *	        then top is 0. Source: ModelOpt 0.47, quantize_mxfp4_to_nvfp4_lossless; its bytes are these where minus
 *	        zero is not kept.
 *
 * Nothing here knows of files or tensors. The steps of a row are those of quant/row.h, which has a plain way for each
 * quick one; tests hold what comes out to quant/codec.h.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_REFORM_H
#define QUANT_REFORM_H
#include "core/err.h"
#include "quant/codec.h"
#include "quant/row.h"
#include "quant/signs.h"

#ifdef __cplusplus
extern "C" {
#endif

/* About a block of how->block columns of a row. The order is by how bad it is. */
enum reform_verdict {
	REFORM_EXACT,
	REFORM_RESCUED, /* every value stays, though its scale is outside of what the new format has */
	REFORM_FORGOT, /* every value stays, and codes cannot be told from them any more: their scale is zero */
	REFORM_LOSSY,   /* a value changes */
	REFORM_OVERFLOW /* a value becomes infinite: an error, whatever is asked for */
};

/* What is wrong with a scale. */
enum reform_scale {
	REFORM_SCALE_SOUND,
	REFORM_SCALE_NAN,  /* NaN or infinite */
	REFORM_SCALE_POWER /* none of the powers of two that the new format has */
};

enum { REFORM_TOP_NONE = -1000 };

struct reformer;
struct reform {
	enum codec from, to;
	uint32_t block; /* columns that a verdict is about */
	bool second;    /* the new format has a factor for the matrix, of old E8M0 scales */
	/* Bytes that a reformer of so many columns needs for tables. */
	size_t (*room)(size_t cols);
	void (*begin)(struct reformer *r); /* NULL: nothing is to do */
	/* NULL: the pair rounds, rows are made by quant/round.h, and all that follows but sound is NULL.
	 * Writes a row of codes to dst and r->verdict. Returns the index of the first code that is NaN, r->cols if
	 * there is none. s: the old scales of the row, which are sound. */
	size_t (*codes)(struct reformer *r, const uint8_t *src, const uint8_t *s, uint8_t *dst);
	/* Writes a row of new scales to dst; NULL: the new format has none. */
	void (*scales)(const struct reformer *r, const uint8_t *s, uint8_t *dst);
	/* Looks at n old scales. Returns the index of the first that is not sound, and in *what why; n if all are. */
	size_t (*sound)(const uint8_t *s, size_t n, enum reform_scale *what);
	/* Bytes that are kept of a matrix besides the signs of zeros; NULL: none. */
	uint64_t (*keeps)(uint64_t rows, uint64_t cols);
	/* What of that is of row i: src and s are as for codes, kept is all of it. Returns whether any of it is not zero. */
	bool (*keep)(const struct reformer *r, uint64_t i, const uint8_t *src, const uint8_t *s,
		uint8_t *kept);
	/* The way back of row i: codes and scales (NULL: the new format has none) as they lie there, to old codes and
	 * to old scales (NULL where another row has written them). Signs of zeros that were not kept come after it.
	 * Returns false where that is no row that codes and scales write. */
	bool (*back)(const struct reformer *r, uint64_t i, const uint8_t *codes,
		const uint8_t *scales, const uint8_t *kept, uint8_t *to, uint8_t *s);
	const char *exact; /* a clause: when no value changes */
	const char *drops; /* a clause: what is kept beside; NULL: nothing has to be */
};
/* For rows of the table: no room for tables; a scale in E8M0 is a number. */
size_t reform_no_room(size_t cols);
size_t reform_sound_e8m0(const uint8_t *s, size_t n, enum reform_scale *what);
/* The same of F32, any finite number. */
size_t reform_sound_f32(const uint8_t *s, size_t n, enum reform_scale *what);
extern const struct reform reforms_fp4[], reforms_fp8[]; /* end with from == CODEC_NONE */
/* Returns row i of both, or NULL behind the last. */
const struct reform *reform_nth(unsigned i);
/* Returns the row of that pair, or NULL where there is none. */
const struct reform *reform_find(enum codec from, enum codec to);
/* Returns the row of that pair where the way rounds, or NULL where there is none; no pair has both. */
const struct reform *reform_rounding(enum codec from, enum codec to);
/* Returns whether it is such a row. */
static inline bool reform_rounds(const struct reform *how)
{
	return !how->codes;
}
/* Columns that have to divide those of a matrix. */
uint32_t reform_unit(const struct reform *how);
/* The factor of a matrix that is rounded is 2 to the power of this, given n old scales of format from: no block of 16 is
 * out of reach. top: what was returned for other scales that share it, or REFORM_TOP_NONE. */
int reform_second(enum codec from, int top, const uint8_t *s, size_t n);

struct reformer {
	const struct reform *how;
	size_t cols;
	unsigned features;         /* bits of enum cpu_feature that may be used */
	const struct row_way *way; /* what rows are made by */
	bool signs;       /* minus zero stays; else it becomes zero (of ways with a factor only) */
	int second;       /* the factor of the matrix is 2^second */
	uint8_t *verdict; /* [cols / how->block] enum reform_verdict of the row at hand; in room */
	void *tables;     /* of the row of the table; in room */
};

/* Bytes that reformer_begin wants. */
size_t reform_room(const struct reform *how, size_t cols);
/* Makes a reformer for matrices of cols columns, a multiple of the blocks of both formats. features: bits of enum
 * cpu_feature; results do not depend on them. room: reform_room() bytes, aligned as malloc does, which the caller owns and
 * which must outlive r. r->second is 0 until it is set. */
void reformer_begin(struct reformer *r, const struct reform *how, size_t cols, bool signs,
	unsigned features, void *room);

/* Old scales of a row. */
size_t reform_old_scales(const struct reform *how, size_t cols);

/* --- the factor of a matrix --- */

/* The largest exponent of n old scales and top; TOP_NONE: of none so far. */
int reform_top(int top, const uint8_t *s, size_t n);
/* Sets r->second from the top of all scales. Returns false where the format cannot hold the factor. */
bool reformer_second(struct reformer *r, int top);
/* What lies on disk for r->second: four bytes. */
void reformer_put_second(const struct reformer *r, uint8_t p[4]);

/* --- what is kept beside --- */

/* What a matrix of rows x cols keeps, while it is made row by row. */
struct reform_kept {
	struct signs
		signs; /* p: reform_kept_room() bytes, of which the first are what how->keep writes */
	bool any;      /* not all of it is zero */
};
/* Bytes of room, and of a frame of it (zstd); 0 where the pair keeps nothing. */
size_t reform_kept_room(const struct reform *how, bool signs, uint64_t rows, uint64_t cols);
size_t reform_kept_frame(size_t room);
void reform_kept_begin(struct reform_kept *k, const struct reformer *r, uint64_t rows, uint8_t *p);
/* Row i: src and s as for codes. Rows come in order. */
void reform_keep(struct reform_kept *k, const struct reformer *r, uint64_t i, const uint8_t *src,
	const uint8_t *s);
/* All of it as a frame to p, of room bytes. Returns its bytes, 0 on failure. Nothing is added afterwards. */
size_t reform_pack(struct reform_kept *k, uint8_t *p, size_t room);

/* --- the way back --- */

/* A matrix as it lies there. */
struct reform_matrix {
	const struct reform *how;
	uint64_t rows, cols;
	const uint8_t *codes, *scales, *second; /* scales, second NULL: the format has none */
	const uint8_t *kept; /* the frame, of n_kept bytes; 0: nothing was kept */
	size_t n_kept;
};
/* Bytes of work that reform_back wants. */
size_t reform_work(const struct reform *how, uint64_t rows, uint64_t cols);
/* Writes old codes and scales to codes and scales. Returns -1 with set.digest where that is no matrix that the pair
 * makes. */
int reform_back(const struct reform_matrix *m, uint8_t *codes, uint8_t *scales, uint8_t *work,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
