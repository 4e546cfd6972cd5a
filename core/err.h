/* err.h -- one report of what went wrong, owned by the caller.
 *
 * A function that can fail takes a struct err * last and returns 0 or -1. The first report wins:
 * a later one on the same struct is dropped, so the place nearest to the fault speaks. Layers above
 * add where they were (err_at). Nothing here prints or exits; that is main's.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_ERR_H
#define CORE_ERR_H
#include "core/rule.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Who is to blame, as far as a layer knows it. What is removed after a failure depends on this. */
enum err_blame {
	BLAME_NOBODY, /* nobody has said yet */
	BLAME_SOURCE, /* what was made of it is worth nothing */
	BLAME_OUTPUT,
	BLAME_CALL
};

/* A zeroed struct is a report of nothing. */
struct err {
	enum err_kind kind;
	enum err_blame blame;
	const char *rule; /* id such as "st.name-twice" (static string), or NULL */
	uint64_t pos;     /* byte in the file to blame; ERR_NOPOS if there is none */
	char text[640];   /* one sentence, no newline, safe to print */
	bool told;        /* a document on stdout says it already (--json) */
};
#define ERR_NOPOS UINT64_MAX

/* Always return -1, so that a caller can write: return err_set(e, ...). e may be NULL. */
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Adds ": " and the text of errno. */
int err_sys(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int err_nomem(struct err *e);
/* Names the rule that was broken, whose row says the kind, and where; the text is formatted as by printf. */
int err_rule(struct err *e, enum rule_id rule, uint64_t pos, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Hands over what from reports, with kind, rule and place, and clears from. As with every report, the first
 * one in e wins. Returns 0 if from reports nothing, else -1. */
int err_move(struct err *e, struct err *from);
/* Puts a place such as "shard x" and ": " in front of a report that is already there. */
int err_at(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Makes a report of ERR_DATA or ERR_MISMATCH about a file that the call names beside what it is about one of that call,
 * ERR_USAGE: a file that is none is no verdict. What it said stands behind the name of the option, with its rule. Other
 * reports stay as they are. Returns -1. */
int err_of_call(struct err *e, const char *option);

/* Says who is to blame for a report that is there, unless a lower layer has said so. Returns -1. */
int err_blame(struct err *e, enum err_blame who);

/* The status a process ends with: 0 done and true, 1 checked and false, 2 could not tell, 75 call again later. */
int err_exit_code(const struct err *e);

#ifdef __cplusplus
}
#endif
#endif
