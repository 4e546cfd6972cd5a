/* SPDX-License-Identifier: MIT */
#include "verify/doctor/gguf_doctor.h"

#include "core/text.h"
#include "formats/gguf/ggml_type.h"
#include "formats/model/gguf_config.h"
#include "formats/model/gguf_folder.h"
#include "formats/model/params.h"
#include "quant/gguf_model.h"
#include "verify/doctor/gguf_values.h"

#include <stdio.h>
#include <string.h>

struct examined {
	const struct folder *at;
	const struct doctor_opts *o;
	const struct consumer *who;
	bool llama; /* who is llama.cpp */
	struct report *r;
	const struct gguf_in *x; /* the set at hand */
	struct err *e;
};

static struct report_place here(const struct examined *d)
{
	return (struct report_place){ .file = d->x->name };
}

/* --- the model --- */

/* Findings about the config.json that the keys were read as speak of the keys. */
static void tell(const struct examined *d, const struct findings *f)
{
	static const char name[] = "config.json";
	char text[700];
	size_t i;

	for (i = 0; i < f->n; i++) {
		struct finding v = f->v[i];
		const char *at = strstr(v.text, name);

		if (v.file && !strcmp(v.file, name))
			v.file = d->x->name;
		if (at) {
			snprintf(text, sizeof text, "%.*sits keys, as config.json%s",
				(int)(at - v.text), v.text, at + sizeof name - 1);
			v.text = text;
		}
		report_findings(d->r, &(struct findings){ .v = &v, .n = 1, .total = 1 });
	}
}

/* Keys and tensors against each other, and the numbers that decide what is computed. */
static int model(const struct examined *d)
{
	const struct report_place at = here(d);
	struct findings f = { 0 };
	struct gguf_model m;
	struct params p;
	struct ckpt c;
	struct err why = { 0 };
	int rc = 0;

	if (gguf_model_open(&m, &c, d->at->io, d->at->dir, d->x->name,
		    d->x->is == GGUF_IS_MTP ? GGUF_OF_MTP : GGUF_OF_MODEL, &f, &why)) {
		if (why.kind == ERR_SYSTEM)
			rc = err_move(d->e, &why);
		else
			report_take(d->r, &at, &why);
		finding_free(&f);
		return rc;
	}
	if (!f.total) /* else they were missed already */
		rc = params_read(&p, &c.doc, &f, d->e);
	if (!rc) {
		tell(d, &f);
		report_count(d->r, "looked at", "tensors by the keys", c.n, 0);
	}
	if (!rc && d->llama && c.config.family && c.config.hd == c.config.IHD)
		report_add(d->r, RULE_ENGINE_SHAPE, &at,
			"head_dim and index_head_dim are both %llu: llama.cpp divides by zero where they are equal",
			(unsigned long long)c.config.hd);
	gguf_model_close(&m, &c);
	finding_free(&f);
	return rc;
}

/* --- the tokenizer --- */

static const struct gguf_entry *text_of(const struct examined *d, const char *key)
{
	const struct gguf_entry *x = gguf_meta_find(&d->x->meta, key);

	return x && x->type == GGUF_STRING ? x : NULL;
}

/* Without a name of the way to cut text, or with another, an engine makes other tokens of the same text. */
static void tokenizer(const struct examined *d)
{
	const struct gguf_entry *model = text_of(d, "tokenizer.ggml.model"),
				*pre = text_of(d, "tokenizer.ggml.pre"),
				*tokens = gguf_meta_find(&d->x->meta, "tokenizer.ggml.tokens"),
				*vocab = gguf_config_entry(&d->x->meta, "vocab_size");
	const struct report_place at = here(d);

	if (!model || !strcmp(model->text, "none")) {
		report_add(d->r, RULE_ENGINE_SETTING, &at,
			"there is no tokenizer in it: tokens have to be given as numbers");
		return;
	}
	if (!pre || !strcmp(pre->text, "default"))
		report_add(d->r, RULE_GGUF_KEYS, &at,
			"key tokenizer.ggml.pre is missing, or default: llama.cpp cuts text in its default way, and makes other tokens of it");
	else if (strcmp(pre->text, "joyai-llm") != 0)
		report_add(d->r, RULE_SUSPECT_TOKENIZER, &at,
			"key tokenizer.ggml.pre is \"%.40s\": llama.cpp's converter names joyai-llm for this model, and another name may cut text in another way",
			text_quote(pre->text).s);
	if (!tokens || tokens->type != GGUF_ARRAY || tokens->item != GGUF_STRING)
		report_add(d->r, RULE_GGUF_KEYS, &at,
			"key tokenizer.ggml.tokens is no array of strings");
	else if (gguf_entry_number(vocab) && vocab->number != (double)tokens->count)
		report_add(d->r, RULE_GGUF_KEYS, &at,
			"key tokenizer.ggml.tokens has %llu tokens, the vocabulary %.0f",
			(unsigned long long)tokens->count, vocab->number);
}

