/* SPDX-License-Identifier: MIT */
#include "formats/model/family.h"

#include "formats/json/jmember.h"
#include "formats/st/safetensors.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

const struct family *const families[] = { &family_v4, &family_v41, NULL };

/* The first of from that has models of that model_type, and recognises d, if d is not NULL; NULL: none has. */
static const struct family *find(const struct family *const *from, const char *model_type,
	const struct config_doc *d)
{
	for (; *from; from++)
		if (!strcmp((*from)->name, model_type) &&
			(!d || !(*from)->recognise || (*from)->recognise(d)))
			break;
	return *from;
}

bool family_knows(const char *model_type)
{
	return find(families, model_type, NULL);
}

bool family_type_meets(const char *model_type, enum family_need need)
{
	const struct family *f = find(families, model_type, NULL);
	const struct family_gap *g;

	for (g = f ? f->gaps : NULL; g && g->why; g++)
		if (g->need == need && !g->vision)
			return false;
	return f;
}

const struct family *family_of(const struct config_doc *d)
{
	const char *type = json_string_value(json_object_get(d->o, "model_type"));
	const struct family *f = type ? find(families, type, d) : NULL;

	return f ? f : families[0];
}

json_t *config_flat(const struct config_doc *d)
{
	const struct family *f = family_of(d);
	struct err e = { 0 };
	json_t *flat = NULL;

	if (!f->flatten)
		return json_incref(d->o);
	if (!f->flatten(&flat, d, &e))
		return flat;
	json_decref(flat);
	return e.kind == ERR_SYSTEM ? NULL : json_incref(d->o);
}

/* Whether what says key may stand in the object that is the member k. */
static bool says_in(const char *k, const json_t *x, const char *key)
{
	return json_is_object(x) &&
		(!strcmp(k, "text_config") ||
			(!strcmp(k, "quantization_config") && !strcmp(key, "expert_dtype")));
}

int config_set_again(struct text *t, const struct family *f, const char *key, const char *value,
	struct err *e)
{
	json_t *o = json_loadb(t->s, t->n, 0, NULL), *x;
	struct text in = { 0 };
	const char *k;
	bool there;
	int rc = o ? 0 : err_nomem(e);

	json_object_foreach(o, k, x)
	{
		if (!rc && !strcmp(f->canonical ? f->canonical(k) : k, key))
			rc = jmember_set(t, k, value, e);
		else if (!rc && says_in(k, x, key))
			rc = jmember_get(t, k, &in, &there, e) ||
					config_set_again(&in, f, key, value, e) ||
					jmember_set(t, k, in.s, e)
				? -1
				: 0;
	}
	text_free(&in);
	json_decref(o);
	return rc;
}

int config_set(struct text *t, const struct config_doc *d, const char *key, const char *value,
	struct err *e)
{
	const struct family *f = family_of(d);
	struct config_place at = f->place ? f->place(d, key) : (struct config_place){ NULL, key };

	return jmember_set_in(t, at.in, at.key, value, e) ? -1
							  : config_set_again(t, f, key, value, e);
}

int config_put(struct text *out, const struct config_doc *d, enum codec form, struct err *e)
{
	struct text t = { 0 };
	char value[16];
	int rc;

	snprintf(value, sizeof value, "\"%s\"", codec_expert(form));
	text_put(&t, d->raw.s, d->raw.n);
	rc = t.failed ? err_nomem(e) : config_set(&t, d, "expert_dtype", value, e);
	if (!rc)
		text_put(out, t.s, t.n);
	text_free(&t);
	return rc || !out->failed ? rc : err_nomem(e);
}

/* None of from has models of that model_type. */
static int unknown(const char *model_type, const struct family *const *from, struct err *e)
{
	struct text known = { 0 };
	int rc;

	for (; *from; from++)
		text_fmt(&known, "%s%s", known.n ? " and " : "", (*from)->name);
	rc = known.failed ? err_nomem(e)
			  : err_rule(e, RULE_CONFIG_MODEL_TYPE, ERR_NOPOS,
				    "config.json: model_type is \"%s\", this program knows %s",
				    text_quote(model_type).s, known.s ? known.s : "none");
	text_free(&known);
	return rc;
}

int config_read_as(struct config *c, const struct config_doc *d, const struct family *const *from,
	struct err *e)
{
	const json_t *t = json_object_get(d->o, "model_type");

