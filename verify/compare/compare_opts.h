/* compare_opts.h -- how a conversion is compared with its source.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_COMPARE_OPTS_H
#define VERIFY_COMPARE_COMPARE_OPTS_H
#include "core/io.h"
#include "core/progress.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct compare_opts {
	const struct io *io;
	unsigned threads;
	uint64_t max_memory, header_cap;
	uint64_t sample;   /* percent of units that are compared, 1 to 100 */
	bool follow_links; /* as in ckpt_opts */
	/* Folder that the conversion took its routed experts from (dsv4-quant --experts-from); NULL: those of the
	 * source. */
	const char *experts_from;
	const char *imatrix; /* file of importance that encoders weighed errors by; NULL: none */
	struct progress *(*started)(uint64_t bytes); /* of the source; may be NULL */
};

#ifdef __cplusplus
}
#endif
#endif
