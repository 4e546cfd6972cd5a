/* SPDX-License-Identifier: MIT */
#include "formats/layout/rowmap.h"

#include <string.h>

static uint32_t same(uint32_t part, uint32_t i, uint32_t n)
{
	return part * n + i;
}

static uint32_t up_first(uint32_t part, uint32_t i, uint32_t n)
{
	return (part == ROW_GATE ? n : 0) + i;
}

/* trtllm-gen, 32 rows at a time: 0 8 16 24 1 9 17 25 ... */
static uint32_t shuffled(uint32_t o)
{
	return o - o % 32 + 8 * (o % 4) + o % 32 / 4;
}

static uint32_t trtllm_one(uint32_t part, uint32_t i, uint32_t n)
{
	(void)part, (void)n;
	return shuffled(i);
}

static uint32_t trtllm_two(uint32_t part, uint32_t i, uint32_t n)
{
	(void)n;
	return shuffled(2 * i + (part == ROW_GATE));
}

static uint32_t by_1(uint32_t part, uint32_t i, uint32_t n)
{
	(void)n;
	return 2 * i + part;
}

static uint32_t by_8(uint32_t part, uint32_t i, uint32_t n)
{
	(void)n;
	return 16 * (i / 8) + 8 * part + i % 8;
}

static uint32_t by_16(uint32_t part, uint32_t i, uint32_t n)
{
	(void)n;
	return 32 * (i / 16) + 16 * part + i % 16;
}

/* clang-format off */
const struct rowmap rowmaps[] = {
	{ "same",           1, 1,  same,       "as they are" },
	{ "trtllm",         1, 32, trtllm_one, "32 at a time: 0 8 16 24 1 9 ..." },
	{ "gate-up",        2, 1,  same,       "w1, then w3" },
	{ "up-gate",        2, 1,  up_first,   "w3, then w1" },
	{ "gate-up-by-1",   2, 1,  by_1,       "a row of w1, a row of w3" },
	{ "gate-up-by-8",   2, 8,  by_8,       "8 rows of w1, 8 of w3" },
	{ "gate-up-by-16",  2, 16, by_16,      "16 rows of w1, 16 of w3" },
	{ "up-gate-trtllm", 2, 16, trtllm_two, "a row of w3, a row of w1; then 32 at a time as trtllm" },
};
/* clang-format on */
const unsigned n_rowmaps = sizeof rowmaps / sizeof *rowmaps;

const struct rowmap *rowmap_find(const char *name)
{
	unsigned i;

	for (i = 0; i < n_rowmaps; i++)
		if (!strcmp(rowmaps[i].name, name))
			return &rowmaps[i];
	return NULL;
}

void rowmap_from(const struct rowmap *m, uint32_t n, uint32_t *from)
{
	uint32_t part, i;

	for (part = 0; part < m->parts; part++)
		for (i = 0; i < n; i++)
			from[m->to(part, i, n)] = part * n + i;
}