	memset(c, 0, sizeof *c);
	if (!json_is_string(t))
		return config_bad(e, t ? RULE_CONFIG_FIELD_TYPE : RULE_CONFIG_FIELD_MISSING,
			"model_type", t ? "is not a string" : "is missing");
	c->family = find(from, json_string_value(t), d);
	if (!c->family)
		return unknown(json_string_value(t), from, e);
	if (!c->family->config_read(c, d, e))
		return 0;
	config_free(c);
	return -1;
}

int config_read(struct config *c, const struct config_doc *d, struct err *e)
{
	return config_read_as(c, d, families, e);
}

int config_read_shapes(struct config *c, const struct config_doc *d, struct err *e)
{
	const char *type = json_string_value(json_object_get(d->o, "model_type"));
	const struct family *f = type ? find(families, type, d) : NULL;
	const struct codec_form *dense = &codecs[f ? f->dense : CODEC_FP8];
	json_t *o = json_copy(d->o), *text = json_copy(json_object_get(o, "text_config")),
	       *q = json_pack("{s:s,s:[i,i]}", "quant_method", "fp8", "weight_block_size",
		       (int)dense->rows, (int)dense->cols);
	struct config_doc doc = { .o = o };
	int rc;

	json_object_del(o, "expert_dtype");
	json_object_del(text, "expert_dtype");
	json_object_del(text, "quantization_config");
	if (json_is_object(text) && json_object_set(o, "text_config", text)) {
		json_decref(o);
		doc.o = o = NULL;
	}
	rc = o && q && !json_object_set(o, "quantization_config", q) ? config_read(c, &doc, e)
								     : err_nomem(e);
	json_decref(text);
	json_decref(q);
	json_decref(o);
	return rc;
}

const uint64_t *family_field(const struct config *c, const char *name, size_t n)
{
	const struct config_field *f = c->family->fields;
	static const struct {
		const char *name;
		size_t at;
	} derived[] = { { "NT", offsetof(struct config, NT) },
		{ "EC", offsetof(struct config, EC) }, { "ER", offsetof(struct config, ER) } };
	unsigned i;

	for (i = 0; i < c->family->n_fields; i++)
		if (strlen(f[i].name) == n && !memcmp(f[i].name, name, n))
			return (const uint64_t *)(const void *)((const char *)c + f[i].at);
	for (i = 0; i < sizeof derived / sizeof *derived; i++)
		if (n == 2 && !memcmp(name, derived[i].name, n))
			return (const uint64_t *)(const void *)((const char *)c + derived[i].at);
	return NULL;
}

const struct role *family_role(const struct family *f, const char *name, bool scale)
{
	static const char experts[] = "ffn.experts.", blocks[] = "vision.blocks.";
	char key[ST_NAME_MAX + 8];
	size_t n = 0, digits;
	unsigned i;

	if (!strncmp(name, "layers.", 7) || !strncmp(name, "mtp.", 4)) {
		name = strchr(name, '.') + 1;
		digits = strspn(name, "0123456789");
		if (!digits || name[digits] != '.')
			return NULL;
		name += digits + 1;
	}
	if (strlen(name) > ST_NAME_MAX)
		return NULL;
	if (!strncmp(name, experts, sizeof experts - 1)) {
		name += sizeof experts - 1;
		name += strspn(name, "0123456789");
		n = (size_t)snprintf(key, sizeof key, "%s#", experts);
	}
	if (!strncmp(name, blocks, sizeof blocks - 1)) {
		name += sizeof blocks - 1;
		name += strspn(name, "0123456789");
		n = (size_t)snprintf(key, sizeof key, "%s@", blocks);
	}
	snprintf(key + n, sizeof key - n, "%s", name);
	n = strlen(key);
	if (scale && n > 6)
		snprintf(key + n - 5, 8, "weight");
	for (i = 0; i < f->n_roles; i++)
		if (!strcmp(f->roles[i].name, key))
			return &f->roles[i];
	return NULL;
}

enum codec family_codec(const struct family *f, const char *weight, unsigned code, unsigned scale)
{
	enum codec c = codec_of_types(code, scale);
	const struct role *r = f ? family_role(f, weight, false) : NULL;

	if (c != CODEC_FP8)
		return c;
	return r && r->store == STORE_TABLE ? CODEC_FP8_ROW : family_fp8(f);
}

int family_meets(const struct config *c, enum family_need need, struct err *e)
{
	const struct family_gap *g = c->family->gaps;

	for (; g && g->why; g++)
		if (g->need == need && (!g->vision || c->vision))
			return err_rule(e, RULE_FAMILY_GAP, ERR_NOPOS,
				"%s not available for %s%s: %s", g->what, c->family->what,
				g->vision ? " with vision" : "", g->why);
	return 0;
}
