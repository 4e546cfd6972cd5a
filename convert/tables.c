/* SPDX-License-Identifier: MIT */
#include "convert/tables.h"

#include "formats/jwrite.h"
#include "formats/model.h"
#include "formats/rule.h"

static const char *const kind_name[] = { [ERR_DATA] = "data",
	[ERR_MISMATCH] = "mismatch",
	[ERR_UNSUPPORTED] = "unsupported",
	[ERR_USAGE] = "usage",
	[ERR_SYSTEM] = "system" };
static const char *const split_name[] = { [SPLIT_NONE] = "-",
	[SPLIT_ROWS] = "rows",
	[SPLIT_COLS] = "columns",
	[SPLIT_EXPERTS] = "experts" };

static int exit_of(const struct rule *r)
{
	return err_exit_code(&(struct err){ .kind = r->kind });
}

static const char *storage_of(const struct role *r)
{
	return r->store == STORE_PLAIN  ? dtypes[r->dtype].name
		: r->store == STORE_FP8 ? "FP8"
					: "expert";
}

void tables_rules_text(struct text *out)
{
	const struct rule *r;

	text_fmt(out, "%-28s %-4s %-12s %s\n", "rule", "exit", "kind", "meaning");
	for (r = rules; r->id; r++)
		text_fmt(out, "%-28s %-4d %-12s %s\n", r->id, exit_of(r), kind_name[r->kind],
			r->text);
}

void tables_rules_json(struct text *out)
{
	const struct rule *r;
	struct jwrite o;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "format", "dsv4-rules-1");
	jwrite_open(&o, "rules", '[');
	for (r = rules; r->id; r++) {
		jwrite_open(&o, NULL, '{');
		jwrite_u64(&o, "exit", (uint64_t)exit_of(r));
		jwrite_str(&o, "id", r->id);
		jwrite_str(&o, "kind", kind_name[r->kind]);
		jwrite_str(&o, "meaning", r->text);
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, ']');
	jwrite_close(&o, '}');
}

void tables_roles_text(struct text *out)
{
	const struct role *r;

	text_fmt(out, "%-38s %-7s %-22s %-8s %s\n", "name", "storage", "shape", "split", "meaning");
	for (r = roles; r < roles + n_roles; r++)
		text_fmt(out, "%-38s %-7s %-22s %-8s %s\n", r->name, storage_of(r), r->shape,
			split_name[r->split], r->what);
}

void tables_roles_json(struct text *out)
{
	const struct role *r;
	struct jwrite o;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "format", "dsv4-roles-1");
	jwrite_open(&o, "roles", '[');
	for (r = roles; r < roles + n_roles; r++) {
		jwrite_open(&o, NULL, '{');
		jwrite_str(&o, "meaning", r->what);
		jwrite_str(&o, "name", r->name);
		jwrite_str(&o, "shape", r->shape);
		jwrite_str(&o, "split", split_name[r->split]);
		jwrite_str(&o, "storage", storage_of(r));
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, ']');
	jwrite_close(&o, '}');
}
