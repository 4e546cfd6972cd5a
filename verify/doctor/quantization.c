/* SPDX-License-Identifier: MIT */
#include "verify/doctor/quantization.h"

#include "verify/doctor/module_pattern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HF_QUANT "hf_quant_config.json"

/* What is said, of which file, and by whose rules. */
struct said {
	const struct formed *f;
	struct report *r;
	struct report_place at;
	const char *in;  /* before members, for messages */
	const json_t *q; /* the object with the members */
	bool compressed; /* compressed-tensors; else ModelOpt */
	bool experts_only; /* lists speak of routed experts alone: the others are FP8 by another member */
};

/* --- members --- */

/* JSON on one line, at most so many bytes of it. */
struct brief {
	char s[64];
};

static struct brief brief(const json_t *x)
{
	struct brief b = { "missing" };
	char *s = x ? json_dumps(x, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

	if (s)
		snprintf(b.s, sizeof b.s, "%s", s);
	free(s);
	return b;
}

/* The member where.key of o is want, which is taken over; optional: or is not there. */
static void hold(const struct said *s, const json_t *o, const char *where, const char *key,
	json_t *want, bool optional, const char *of)
{
	const json_t *is = json_object_get(o, key);

	if (json_is_null(is))
		is = NULL;
	if (is ? !json_equal(is, want) : !optional)
		report_add(s->r, RULE_CONFIG_FIELD_TENSORS, &s->at,
			"%s: \"%s%s%s\" is %s, and the tensors of %s have %s", s->at.file, s->in,
			where, key, text_quote(brief(is).s).s, of, brief(want).s);
	json_decref(want);
}

/* What each format is called in arguments of weights. */
static const struct {
	enum codec form;
	const char *strategy, *scale_dtype, *format;
} words[] = {
	{ CODEC_NVFP4, NULL, NULL, NULL },
	{ CODEC_NVFP4_CT, "tensor_group", "torch.float8_e4m3fn", "nvfp4-pack-quantized" },
	{ CODEC_MXFP4_CT, "group", "torch.uint8", "mxfp4-pack-quantized" },
	{ CODEC_MXFP8, "group", "torch.uint8", "mxfp8-quantized" },
	{ CODEC_FP8_CT, "block", NULL, "float-quantized" },
};

/* Whether a tensor has part in its name. */
static bool has_named(const struct said *s, const char *part)
{
	size_t i;

	for (i = 0; i < s->f->c->n; i++)
		if (strstr(s->f->c->tensors[i].name, part))
			return true;
	return false;
}

/* Arguments of what a group multiplies its weights with: floating-point of 8 bits, or of 4 beside weights of 4, with scales
 * that are found while the model runs or that are stored. Null and a missing member mean that it is not quantized. */
static void hold_activations(const struct said *s, const json_t *group, const char *name,
	enum codec c)
{
	const json_t *a = json_object_get(group, "input_activations"),
		     *bits = json_object_get(a, "num_bits");
	const char *of = codecs[c].name;
	json_int_t n = json_integer_value(bits);
	char in[96];

