/* spelling.h -- tensors whose bytes are the official ones and are declared under another type: read as what they are.
 *
 *	declared             official     what differs in the header
 *	F4     [rows, 2n]    I8 [rows, n]   torch.float4_e2m1fn_x2 counts codes, the published files pairs of them
 *	U8     [rows, n]     I8             pairs of FP4 codes as unsigned bytes
 *	U8     [rows, n]     F8_E4M3        weights as bytes
 *	U8     [rows, n]     F8_E8M0        scales as bytes (torch has had a type for them since 2.7)
 *
 * Which type is official follows from the role of the name. Number and order of the bytes are the same in all rows, so no
 * byte of a payload is touched; what is written has the official type, and restore brings back the header as it was.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_SPELLING_H
#define FORMATS_MODEL_SPELLING_H
#include "core/mem.h"
#include "formats/model/config.h"
#include "formats/st/safetensors.h"

#ifdef __cplusplus
extern "C" {
#endif

struct spellings {
	size_t n;                   /* tensors that were declared otherwise */
	const struct tensor *first; /* of them; borrows */
	char was[64], is[64];       /* type and shape of that one: declared, official */
};

/* Gives each such tensor of t[n], which is sorted by name and in which weights have scales of the published name, its official type and shape; new shapes go to the arena. Returns -1 without memory. */
int spellings_settle(struct spellings *s, struct tensor *t, size_t n, const struct config *c,
	struct arena *arena);

#ifdef __cplusplus
}
#endif
#endif
