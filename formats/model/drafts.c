/* SPDX-License-Identifier: MIT */
#include "formats/model/drafts.h"

#include "formats/json/jmember.h"
#include "formats/model/family.h"

#include <jansson.h>
#include <string.h>

const char *const drafts_names[DRAFTS_COUNT] = {
	[DRAFTS_SAME] = "same", [DRAFTS_KEEP] = "keep", [DRAFTS_DROP] = "drop"
};

bool drafts_find(enum drafts *d, const char *word)
{
	unsigned i;

	for (i = 0; i < DRAFTS_COUNT && strcmp(drafts_names[i], word) != 0; i++)
		;
	if (i < DRAFTS_COUNT)
		*d = (enum drafts)i;
	return i < DRAFTS_COUNT;
}

bool drafts_own(const char *tensor)
{
	return !strncmp(tensor, "mtp.", 4);
}

void drafts_take_out(struct config *c)
{
	c->stages = 0;
	c->n_mtp = 0;
	c->spark = false;
	c->NT = 0;
	c->MR = 0;
}

/* What the member of that name becomes without drafts, by the spelling of the family; false: it stays as it is. *value NULL: it goes. */
static bool without(const char *key, const json_t *x, const struct config *c, const char *ratios,
	const char **value)
{
	static const char drafter[] = "dspark_";
	const char *as = c->family && c->family->canonical ? c->family->canonical(key) : key;
	bool spark = !strncmp(as, drafter, sizeof drafter - 1);

	*value = spark ? NULL : !strcmp(as, "compress_ratios") ? ratios : "0";
	return spark || (!strcmp(as, "compress_ratios") && json_array_size(x) > c->L) ||
		(!strcmp(as, "num_nextn_predict_layers") && json_integer_value(x) != 0);
}

/* The members of the object *t. */
static int take_out_of(struct text *t, const struct config *c, const char *ratios, struct err *e)
{
	json_t *o = json_loadb(t->s, t->n, 0, NULL), *x;
	const char *key, *value;
	int rc = o ? 0 : err_nomem(e);

	json_object_foreach(o, key, x) if (!rc && without(key, x, c, ratios, &value)) rc =
		jmember_set(t, key, value, e);
	json_decref(o);
	return rc;
}

/* Whoever reads the file takes what stands at the top or in text_config: both say the same. */
int drafts_config(struct text *t, const struct config *c, struct err *e)
{
	struct text ratios = { 0 }, nested = { 0 };
	bool there = false;
	uint64_t i;
	int rc;

	for (i = 0; i < c->L; i++)
		text_fmt(&ratios, "%s%llu", i ? ", " : "[", (unsigned long long)c->ratio[i]);
	text_str(&ratios, "]");
	rc = ratios.failed ? err_nomem(e) : jmember_get(t, "text_config", &nested, &there, e);
	if (!rc && there && nested.s[0] == '{')
		rc = take_out_of(&nested, c, ratios.s, e) ||
				jmember_set(t, "text_config", nested.s, e)
			? -1
			: 0;
	rc = rc ? rc : take_out_of(t, c, ratios.s, e);
	text_free(&nested);
	text_free(&ratios);
	return rc;
}
