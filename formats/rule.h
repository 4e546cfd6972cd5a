/* rule.h -- every rule that a finding or an error can name, with what it means.
 *
 * The ids are stable: scripts may match them. tests/rules.sh holds this table against the sources:
 * no id is used that is not here, none is here that is not used, and each has a test.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_RULE_H
#define FORMATS_RULE_H
#include "core/err.h"
#include "core/text.h"

#ifdef __cplusplus
extern "C" {
#endif

struct rule {
	const char *id;
	enum err_kind kind; /* so: the exit status; ERR_NONE: a warning */
	const char *text;
	const char *remedy; /* what to do about it, one line */
};
extern const struct rule rules[]; /* ends with a NULL id */

const struct rule *rule_find(const char *id); /* NULL: there is none */

/* The table, for people and as JSON (dsv4-rules-1). */
void rule_put_text(struct text *out);
void rule_put_json(struct text *out);

#ifdef __cplusplus
}
#endif
#endif
