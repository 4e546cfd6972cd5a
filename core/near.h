/* near.h -- the word of a list that was probably meant by one that is not in it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_NEAR_H
#define CORE_NEAR_H

#ifdef __cplusplus
extern "C" {
#endif

/* The nearest so far: typed is set by the caller, the rest is zeroed. Borrows the words. */
struct near {
	const char *typed, *word; /* word is NULL while nothing was near enough */
	unsigned distance;
};
/* Takes a word of the list into account. The distance counts letters that are missing, too many, other ones or
 * exchanged with their neighbour; a quarter of the typed letters may be wrong, and a beginning of the word is near. */
void near_try(struct near *n, const char *word);

#ifdef __cplusplus
}
#endif
#endif
