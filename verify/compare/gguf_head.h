/* gguf_head.h -- whether the metadata of a GGUF are what config.json and tokenizer of the source make of them.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_GGUF_HEAD_H
#define VERIFY_COMPARE_GGUF_HEAD_H
#include "formats/conversion/sidecar.h"
#include "formats/model/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Looks at the open GGUF file fd, which s describes. Parts behind the first have no metadata of the model. mix: a recipe
 * says its types. Sets *same, or returns -1 where that cannot be told. */
int gguf_head_same(const struct ckpt *source, const struct sidecar *s, bool mix, int fd, bool *same,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
