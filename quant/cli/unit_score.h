/* unit_score.h -- what each unit of a plan costs and loses in each type: a score (score_file.h) brought together with the units that a plan
 * has (units.h).
 *
 * The error of a unit in a type is relative to what the unit gives, times the part that this has of the residual stream (gain.h):
 *
 *	gain * sum over its matrices of use * error  /  sum over its matrices of use * energy
 *
 * use is how many tokens the importance of the matrix is of, so that an expert counts as often as it was chosen; where no matrix of the
 * unit has an importance, or none saw a token, use is 1. Without importance nothing says how much a tensor matters beside others:
 * every gain is 1, and only the routed experts, which do alike, can be chosen among one another. The error is 0 in the type
 * that has all values of the source. Errors of units are added.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_CLI_UNIT_SCORE_H
#define QUANT_CLI_UNIT_SCORE_H
#include "quant/cli/score_file.h"
#include "quant/cli/units.h"

#ifdef __cplusplus
extern "C" {
#endif

struct unit_type {
	uint32_t type;  /* enum ggml_type */
	uint64_t bytes; /* in all files, with what lies behind it */
	double error;   /* as above */
};
struct unit_score {
	size_t n;
	bool weighted; /* by the importance of its columns */
	struct unit_type v[SCORE_TYPES];
};
struct unit_scores {
	struct score_head head;
	struct unit_score *v; /* owns; [units] */
	size_t n;
	bool gained; /* errors have their gain: tensors of all kinds can be compared */
};

/* What a score must be of. */
struct unit_scores_of {
	const char *source;  /* model_id */
	const char *imatrix; /* SHA-256 of the file that the encoders will weigh by; NULL: 1 */
	bool drafts;         /* the plan has drafts: else lines of drafts are passed over */
};

/* Reads the score at path for the units. Returns 0 and scores that the caller frees; or -1, zeroed: score.form where the file is none or
 * damaged, score.other where it is of another model, importance or encoder. */
int unit_scores_read(struct unit_scores *l, const struct io *io, const char *path,
	const struct units *u, const struct unit_scores_of *of, struct err *e);
void unit_scores_free(struct unit_scores *l);
/* Returns what an entry has of the type; NULL: nothing. */
const struct unit_type *unit_score_find(const struct unit_score *x, uint32_t type);

#ifdef __cplusplus
}
#endif
#endif
