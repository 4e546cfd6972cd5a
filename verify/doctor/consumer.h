/* consumer.h -- who will load a checkpoint, and what each takes for granted: a table.
 *
 * The rows are what issues and pull requests of these projects say (docs/cases.md names them), and what was seen where
 * an engine was run (docs/engines.md). What one engine alone trips over is in trap.h. Layouts of formats/layout/engine.h are consumers too: they take FP4 experts and misread some scale
 * bytes.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_DOCTOR_CONSUMER_H
#define VERIFY_DOCTOR_CONSUMER_H
#include "formats/model/audit.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

struct consumer {
	const char *name;
	enum codec unsaid;     /* what it takes the experts for where config.json does not say */
	const char *fp8;       /* what it must be told where experts are FP8, or NULL */
	const char *f32_dense; /* the same where dense scales are F32 beside FP4 experts, or NULL */
	const char *e8m0_fp8; /* what it does to E8M0 scales of FP8 experts, or NULL: nothing bad */
	bool e8m0_breaks;     /* and that makes the checkpoint wrong for it */
	bool casts;           /* it will cast FP4 experts to FP8 */
	bool fp4_only;
	uint8_t e_min, e_max; /* scale bytes that it reads as they are meant */
};

/* A row, also of formats/layout/engine.h. False: there is none; names then lists what there is. */
bool consumer_find(const char *name, struct consumer *c, struct text *names);
/* The i-th name of all that there are, NULL behind the last. */
const char *consumer_name(unsigned i);
/* Whether c reads the folder of a conversion of that target, whose tensors are laid out for it: engine.form where it does
 * not, engine.setting where it needs something beside. */
void consumer_reads(const struct consumer *c, const char *target, struct report *r);
/* What c will make of the checkpoint that a audited. unsaid: config.json does not say what the experts are. */
void consumer_judge(const struct consumer *c, const struct audit *a, bool unsaid, struct report *r);

#ifdef __cplusplus
}
#endif
#endif
