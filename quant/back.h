/* back.h -- the way back from every number format that is written, for those who read a conversion as the checkpoint
 * that it was made of (formats/conversion/joined.h).
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_BACK_H
#define QUANT_BACK_H
#include "formats/conversion/joined.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const struct joined_uncast quant_back;

#ifdef __cplusplus
}
#endif
#endif