	if (!a || json_is_null(a))
		return;
	snprintf(in, sizeof in, "config_groups.%.40s.", name);
	if (!json_is_object(a)) {
		hold(s, group, in, "input_activations", json_object(), false, of);
		return;
	}
	snprintf(in, sizeof in, "config_groups.%.40s.input_activations.", name);
	if (n != 8 && (n != 4 || codecs[c].bits != 4))
		hold(s, a, in, "num_bits", json_integer(codecs[c].bits), false, of);
	hold(s, a, in, "type", json_string("float"), false, of);
	hold(s, a, in, "symmetric", json_true(), true, of);
	if (!json_is_true(json_object_get(a, "dynamic")) && !has_named(s, ".input_scale") &&
		!has_named(s, ".input_global_scale"))
		hold(s, a, in, "dynamic", json_true(), false, of);
}

/* Arguments of the weights of a group, whose matrices are in that format. */
static void hold_weights(const struct said *s, const json_t *group, const char *name, enum codec c)
{
	const json_t *w = json_object_get(group, "weights");
	const struct codec_form *f = &codecs[c];
	char in[96];
	size_t i;

	snprintf(in, sizeof in, "config_groups.%.40s.weights.", name);
	for (i = 0; i < sizeof words / sizeof *words && words[i].form != c; i++)
		;
	if (i == sizeof words / sizeof *words)
		return;
	hold(s, w, in, "num_bits", json_integer(f->bits), false, f->name);
	hold(s, w, in, "type", json_string("float"), false, f->name);
	hold(s, w, in, "symmetric", json_true(), true, f->name);
	hold(s, w, in, "dynamic", json_false(), true, f->name);
	hold_activations(s, group, name, c);
	if (f->rows == 1)
		hold(s, w, in, "group_size", json_integer(f->cols), false, f->name);
	else
		hold(s, w, in, "block_structure", json_pack("[i,i]", (int)f->rows, (int)f->cols),
			false, f->name);
	if (words[i].strategy)
		hold(s, w, in, "strategy", json_string(words[i].strategy), f->rows == 1, f->name);
	if (words[i].scale_dtype)
		hold(s, w, in, "scale_dtype", json_string(words[i].scale_dtype), true, f->name);
	if (words[i].format && json_object_get(group, "format")) {
		snprintf(in, sizeof in, "config_groups.%.40s.", name);
		hold(s, group, in, "format", json_string(words[i].format), true, f->name);
	}
}

/* --- modules --- */

/* The group of a module: its number in the object, -1 none. */
struct groups {
	const char **name;               /* owns; [n] of the JSON */
	const json_t **o;                /* owns; [n] */
	struct module_patterns *targets; /* owns; [n] */
	uint64_t *matched;               /* owns; [n] quantized modules */
	enum codec *form;                /* owns; [n] of the first of these */
	size_t n;
	bool unknown;
};

static void groups_free(struct groups *g)
{
	size_t i;

	for (i = 0; g->targets && i < g->n; i++)
		module_patterns_free(&g->targets[i]);
	free(g->name);
	free(g->o);
	free(g->targets);
	free(g->matched);
	free(g->form);
}

static bool groups_read(struct groups *g, const struct said *s)
{
	json_t *all = json_object_get(s->q, "config_groups"), *o;
	size_t room = json_object_size(all) + 1;
	const char *key;

	*g = (struct groups){ .name = calloc(room, sizeof *g->name),
		.o = calloc(room, sizeof *g->o),
		.targets = calloc(room, sizeof *g->targets),
		.matched = calloc(room, sizeof *g->matched),
		.form = calloc(room, sizeof *g->form) };
	if (!g->name || !g->o || !g->targets || !g->matched || !g->form)
		return false;
	json_object_foreach(all, key, o)
	{
		g->name[g->n] = key;
		g->o[g->n] = o;
		if (!module_patterns_read(&g->targets[g->n], json_object_get(o, "targets"), false))
			return false;
		g->unknown = g->unknown || g->targets[g->n].unknown;
		g->n++;
	}
	return true;
}

static long group_of(const struct groups *g, const char *module)
{
	size_t i;

	for (i = 0; i < g->n; i++)
		if (module_patterns_match(&g->targets[i], module))
			return (long)i;
	for (i = 0; i < g->n; i++)
		if (g->targets[i].by_class)
			return (long)i;
	return -1;
}

/* Modules of one fault. */
struct some {
	uint64_t n;
	char first[ST_NAME_MAX + 1];
};

static void add(struct some *x, const char *module)
{
	if (!x->n++)
		snprintf(x->first, sizeof x->first, "%s", module);
}

struct faults {
	struct some left_out, ungrouped, unread, plain, mixed;
};

/* A quantized matrix of a model that compressed-tensors made. */
static void judge_grouped(struct groups *g, const char *module, enum codec c, struct faults *x)
{
	long i = group_of(g, module);

	if (i < 0) {
		add(g->unknown ? &x->unread : &x->ungrouped, module);
		return;
	}
	if (g->matched[i]++ && g->form[i] != c)
		add(&x->mixed, module);
	else
		g->form[i] = c;
}

static bool drafts_differ(const struct formed *f)
{
	return f->form[FORMED_DRAFTS] != f->form[FORMED_EXPERTS] ||
		f->form[FORMED_DENSE_DRAFTS] != f->form[FORMED_DENSE];
}

static void judge_modules(const struct said *s, struct groups *g, const struct module_patterns *out,
	struct faults *x)
{
	const struct formed *f = s->f;
	char module[ST_NAME_MAX + 1];
	size_t i;

