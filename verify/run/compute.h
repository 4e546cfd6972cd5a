/* compute.h -- what the verbs that run the model share: the device, the folder, the tokens.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_RUN_COMPUTE_H
#define VERIFY_RUN_COMPUTE_H
#include "kernels/forward/need.h"
#include "verify/run/replay.h"

#ifdef __cplusplus
extern "C" {
#endif

struct compute_opts {
	const struct io *io;
	const char *device;     /* "cpu", "cuda", or NULL: cpu */
	const char *arithmetic; /* "model", "fp32", or NULL: model; replay: that of the record */
	unsigned features, threads;
	bool follow_links;   /* as in ckpt_opts */
	const char *max_rel; /* of replay, as typed; NULL: the usual */
	const char *tokens;  /* as typed */
	bool last;           /* logits of the last token only */
	const char *max_kl;  /* as typed, or NULL */
	const char *results; /* logits: a file that figures of prompts are kept in; NULL: none */
	const char *what;    /* record: "logits", "layers" or "all" */
	uint64_t max_memory; /* bytes; 0: no limit */
};

/* Opens the device that is asked for, in the arithmetic that is asked for; the CPU, and a row in rep that says why, where there is no such. */
int compute_device(struct dev *d, const struct compute_opts *o, struct report *rep, struct err *e);

/* Between the files of the verbs: opens the model at path for a use; source as in weights_open_from. */
int compute_open(struct weights *w, const struct compute_opts *o, const char *path, enum use use,
	const struct weights *source, struct dev *d, struct err *e);
/* The number from 0 on that an option says; -1 where s is NULL. */
int compute_number(const char *option, const char *s, double *v, struct err *e);
/* Puts the row of the memory that will be needed. */
void compute_planned(struct report *rep, const struct need *x);

/* dsv4-verify replay CKPT REC. */
int compute_replay(struct report *rep, const char *folder, const char *record,
	const struct compute_opts *o, struct err *e);

/* dsv4-verify logits SOURCE CONVERTED. */
int compute_logits(struct report *rep, const char *source, const char *made,
	const struct compute_opts *o, struct err *e);
/* dsv4-verify record CKPT -o OUT; OUT appears whole or not at all. */
int compute_record(struct report *rep, const char *folder, const char *out,
	const struct compute_opts *o, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
