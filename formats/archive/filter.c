/* SPDX-License-Identifier: MIT */
#include "formats/archive/filter.h"

#include <string.h>

static const struct {
	const char *name, *suffix;
} filters[FILTER_COUNT] = {
	[FILTER_NONE] = { "none", FILTER_ZST },
	[FILTER_E8M0] = { "e8m0", FILTER_ZST_E8M0 },
};

const char *filter_name(enum filter f)
{
	return filters[f].name;
}

const char *filter_suffix(enum filter f)
{
	return filters[f].suffix;
}

bool filter_by_name(const char *word, enum filter *f)
{
	int i;

	for (i = 0; i < FILTER_COUNT; i++) {
		if (!strcmp(word, filters[i].name)) {
			*f = (enum filter)i;
			return true;
		}
	}
	return false;
}

size_t filter_by_suffix(const char *name, enum filter *f)
{
	size_t n = strlen(name), k;
	int i;

	for (i = 0; i < FILTER_COUNT; i++) {
		k = strlen(filters[i].suffix);
		if (n > k && !strcmp(name + n - k, filters[i].suffix)) {
			*f = (enum filter)i;
			return n - k;
		}
	}
	return 0;
}
