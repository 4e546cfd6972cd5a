/* layer_list.h -- quantized_layers, the list in which ModelOpt says what each quantized module of a model in several number
 * formats is; held to the tensors.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_DOCTOR_LAYER_LIST_H
#define VERIFY_DOCTOR_LAYER_LIST_H
#include "verify/doctor/quant_doc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Judges the list of a model whose experts are NVFP4; of others, and without a list, nothing is said. list is the member
 * that says what is left out. Findings are config.quant-excluded, config.quant-unmatched and config.field-tensors. Returns
 * false without memory. */
bool layer_list_judge(const struct quant_doc *s, const char *list);

#ifdef __cplusplus
}
#endif
#endif
