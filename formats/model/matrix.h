/* matrix.h -- which number format a matrix of a checkpoint has, by the tensors that it consists of.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_MATRIX_H
#define FORMATS_MODEL_MATRIX_H
#include "formats/model/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The tensors of a matrix in form; scales and second are NULL where the format has none. */
struct matrix_parts {
	enum codec form;
	const struct tensor *codes, *scales, *second;
};

/* Returns the tensor NAME.END of c if it has that type, NULL otherwise. */
const struct tensor *matrix_part(const struct ckpt *c, const char *name, const char *end,
	unsigned dtype);
/* Finds the matrix NAME of rows x cols elements, which is NAME.weight in a checkpoint as it is published. Returns false,
 * with form CODEC_NONE, where it is whole in no format of formats/codec.h. */
bool matrix_find(struct matrix_parts *m, const struct ckpt *c, const char *name, uint64_t rows,
	uint64_t cols);

#ifdef __cplusplus
}
#endif
#endif
