/* SPDX-License-Identifier: MIT */
#include "formats/model/family.h"

#include <jansson.h>
#include <string.h>

const struct family *const families[] = { &family_v4, NULL };

int config_read_as(struct config *c, const struct config_doc *d, const struct family *const *from,
	struct err *e)
{
	const json_t *t = json_object_get(d->o, "model_type");

	memset(c, 0, sizeof *c);
	if (!json_is_string(t))
		return config_bad(e, t ? RULE_CONFIG_FIELD_TYPE : RULE_CONFIG_FIELD_MISSING,
			"model_type", t ? "is not a string" : "is missing");
	for (; *from; from++)
		if (!strcmp(json_string_value(t), (*from)->name) &&
			(!(*from)->recognise || (*from)->recognise(d)))
			break;
	if (!*from)
		return err_rule(e, RULE_CONFIG_MODEL_TYPE, ERR_NOPOS,
			"config.json: model_type is \"%s\", this program knows %s",
			text_quote(json_string_value(t)).s, families[0]->name);
	if ((*from)->config_read(c, d, e)) {
		config_free(c);
		return -1;
	}
	c->family = *from;
	return 0;
}

int config_read(struct config *c, const struct config_doc *d, struct err *e)
{
	return config_read_as(c, d, families, e);
}

const uint64_t *family_field(const struct config *c, const char *name, size_t n)
{
	const struct config_field *f = c->family->fields;
	unsigned i;

	for (i = 0; i < c->family->n_fields; i++)
		if (strlen(f[i].name) == n && !memcmp(f[i].name, name, n))
			return (const uint64_t *)(const void *)((const char *)c + f[i].at);
	return n == 2 && !memcmp(name, "NT", 2) ? &c->NT : NULL;
}
