/* rule.h -- the kinds of trouble there are, and every rule that a finding or an error can name.
 *
 * The rows stand in core/rule.def. Their ids are stable: scripts may match them.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_RULE_H
#define CORE_RULE_H

#ifdef __cplusplus
extern "C" {
#endif

/* The kind decides the exit status, nothing else does. */
enum err_kind {
	ERR_NONE,        /* 0 */
	ERR_DATA,        /* 1: a file was read and breaks a rule */
	ERR_MISMATCH,    /* 1: two things that must agree do not */
	ERR_UNSUPPORTED, /* 2: perhaps sound, but not known to this program */
	ERR_USAGE,       /* 2: the call makes no sense */
	ERR_SYSTEM,      /* 2: the machine said no: I/O, memory, signal */
	ERR_AGAIN        /* 75: not now; the same call later does it (EX_TEMPFAIL) */
};

#define RULE(name, id, kind, text, remedy, test) RULE_##name,
enum rule_id {
#include "core/rule.def"
	RULE_COUNT
};
#undef RULE

struct rule {
	const char *id;
	enum err_kind kind; /* so: the exit status; ERR_NONE: a warning */
	const char *text;   /* what was found when the rule is named */
	const char *remedy; /* what to do about it, one line */
};
/* [RULE_COUNT], and a row with a NULL id at the end. */
extern const struct rule rules[];

/* Returns the row of a rule that was found broken. Every report of a rule takes its row from here, so that a test
 * program can put a function in between that notes which rules were produced (tests/check.h). */
const struct rule *rule_broken(enum rule_id id);

/* Returns the row of that id, NULL if there is none; id may be NULL. */
const struct rule *rule_find(const char *id);

#ifdef __cplusplus
}
#endif
#endif
