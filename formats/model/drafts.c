/* SPDX-License-Identifier: MIT */
#include "formats/model/drafts.h"

#include "formats/json/jmember.h"

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

/* The members of a DSpark drafter: dspark_block_size and so on. */
static int take_spark_out(struct text *t, struct err *e)
{
	static const char start[] = "dspark_";
	json_t *o = json_loadb(t->s, t->n, 0, NULL), *x;
	const char *key;
	int rc = o ? 0 : err_nomem(e);

	json_object_foreach(o, key, x) if (!rc && !strncmp(key, start, sizeof start - 1)) rc =
		jmember_set(t, key, NULL, e);
	json_decref(o);
	return rc;
}

int drafts_config(struct text *t, const struct config *c, struct err *e)
{
	struct text ratios = { 0 };
	json_t *o = json_loadb(t->s, t->n, 0, NULL);
	bool any = json_array_size(json_object_get(o, "compress_ratios")) > c->L;
	uint64_t i;
	int rc;

	json_decref(o);
	if (!any) /* of a model without drafts nothing has to be changed */
		return 0;
	for (i = 0; i < c->L; i++)
		text_fmt(&ratios, "%s%llu", i ? ", " : "[", (unsigned long long)c->ratio[i]);
	text_str(&ratios, "]");
	rc = ratios.failed ? err_nomem(e) : jmember_set(t, "compress_ratios", ratios.s, e);
	rc = rc ? rc : jmember_set(t, "num_nextn_predict_layers", "0", e);
	rc = rc ? rc : take_spark_out(t, e);
	text_free(&ratios);
	return rc;
}
