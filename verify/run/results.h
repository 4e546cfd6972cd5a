/* results.h -- figures of prompts kept in a file as they are done, so that a call that was killed goes on after them.
 *
 *	{"format": FORMAT_RESULTS, "run": HEX}            run: digest of models, tokens and how they are computed
 *	{"prompt": 0, "converted": SAMPLE, "noise": SAMPLE or null, "first": FIRST or null, "xxh3_128": HEX}
 *	...
 *	SAMPLE := {"logits": [..], "opinion": [..], "layers": [[..], ..], "kl": [..]}
 *	FIRST := {"name": .., "kept": .., "whole": .., "numbers": [token, row, col, was, is, n, differ]}
 *
 * FIRST is the step that differed first (struct trace_difference), in the line of the prompt that it was found in: logits can
 * be equal where a step is not. The digest of a line is that of "run" and of the bytes of the line before the digest's
 * comma, so that a line that was edited, or comes from another call, is refused.
 *
 * Each line is synced before the next prompt is begun; a last line without its end is written anew. Numbers are written so
 * that they are read back as they were. The file is read line by line and every count in it is held to what the call is of.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_RUN_RESULTS_H
#define VERIFY_RUN_RESULTS_H
#include "verify/run/prompts.h"
#include "verify/run/quality.h"
#include "verify/run/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

struct results {
	const struct io *io;
	int fd;                        /* owns; -1: no file is kept */
	uint64_t at;                   /* byte behind the last whole line */
	char run[33];                  /* of this call */
	uint32_t layers;               /* of the models */
	size_t n;                      /* prompts in the file */
	struct trace_difference first; /* of the prompts that were in the file when it was opened */
};

/* What results are of: everything that decides them, but the bytes of the weights, for which names, sizes and times of
 * the files stand. */
int results_run(char run[33], const struct io *io, const char *const folder[2],
	const struct prompts *p, const char *how, struct err *e);

/* Opens the file at path, or makes it; NULL: none is kept. Adds to sum[0], and with noise to sum[1], what is there of prompts,
 * rows[i] being the positions that prompt i is judged at. A file of another call, or with a damaged line, is refused (ERR_USAGE). */
int results_open(struct results *r, const char *path, const uint32_t *rows, size_t prompts,
	bool noise, struct sample sum[2], struct err *e);
/* Adds the line of the next prompt; noise may be NULL. first: the step of this prompt that differs; NULL, or not found:
 * no step does, or that of a prompt before it is known. */
int results_put(struct results *r, const struct sample *is, const struct sample *noise,
	const struct trace_difference *first, struct err *e);
int results_close(struct results *r, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
