/* SPDX-License-Identifier: MIT */
#include "verify/compare/mix_said.h"

#include "formats/gguf/gguf_set.h"
#include "formats/model/family.h"
#include "formats/model/gguf_name.h"
#include "formats/model/recipes.h"
#include "quant/preset.h"
#include "verify/compare/mix_type.h"

#include <jansson.h>
#include <string.h>

static int wrong(struct err *e, const struct manifest *m, const char *key, const char *is,
	const char *want, const char *why)
{
	return err_rule(e, RULE_COMPARE_COUNTS, ERR_NOPOS,
		"its option %s is %s and not \"%s\": %s %s", key, text_quote(is).s, want,
		text_quote(m->target).s, why);
}

/* Whether the lines of `own` end with those of a name, alone or behind a line "then". Both begin with the same line. */
static bool ends_with(const struct text *own, const struct text *name)
{
	static const char then[] = "\nthen\n";
	const char *lines = strchr(name->s, '\n') + 1;
	size_t n = strlen(lines), before = sizeof then - 1;

	if (!strcmp(own->s, name->s))
		return true;
	return own->n > n + before && !strcmp(own->s + own->n - n, lines) &&
		!memcmp(own->s + own->n - n - before, then, before);
}

/* A target that is a name has the lines of that name. */
static int hold_name(const struct mix *mix, const struct config *c, const struct recipe *r,
	struct err *e)
{
	const char *text = preset_text(r->name);
	struct mix named = { 0 };
	int rc = 0;

	if (!text || mix_read(&named, text, strlen(text), r->name, c, e))
		return -1;
	if (!mix->n || !ends_with(&mix->text, &named.text))
		rc = err_rule(e, RULE_COMPARE_COUNTS, ERR_NOPOS,
			"its target is %s, and its recipe does not have the lines of that name",
			r->name);
	mix_free(&named);
	return rc;
}

/* The word that an option is, or what stands there in its place. */
static const char *word_of(const json_t *options, const char *key)
{
	const json_t *v = json_object_get(options, key);

	return !v ? "missing" : json_is_string(v) ? json_string_value(v) : "no string";
}

static int hold_options(const struct manifest *m, const struct mix *mix, const struct recipe *r,
	const json_t *o, struct err *e)
{
	const char *lossy = word_of(o, "lossy"), *dense = word_of(o, "dense");
	bool gguf = r && r->container == CONTAINER_GGUF,
	     there = json_object_get(o, "lossy") != NULL;

	if (mix->n && strcmp(lossy, "yes") != 0)
		return wrong(e, m, "lossy", lossy, "yes", "was made by a recipe, which rounds");
	if (r && r->rounds && strcmp(lossy, "yes") != 0)
		return wrong(e, m, "lossy", lossy, "yes", "is a name that rounds");
	if (m->inexact && strcmp(lossy, "yes") != 0)
		return wrong(e, m, "lossy", lossy, "yes", "has blocks that were rounded");
	if (gguf && !mix->n && there && strcmp(lossy, "no") != 0)
		return wrong(e, m, "lossy", lossy, "no", "was made without a recipe");
	if (mix->n && strcmp(dense, gguf_dense_names[GGUF_DENSE_BF16]) != 0)
		return wrong(e, m, "dense", dense, gguf_dense_names[GGUF_DENSE_BF16],
			"has the types that a recipe says");
	return 0;
}

int mix_said_check(const struct manifest *m, const struct mix *mix, const struct config *c,
	struct err *e)
{
	const struct recipe *r = recipe_find(m->target);
	json_t *o;
	bool gguf = false;
	size_t i;
	int rc;

	for (i = 0; i < m->files.n; i++)
		gguf = gguf || gguf_named(m->files.v[i].name);
	if ((gguf || mix->n) && (!r || r->container != CONTAINER_GGUF))
		return err_rule(e, RULE_COMPARE_COUNTS, ERR_NOPOS,
			"its target is %s, which makes no GGUF", text_quote(m->target).s);
	if (r && r->mix && hold_name(mix, c, r, e))
		return -1;
	o = json_loads(m->options ? m->options : "{}", 0, NULL);
	rc = o ? hold_options(m, mix, r, o, e) : err_nomem(e);
	json_decref(o);
	return rc;
}

int mix_said_dense(const struct manifest *m, const struct sidecar *s, const struct config *c,
	struct err *e)
{
	json_t *o = json_loads(m->options ? m->options : "{}", 0, NULL);
	const char *said = json_string_value(json_object_get(o, "dense"));
	const struct sidecar_tensor *t;
	unsigned dense = 0;
	uint32_t want;
	int rc = 0;

	while (said && dense < GGUF_DENSE_COUNT && strcmp(gguf_dense_names[dense], said) != 0)
		dense++;
	if (dense == GGUF_DENSE_COUNT)
		rc = err_rule(e, RULE_COMPARE_COUNTS, ERR_NOPOS,
			"its option dense is %s, which no --dense is", text_quote(said).s);
	for (t = s->tensors; !rc && said && t < s->tensors + s->n; t++) {
		const struct role *r =
			t->n ? family_role(c->family, s->sources[t->first].tensor, false) : NULL;

		if (!r || r->store != STORE_DENSE)
			continue;
		want = gguf_type_of(&(struct want){ .role = r, .rank = 2 },
			(struct model_forms){ 0 }, (enum gguf_dense)dense);
		if (mix_type_of(t) != want)
			rc = err_rule(e, RULE_COMPARE_COUNTS, ERR_NOPOS,
				"its option dense is \"%s\", and tensor %s is of type %s",
				gguf_dense_names[dense], text_quote(t->name).s,
				ggml_type_name(mix_type_of(t)));
	}
	json_decref(o);
	return rc;
}
