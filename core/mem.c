/* SPDX-License-Identifier: MIT */
#include "core/mem.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

struct arena_block {
	struct arena_block *next;
	max_align_t data[];
};

enum { BLOCK = 64 << 10, ALIGN = 8 };

void *arena_alloc(struct arena *a, size_t n)
{
	struct arena_block *b;
	size_t want;
	void *p;

	if (n > SIZE_MAX - ALIGN - sizeof *b)
		return NULL;
	n = (n + ALIGN - 1) / ALIGN * ALIGN;
	if (n > a->left) {
		want = n > BLOCK / 4 ? n : BLOCK;
		b = malloc(sizeof *b + want);
		if (!b)
			return NULL;
		a->total += sizeof *b + want;
		b->next = a->blocks;
		a->blocks = b;
		if (want != BLOCK) /* a big piece of its own; the open block stays open */
			return b->data;
		a->at = (unsigned char *)b->data;
		a->left = want;
	}
	p = a->at;
	a->at += n;
	a->left -= n;
	return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *p;

	if (n == SIZE_MAX)
		return NULL;
	p = arena_alloc(a, n + 1);
	if (!p)
		return NULL;
	memcpy(p, s, n);
	p[n] = 0;
	return p;
}

void arena_free(struct arena *a)
{
	struct arena_block *b, *next;

	for (b = a->blocks; b; b = next) {
		next = b->next;
		free(b);
	}
	memset(a, 0, sizeof *a);
}

int mem_grow(void *p, size_t *cap, size_t need, size_t el)
{
	uint64_t bytes;
	size_t n = *cap ? *cap : 16;
	void *old, *grown;

	if (need <= *cap)
		return 0;
	while (n < need) {
		if (n > SIZE_MAX / 2)
			return -1;
		n *= 2;
	}
	if (!mem_mul(n, el, &bytes) || bytes > SIZE_MAX)
		return -1;
	memcpy(&old, p, sizeof old);
	grown = realloc(old, bytes);
	if (!grown)
		return -1;
	memcpy(p, &grown, sizeof grown);
	*cap = n;
	return 0;
}

void mem_give_back(void)
{
	/* Setting them, to the default of the first, ends the adjusting (mallopt(3)). */
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	mallopt(M_TRIM_THRESHOLD, 128 << 10);
}
