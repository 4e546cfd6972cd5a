/* jmember.h -- one member of a JSON object changed in its text; every other byte stays as it is.
 *
 * config.json is written back with one value exchanged, and people compare it with the original: a program that
 * parses and prints would change numbers (1e-6 to 1e-06) and white space.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_JSON_JMEMBER_H
#define FORMATS_JSON_JMEMBER_H
#include "core/err.h"
#include "core/text.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Gives the top-level member key of the object in *t the value, which is JSON; a member that is not there is put
 * first. value NULL removes the member with its comma; a member that is not there is no error then. Returns -1,
 * with *t as it was, where *t is no JSON object or memory is out. */
int jmember_set(struct text *t, const char *key, const char *value, struct err *e);
/* Sets *value, whose bytes before are gone, to the text of the top-level member key; *there says whether there is one, and else
 * *value is empty. Returns -1 where *t is no JSON object or memory is out. */
int jmember_get(const struct text *t, const char *key, struct text *value, bool *there,
	struct err *e);
/* The same of the object that is the top-level member in: one is put there where it is not. in NULL: of *t itself. */
int jmember_set_in(struct text *t, const char *in, const char *key, const char *value,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
