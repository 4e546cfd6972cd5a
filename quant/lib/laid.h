/* laid.h -- how matrices and rows lie in a tensor that is not as it is in a checkpoint: experts laid out for a kernel, tables of Engram
 * as records.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_LIB_LAID_H
#define QUANT_LIB_LAID_H
#include "formats/conversion/sidecar.h"
#include "formats/model/config.h"
#include "quant/lib/handle.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whether t is such a tensor. */
bool laid_is(const struct sidecar_tensor *t);
/* Sets stack or records of *out, whose name, type and shape are set; out->is points to it, so that *out must not be moved before that
 * pointer is set anew. c: the folder's; records: the layout of Engram's tables by its manifest, "" where it says none. Returns -1 where the
 * layout is none of this version (set.layout) or the tensor cannot lie in it (set.form). */
int laid_take(struct handle_tensor *out, const struct config *c, const char *records,
	const struct sidecar *s, const struct sidecar_tensor *t, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
