/* atlas_run.h -- dsv4-verify atlas SOURCE OUT, and dsv4-verify atlas FILE [OTHER].
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_ATLAS_ATLAS_RUN_H
#define VERIFY_ATLAS_ATLAS_RUN_H
#include "verify/atlas/frontier.h"
#include "verify/atlas/measure.h"

#ifdef __cplusplus
extern "C" {
#endif

struct atlas_opts {
	struct measure_opts measure;
	const char *out;      /* path of the atlas that is written; NULL: none is */
	const char *frontier; /* path of what dsv4-quant plan --budget --json wrote; NULL: none */
	const struct frontier *curve; /* the same at hand; NULL: none is */
	const char *made_by;
};

/* Of two folders: measures, writes o->out, fills r. Of one or two atlases (other may be NULL then): reads them and fills r.
 * Returns -1 where nothing can be said. */
int atlas_run(struct report *r, const char *source, const char *other, const struct atlas_opts *o,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
