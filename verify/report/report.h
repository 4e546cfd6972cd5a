/* report.h -- what a verb of dsv4-verify found and what it looked at, as a value: printed as text, as JSON,
 * for CI (junit.h) or as a page (html.h).
 *
 * A report is a list of findings and some sections of rows. A finding says rule, file, bytes, tensors and
 * the cause; what to do about it stands in the table of rules. A row is a name with a number of things,
 * bytes and a text: what was looked at ("checked"), files and their digests ("files"), bytes by role
 * ("roles"), figures of a comparison. Verdicts come from the kinds of the findings alone:
 *
 *	ERR_DATA, ERR_MISMATCH           error     it is false                 exit status 1
 *	ERR_UNSUPPORTED, _USAGE, _SYSTEM unknown   that could not be told      2, unless something is false
 *	ERR_NONE                         warning   does not change the verdict
 *
 * Not thread-safe. When memory runs out the report is marked failed, and report_finish says so.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_REPORT_REPORT_H
#define VERIFY_REPORT_REPORT_H
#include "core/err.h"
#include "core/mem.h"
#include "core/text.h"
#include "formats/format_id.h"
#include "formats/finding.h"

#ifdef __cplusplus
extern "C" {
#endif

#define REPORT_FORMAT FORMAT_REPORT_JSON
enum { REPORT_TENSORS = 16 }; /* names that a finding keeps */

/* Where something is. Zeroed: nowhere in particular. */
struct report_place {
	const char *file;           /* below the folder; NULL: the whole */
	uint64_t from, to;          /* bytes of the file; to 0: not known */
	const char *const *tensors; /* in it */
	size_t n_tensors;           /* all of them; at most REPORT_TENSORS are named */
};

struct report_finding {
	enum err_kind kind;
	const char *rule; /* static, NULL for what the system reported */
	struct report_place at;
	const char *cause; /* one line, safe to print */
};

struct report_row {
	const char *section, *name, *text; /* text may be NULL */
	uint64_t count, bytes;
};

struct report {
	const char *verb, *tool; /* static */
	const char *subject[2];  /* what was looked at, as the user called it; [1] may be NULL */
	struct report_finding *findings; /* owns */
	size_t n, cap;
	struct report_row *rows; /* owns; sections in the order of their first row */
	size_t n_rows, rows_cap;
	uint64_t errors, unknown, warnings; /* counted even where they are not kept */
	bool failed;
	struct arena arena;
};

/* tool and verb stay where they are; subjects are copied. */
void report_begin(struct report *r, const char *tool, const char *verb, const char *subject,
	const char *other);
void report_free(struct report *r);

/* at may be NULL. The text says the cause in one line; strings from files in it go through text_quote.
 * At most FINDINGS_KEPT are kept. */
void report_add(struct report *r, enum err_kind kind, const char *rule,
	const struct report_place *at, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Takes over what e reports, and clears it. */
void report_take(struct report *r, const struct report_place *at, struct err *e);
/* The findings of a reader of checkpoints. */
void report_findings(struct report *r, const struct findings *f);
/* section is static; text may be NULL. */
void report_row(struct report *r, const char *section, const char *name, uint64_t count,
	uint64_t bytes, const char *text);
/* Adds to the row of that name, which is made if need be. */
void report_count(struct report *r, const char *section, const char *name, uint64_t count,
	uint64_t bytes);

/* Findings by file, byte and rule, whatever threads found first. */
void report_sort(struct report *r);
const char *report_severity(enum err_kind kind);           /* "error", "warning", "unknown" */
const char *report_verdict(const struct report *r);        /* "true", "false", "unknown" */
const char *report_remedy(const struct report_finding *f); /* never NULL */

/* Without the section "roles", which is long. */
void report_put_text(const struct report *r, struct text *out);
void report_put_json(const struct report *r, struct text *out);
/* 0 if all is true. Else -1 and one line that says how many findings there are, with the exit status that
 * they come to. */
int report_finish(const struct report *r, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
