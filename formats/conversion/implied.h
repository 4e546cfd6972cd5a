/* implied.h -- the source of a conversion that kept nothing of it, as far as its sidecars tell: which tensors there were, of
 * which types and shapes.
 *
 * For those who compute with a model as it lies there (joined_opts.lies), and of a folder that dsv4-quant made: its sidecars
 * name each tensor of the source and both number formats, from which type and shape follow. What was in other tensors,
 * in files and headers of the source is not known, so that nothing can be restored from it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_IMPLIED_H
#define FORMATS_CONVERSION_IMPLIED_H
#include "formats/model/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Opens the conversion in the open folder dir as *c, the checkpoint that it was made of: tensors without payload, config.json
 * as the conversion has it, with the format of experts that they had. Findings of the folder itself go to *f. On failure *c is
 * not open. header_cap 0: ST_HEADER_CAP. Rules: set.not-kept where a sidecar does not tell, and those of chain.h. */
int implied_open(struct ckpt *c, const struct io *io, int dir, uint64_t header_cap,
	struct findings *f, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
