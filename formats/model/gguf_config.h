/* gguf_config.h -- config.json of the model that a GGUF holds, made of its metadata: the way back of gguf_keys.h.
 *
 * What judges and computes a model starts from config.json, whatever file it came in. A GGUF of the model says nothing of
 * drafts, which are files of their own; one of its MTP block says what it is of, too. Of a DSpark drafter none is made: its
 * keys do not say enough.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_GGUF_CONFIG_H
#define FORMATS_MODEL_GGUF_CONFIG_H
#include "formats/finding.h"
#include "formats/gguf/gguf_meta.h"
#include "formats/model/config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* general.architecture of the model, and of a DSpark drafter. */
#define GGUF_ARCH "deepseek4"
#define GGUF_ARCH_DSPARK "dflash"

/* Returns the entry ARCH.leaf, where ARCH is what the file says; NULL where there is none. */
const struct gguf_entry *gguf_config_entry(const struct gguf_meta *m, const char *leaf);
/* Returns what general.architecture says, "" where it says nothing. */
const char *gguf_config_arch(const struct gguf_meta *m);

/* Makes config.json to *d, which is zeroed before. experts: how routed experts lie there; drafts: the file is
 * of its MTP block. What is missing, of a wrong
 * type or another computation than DeepSeek-V4's becomes a finding (gguf.keys) about the file name, and its member is left
 * out. Returns -1 only without memory. */
int gguf_config_make(struct config_doc *d, const struct gguf_meta *m, const char *name,
	enum codec experts, bool drafts, struct findings *f, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
