/* replay.h -- a model held against a record: sub-block by sub-block, each fed with what the record says
 * went in, then the whole of it running free.
 *
 * So a record that a big machine made is checked on a small one. A record of this program's own must come
 * out bit for bit; a foreign one (another order of sums) within max_rel for each sub-block, with the same
 * experts for every token. A whole model amplifies one rounding into per cents, so its logits are held
 * to limits only that a wrong model would not meet.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_RUN_REPLAY_H
#define VERIFY_RUN_REPLAY_H
#include "kernels/forward/forward.h"
#include "verify/run/measure.h"
#include "verify/run/record.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

struct replay_opts {
	double max_rel; /* relative L2 of a sub-block; 0 or less: 3e-3 */
	uint32_t block; /* tokens taken together; 0: the usual */
};
#define REPLAY_REL 3e-3
#define REPLAY_TOP1 0.85
#define REPLAY_KL 0.01

/* What came out, beside the report. */
struct replay_result {
	double worst_rel;         /* of all sub-blocks */
	double least_equal;       /* part with the same bits, of sub-blocks without indexer */
	uint64_t routed, reroute; /* tokens x layers; of these with other experts */
	struct opinion logits;
	struct measure free_run;
	bool has_logits;
};

/* Findings and figures go to rep; -1 where it could not be told. */
int replay_run(struct weights *w, const struct record *r, const struct replay_opts *o,
	struct report *rep, struct replay_result *res, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
