/* gguf_write.h -- a writer of GGUF headers: metadata of all types, then the list of tensors with their offsets.
 *
 * What is put is kept as it will be written: the metadata of a model are the tokens, some megabytes. The data of the
 * tensors follow from the header by whoever streams them: tensor i lies at gguf_write_at() of it.
 *
 *	struct gguf_out o = { 0 };
 *	gguf_put_u32(&o, "general.alignment", 32);
 *	gguf_put_array(&o, "tokenizer.ggml.tokens", GGUF_STRING, n);
 *	for (...) gguf_put_item_string(&o, s, len);          n times
 *	gguf_put_tensor(&o, "blk.0.x.weight", GGML_BF16, dim, 2);
 *	gguf_write_head(&o, &text);
 *
 * As with struct text, memory that runs out is noted and looked at once, at the end.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_GGUF_GGUF_WRITE_H
#define FORMATS_GGUF_GGUF_WRITE_H
#include "formats/gguf/gguf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zeroed = empty, with the alignment that holds where nothing is said. */
struct gguf_out {
	struct text pairs, infos; /* owns */
	uint64_t n_pairs, n_tensors;
	uint64_t
		alignment; /* 0: GGUF_ALIGNMENT; set before the first tensor, with the key general.alignment */
	uint64_t at;  /* byte in the data where the next tensor will begin */
	uint64_t end; /* byte in the data after the last tensor */
};
void gguf_out_free(struct gguf_out *o);

void gguf_put_u32(struct gguf_out *o, const char *key, uint32_t v);
void gguf_put_i32(struct gguf_out *o, const char *key, int32_t v);
void gguf_put_u16(struct gguf_out *o, const char *key, uint16_t v);
void gguf_put_f32(struct gguf_out *o, const char *key, float v);
void gguf_put_bool(struct gguf_out *o, const char *key, bool v);
void gguf_put_string(struct gguf_out *o, const char *key, const char *s, size_t n);
/* A value of any type; of an array only what it is: exactly v->count calls of gguf_put_item follow. */
void gguf_put_value(struct gguf_out *o, const char *key, const struct gguf_value *v);
/* An item of the innermost array; v->type is what that array was said to hold. */
void gguf_put_item(struct gguf_out *o, const struct gguf_value *v);
/* An array of count items of that type, which follow. */
void gguf_put_array(struct gguf_out *o, const char *key, enum gguf_type item, uint64_t count);
void gguf_put_item_string(struct gguf_out *o, const char *s, size_t n);
void gguf_put_item_i32(struct gguf_out *o, int32_t v);
void gguf_put_item_f32(struct gguf_out *o, float v);

/* An entry of the list of tensors. Returns the byte in the data where it begins. Type and shape are such that
 * gguf_bytes gives a size. */
uint64_t gguf_put_tensor(struct gguf_out *o, const char *name, uint32_t type, const uint64_t *dim,
	unsigned rank);

/* Puts the whole header with the padding behind it: what comes next in the file is the data. Sets out->failed where
 * memory ran out, here or before. */
void gguf_write_head(const struct gguf_out *o, struct text *out);
/* Bytes of what gguf_write_head puts. */
uint64_t gguf_write_head_bytes(const struct gguf_out *o);

#ifdef __cplusplus
}
#endif
#endif