	for (i = 0; i < f->inv.n; i++) {
		const struct want *w = &f->inv.wants[i];
		bool expert = w->role->store == STORE_EXPERT;
		enum codec c;

		if (w->stage >= 0 && (!s->compressed || drafts_differ(f)))
			continue; /* these are judged by reads.c */
		if (!formed_module(w, module, sizeof module))
			continue;
		c = formed_matrix(f->c, module, w->dim[0], w->dim[1]);
		if (c == CODEC_NONE || codecs[c].scale == DT_COUNT) {
			if (c != CODEC_NONE && s->compressed &&
				!module_patterns_match(out, module) && group_of(g, module) >= 0)
				add(&x->plain, module);
			continue;
		}
		if (s->experts_only && !expert)
			continue;
		if (module_patterns_match(out, module))
			add(&x->left_out, module);
		else if (s->compressed)
			judge_grouped(g, module, c, x);
	}
}

static void tell(const struct said *s, const struct faults *x, const char *list)
{
	if (x->left_out.n)
		report_add(s->r, RULE_CONFIG_QUANT_EXCLUDED, &s->at,
			"%s: \"%s%s\" leaves out %llu modules that are stored quantized; the first is %s",
			s->at.file, s->in, list, (unsigned long long)x->left_out.n,
			text_quote(x->left_out.first).s);
	if (x->ungrouped.n)
		report_add(s->r, RULE_CONFIG_QUANT_EXCLUDED, &s->at,
			"%s: the targets of no group name %llu modules that are stored quantized; the first is %s",
			s->at.file, (unsigned long long)x->ungrouped.n,
			text_quote(x->ungrouped.first).s);
	if (x->unread.n)
		report_add(s->r, RULE_CONFIG_QUANT_UNREAD, &s->at,
			"%s: whether the targets of a group name %llu modules that are stored quantized is not known, as this program does not read all of them; the first is %s",
			s->at.file, (unsigned long long)x->unread.n, text_quote(x->unread.first).s);
	if (x->plain.n)
		report_add(s->r, RULE_CONFIG_FIELD_TENSORS, &s->at,
			"%s: the targets of a group name %llu modules that are not quantized; the first is %s",
			s->at.file, (unsigned long long)x->plain.n, text_quote(x->plain.first).s);
	if (x->mixed.n)
		report_add(s->r, RULE_CONFIG_FIELD_TENSORS, &s->at,
			"%s: a group names %llu modules in another number format than its first; the first of them is %s",
			s->at.file, (unsigned long long)x->mixed.n, text_quote(x->mixed.first).s);
}

/* A list that no engine can read: in names it, or the group whose targets it is. */
static void tell_wrong(const struct said *s, const char *in, const struct module_patterns *p)
{
	if (p->wrong)
		report_add(s->r, RULE_CONFIG_FIELD_TENSORS, &s->at,
			"%s: \"%s%s\" has a pattern that names nothing: it is no string, or an expression whose parentheses do not match",
			s->at.file, s->in, text_quote(in).s);
}

/* Groups, and list, the member that says what is left out. Returns false without memory. */
static bool judge_lists(const struct said *s, const char *list)
{
	struct module_patterns out = { 0 };
	struct groups g = { 0 };
	struct faults *x = calloc(1, sizeof *x);
	bool ok = x && module_patterns_read(&out, json_object_get(s->q, list), !s->compressed) &&
		groups_read(&g, s);
	size_t i;

	if (ok) {
		judge_modules(s, &g, &out, x);
		tell(s, x, list);
	}
	if (ok && s->compressed)
		tell_wrong(s, list, &out);
	for (i = 0; ok && i < g.n; i++) {
		if (s->compressed)
			tell_wrong(s, g.name[i], &g.targets[i]);
		if (s->compressed && g.matched[i])
			hold_weights(s, g.o[i], g.name[i], g.form[i]);
		else if (s->compressed && !g.targets[i].unknown)
			report_add(s->r, RULE_CONFIG_QUANT_UNMATCHED, &s->at,
				"%s: the targets of group %s name no module that is stored quantized",
				s->at.file, text_quote(g.name[i]).s);
		else if (!s->compressed && s->f->form[FORMED_EXPERTS] == CODEC_NVFP4)
			hold_weights(s, g.o[i], g.name[i], CODEC_NVFP4);
	}
	groups_free(&g);
	module_patterns_free(&out);
	free(x);
	return ok;
}

/* --- ModelOpt's list of layers --- */

/* The experts of n blocks, which are NVFP4, are all in the list. */
static void lists_experts(const struct said *s, const json_t *all, const char *kind, uint64_t n)
{
	struct some lacks = { 0 };
	char name[64];
	uint64_t i;

	for (i = 0; i < n; i++) {
		snprintf(name, sizeof name, "%s.%llu.ffn.experts", kind, (unsigned long long)i);
		if (!json_object_get(all, name))
			add(&lacks, name);
	}
	if (lacks.n)
		report_add(s->r, RULE_CONFIG_QUANT_EXCLUDED, &s->at,
			"%s: \"%squantized_layers\" leaves out the experts of %llu blocks, which are NVFP4; the first are %s",
			s->at.file, s->in, (unsigned long long)lacks.n, lacks.first);
}

/* The first tensor of the model whose name begins so; f->inv.n: there is none. */
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

/* An entry of the list that is a module of the model, or holds some: its algorithm is that of the matrices. A matrix lies in
 * few modules, and each is an entry at most twice, which bounds the time. */
static void judge_entry(const struct said *s, const char *key, const json_t *o)
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

/* The experts of a block by the name that ModelOpt lists them under; *draft: of a stage. */
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

/* ModelOpt's list; list names the member that says what is left out. Returns false without memory. */
static bool judge_layers(const struct said *s, const char *list)
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
		hold(s, o, in, "quant_algo", json_string("NVFP4"), false, "its experts");
		hold(s, o, in, "group_size", json_integer(codecs[CODEC_NVFP4].cols), true,
			"its experts");
	}
	module_patterns_free(&out);
	return true;
}

