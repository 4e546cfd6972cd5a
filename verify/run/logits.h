/* logits.h -- does a converted model compute what its source computes? Both run in step, sub-block by
 * sub-block, and are compared bit by bit at every step; then their logits.
 *
 * A source with FP4 experts held against a conversion to FP8 is computed in the order of FP8 (sums of 128
 * columns), from its own codes cast exactly, so that equal means equal there too; a matrix that the cast would
 * change stays as it is, and shows.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_RUN_LOGITS_H
#define VERIFY_RUN_LOGITS_H
#include "kernels/forward/forward.h"
#include "verify/run/quality.h"
#include "verify/report/report.h"
#include "verify/run/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

struct logits_opts {
	const uint32_t *ids;
	uint32_t n, block;
	uint64_t keep; /* bytes of steps, and of logits, at once */
	bool last;     /* logits of the last token only */
	double max_kl; /* < 0: not said. Allowed where the manifest says that the conversion loses */
	bool lossy;    /* it says so */
	unsigned features, threads; /* of the processor, for the noise */
};

struct logits_result {
	struct trace_difference first; /* kept from an earlier prompt: only the first is told */
	struct sample s; /* owned by the caller, who opened it for the rows and layers */
};

/* source and made: the same model, open. What differs first becomes a finding of rep; figures are added to res->s. */
int logits_run(struct weights *source, struct weights *made, const struct logits_opts *o,
	struct report *rep, struct logits_result *res, struct err *e);
/* The rule that what differs comes under: ROUNDED where o allows rounding, BEYOND where the conversion declares rounding and
 * no --max-kl allows it, DIFFERS else. */
enum rule_id logits_rule(const struct logits_opts *o, bool allowed);
/* Makes the first difference d a finding of rep; d->found is true. */
void logits_tell(struct report *rep, const struct logits_opts *o, const struct trace_difference *d);
/* The source against itself in another legal order, added to s: what rounding alone makes of these tokens. In that order
 * experts have partial sums of the other length, and everything but codes is summed in double, on the CPU. Not for FP32
 * arithmetic. */
int logits_noise(struct weights *source, const struct logits_opts *o, struct sample *s,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
