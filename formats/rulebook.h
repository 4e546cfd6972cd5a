/* rulebook.h -- the table of rules (core/rule.h) as people and programs read it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_RULEBOOK_H
#define FORMATS_RULEBOOK_H
#include "core/rule.h"
#include "core/text.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Append a row for each rule, with exit status, kind, meaning and remedy: as text, and as JSON
 * (dsv4-rules-1). */
void rule_put_text(struct text *out);
void rule_put_json(struct text *out);

#ifdef __cplusplus
}
#endif
#endif
