/* quantization.h -- what config.json and hf_quant_config.json say of the number formats of a model, held to its tensors.
 *
 * For models in other number formats (formed.h), by whoever made them: bits, groups, strategies and types that are said of
 * weights, lists of modules that are left out, and scales of a KV cache. Which members an engine asks for is in reads.h.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_DOCTOR_QUANTIZATION_H
#define VERIFY_DOCTOR_QUANTIZATION_H
#include "verify/doctor/formed.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Findings go to *r (config.field-tensors, config.quant-excluded, config.quant-unmatched). Returns -1 without memory, or where
 * hf_quant_config.json cannot be read. */
int quantization_judge(const struct formed *f, struct report *r, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
