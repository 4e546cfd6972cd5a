/* mem.h -- sizes that cannot wrap, and an arena for what lives as long as its owner.
 *
 * Every product or sum of sizes that a file has a say in goes through mem_mul and mem_add.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_MEM_H
#define CORE_MEM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* False where the result does not fit; *r is then not to be used. */
static inline bool mem_mul(uint64_t a, uint64_t b, uint64_t *r)
{
	return !__builtin_mul_overflow(a, b, r);
}

static inline bool mem_add(uint64_t a, uint64_t b, uint64_t *r)
{
	return !__builtin_add_overflow(a, b, r);
}

static inline uint64_t mem_ceil_div(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

/* An arena hands out memory that is freed all at once. Zeroed = empty; nothing to open. */
struct arena {
	struct arena_block *blocks; /* owns */
	unsigned char *at;          /* free part of the newest block */
	size_t left;
	size_t total; /* bytes taken from the system so far */
};
/* Aligned for any type, not zeroed. NULL when memory is out. Not thread-safe. */
void *arena_alloc(struct arena *a, size_t n);
/* n bytes of s and a NUL. */
char *arena_strndup(struct arena *a, const char *s, size_t n);
void arena_free(struct arena *a);

/* Grows *p (element size el) so that it holds at least need elements, doubling; *cap is in
 * elements. 0, or -1 with *p and *cap untouched. */
int mem_grow(void *p, size_t *cap, size_t need, size_t el);

/* Has blocks of 128 KiB and more go back to the system when they are freed, for the whole process: promises of
 * memory are of what is in use. By itself glibc raises that limit to what was freed last and keeps the holes. For
 * mains, before they begin. */
void mem_give_back(void);

#ifdef __cplusplus
}
#endif
#endif
