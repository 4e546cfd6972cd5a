/* vllm_form.h -- what a tensor of a file of ranks for vLLM or SGLang must be.
 *
 * Name, sources and their order, transform, part, type and shape follow from the sources, the rank in the name of the
 * file, the number of ranks and the target. Readers of such a folder, and compare, hold its sidecars to that.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_VLLM_FORM_H
#define FORMATS_CONVERSION_VLLM_FORM_H
#include "formats/conversion/sidecar.h"
#include "formats/model/checkpoint.h"
#include "formats/model/sglang_name.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The rank that a file of the target is of, by its name; -1: the name is none of the target. */
long vllm_rank_of(const char *file);

/* Looks at tensor t of sidecar s, whose sources are tensors of c. Returns NULL, or a clause that says what is wrong. */
const char *vllm_form(const struct ckpt *c, const struct sidecar *s,
	const struct sidecar_tensor *t);

#ifdef __cplusplus
}
#endif
#endif
