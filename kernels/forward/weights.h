/* weights.h -- a model's weights for the forward pass, read when they are wanted and no longer held than
 * that.
 *
 * A checkpoint folder, or what was made of one: a set for an engine, whose experts stay in the layout they
 * lie in, or a model in other number formats, whose codes and scales are multiplied as they lie there; a GGUF, by
 * whoever wrote it. (Not arithmetic, kernels/dev.h; not which tensors there are, formats/model/audit.h, which must have
 * found nothing wrong before anything is read here.) What is returned lies in the memory of the device. NaN scales and
 * codes are errors with tensor and place.
 *
 * Not thread-safe: one struct, one thread.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_FORWARD_WEIGHTS_H
#define KERNELS_FORWARD_WEIGHTS_H
#include "formats/model/audit.h"
#include "formats/conversion/joined.h"
#include "formats/folder/folder.h"
#include "kernels/dev.h"
#include "formats/model/params.h"
#include "formats/model/ranks.h"
#include "quant/gguf_model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The order in which sums of codes are taken (docs/numbers.md): columns of a partial sum, 32 or 128; 0: that of the
 * number format in which a matrix lies there. */
struct weights_order {
	uint32_t dense, experts;
};

struct weights {
	const char *path; /* borrows; as the user called it, for messages */
	struct dev *dev;  /* borrows */
	const struct io *io;
	struct ckpt c;
	struct joined j;
	struct audit a;
	struct ranks ranks;
	struct gguf_model g;
	bool is_set, has_audit, is_ranks, is_gguf;
	struct weights_order
		order; /* asked for; a matrix that cannot be summed so exactly keeps its own */
	void *reader;  /* of c.payload */
	struct params p;
	uint64_t held, peak; /* bytes of weights in memory now, at most */
	uint64_t read;       /* bytes read from files */
};

/* Where weights come from, and what for (formats/folder/kind.h). */
struct weights_from {
	const struct io *io;
	const char *path;
	enum use use;
	bool follow_links; /* as in ckpt_opts */
};
/* Opens and audits; the first finding is the error. source may be NULL: the model that from->path was made of, by
 * which rank files of target official are read, since they say only half of what they are. *source must outlive
 * *w. */
int weights_open_from(struct weights *w, const struct weights_from *from,
	const struct weights *source, struct dev *dev, unsigned features, struct err *e);
/* The same of a model by itself, for USE_RECORD. */
int weights_open(struct weights *w, const struct io *io, const char *path, struct dev *dev,
	unsigned features, struct err *e);
void weights_close(struct weights *w);
/* The order of sums in which the matrices of the first layer lie there. */
struct weights_order weights_order(const struct weights *w);

/* A second way into the same weights, for a thread that reads ahead. Its counts go to w with weights_joined,
 * when both threads have met. */
int weights_beside(struct weights *ahead, const struct weights *w, struct err *e);
void weights_joined(struct weights *w, struct weights *ahead);
void weights_beside_close(struct weights *ahead);

/* A matrix with what it holds. Zeroed: none. */
struct weight_matrix {
	struct weight w;
	void *own[2];                /* memory of the device */
	struct weight_piece *pieces; /* owns; their codes and scales too */
	uint32_t n_pieces;
	uint64_t bytes;
};
/* What a sub-block takes a matrix for. A header says otherwise: model.shape or model.dtype, before a byte is read. */
struct matrix_form {
	uint64_t rows, cols; /* outputs, inputs */
	bool codes; /* it is multiplied in codes: FP4 or FP8 with a scale; else FP8 with a scale, BF16, F32 */
};
/* PREFIX NAME.weight, such as "layers.3." and "attn.wq_a", with its scale if it has one; PREFIX NAME itself where
 * a tensor is called so. *m is zeroed if that fails. */
int weights_matrix(struct weights *w, struct weight_matrix *m, const char *prefix, const char *name,
	struct matrix_form form, struct err *e);
void weights_drop(struct weights *w, struct weight_matrix *m);
/* Rows row .. row + n of the matrix head.weight, BF16 or F32, of cols columns. */
int weights_band(struct weights *w, struct weight_matrix *m, const char *name, uint64_t cols,
	uint32_t row, uint32_t n, struct err *e);

/* n values of an F32 or BF16 tensor PREFIX NAME, as float on the device: *v (release with weights_free). */
int weights_floats(struct weights *w, float **v, const char *prefix, const char *name, uint64_t n,
	struct err *e);
void weights_free(struct weights *w, void *v, uint64_t bytes);
/* The n rows of those numbers of a tensor of that dtype with cols columns, into ordinary memory. */
int weights_rows(struct weights *w, const char *prefix, const char *name, enum dtype dtype,
	uint64_t cols, const uint32_t *row, uint32_t n, void *dst, struct err *e);
bool weights_has(const struct weights *w, const char *prefix, const char *name);

/* --- ordinary memory of a pass: counted by a device that counts --- */

/* n bytes, zeroed; NULL: there is no memory. */
void *host_get(struct dev *d, uint64_t n);
void host_drop(struct dev *d, void *p, uint64_t n); /* p may be NULL */

/* --- between weights.c, matrix.c and blocks.c --- */

/* The order in which the matrices of a GGUF are summed. */
struct weights_order weights_blocks_order(const struct weights *w);
/* The matrix t of a GGUF, held to form. */
int weights_blocks(struct weights *w, struct weight_matrix *m, const struct tensor *t,
	struct matrix_form form, struct err *e);

/* The tensor PREFIX NAME END; an error where there is none. */
int weights_find(const struct weights *w, const char *prefix, const char *name, const char *end,
	const struct tensor **t, struct err *e);
/* Bytes off .. off + n of its payload to dst, ordinary memory. */
int weights_read(struct weights *w, const struct tensor *t, uint64_t off, void *dst, uint64_t n,
	struct err *e);
/* The same of F32 and BF16, where a number that is NaN or infinite is an error, data.not-finite. Other types are only read. */
int weights_numbers(struct weights *w, const struct tensor *t, uint64_t off, void *dst, uint64_t n,
	struct err *e);
static inline uint64_t weights_size(const struct tensor *t)
{
	return t->end - t->begin; /* bytes */
}
/* n bytes that the caller may write: of the device if that is the host, else ordinary memory until
 * weights_place brings them to the device; weights_give_up frees what was not placed. All are counted in held. */
int weights_take(struct weights *w, void **p, uint64_t n, struct err *e);
int weights_place(struct weights *w, void **p, uint64_t n, struct err *e);
void weights_give_up(struct weights *w, void *p, uint64_t n);

#ifdef __cplusplus
}
#endif
#endif
