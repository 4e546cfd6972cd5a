/* said.h -- what the documents of a conversion say of blocks in other number formats, held to what the values have: how
 * many of each role are exact, rescued or rounded, and where the rounded ones are.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_SAID_H
#define VERIFY_COMPARE_SAID_H
#include "formats/conversion/block_roles.h"
#include "formats/conversion/sidecar.h"
#include "verify/compare/places.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

struct said {
	struct block_roles roles, found;    /* own; as manifests say, as the values are */
	struct places places, places_found; /* own; the same */
	char of[sizeof((struct manifest_folder *)0)->name]; /* the last folder that was heard */
	bool some;                                          /* there was one */
};

/* Whether the folder is another than was heard last. */
bool said_is_new(const struct said *s, const char *folder);
/* Takes what the manifest of a folder says. */
int said_hear(struct said *s, const char *folder, const struct manifest *m, struct err *e);
/* Whether a sidecar lists the rounded blocks of a tensor that the values have: all n of them, unless its list is full. */
bool said_lists(const struct sidecar *a, const struct sidecar_tensor *t,
	const struct sidecar_block *lost, size_t n);
/* Takes the rounded blocks that a sidecar lists, which were held to the values. */
int said_find(struct said *s, const struct sidecar *a, struct err *e);
/* Adds compare.counts where manifests say something else than was found. To be asked where nothing else is wrong and all was
 * compared: else the values were not counted to their end. */
void said_hold(struct said *s, struct report *r);
void said_free(struct said *s);

#ifdef __cplusplus
}
#endif
#endif
