/* heads.h -- the logits of one model held against those of another, or of a record, some tokens at a time.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_RUN_HEADS_H
#define VERIFY_RUN_HEADS_H
#include "kernels/forward/forward.h"
#include "verify/report/report.h"
#include "verify/run/measure.h"
#include "verify/run/record.h"

#ifdef __cplusplus
extern "C" {
#endif

struct heads {
	struct forward *is;  /* borrows; its streams are those of the last layer */
	struct forward *was; /* borrows; the same of the model that it is held against; NULL: rec */
	const struct record *rec; /* borrows; its tensor "logits" */
	uint32_t first, count;    /* tokens */
	uint64_t at_once;         /* bytes of logits that may be held */
};

/* Adds a row "logits" of that name with what was measured, as a sentence and as figures. */
void heads_row(struct report *r, const char *name, const struct measure *m,
	const struct opinion *o);

/* Adds to m and o, which the caller zeroed. */
int heads_compare(const struct heads *h, struct measure *m, struct opinion *o, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
