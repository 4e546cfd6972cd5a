/* drafts.h -- what a conversion does with the drafts of a model: the blocks under "mtp.", MTP or DSpark.
 *
 * They are blocks beside the layers, which engines load by themselves, and a model computes the same without them. A
 * conversion has them in the number formats of its layers, leaves them as they are in the source, or leaves them out.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_DRAFTS_H
#define FORMATS_MODEL_DRAFTS_H
#include "core/text.h"
#include "formats/model/config.h"

#ifdef __cplusplus
extern "C" {
#endif

enum drafts {
	DRAFTS_SAME, /* in the number formats of the layers */
	DRAFTS_KEEP, /* as they are in the source */
	DRAFTS_DROP, /* left out */
	DRAFTS_COUNT
};
extern const char *const drafts_names[DRAFTS_COUNT];

/* Sets *d to what the word names. Returns false, with *d as it was, where it names nothing. */
bool drafts_find(enum drafts *d, const char *word);
/* Returns true if a tensor of that name is of a draft. */
bool drafts_own(const char *tensor);
/* Makes c describe the model without its drafts. */
void drafts_take_out(struct config *c);
/* Edits *t, the bytes of a config.json of the model that c describes, with or without its drafts, so that it describes
 * the model without them; all other bytes stay. Returns -1 without memory, with *t as it was or edited in part. */
int drafts_config(struct text *t, const struct config *c, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
