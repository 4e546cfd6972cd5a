/* SPDX-License-Identifier: MIT */
#include "verify/doctor/quant_doc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct quant_doc_brief quant_doc_brief(const json_t *x)
{
	struct quant_doc_brief b = { "missing" };
	char *s = x ? json_dumps(x, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

	if (s)
		snprintf(b.s, sizeof b.s, "%s", s);
	free(s);
	return b;
}

void quant_doc_hold(const struct quant_doc *s, const json_t *o, const char *where, const char *key,
	json_t *want, bool optional, const char *of)
{
	const json_t *is = json_object_get(o, key);

	if (json_is_null(is))
		is = NULL;
	if (is ? !json_equal(is, want) : !optional)
		report_add(s->r, RULE_CONFIG_FIELD_TENSORS, &s->at,
			"%s: \"%s%s%s\" is %s, and the tensors of %s have %s", s->at.file, s->in,
			where, key, text_quote(quant_doc_brief(is).s).s, of,
			quant_doc_brief(want).s);
	json_decref(want);
}

bool quant_doc_has_tensor(const struct quant_doc *s, const char *part)
{
	size_t i;

	for (i = 0; i < s->f->c->n; i++)
		if (strstr(s->f->c->tensors[i].name, part))
			return true;
	return false;
}
