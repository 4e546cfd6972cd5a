/* mix_type.h -- whether a tensor of a GGUF has the type that the recipe of the conversion gives it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_MIX_TYPE_H
#define VERIFY_COMPARE_MIX_TYPE_H
#include "formats/conversion/sidecar.h"
#include "formats/model/mix.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Returns the enum ggml_type of the tensor t of a GGUF: that of its blocks, or of its values. */
uint32_t mix_type_of(const struct sidecar_tensor *t);

/* Looks at tensor t of the sidecar s; m: the recipe that the manifest has, of a model of config c. Returns -1
 * (compare.shape) where its type is another, or one that rounds though the recipe does not name it. */
int mix_type_check(const struct mix *m, const struct config *c, const struct sidecar *s,
	const struct sidecar_tensor *t, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
