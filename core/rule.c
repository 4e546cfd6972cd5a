/* SPDX-License-Identifier: MIT */
#include "core/rule.h"

#include <stddef.h>
#include <string.h>

#define RULE(name, id, kind, text, remedy, test) { id, kind, text, remedy },
const struct rule rules[] = {
#include "core/rule.def"
	{ NULL, ERR_NONE, NULL, NULL },
};

const struct rule *rule_broken(enum rule_id id)
{
	return &rules[id];
}

const struct rule *rule_find(const char *id)
{
	const struct rule *r;

	if (!id)
		return NULL;
	for (r = rules; r->id; r++)
		if (!strcmp(r->id, id))
			return r;
	return NULL;
}
