/* report.h -- what a verb of dsv4-verify found and what it looked at, as a value: printed as text
 * (report_text.c), as JSON (report_json.c), for CI (junit.h) or as a page (page.h).
 *
 * A report is a list of findings, some sections of rows, and where values were compared a grid. A finding
 * says rule, file, bytes, tensors and the cause; what to do about it stands in the table of rules. Findings
 * of one rule whose causes differ in numbers alone form a group: printed forms show a group once, with a few
 * of its findings. A row is a name with a number of things, bytes, figures and a text. Verdicts come from the
 * kinds of the findings alone:
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
#include "verify/report/grid.h"

#ifdef __cplusplus
extern "C" {
#endif

#define REPORT_FORMAT FORMAT_REPORT_JSON
enum {
	REPORT_TENSORS = 16,  /* names that a finding keeps: more are not read by anybody */
	REPORT_FIGURES = 12,  /* named numbers of a row */
	REPORT_GROUPS = 1024, /* groups of findings; a verb has some dozens of sentences */
	REPORT_EACH = 1000,   /* findings that a group keeps; the others are counted */
};

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
	uint32_t group;    /* index into groups */
};

/* Findings of one kind and rule whose causes differ in numbers alone. */
struct report_group {
	enum err_kind kind;
	const char *rule; /* as that of its findings */
	const char *like; /* the pattern of their causes */
	uint64_t n;       /* all of them, also those that are not kept */
	size_t first;     /* index of its first finding, in the order that findings have now */
	uint64_t tensors; /* summed over its findings */
	uint32_t was;     /* its place before it was sorted; of report_sort alone */
};

struct report_figure {
	const char *name; /* static */
	double value;
};

/* A section of rows: its title, and the heads of its columns for the page (NULL: the column is empty). */
struct report_section {
	const char *title; /* NULL ends the table */
	const char *name, *count, *bytes, *text;
	bool long_list; /* JSON and page have it; the text leaves it out */
	bool bars;      /* the page draws bytes as bars */
};
extern const struct report_section report_sections[];

struct report_row {
	const struct report_section *section;
	const char *name, *text; /* text may be NULL */
	uint64_t count, bytes;
	struct report_figure *figures; /* in the arena; NULL: none */
	unsigned n_figures;
};

struct report {
	const char *verb, *tool; /* static */
	const char *subject[2];  /* what was looked at, as the user called it; [1] may be NULL */
	const char *command;     /* the call, for the page; NULL: not known. In the arena */
	int64_t began;           /* seconds since 1970; 0: not known */
	double seconds;          /* that it took; negative: not known */
	struct report_finding *findings; /* owns */
	size_t n, cap;
	struct report_group *groups; /* owns; after report_sort errors first */
	size_t n_groups, groups_cap;
	uint32_t *group_at;      /* owns; hash table of groups: index + 1, 0 free */
	struct grid grid;        /* owns; empty: no values were compared */
	struct text drawn;       /* owns; HTML for the page, by the verb; empty: none */
	struct report_row *rows; /* owns; printed section by section, as the table has them */
	size_t n_rows, rows_cap;
	uint64_t errors, unknown, warnings; /* counted even where they are not kept */
	bool failed;
	struct arena arena;
};

/* tool and verb stay where they are; subjects are copied. */
void report_begin(struct report *r, const char *tool, const char *verb, const char *subject,
	const char *other);
void report_free(struct report *r);

/* For the page and JUnit. argv is copied. */
void report_call(struct report *r, int argc, char **argv, int64_t began, double seconds);

/* at may be NULL. The text says the cause in one line; strings from files in it go through text_quote.
 * The kind is the one of the rule's row. Of a group at most REPORT_EACH are kept; all are counted. */
void report_add(struct report *r, enum rule_id rule, const struct report_place *at, const char *fmt,
	...) __attribute__((format(printf, 4, 5)));
/* Takes over what e reports, and clears it. */
void report_take(struct report *r, const struct report_place *at, struct err *e);
/* The findings of a reader of checkpoints. */
void report_findings(struct report *r, const struct findings *f);
/* section is the title of a row of report_sections; text may be NULL. */
void report_row(struct report *r, const char *section, const char *name, uint64_t count,
	uint64_t bytes, const char *text);
/* A named number of the row that was added last; name is static. At most REPORT_FIGURES. */
void report_figure(struct report *r, const char *name, double value);
/* Adds to the row of that name, which is made if need be. */
void report_count(struct report *r, const char *section, const char *name, uint64_t count,
	uint64_t bytes);

/* Makes every warning an error: it is false then. */
void report_strict(struct report *r);

/* Findings by file, byte and rule, whatever threads found first. */
void report_sort(struct report *r);
const char *report_severity(enum err_kind kind);    /* "error", "warning", "unknown" */
const char *report_verdict(const struct report *r); /* "true", "false", "unknown" */
const char *
report_meaning(const struct report *r); /* what "true" means for this verb: a sentence */
const char *report_remedy(const struct report_finding *f); /* never NULL */

/* The folder below which the files of findings are named, as the user called it; NULL where they are of two folders. */
const char *report_folder(const struct report *r);

/* Sections, then findings by group, then the verdict; brief: the verdict alone. */
void report_put_text(const struct report *r, bool brief, struct text *out);
void report_put_json(const struct report *r, struct text *out);
/* 0 if all is true. Else -1 and one line that says how many findings there are, with the exit status that
 * they come to. */
int report_finish(const struct report *r, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
