/* vllm_name.h -- which parameter of vLLM's model a tensor of a DeepSeek-V4 becomes, and which part of it.
 *
 * Names are the keys under which vLLM's sharded_state loader looks for parameters: those of state_dict(), where of two
 * names of one parameter the smaller is kept, so that the router and the shared experts are found below the experts.
 * Seen in vLLM 0.32.0 (a CPU, one rank, two ranks by tp and by ep) and read in 0.33.0: docs/engines.md.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_VLLM_NAME_H
#define FORMATS_MODEL_VLLM_NAME_H
#include "formats/dtype.h"
#include "formats/model/role.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The target, as manifests and sidecars name it. */
#define VLLM_TARGET "vllm-sharded"
/* The file of drafts beside those of ranks, as they are in the source: vLLM does not look at it, the way back does. */
#define VLLM_DRAFTS "drafts.safetensors"

enum { VLLM_NAME_MAX = 160 };

/* What a parameter is of its sources. The forms behind the first are of SGLang alone (sglang_name.h). */
enum place_form {
	FORM_SAME,   /* their bytes; ids in fewer bits */
	FORM_F32,    /* their numbers, which are E8M0 or BF16, as FP32 */
	FORM_BF16,   /* FP8 codes times their scales */
	FORM_HALVES, /* rows of two halves: all first halves, then all second ones */
	FORM_TILE    /* laid out for a kernel */
};

struct vllm_place {
	char name[VLLM_NAME_MAX + 1]; /* of the parameter */
	enum split
		split; /* how tensor-parallel ranks share it: of experts, where each of them is cut */
	uint32_t part,
		parts; /* it is source `part` of so many of the parameter, of experts of each expert */
	long expert;      /* id of a routed expert, else -1 */
	enum dtype dtype; /* under which the parameter is declared */
	enum place_form form;
	bool kept; /* the way back takes it from a file of its own: the form has none */
};

/* Whether the first n characters of name are stem, in which # stands for the id of an expert, which goes to *expert; it
 * is -1 where there is none. */
bool vllm_is_stem(const char *name, size_t n, const char *stem, long *expert);
/* The end of a name of weights or scales: ".weight", ".scale", or "". */
const char *vllm_end_of(const char *name);

/* Finds the parameter that a tensor of the source becomes; dtype is that of the tensor. Returns false where vLLM's class
 * of the model has none: drafts, which it loads as a model of their own. */
bool vllm_place_of(struct vllm_place *v, const char *tensor, enum dtype dtype);

#ifdef __cplusplus
}
#endif
#endif
