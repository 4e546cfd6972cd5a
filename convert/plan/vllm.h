/* vllm.h -- what files of ranks for vLLM (vllm.c) and for SGLang (sglang.c) have in common.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_PLAN_VLLM_H
#define CONVERT_PLAN_VLLM_H
#include "convert/plan/target.h"
#include "formats/model/sglang_name.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A source tensor on its way. */
struct entry {
	const char *name; /* of the parameter; in the arena of the plan */
	uint32_t place, i;
	uint32_t part, parts;
	int32_t expert;
	enum split split;
	enum place_form form;
	bool kept;
	uint8_t dtype;
};

/* Entries e[0..n] of one parameter, those that the rank has. */
struct group {
	const struct entry *e;
	size_t n;
	bool cut; /* the rank has a part of each */
};

/* Whether SGLang's launch takes what the source has; reports what it does not. */
int sglang_check(const struct layout *l);
/* The step of a parameter whose form is FORM_BF16, FORM_HALVES or FORM_TILE, but for its name and type. */
int sglang_step(struct layout *l, const struct group *g, uint64_t rank, struct step *s);
/* All steps are there: they are the parameters of the launch, and no others. Adds the small files that SGLang reads. */
int sglang_end(struct layout *l);

#ifdef __cplusplus
}
#endif
#endif
