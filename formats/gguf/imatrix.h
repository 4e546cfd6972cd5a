/* imatrix.h -- importance of the columns of matrices, as llama.cpp keeps it: a GGUF file whose general.type is "imatrix".
 *
 *	NAME.in_sum2  F32 {columns, matrices}  sum over tokens of the squares of what went into each column
 *	NAME.counts   F32 {1, matrices}        how many tokens that were
 *
 * NAME is that of a tensor of the model's GGUF ("blk.0.ffn_gate_exps.weight"); matrices is 1, or the number of experts. The
 * importance of a column is in_sum2 / counts. Keys: imatrix.datasets (strings), imatrix.chunk_count, imatrix.chunk_size
 * (u32).
 *
 * The reader is for files of others: imatrix_open looks at every value, and refuses (rule importance.form) what has no
 * partner, another type or shape, and values that are negative or not finite. It holds names and places, never values.
 *
 *	if (imatrix_open(&m, io, path, e)) return -1;
 *	t = imatrix_find(&m, "blk.3.ffn_down_exps.weight");         NULL: not in the file
 *	if (t && t->cols == cols && t->mats == experts)
 *		rc = imatrix_mean(&m, t, expert, importance, &tokens, e);
 *	imatrix_close(&m);
 *
 * Source: tools/imatrix/imatrix.cpp and tools/quantize/quantize.cpp of llama.cpp 0c1e570.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_GGUF_IMATRIX_H
#define FORMATS_GGUF_IMATRIX_H
#include "formats/gguf/gguf_write.h"
#include "core/dest.h"
#include "core/mem.h"

#ifdef __cplusplus
extern "C" {
#endif

#define IMATRIX_SUMS ".in_sum2"
#define IMATRIX_COUNTS ".counts"
enum { IMATRIX_NAME_MAX = GGUF_NAME_MAX - 8, IMATRIX_TEXT = 256 };

struct imatrix_tensor {
	/* The name of the matrix, without the endings above; it lives as long as the file is open. */
	const char *name;
	uint64_t cols, mats; /* both at least 1 */
	uint64_t sums_at;    /* byte in the file of in_sum2, [mats][cols] */
	uint64_t counts_at;  /* byte in the file of counts, [mats] */
};

struct imatrix {
	const struct io *io;      /* borrows */
	int fd;                   /* owns; -1: none */
	struct imatrix_tensor *v; /* owns; by name */
	size_t n;
	uint64_t chunks, chunk_size; /* 0 where the file does not say */
	char datasets[IMATRIX_TEXT]; /* the first of them, its beginning; "" where there is none */
	struct arena arena;          /* owns the names */
};

/* The kind of file by which an imatrix that may be replaced is known, whoever wrote it. */
extern const struct dest_kind imatrix_kind;

/* Opens the file at path and looks at all of it. Returns 0, or -1: then nothing is open, and the report begins with the path. */
int imatrix_open(struct imatrix *m, const struct io *io, const char *path, struct err *e);
/* Does the same with a file below an open folder; the report does not name it. */
int imatrix_open_in(struct imatrix *m, const struct io *io, int dir, const char *name,
	struct err *e);
/* Closes the file and frees what was read; m may be zeroed, or closed before. */
void imatrix_close(struct imatrix *m);
/* Returns the entry of that matrix, which m owns, or NULL. */
const struct imatrix_tensor *imatrix_find(const struct imatrix *m, const char *name);
/* Writes the importance of the columns of matrix mat (0 .. mats - 1) to mean[cols], and the tokens that it is of to *count.
 * Where no token was seen (*count is 0) every column gets 1, as llama.cpp does it. Returns 0, or -1: the file cannot be read or
 * has changed, or a mean is not finite (rule importance.form). */
int imatrix_mean(const struct imatrix *m, const struct imatrix_tensor *t, uint64_t mat, float *mean,
	double *count, struct err *e);
/* Writes the tokens of matrix mat alone. Returns 0 or -1 as above. */
int imatrix_count(const struct imatrix *m, const struct imatrix_tensor *t, uint64_t mat,
	double *count, struct err *e);

/* --- writing --- */

struct imatrix_head {
	const char *dataset; /* what the tokens were of */
	uint32_t chunks, chunk_size;
};
/* Puts the keys; then imatrix_put for each matrix, whose values follow in the same order: in_sum2, then counts. */
void imatrix_begin(struct gguf_out *o, const struct imatrix_head *h);
/* Announces a matrix; values are not taken here. Returns false where the name has more than IMATRIX_NAME_MAX letters. */
bool imatrix_put(struct gguf_out *o, const char *name, uint64_t cols, uint64_t mats);

#ifdef __cplusplus
}
#endif
#endif
