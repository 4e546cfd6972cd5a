/* begun.h -- what OUT holds of a conversion whose source is not all there yet, so that its plan cannot be compared.
 *
 * The hash of a plan covers names and sizes of all shards and the names of small files: of a source that lacks some of them it
 * is another hash than that of the conversion in OUT, although both are the same once the source is whole. What its manifests
 * say is believed only to choose between waiting and refusing at once; a run holds OUT to the whole plan in any case.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_FOLLOW_BEGUN_H
#define CONVERT_FOLLOW_BEGUN_H
#include "convert/plan/conversion.h"

#ifdef __cplusplus
extern "C" {
#endif

struct begun {
	bool any;      /* a folder of the conversion has a manifest, or the mark of a run */
	bool manifest; /* that of a folder with weights could be read */
	bool other; /* a manifest says another target, or other options: it is another conversion whatever comes */
	size_t n; /* files that a manifest names and that the conversion, as it is planned, does not write */
	char name[300]; /* the first of them, for messages; "": n is 0 */
};

/* Looks into the folder at path out, which need not be there, for what it holds of c. A manifest that cannot be read says
 * nothing. Returns 0; or -1 where memory is out. */
int begun_look(struct begun *b, const struct conversion *c, const char *out, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
