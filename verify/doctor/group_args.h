/* group_args.h -- the arguments of a group of quantization_config (bits, type, strategy, size of blocks), held to the number
 * format that the matrices of the group have.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_DOCTOR_GROUP_ARGS_H
#define VERIFY_DOCTOR_GROUP_ARGS_H
#include "verify/doctor/quant_doc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Holds the weights and input_activations of group, which is called name, to number format c. Findings are
 * config.field-tensors; of number formats that no group describes, nothing is said. */
void group_args_judge(const struct quant_doc *s, const json_t *group, const char *name,
	enum codec c);

#ifdef __cplusplus
}
#endif
#endif
