/* emulated.h -- for tests: the features of this processor, and those that tests/emulate.sh stands in for.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_EMULATED_H
#define TESTS_EMULATED_H
#include "core/cpu.h"

#include <stdlib.h>

/* Bits of enum cpu_feature. Only for what is compiled over the emulation: the rest would not run. */
static inline unsigned features_or_emulated(void)
{
	return cpu_features() | (getenv("EMULATED") ? CPU_AVX512 : 0);
}
#endif