/* --- */

/* Scales that a cache in FP8 would have been measured with. */
static void judge_cache(const struct said *s)
{
	static const char *const keys[] = { "kv_cache_quant_algo", "kv_cache_scheme" };
	const json_t *x;
	bool has = false;
	size_t i, k;

	for (i = 0; !has && i < s->f->c->n; i++)
		has = strstr(s->f->c->tensors[i].name, "k_scale") ||
			strstr(s->f->c->tensors[i].name, "kv_scale");
	for (k = 0; k < 2; k++) {
		x = json_object_get(s->q, keys[k]);
		if (x && !json_is_null(x) && !has)
			report_add(s->r, RULE_CONFIG_FIELD_TENSORS, &s->at,
				"%s: \"%s%s\" is %s, and no tensor has scales of such a cache: engines take 1 for them",
				s->at.file, s->in, keys[k], text_quote(brief(x).s).s);
	}
}

/* The matrices beside the experts, where they are FP8 as published. */
static void judge_dense(const struct said *s)
{
	const struct codec_form *f = &codecs[CODEC_FP8];

	if (s->f->form[FORMED_DENSE] != CODEC_FP8)
		return;
	hold(s, s->q, "", "weight_block_size", json_pack("[i,i]", (int)f->rows, (int)f->cols),
		false, "dense matrices");
	hold(s, s->q, "", "fmt", json_string("e4m3"), true, "dense matrices");
	hold(s, s->q, "", "scale_fmt", json_string("ue8m0"), true, "dense matrices");
	hold(s, s->q, "", "activation_scheme", json_string("dynamic"), true, "dense matrices");
}

