/* source_made.h -- a source that is a conversion itself. dsv4-quant reads such a folder as what it restores to, where its number formats
 * or its shards differ from that; what it makes is then no conversion of what lies in the folder.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_SOURCE_MADE_H
#define VERIFY_COMPARE_SOURCE_MADE_H
#include "formats/conversion/manifest.h"
#include "formats/folder/folder.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads what the manifest of the source says of the checkpoint that it was made of. Zeroes *m where the folder is no conversion that
 * can be restored, or its manifest cannot be read: nothing is known then, and the source is taken as it lies there. The caller
 * frees *m (manifest_free). */
void source_made_read(struct manifest *m, const struct folder *source);
/* Returns -1 (unsupported) where out, a manifest of the conversion, names the checkpoint that m names, and that one has other tensors,
 * bytes or shards than c, the source as it lies there. m may be zeroed. */
int source_made_hold(const struct manifest *m, const struct ckpt *c, const struct manifest *out,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
