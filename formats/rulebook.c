/* SPDX-License-Identifier: MIT */
#include "formats/rulebook.h"

#include "core/err.h"
#include "formats/format_id.h"
#include "formats/json/jwrite.h"

#include <stddef.h>
#include <string.h>

static const char *const kind_name[] = { [ERR_NONE] = "warning",
	[ERR_DATA] = "data",
	[ERR_MISMATCH] = "mismatch",
	[ERR_UNSUPPORTED] = "unsupported",
	[ERR_USAGE] = "usage",
	[ERR_SYSTEM] = "system",
	[ERR_AGAIN] = "again" };

static int exit_of(const struct rule *r)
{
	return err_exit_code(&(struct err){ .kind = r->kind });
}

void rule_put_text(struct text *out)
{
	const struct rule *r;

	text_fmt(out, "%-28s %-4s %-12s %s\n", "rule", "exit", "kind", "meaning -> remedy");
	for (r = rules; r->id; r++)
		text_fmt(out, "%-28s %-4d %-12s %s\n%-46s -> %s\n", r->id, exit_of(r),
			kind_name[r->kind], r->text, "", r->remedy);
}

void rule_put_json(struct text *out)
{
	const struct rule *r;
	struct jwrite o;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "format", FORMAT_RULES_JSON);
	jwrite_open(&o, "rules", '[');
	for (r = rules; r->id; r++) {
		jwrite_open(&o, NULL, '{');
		jwrite_u64(&o, "exit", (uint64_t)exit_of(r));
		jwrite_str(&o, "id", r->id);
		jwrite_str(&o, "kind", kind_name[r->kind]);
		jwrite_str(&o, "meaning", r->text);
		jwrite_str(&o, "remedy", r->remedy);
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, ']');
	jwrite_close(&o, '}');
}
