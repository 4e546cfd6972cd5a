/* options.h -- what was asked for, as the manifest of a folder has it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_OUT_OPTIONS_H
#define CONVERT_OUT_OPTIONS_H
#include "convert/plan/plan.h"
#include "formats/conversion/manifest.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Words of the options that are numbers. */
struct option_words {
	char ranks[24], size[24], share[160];
};

enum { OPTIONS_MAX = 10 };

/* Writes the options of the plan to v, sorted by name; returns how many. v borrows w, whose words it sets, and p. */
unsigned options_list(const struct plan *p, struct option_words *w,
	struct man_option v[OPTIONS_MAX]);

#ifdef __cplusplus
}
#endif
#endif
