/* sglang_name.h -- which parameter of SGLang's model a tensor of a DeepSeek-V4 becomes once SGLang has processed its
 * weights on an SM90, and in which form; and both targets whose folders hold files of ranks.
 *
 * Read in SGLang 0.5.23: models/deepseek_v4.py, layers/quantization/fp8.py, mxfp4_marlin_moe.py (docs/engines.md). It
 * is launched with SGLANG_OPT_FP8_WO_A_GEMM=0: wo_a is in BF16 then, while a scale of it in FP8 gets its shape in
 * post_load_weights, which the reader of such folders does not call.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_SGLANG_NAME_H
#define FORMATS_MODEL_SGLANG_NAME_H
#include "formats/model/vllm_name.h"
#include "formats/st/safetensors.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The target, as manifests and sidecars name it. */
#define SGLANG_TARGET "sglang-presharded"
/* The version whose names and forms these are, and the kind of GPU, as loaders/sglang_probe.py says both. */
#define SGLANG_VERSION "0.5.23"
#define SGLANG_DEVICE "sm90"
/* The file of what SGLang holds in another form, as it is in the source, and of drafts: no rank reads it, the way back
 * does. */
#define SGLANG_KEPT "kept.safetensors"
/* What SGLang reads first, and the mark without which it reads nothing. */
#define SGLANG_CHECKSUM "checksum.json"
#define SGLANG_READY "READY"
/* The engine whose layouts experts in FP4 have there. */
#define SGLANG_PACKED "marlin-mxfp4"

/* Finds the parameter that a tensor of the source becomes. Returns false where SGLang's class of the model has none:
 * drafts, which it loads as a model of their own. Experts in FP4 are meant to be laid out (SGLANG_PACKED). */
bool sglang_place_of(struct vllm_place *v, const struct tensor *t);

/* Whether the target is one whose folder holds the files of all ranks, called as vllm_rank_of reads them. */
bool rank_target(const char *target);
/* The same as vllm_place_of or sglang_place_of, by such a target. */
bool rank_place_of(const char *target, struct vllm_place *v, const struct tensor *t);
/* The name of the file in a folder of such a target that the way back reads and no rank does. */
const char *rank_kept_file(const char *target);

#ifdef __cplusplus
}
#endif
#endif