/* --- types --- */

/* llama.cpp's graph of this model takes no factor beside experts in NVFP4. */
static void factors(const struct examined *d)
{
	uint64_t n = 0;
	size_t i, k;

	for (i = 0; i < d->x->set.n; i++)
		for (k = 0; k < d->x->set.parts[i].file.n; k++) {
			const struct gguf_tensor *t = &d->x->set.parts[i].file.tensors[k];

			n += t->type == GGML_NVFP4 && text_ends(t->name, "_exps.weight");
		}
	if (n)
		report_add(d->r, RULE_ENGINE_FORM, &(struct report_place){ .file = d->x->name },
			"%llu tensors of experts are in NVFP4: llama.cpp's graph of this model takes no factor for each expert, and would multiply by nothing",
			(unsigned long long)n);
}

/* --- drafts --- */

static const char *type_name(uint32_t type)
{
	return type == UINT32_MAX ? "none" : ggml_type_name(type);
}

/* Drafts in another type than the layers halve the speed that they are there for, or cost memory for nothing. */
static void drafts(const struct examined *d, const struct gguf_folder *g)
{
	const struct gguf_in *model = gguf_folder_find(g, GGUF_IS_MODEL), *x;
	static const enum gguf_is of[] = { GGUF_IS_MTP, GGUF_IS_DSPARK };
	uint32_t a, b;
	size_t i;

	for (i = 0; model && i < 2; i++) {
		x = gguf_folder_find(g, of[i]);
		a = gguf_in_experts(model);
		b = x ? gguf_in_experts(x) : a;
		if (a != b)
			report_add(d->r, RULE_FORM_DRAFTS,
				&(struct report_place){ .file = x->name },
				"routed experts of drafts are %s, those of layers %s", type_name(b),
				type_name(a));
	}
}

/* --- */

static int examine(struct examined *d)
{
	const struct report_place at = here(d);

	if (d->x->is == GGUF_IS_OTHER)
		report_add(d->r, RULE_KIND_GGUF, &at,
			"general.architecture is \"%s\": what it must hold is not known",
			text_quote(gguf_config_arch(&d->x->meta)).s);
	else if (d->x->is != GGUF_IS_DSPARK ? model(d) : 0)
		return -1;
	else if (d->x->is == GGUF_IS_DSPARK)
		report_row(d->r, "not looked at", d->x->name, d->x->set.tensors, 0,
			"whether all tensors of this draft are there");
	tokenizer(d);
	if (d->llama)
		factors(d);
	report_count(d->r, "looked at", "tensors", d->x->set.tensors, 0);
	return gguf_values_look(d->r, d->at, d->x, d->o->full, d->o->features, d->e);
}

int gguf_doctor_run(struct report *r, const struct folder *at, const struct doctor_opts *o,
	const struct consumer *who, struct err *e)
{
	struct examined d = { .at = at, .o = o, .who = who, .r = r, .e = e };
	struct gguf_folder g;
	size_t i;
	int rc = gguf_folder_read(&g, at->io, at->dir, at->gguf, e);

	if (rc)
		return -1;
	if (o->fix_config)
		report_row(r, "config.json", "not written", 0, 0,
			"a GGUF has keys in its place: doctor says what is wrong and corrects nothing");
	if (o->fix_index)
		report_row(r, "index", "not written", 0, 0, "a GGUF has none");
	d.llama = who && !strcmp(who->name, "llama.cpp");
	if (who && !d.llama)
		report_add(r, RULE_ENGINE_FORM, NULL, "%s does not load GGUF", who->name);
	for (i = 0; !rc && i < g.n; i++) {
		d.x = &g.v[i];
		if (g.v[i].err.kind == ERR_NONE)
			rc = examine(&d);
		else
			report_take(r, &(struct report_place){ .file = g.v[i].name }, &g.v[i].err);
	}
	if (!rc)
		drafts(&d, &g);
	gguf_folder_free(&g);
	return rc;
}
