/* engine_meta.h -- what the metadata of a file for an engine must say, by its sidecar.
 *
 * A loader places experts by it (docs/format.md, section 7), so that it is as much a part of the header as names and types:
 *
 *	dsv4.experts    ids of the experts, in the order in which they are stacked
 *	dsv4.layouts    "w13.weight NAME/VERSION, w13.scale ..., w2.weight ..., w2.scale ..."
 *	dsv4.w13, .w2   orders of rows
 *	dsv4.target, dsv4.alignment, dsv4.share, format
 *
 * The text of dsv4.share, which says where in the set the file is, does not follow from a sidecar, but from the manifest above it
 * (sidecar.share): it must be there.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_ENGINE_META_H
#define FORMATS_CONVERSION_ENGINE_META_H
#include "formats/conversion/sidecar.h"
#include "formats/st/safetensors.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Holds the metadata of the open file fd, whose header is h, to what s says. Files of targets that are no engines have
 * nothing to hold it to: returns 0. Rule: check.header. */
int engine_meta_check(const struct io *io, int fd, const struct st_header *h,
	const struct sidecar *s, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
