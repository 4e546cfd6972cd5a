/* SPDX-License-Identifier: MIT */
#include "formats/error_json.h"

#include "formats/format_id.h"
#include "formats/json/jwrite.h"

void error_json_put(struct text *out, const char *tool, const char *verb, const struct err *e)
{
	static const char *const kind[] = { "none", "data", "mismatch", "unsupported", "usage",
		"system", "again" };
	int status = err_exit_code(e);
	struct jwrite o;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_open(&o, "error", '{');
	if (e->rule && e->pos != ERR_NOPOS)
		jwrite_u64(&o, "byte", e->pos);
	else
		jwrite_null(&o, "byte");
	jwrite_str(&o, "kind", kind[e->kind]);
	if (e->rule)
		jwrite_str(&o, "rule", e->rule);
	else
		jwrite_null(&o, "rule");
	jwrite_str(&o, "text", e->text);
	jwrite_close(&o, '}');
	jwrite_u64(&o, "exit", (uint64_t)status);
	jwrite_str(&o, "format", FORMAT_ERROR_JSON);
	if (status == 1)
		jwrite_bool(&o, "ok", false);
	else
		jwrite_null(&o, "ok");
	jwrite_str(&o, "tool", tool);
	if (verb)
		jwrite_str(&o, "verb", verb);
	else
		jwrite_null(&o, "verb");
	jwrite_close(&o, '}');
}
