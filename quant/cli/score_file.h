/* score_file.h -- what each matrix of a model loses in each type, in a file: measured once by dsv4-quant score, read by --budget.
 *
 * A line each, JSON; docs/quant.md has the members:
 *
 *	{"format": FORMAT_SCORE, "source": HEX, "encoders": ID, "weights": "one" or "imatrix", "imatrix": HEX or null,
 *	 "every": 1, "types": ["Q8_0", ..], "matrices": 348}
 *	{"tensor": .., "role": .., "block": .., "expert": 3 or null, "codec": .., "rows": .., "columns": .., "measured": .., "weighted": true,
 *	 "tokens": 12 or null, "energy": .., "types": [{"type": "Q8_0", "bytes": .., "error": ..}, ..], "xxh3_128": HEX}
 *	...
 *	{"end": 348, "xxh3_128": HEX}
 *
 * The digest of a line is that of the first line's digest and of the bytes of the line before the digest's comma
 * (verify/run/line_seal.h), so that a line that was edited, or comes from another file, is refused. Lines are counted. The reader holds one line.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_CLI_SCORE_FILE_H
#define QUANT_CLI_SCORE_FILE_H
#include "core/dest.h"
#include "core/text.h"
#include "formats/gguf/gguf.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SCORE_TYPES = 16, SCORE_WORD = 128, SCORE_LINE = 8192 /* bytes of a line, at most */ };

/* What all of a score is of. */
struct score_head {
	char source[65];             /* digest of the model: model_id */
	char imatrix[65];            /* SHA-256 of that file; "": every column has the weight 1 */
	char encoders[32];           /* LOWBIT_ID of the program that measured */
	uint64_t every;              /* one of so many bands of 128 rows was measured; 1: all */
	uint32_t types[SCORE_TYPES]; /* [n_types] enum ggml_type: that were tried */
	size_t n_types;
	uint64_t matrices;
};

/* A type that a matrix can have. */
struct score_type {
	uint32_t type; /* enum ggml_type */
	uint64_t bytes;
	double error; /* sum of weight (x - y)^2; 0 in the type that has all values of the source */
};
struct score_row {
	char tensor[GGUF_NAME_MAX + 1], role[SCORE_WORD], block[32], codec[32];
	int64_t expert; /* -1: none */
	uint64_t rows, cols,
		measured; /* measured: rows; errors and energy are scaled up to all of them */
	bool weighted;    /* by the importance of its columns; else each counts 1 */
	double tokens;    /* that the importance is of; negative: none */
	double energy;    /* sum of weight x^2 */
	size_t n;
	struct score_type v[SCORE_TYPES];
};

/* The kind of file that a score may replace. */
extern const struct dest_kind score_kind;

/* Appends the first line with its end, and writes what lines after it are sealed with to run. Returns 0, or -1 without memory. */
int score_put_head(struct text *t, const struct score_head *h, char run[33], struct err *e);
/* Appends a line. */
int score_put_row(struct text *t, const struct score_row *r, const char *run, struct err *e);
/* Appends the last line, behind which nothing may follow. */
int score_put_end(struct text *t, uint64_t matrices, const char *run, struct err *e);

/* --- reading --- */

struct score_in {
	const struct io *io;
	int fd;            /* owns; -1: none */
	uint64_t at, size; /* the next line; of the file */
	uint64_t line, n;  /* its number; matrices before it */
	struct score_head head;
	char run[33];
	char *text; /* owns; room for a line */
};

/* Opens the file at path and reads its first line. Returns 0 and what the caller closes; or -1, closed, with score.form or what the
 * system said, behind the name of the file. */
int score_open(struct score_in *s, const struct io *io, const char *path, struct err *e);
/* Reads the next line. Returns 1 and *r; 0 at the end, where all lines are there; -1: score.form. */
int score_next(struct score_in *s, struct score_row *r, struct err *e);
void score_close(struct score_in *s);

/* The same of lines that are on their way: fd is open (and stays the caller's), the first line begins at byte at. Returns 0, or -1. */
int score_open_part(struct score_in *s, const struct io *io, int fd, uint64_t at, uint64_t size,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