/* The algorithm of the whole model where experts are NVFP4: what is beside them decides whether there are several. */
static void judge_algo(const struct said *s)
{
	const char *is = json_string_value(json_object_get(s->q, "quant_algo"));

	if (s->f->form[FORMED_EXPERTS] != CODEC_NVFP4 || s->compressed)
		return;
	if (codecs[s->f->form[FORMED_DENSE]].scale == DT_COUNT && is && !strcmp(is, "NVFP4"))
		return; /* nothing else is quantized */
	hold(s, s->q, "", "quant_algo", json_string("MIXED_PRECISION"), false, "nvfp4");
}

static int judge(const struct said *s, struct err *e)
{
	const char *list = json_object_get(s->q, "ignore") ? "ignore" : "exclude_modules";
	enum codec c = s->f->form[FORMED_EXPERTS];

	if (!s->compressed && codecs[c].scale != DT_COUNT && codecs[c].rows == 1)
		hold(s, s->q, "", "group_size", json_integer(codecs[c].cols), true, codecs[c].name);
	judge_algo(s);
	judge_cache(s);
	return judge_layers(s, list) && judge_lists(s, list) ? 0 : err_nomem(e);
}

int quantization_judge(const struct formed *f, struct report *r, struct err *e)
{
	enum codec c = f->form[FORMED_EXPERTS];
	const json_t *q = json_object_get(f->c->doc.o, "quantization_config");
	const char *method = json_string_value(json_object_get(q, "quant_method"));
	struct said s = { .f = f,
		.r = r,
		.at = { .file = "config.json" },
		.in = "quantization_config.",
		.q = q,
		.compressed = method && !strcmp(method, "compressed-tensors"),
		.experts_only = c == CODEC_NVFP4 };
	struct config_doc doc = { 0 };
	char actual[CKPT_PATH];
	struct stat st;
	bool there;
	int rc = 0;

	if (c == CODEC_NONE || f->stacked)
		return 0;
	if (json_is_object(q)) {
		if (!s.compressed)
			judge_dense(&s);
		rc = judge(&s, e);
	}
	if (rc || ckpt_file(f->c, HF_QUANT, actual, &st, &there, e))
		return -1;
	if (!there)
		return 0;
	if (config_doc_read(&doc, f->c->io, f->c->dir, actual, e)) {
		config_doc_free(&doc);
		if (e->kind != ERR_DATA && e->kind != ERR_MISMATCH)
			return err_at(e, HF_QUANT);
		s.at.file = HF_QUANT;
		report_take(r, &s.at, e);
		return 0;
	}
	s.at.file = HF_QUANT;
	s.in = "quantization.";
	s.q = json_object_get(doc.o, "quantization");
	s.compressed = false;
	if (c != CODEC_NVFP4)
		hold(&s, s.q, "", "quant_algo", json_string(c == CODEC_MXFP8 ? "MXFP8" : "none"),
			false, codecs[c].name);
	rc = judge(&s, e);
	config_doc_free(&doc);
	return rc;
}
