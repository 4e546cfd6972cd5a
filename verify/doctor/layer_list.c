/* SPDX-License-Identifier: MIT */
#include "verify/doctor/layer_list.h"

#include "verify/doctor/module_pattern.h"

#include <stdio.h>
#include <string.h>

/* Tells where the experts of n blocks, which are NVFP4, are not all in the list. */
static void lists_experts(const struct quant_doc *s, const json_t *all, const char *kind,
	uint64_t n)
{
	uint64_t lacks = 0, i;
	char name[64], first[64] = "";

	for (i = 0; i < n; i++) {
		snprintf(name, sizeof name, "%s.%llu.ffn.experts", kind, (unsigned long long)i);
		if (!json_object_get(all, name) && !lacks++)
			memcpy(first, name, sizeof first);
	}
	if (lacks)
		report_add(s->r, RULE_CONFIG_QUANT_EXCLUDED, &s->at,
			"%s: \"%squantized_layers\" leaves out the experts of %llu blocks, which are NVFP4; the first are %s",
			s->at.file, s->in, (unsigned long long)lacks, first);
}

/* Returns the first tensor of the model whose name begins so; v->n: there is none. */
static size_t first_of(const struct inventory *v, const char *begin)
{
	size_t low = 0, high = v->n, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (strcmp(v->wants[mid].name, begin) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < v->n && !strncmp(v->wants[low].name, begin, strlen(begin)) ? low : v->n;
}

/* Whether the algorithm of an entry is what a matrix in that format has. */
static bool is_algo(const char *algo, enum codec c)
{
	switch (c) {
	case CODEC_NVFP4:
		return !strcmp(algo, "NVFP4");
	case CODEC_FP8:
	case CODEC_FP8_F32:
		return !strncmp(algo, "FP8", 3);
	case CODEC_MXFP4:
		return !strcmp(algo, "MXFP4");
	default:
		return false;
	}
}

/* Judges an entry, which is a module of the model or holds some: its algorithm has to be that of the matrices. A matrix lies in
 * few modules, and each is an entry at most twice, which bounds the time. */
static void judge_entry(const struct quant_doc *s, const char *key, const json_t *o)
{
	const char *algo = json_string_value(json_object_get(o, "quant_algo"));
	const struct inventory *v = &s->f->inv;
	char begin[ST_NAME_MAX + 2], module[ST_NAME_MAX + 1];
	size_t i;

	snprintf(begin, sizeof begin, "%.*s.", ST_NAME_MAX,
		strncmp(key, "model.", 6) ? key : key + 6);
	i = first_of(v, begin);
	if (i == v->n)
		report_add(s->r, RULE_CONFIG_QUANT_UNMATCHED, &s->at,
			"%s: \"%squantized_layers\" has %s, which the model has not", s->at.file,
			s->in, text_quote(key).s);
	for (; i < v->n; i++) {
		const struct want *w = &v->wants[i];
		enum codec c;

		if (strncmp(w->name, begin, strlen(begin)) != 0)
			return;
		if (!formed_module(w, module, sizeof module)) {
			if (strcmp(w->name + strlen(begin), "weight") != 0 || w->scale)
				continue;
			snprintf(module, sizeof module, "%.*s", (int)(strlen(begin) - 1), begin);
		}
		c = formed_matrix(s->f->c, module, w->dim[0], w->dim[1]);
		if ((c == CODEC_NONE && w->optional) || (algo && is_algo(algo, c)))
			continue;
		report_add(s->r, RULE_CONFIG_FIELD_TENSORS, &s->at,
			"%s: \"%squantized_layers\" has %s as %s, and its %s is %s", s->at.file,
			s->in, text_quote(key).s, text_quote(algo ? algo : "nothing").s, module,
			c == CODEC_NONE ? "not quantized" : codecs[c].name);
		return;
	}
}

/* Returns whether key is the name that ModelOpt has for the experts of a block of this model. *draft then says whether the
 * block is a stage. */
static bool names_experts(const struct config *c, const char *key, bool *draft)
{
	unsigned long long n;
	char kind[8], name[64];

	if (sscanf(key, "%7[a-z].%llu.", kind, &n) != 2)
		return false;
	snprintf(name, sizeof name, "%s.%llu.ffn.experts", kind, n);
	*draft = !strcmp(kind, "mtp");
	return !strcmp(name, key) && n < (*draft ? c->stages : c->L) &&
		(*draft || !strcmp(kind, "layers"));
}

bool layer_list_judge(const struct quant_doc *s, const char *list)
{
	struct module_patterns out;
	json_t *all = json_object_get(s->q, "quantized_layers"), *o;
	const struct formed *f = s->f;
	char in[96];
	const char *key;
	bool draft;

	if (!all || json_is_null(all) || f->form[FORMED_EXPERTS] != CODEC_NVFP4)
		return true;
	if (!module_patterns_read(&out, json_object_get(s->q, list), true))
		return false;
	lists_experts(s, all, "layers", f->config.L);
	if (f->form[FORMED_DRAFTS] == CODEC_NVFP4)
		lists_experts(s, all, "mtp", f->config.stages);
	json_object_foreach(all, key, o)
	{
		if (!names_experts(&f->config, key, &draft)) {
			judge_entry(s, key, o);
			continue;
		}
		if (draft && f->form[FORMED_DRAFTS] != CODEC_NVFP4) {
			if (!module_patterns_match(&out, key))
				judge_entry(s, key, o);
			continue;
		}
		snprintf(in, sizeof in, "quantized_layers.%.40s.", key);
		quant_doc_hold(s, o, in, "quant_algo", json_string("NVFP4"), false, "its experts");
		quant_doc_hold(s, o, in, "group_size", json_integer(codecs[CODEC_NVFP4].cols), true,
			"its experts");
	}
	module_patterns_free(&out);
	return true;
}
