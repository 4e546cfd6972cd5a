/* check.h -- the whole test harness: CHECK, seeded random numbers, comparisons that print the first
 * difference, folders that go away. A test file ends with its table and TEST_MAIN.
 *
 * A test prints one line: "ok   name", "FAIL name" or "SKIP name: reason"; tests/runner.c runs every test in a
 * process of its own and adds them up. SEED=n in the environment changes the random numbers; a name as argument
 * runs that test alone, and one that no test has fails; --list prints a line "test name" for each.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H
#include "tests/produced.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int check_failed;
static const char *check_skipped; /* why, set by SKIP */
static uint64_t check_seed = 1, check_state;

#define CHECK(x)                                                                           \
	do {                                                                               \
		if (!(x)) {                                                                \
			check_failed++;                                                    \
			fprintf(stderr, "%s:%d: %s (seed %llu)\n", __FILE__, __LINE__, #x, \
				(unsigned long long)check_seed);                           \
		}                                                                          \
	} while (0)
/* Says what the case was, for tables. */
#define CHECK_IN(name, x)                                                                 \
	do {                                                                              \
		if (!(x)) {                                                               \
			check_failed++;                                                   \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, name, #x); \
		}                                                                         \
	} while (0)
/* For what must not be reached. */
#define FAILED(text) CHECK_IN(text, false)
#define SKIP(why)                      \
	do {                           \
		check_skipped = (why); \
		return;                \
	} while (0)

/* xorshift64*, so that a seed means the same everywhere. */
static inline uint64_t rnd64(void)
{
	if (!check_state)
		check_state = check_seed * 0x9e3779b97f4a7c15u | 1;
	check_state ^= check_state >> 12;
	check_state ^= check_state << 25;
	check_state ^= check_state >> 27;
	return check_state * 0x2545f4914f6cdd1du;
}

static inline uint32_t rnd(uint32_t below)
{
	return (uint32_t)((rnd64() >> 32) * below >> 32);
}

static inline void rnd_bytes(void *p, size_t n)
{
	uint8_t *b = p;
	size_t i;

	for (i = 0; i < n; i++)
		b[i] = (uint8_t)(rnd64() >> 56);
}

/* Bits that move must be equal, not close. */
static inline bool same_bytes(const char *what, const void *got, const void *want, size_t n)
{
	const uint8_t *x = got, *y = want;
	size_t i;

	for (i = 0; i < n; i++) {
		if (x[i] != y[i]) {
			fprintf(stderr, "%s: byte %zu of %zu: %02x, expected %02x\n", what, i, n,
				x[i], y[i]);
			return false;
		}
	}
	return true;
}

/* n bytes that end right before a page which cannot be touched: reading or writing one byte too
 * far is a signal. Never freed. */
static inline uint8_t *guarded(size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (n + page - 1) / page + 1;
	uint8_t *p = mmap(NULL, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);

	if (p == MAP_FAILED || mprotect(p + (pages - 1) * page, page, PROT_NONE)) {
		fprintf(stderr, "no memory for a guarded buffer\n");
		exit(2);
	}
	return p + (pages - 1) * page - n;
}

struct test {
	const char *name;
	void (*run)(void);
};

static inline bool check_list(const struct test *t, int argc, char **argv)
{
	if (argc != 2 || strcmp(argv[1], "--list") != 0)
		return false;
	for (; t->name; t++)
		printf("test %s\n", t->name);
	return true;
}

static inline int check_main(const struct test *t, int argc, char **argv)
{
	int before;
	bool ran = argc < 2;

	if (check_list(t, argc, argv))
		return 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("SEED"))
		check_seed = strtoull(getenv("SEED"), NULL, 10);
	produced_begin();
	for (; t->name; t++) {
		if (argc > 1 && strcmp(argv[1], t->name))
			continue;
		ran = true;
		before = check_failed;
		check_skipped = NULL;
		t->run();
		produced_print();
		if (check_failed != before)
			printf("FAIL %s\n", t->name);
		else if (check_skipped)
			printf("SKIP %s: %s\n", t->name, check_skipped);
		else
			printf("ok   %s\n", t->name);
	}
	if (!ran)
		printf("FAIL there is no test %s\n", argv[1]);
	return check_failed != 0 || !ran;
}
#define TEST_MAIN(t)                              \
	int main(int argc, char **argv)           \
	{                                         \
		return check_main(t, argc, argv); \
	}
#endif
