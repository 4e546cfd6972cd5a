/* checksum.h -- for compare: the small files of target sglang-presharded, which are made of the files beside them.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_CHECKSUM_H
#define VERIFY_COMPARE_CHECKSUM_H
#include "verify/compare/walk.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whether the file is one of these. */
bool checksum_is(const struct walk_file *f);
/* Makes it anew from the sidecars and weights of the folder, and reports where it is not the same (compare.file). */
void checksum_compare(const struct io *io, const struct walk_file *f, struct report *r);

#ifdef __cplusplus
}
#endif
#endif
