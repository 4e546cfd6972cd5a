/* formats.h -- the table of what dsv4-quant makes, printed: for people, and as JSON (dsv4-formats-1).
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_CLI_FORMATS_H
#define QUANT_CLI_FORMATS_H
#include "core/text.h"

#ifdef __cplusplus
extern "C" {
#endif

void formats_text(struct text *out);
void formats_json(struct text *out);

#ifdef __cplusplus
}
#endif
#endif
