/* module_lists.h -- which modules quantization_config says are quantized: the targets of its groups, and its list of modules
 * that are left out; held to the tensors.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_DOCTOR_MODULE_LISTS_H
#define VERIFY_DOCTOR_MODULE_LISTS_H
#include "verify/doctor/quant_doc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Judges groups and their arguments, and the list of what is left out, which is the member list. Findings are
 * config.quant-excluded, config.quant-unmatched, config.quant-unread and config.field-tensors. Returns false without
 * memory. */
bool module_lists_judge(const struct quant_doc *s, const char *list);

#ifdef __cplusplus
}
#endif
#endif
