/* sanitized.h -- whether this is built with AddressSanitizer, by gcc or clang: such code is slow, and its memory is the
 * sanitizer's too.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_SANITIZED_H
#define TESTS_SANITIZED_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

#include <stdint.h>
#include <stdlib.h>

/* How far apart the points are that a test takes of a long row (calls that fail, bits that flip): EVERY of the
 * environment, so that EVERY=1 takes all of them, or usual, with which make test is quick. At least 1. */
static inline uint64_t every(uint64_t usual)
{
	const char *s = getenv("EVERY");
	uint64_t n = s ? strtoull(s, NULL, 10) : usual;

	return n ? n : 1;
}
#endif
