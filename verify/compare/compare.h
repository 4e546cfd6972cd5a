/* compare.h -- was this conversion made of this source? Every output tensor is made once more, as its sidecar
 * says, and compared byte for byte; and every source tensor has to appear whole.
 *
 * From manifest and sidecars alone: nothing of the converter's plan is used. What a sidecar says is not
 * believed, it is held against what the target of the manifest demands, by type, shape and name.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_COMPARE_H
#define VERIFY_COMPARE_COMPARE_H
#include "verify/compare/compare_opts.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

/* -1 only where nothing can be said. */
int compare_run(struct report *r, const char *source, const char *out, const struct compare_opts *o,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
