/* selection.h -- some of the blocks of a model, as --layers lists them: numbers, ranges, embed, head, mtp, mtp.N.
 *
 * Blocks are the places of the inventory (inventory.h): 0 is the embedding, 1 + N layer N, then the head with the last
 * norm, then the stages under mtp.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_SELECTION_H
#define FORMATS_MODEL_SELECTION_H
#include "core/err.h"
#include "formats/model/config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sets on[place] for each block that the list names, and for all where list is NULL. on has places bytes, cleared,
 * one for each block of the model that c describes. Returns -1 (usage) where the list names what there is not. */
int selection_read(bool *on, size_t places, const struct config *c, const char *list,
	struct err *e);
/* The same of a list that is there and stands in `who`, which messages begin with. */
int selection_take(const char *who, bool *on, const struct config *c, const char *list,
	struct err *e);

/* The block that the tensor of that name belongs to; SIZE_MAX where the model has no such block. */
size_t selection_place(const struct config *c, const char *name);

#ifdef __cplusplus
}
#endif
#endif
