/* measure.h -- an atlas made of two folders: every value of the source is decoded, and what lies there for it in the result.
 *
 * A tensor at a time, unit by unit (sums.h), which threads share. A thread holds one unit of either folder and a few rows of
 * doubles, whatever the model. The figures have the same bits for any number of threads.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_ATLAS_MEASURE_H
#define VERIFY_ATLAS_MEASURE_H
#include "core/progress.h"
#include "verify/atlas/atlas.h"
#include "verify/atlas/values.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

struct measure_opts {
	struct values_opts open;
	unsigned threads;
	const char *model;   /* model_id that the source must have; NULL: any */
	const char *imatrix; /* path of a file of importance; NULL: none */
	struct progress *(*started)(uint64_t bytes); /* of the source; may be NULL */
};

/* Fills *a, which is zeroed. A tensor that the result has not, and one with values that are no numbers, is a finding of r.
 * Returns -1 where nothing can be said; *a is then to be freed all the same. */
int atlas_measure(struct atlas *a, struct report *r, const char *source, const char *out,
	const struct measure_opts *o, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
