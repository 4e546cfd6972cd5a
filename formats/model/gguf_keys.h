/* gguf_keys.h -- the metadata of a DeepSeek-V4 in GGUF, but for its tokenizer (formats/gguf/vocab.h).
 *
 * Keys, types and values are those of llama.cpp's own converter for this family (0c1e570); docs/quant.md lists them.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_GGUF_KEYS_H
#define FORMATS_MODEL_GGUF_KEYS_H
#include "formats/gguf/gguf_write.h"
#include "formats/model/checkpoint.h"
#include "formats/model/gguf_name.h"
#include "formats/model/params.h"

#ifdef __cplusplus
extern "C" {
#endif

/* general.file_type of a file whose routed experts were asked for as --dense has it, and of a mix in which w1 of the
 * first block with experts is of that type. */
uint32_t gguf_file_type(enum gguf_dense dense);
uint32_t gguf_file_type_of(uint32_t experts);

/* Puts the metadata of such a file. doc: config.json, of which p are the parameters. Returns -1 where a field that only
 * GGUF asks for is missing. */
int gguf_keys_put(struct gguf_out *o, const struct config *c, const struct params *p,
	const struct config_doc *doc, uint32_t file_type, enum gguf_file_of of, struct err *e);

/* Puts all metadata of such a file of the checkpoint c, tokenizer and all, but for what makes it a part of several. */
int gguf_metadata_put(struct gguf_out *o, const struct ckpt *c, uint32_t file_type,
	enum gguf_file_of of, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
