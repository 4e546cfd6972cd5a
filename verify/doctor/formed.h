/* formed.h -- a model in a number format that is no checkpoint's (NVFP4, compressed-tensors' forms, MXFP8, BF16): in
 * which of the formats of formats/codec.h is each matrix, and do the matrices fit each other?
 *
 * From names, types and shapes, and of the values the factors of whole matrices. It reads what dsv4-quant makes and what
 * others publish alike. Tensors that are no quantized matrices are held to the model's types and shapes. What an engine
 * makes of that is in reads.h, codes and scales are looked at by values.h.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_DOCTOR_FORMED_H
#define VERIFY_DOCTOR_FORMED_H
#include "formats/model/checkpoint.h"
#include "formats/model/inventory.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

enum formed_class {
	FORMED_DENSE,
	FORMED_EXPERTS,
	FORMED_DRAFTS,
	FORMED_DENSE_DRAFTS,
	FORMED_CLASSES
};
extern const char *const formed_classes[FORMED_CLASSES]; /* for reports */

struct formed {
	const struct ckpt *c; /* borrows */
	struct config config; /* owns; the shapes, read without what is said of quantization */
	struct inventory inv; /* owns; dim of a matrix is rows x columns */
	bool stacked;         /* routed experts of a block are one tensor, as MLX has them */
	enum codec form
		[FORMED_CLASSES]; /* of most matrices of the class; CODEC_NONE: there are none */
};

/* Sets out to NAME of the weight NAME.weight. Returns false where the tensor is no matrix that another number format is of: tables of
 * Engram are the source's bytes in all of them. */
bool formed_module(const struct want *w, char *out, size_t room);
/* The number format of matrix NAME of rows x cols, NAME.weight in a checkpoint; CODEC_NONE: none is complete. */
enum codec formed_matrix(const struct ckpt *c, const char *name, uint64_t rows, uint64_t cols);
/* The number format of the matrix of which a tensor of that name would be a part, by the end of its name; CODEC_NONE: of
 * none. */
enum codec formed_part(const struct formed *f, const char *tensor);
/* Looks at everything; findings go to *r. *f is to be freed also after -1, which means that nothing can be said. */
int formed_make(struct formed *f, const struct ckpt *c, struct report *r, struct err *e);
void formed_free(struct formed *f);

#ifdef __cplusplus
}
#endif
#endif
