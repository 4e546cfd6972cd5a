/* quality.h -- what a lossy form costs, in figures that can be compared: for each of them the same one of the source
 * against itself in another legal order of sums, which is what rounding alone makes of this very prompt.
 *
 * Each position of each prompt is teacher-forced: both models see the same tokens before it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_RUN_QUALITY_H
#define VERIFY_RUN_QUALITY_H
#include "core/err.h"
#include "verify/report/report.h"
#include "verify/run/measure.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How far the streams behind a layer are apart, and its choice of experts. */
struct drift {
	struct measure m;
	uint64_t picks,
		moved; /* experts chosen, and of these not chosen by the source for that token */
};

/* Of one prompt, or of several: one model against another. Sums are taken prompt by prompt, so that a call that went on
 * where another ended says the same. */
struct sample {
	struct measure m; /* logits */
	struct opinion o; /* o.each: owns; [o.rows], KL of each position */
	struct drift *d;  /* owns; [layers] */
	size_t each_cap;
};
/* rows: positions there is to be room for. */
int sample_open(struct sample *s, uint32_t layers, size_t rows, struct err *e);
void sample_close(struct sample *s);
/* Adds b to a. */
int sample_add(struct sample *a, const struct sample *b, uint32_t layers, struct err *e);

/* The value below which the part p (0 .. 1) of n values lies, between two of them in proportion, as llama-perplexity
 * has it; v is sorted by this call; NaN counts as the largest. 0 of none. */
double quality_percentile(float *v, size_t n, double p);

/* Puts the sections "layers", "logits" and "quality". noise may be NULL: it was not measured. */
void quality_put(struct report *rep, struct sample *is, struct sample *noise, uint32_t layers,
	bool figures);

#ifdef __cplusplus
}
#endif
#endif
