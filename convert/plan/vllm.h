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

/* Of each source in a step that takes all of it, what the rank takes: where they are cut, its rows or columns. */
void group_take(const struct layout *l, const struct group *g, uint64_t rank, struct step *s);

/* Returns 0 where experts stay in their number format, which both targets need; else -1 (plan.engine-form). */
int vllm_check_experts(const struct layout *l);

/* Returns 0 where SGLang's launch takes the form that the source has its experts in; else -1 (plan.engine-form), or a wrong call
 * where there is no --shard-config. */
int sglang_check(const struct layout *l);
/* Makes the step of a parameter whose form is FORM_BF16, FORM_HALVES or FORM_TILE; its name and type are the caller's. */
int sglang_step(struct layout *l, const struct group *g, uint64_t rank, struct step *s);
/* Holds the plan, which has all its steps, to the parameters of the launch (plan.shard-config). Adds the small files that SGLang reads. */
int sglang_end(struct layout *l);

#ifdef __cplusplus
}
#endif
#endif
