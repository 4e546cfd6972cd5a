/* gguf_name.h -- what tensors of a DeepSeek-V4 are called in GGUF, and of which type they are there.
 *
 * Names, types and keys are those of llama.cpp's own converter for this family (0c1e570, arch deepseek4). Its dense
 * FP8 weights become Q8_0, which is lossy; here they are BF16, which has all of their values, unless another type is
 * asked for.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_GGUF_NAME_H
#define FORMATS_MODEL_GGUF_NAME_H
#include "formats/gguf/ggml_type.h"
#include "formats/gguf/gguf.h"
#include "formats/model/inventory.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a file is of: the model; its MTP block, which llama.cpp loads beside it; its DSpark drafter, the same. */
enum gguf_file_of { GGUF_OF_MODEL, GGUF_OF_MTP, GGUF_OF_DSPARK };

/* What files are called before their numbers and ".gguf", and which file one of such a name is: what is called neither
 * otherwise is the model. */
extern const char *const gguf_stems[];
enum gguf_file_of gguf_of_file(const char *name);
/* Whether the file name is a GGUF of something else than the file before, which may be NULL: drafts have names of tensors
 * that the model has, too. */
bool gguf_of_other(const char *name, const char *before);
/* The file beside them with the tensors that have no place in any of them, under their own names. */
#define GGUF_REST "rest.safetensors"

/* In which type matrices come out that are FP8 in the source. */
enum gguf_dense {
	GGUF_DENSE_BF16, /* exact; routed experts MXFP4 */
	GGUF_DENSE_Q8_0, /* lossy, as llama.cpp's converter has it; routed experts MXFP4 */
	GGUF_DENSE_F32, /* every matrix in F32, routed experts too: what an engine computes without rounding */
	GGUF_DENSE_COUNT
};
extern const char *const gguf_dense_names[GGUF_DENSE_COUNT]; /* as --dense has them */

/* Writes the name that a tensor of the source has in such a file to out; scale: it is the scale beside the weight that
 * is meant. Routed experts of a layer have one name, *expert is the id; else it is -1. Returns false where the file has
 * no place for it. */
bool gguf_name_of(char out[GGUF_NAME_MAX + 1], long *expert, const char *tensor, bool scale,
	enum gguf_file_of of, const struct config *c);
/* Whether a tensor of that name is two matrices side by side, e_proj and h_proj of an MTP block. */
bool gguf_name_beside(const char *name);
/* Which of the two a role of the family is: 0 e_proj, 1 h_proj; -1: neither. */
int gguf_side_of(const struct role *role);
/* Whether there is a file for the drafts of such a model: of MTP llama.cpp takes one block. */
static inline bool gguf_drafts(const struct config *c)
{
	return c->spark ? c->stages > 0 : c->stages == 1;
}
/* Its type. rank: dimensions of w. */
uint32_t gguf_type_of(const struct want *w, struct model_forms forms, enum gguf_dense dense);

#ifdef __cplusplus
}
#endif
#endif
