/* doctor_opts.h -- what doctor is asked to examine.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_DOCTOR_DOCTOR_OPTS_H
#define VERIFY_DOCTOR_DOCTOR_OPTS_H
#include "core/io.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct doctor_opts {
	const struct io *io;
	const char *engine;     /* who will load it; NULL: nobody in particular */
	const char *fix_config; /* where the corrected config.json goes; NULL: nowhere */
	const char *fix_index;  /* the same of an index made of the headers */
	bool full;              /* all of the payload, not the scales and samples */
	bool follow_links;      /* as in ckpt_opts */
	unsigned threads, features;
	uint64_t header_cap;
};

#ifdef __cplusplus
}
#endif
#endif
