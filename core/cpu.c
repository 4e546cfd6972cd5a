/* SPDX-License-Identifier: MIT */
#include "core/cpu.h"

#include "core/text.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *word;
	unsigned keep; /* bits of enum cpu_feature */
} masks[] = { { "plain", 0 }, { "avx2", ~(unsigned)CPU_AVX512 } };

/* False if the value is not known. Not set, and empty, keep everything. */
static bool mask_of(const char *value, unsigned *keep)
{
	size_t i;

	*keep = ~0u;
	if (!value || !*value)
		return true;
	for (i = 0; i < sizeof masks / sizeof *masks; i++) {
		if (strcmp(value, masks[i].word) != 0)
			continue;
		*keep = masks[i].keep;
		return true;
	}
	*keep = 0;
	return false;
}

unsigned cpu_features(void)
{
	unsigned keep;

	(void)mask_of(getenv("DSV4_CPU"), &keep);
	return cpu_found() & keep;
}

int cpu_check(struct err *e)
{
	const char *value = getenv("DSV4_CPU");
	unsigned keep;

	if (mask_of(value, &keep))
		return 0;
	return err_set(e, ERR_USAGE,
		"DSV4_CPU=%s in the environment is not known: it may be plain or avx2",
		text_quote(value).s);
}

unsigned cpu_count(void)
{
	cpu_set_t *set;
	size_t bytes;
	int n, count = 0;

	/* The kernel refuses a set smaller than its own. */
	for (n = 1024; !count && n <= 1 << 16; n *= 4) {
		set = CPU_ALLOC((size_t)n);
		bytes = CPU_ALLOC_SIZE((size_t)n);
		if (set && !sched_getaffinity(0, bytes, set))
			count = CPU_COUNT_S(bytes, set);
		CPU_FREE(set);
	}
	if (!count)
		count = (int)sysconf(_SC_NPROCESSORS_ONLN);
	return count > 0 ? (unsigned)count : 1;
}
