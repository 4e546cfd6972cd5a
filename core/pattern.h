/* pattern.h -- a text with every number replaced, so that texts of one kind are equal.
 *
 *	layers.3.ffn.experts.17.w1.weight   ->  layers.#.ffn.experts.#.w1.weight
 *	tensor layers.3.x: 12 of 4096 bytes ->  tensor layers.#.x: # of # bytes
 *
 * A number begins with a digit that follows no letter (w1 stays) and goes on over digits, single dots and commas between digits, and an
 * exponent. A run of at least 16 hex digits (a digest) is a number too.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_PATTERN_H
#define CORE_PATTERN_H
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes the pattern of s to out, at most room - 1 bytes and a NUL; what does not fit is left out. */
void pattern_of(const char *s, char *out, size_t room);

#ifdef __cplusplus
}
#endif
#endif
