/* compare.h -- was this conversion made of this source? Every output tensor is made once more, as its sidecar
 * says, and compared byte for byte; and every source tensor has to appear whole.
 *
 * From manifest and sidecars alone: nothing of the converter's plan is used. What a sidecar says is not
 * believed, it is held against what the target of the manifest demands, by type, shape and name.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_COMPARE_H
#define VERIFY_COMPARE_COMPARE_H
#include "core/io.h"
#include "core/progress.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

struct compare_opts {
	const struct io *io;
	unsigned threads;
	uint64_t max_memory, header_cap;
	uint64_t sample;   /* percent of units that are compared, 1 to 100 */
	bool follow_links; /* as in ckpt_opts */
	struct progress *(*started)(uint64_t bytes); /* of the source; may be NULL */
};

/* -1 only where nothing can be said. */
int compare_run(struct report *r, const char *source, const char *out, const struct compare_opts *o,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
