/* gguf_name.h -- what tensors of a DeepSeek-V4 are called in GGUF, of which type they are there, and the metadata.
 *
 * Names, types and keys are those of llama.cpp's own converter for this family (0c1e570, arch deepseek4). Its dense
 * FP8 weights become Q8_0, which is lossy; here they are BF16, which has all of their values, unless another type is
 * asked for.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_GGUF_NAME_H
#define FORMATS_MODEL_GGUF_NAME_H
#include "formats/gguf/ggml_type.h"
#include "formats/gguf/gguf_write.h"
#include "formats/model/inventory.h"
#include "formats/model/params.h"

#ifdef __cplusplus
extern "C" {
#endif

#define GGUF_ARCH "deepseek4"

/* In which type matrices come out that are FP8 in the source. */
enum gguf_dense {
	GGUF_DENSE_BF16, /* exact; routed experts MXFP4 */
	GGUF_DENSE_Q8_0, /* lossy, as llama.cpp's converter has it; routed experts MXFP4 */
	GGUF_DENSE_F32, /* every matrix in F32, routed experts too: what an engine computes without rounding */
	GGUF_DENSE_COUNT
};
extern const char *const gguf_dense_names[GGUF_DENSE_COUNT]; /* as --dense has them */

/* Writes the name of w, no scale, to out. Of routed experts that is the name of all of their layer. Returns false
 * where GGUF has no place for it: drafts, which are files of their own. */
bool gguf_name(char out[GGUF_NAME_MAX + 1], const struct want *w);
/* The same by the name of a tensor of the source; scale: it is the scale beside the weight that is meant. *expert is
 * the id of a routed expert, else -1. */
bool gguf_name_of(char out[GGUF_NAME_MAX + 1], long *expert, const char *tensor, bool scale);
/* Its type. rank: dimensions of w. */
uint32_t gguf_type_of(const struct want *w, struct model_forms forms, enum gguf_dense dense);

/* Puts the metadata of the model but for its tokenizer. doc: config.json, of which p are the parameters. */
int gguf_keys_put(struct gguf_out *o, const struct config *c, const struct params *p,
	const struct config_doc *doc, enum gguf_dense dense, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
