/* matrix.h -- which number format a matrix of a checkpoint has, by the tensors that it consists of.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_MATRIX_H
#define FORMATS_MODEL_MATRIX_H
#include "formats/model/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The tensors of a matrix in form; scales, second and zeros are NULL where the format has none. */
struct matrix_parts {
	enum codec form;
	const struct tensor *codes, *scales, *second, *zeros;
};

/* Returns the tensor NAME.END of c if it has that type, NULL otherwise. */
const struct tensor *matrix_part(const struct ckpt *c, const char *name, const char *end,
	unsigned dtype);
/* Finds the matrix NAME of rows x cols elements, which is NAME.weight in a checkpoint as it is published. Returns false,
 * with form CODEC_NONE, where it is whole in no format of formats/codec.h. */
bool matrix_find(struct matrix_parts *m, const struct ckpt *c, const char *name, uint64_t rows,
	uint64_t cols);
/* Returns whether config.json of c says that whole numbers as form has them have zero points ("symmetric": false in each group of
 * quantization_config that describes such), of which form has none: a matrix of c that matrix_find finds in that form has lost
 * them, and its values are not known. Returns false where config.json is not there. */
bool matrix_lacks_zeros(const struct ckpt *c, enum codec form);
/* Returns 0 where the tensors of matrix_parts are all that the values of each matrix of c depend on; or -1 with rule form.unread,
 * where zero points that no number format has, or an order of columns (compressed-tensors: actorder), lie beside one: then no
 * codec decodes it. */
int matrix_alone(const struct ckpt *c, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
