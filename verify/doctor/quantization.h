/* quantization.h -- what config.json and hf_quant_config.json say of the number formats of a model, held to its tensors.
 *
 * This is for models in other number formats (formed.h), by whoever made them. quant_doc.h has the members of one file,
 * module_lists.h its groups and the modules that are left out, layer_list.h ModelOpt's list of layers. Which members an
 * engine asks for is in reads.h.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_DOCTOR_QUANTIZATION_H
#define VERIFY_DOCTOR_QUANTIZATION_H
#include "verify/doctor/formed.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Adds findings to *r (config.field-tensors, config.quant-excluded, config.quant-unmatched, config.quant-unread, and of a
 * hf_quant_config.json that is no JSON, those of config.json). Of experts in no number format that is known, nothing is said.
 * Returns -1 without memory, or where hf_quant_config.json cannot be read. */
int quantization_judge(const struct formed *f, struct report *r, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
