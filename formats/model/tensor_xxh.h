/* tensor_xxh.h -- digests of tensors of a checkpoint, from their bytes, by several threads.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_TENSOR_XXH_H
#define FORMATS_MODEL_TENSOR_XXH_H
#include "core/hash/xxh.h"
#include "core/progress.h"
#include "formats/model/checkpoint.h"

#include <signal.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sets xxh[i] for those tensors i of c for which want[i] is set; both arrays have c->n elements. threads: of this machine, each
 * of which holds 1 MiB and, where c->payload says where the bytes are, reads them by a reader of its own. progress may be NULL.
 * Where stop, which may be NULL, becomes not 0, it gives up. Returns 0, or -1 where a tensor cannot be read. */
int tensor_xxh(const struct ckpt *c, const bool *want, struct xxh_digest *xxh, unsigned threads,
	const volatile sig_atomic_t *stop, struct progress *progress, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
