/* finding.h -- what is wrong with a checkpoint, all of it, in the order in which it was found.
 *
 * A reader that stops at the first fault makes people run it ten times. Readers of whole folders
 * put what they find here and go on where they can.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_FINDING_H
#define FORMATS_FINDING_H
#include "core/err.h"
#include "core/mem.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FINDINGS_KEPT = 100000 };

struct finding {
	enum err_kind kind;
	const char *rule; /* static, NULL for what the system reported */
	uint64_t pos;     /* byte in the file, or ERR_NOPOS */
	const char *file; /* in the arena; NULL if it is about the whole */
	const char *text; /* one sentence that says file, tensor and place again */
};

/* Zeroed = none. */
struct findings {
	struct finding *v; /* owns; at most FINDINGS_KEPT */
	size_t n, cap;
	uint64_t total;    /* all that were reported */
	uint64_t warnings; /* of these, how many are of kind ERR_NONE: they change no verdict */
	struct arena arena;
};

/* Takes over what e reports and clears e, so that the caller can go on. -1 only without memory. */
int finding_take(struct findings *f, const char *file, struct err *e);
/* The kind is the one of the rule's row. */
int finding_add(struct findings *f, enum rule_id rule, const char *file, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Adds a copy of v, a finding of others. -1 only without memory. */
int finding_copy(struct findings *f, const struct finding *v);
/* Returns 0 if there are none but warnings. Else -1, with the first that is none in e and how many more there are. */
int finding_first(const struct findings *f, struct err *e);
/* The same of those whose rule does not begin with prefix: faults of files that are not looked at for that. Warnings pass here too. */
int finding_first_but(const struct findings *f, const char *prefix, struct err *e);
void finding_free(struct findings *f);

#ifdef __cplusplus
}
#endif
#endif
