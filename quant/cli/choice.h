/* choice.h -- --budget: a type for each tensor of a GGUF, so that the sum of errors (unit_score.h) is least under a size.
 *
 *	fixed     what a line of --recipe names has the type of that line
 *	chosen    other quantized matrices, embedding and head: of the types that the score has of them. Without importance only
 *	          routed experts
 *	the rest  is as --to says
 *
 * The choice is a recipe: the lines of --recipe, then those that were chosen. A run with that file and the same --to has the same plan,
 * and so the same bytes.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_CLI_CHOICE_H
#define QUANT_CLI_CHOICE_H
#include "quant/allot.h"
#include "quant/cli/unit_score.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Pointers are borrowed. */
struct choice_opts {
	const struct io *io;
	const char *
		budget; /* as typed: a number of bytes as cli_size takes it, or N% of the source's tensors */
	const char *score;      /* path of the file */
	const char *recipe_out; /* path of a file for the recipe; NULL: none */
	struct job_opts job;    /* the run or plan, of a target that is a GGUF, with its recipe */
};

/* What a name of dsv4-quant comes to in the same measure, with the same lines of --recipe in front. */
struct choice_mix {
	const char *name;
	uint64_t bytes;
	double error;
};
enum { CHOICE_MIXES = 8 };

struct choice {
	uint64_t asked, bytes, least,
		most;               /* of all files; least, most: of the choices that there are */
	double error, bound;        /* bound: no choice under the size has less */
	size_t chosen, fixed, kept; /* units; kept: as --to says, since there is no importance */
	struct allot_point *points; /* owns; [n_points] the frontier: bytes of all files */
	size_t n_points;
	struct choice_mix mixes[CHOICE_MIXES];
	size_t n_mixes;
	/* Some tensor that is rounded has an importance. Else the run must not be given the file, which it would refuse. */
	bool weighs;
	struct score_head head;
	struct text recipe; /* owns; what a run takes as job_opts.recipe_text */
};

/* Chooses. Returns 0 and what the caller frees, and has written the recipe where o says so; or -1, zeroed: plan.budget where the size is
 * none or too small, score.form and score.other as unit_scores_read, or what the plan is refused with. */
int choice_make(struct choice *s, const char *dir, const struct choice_opts *o, struct err *e);
void choice_free(struct choice *s);

/* Appends the outcome with a table of the frontier and, with lines, the recipe, for people. */
void choice_put_text(struct text *t, const struct choice *s, bool lines);
/* Appends the same as a JSON object. */
void choice_put_json(struct text *t, const struct choice *s);

/* Appends the lines that give unit i the type types[i]; types[i] UINT32_MAX: no line is wanted. a: of the model, whose roles say
 * where one line is enough for all blocks. */
void choice_put_lines(struct text *t, const struct units *u, const uint32_t *types,
	const struct audit *a);
/* The kind of file that a recipe may replace. */
extern const struct dest_kind choice_recipe_kind;

#ifdef __cplusplus
}
#endif
#endif
