/* ids.h -- tables of ids, which are in no atlas since they have no error: the result has the same, or it is another model.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_ATLAS_IDS_H
#define VERIFY_ATLAS_IDS_H
#include "verify/atlas/values.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Holds every table of ids of the source to the result's, which may have shorter numbers; *r has what is lost or another, and
 * how many were looked at. Returns -1 where one cannot be read. */
int ids_hold(struct report *r, const struct values *source, const struct values *out,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
