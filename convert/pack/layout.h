/* layout.h -- a folder as an OCI image layout, by the media types of CNCF's ModelPack, for registries.
 *
 *	DIR/NAME             ->  DIR2/blobs/sha256/HASH   a layer of its own, as it is
 *	manifest and config  ->  DIR2/blobs/sha256/HASH
 *	                         DIR2/oci-layout, DIR2/index.json   last
 *
 * Each file is read once: it is digested while it is copied, and gets its name then.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_PACK_LAYOUT_H
#define CONVERT_PACK_LAYOUT_H
#include "convert/pack/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Fills files, kept, bytes and packed, which are equal, of *d. Refuses what is not of a layout in o->out. A call that was ended
 * early is made again: blobs that are there are held to their names and kept. */
int layout_run(struct pack_done *d, const struct pack_opts *o, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
