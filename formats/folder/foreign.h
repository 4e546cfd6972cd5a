/* foreign.h -- checkpoints that are not of the model these tools know, but have a name: by their config.json and
 * the names and types of their tensors.
 *
 * Tensors decide where they say something: a config.json may be of another version of the same weights, and that
 * is a finding about config.json, not another kind.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_FOLDER_FOREIGN_H
#define FORMATS_FOLDER_FOREIGN_H
#include "formats/folder/kind.h"
#include "formats/model/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Returns the kind of the checkpoint, or KIND_DOWNLOAD where nothing speaks for another one. more (KIND_MORE bytes) is set
 * to which one of the kind it is, or "". */
enum kind foreign_kind(const struct ckpt *c, char more[KIND_MORE]);

#ifdef __cplusplus
}
#endif
#endif
