/* SPDX-License-Identifier: MIT */
#include "verify/doctor/quantization.h"

#include "verify/doctor/layer_list.h"
#include "verify/doctor/module_lists.h"

#include <string.h>

#define HF_QUANT "hf_quant_config.json"

/* Tells where a cache in FP8 is spoken of and the scales that it would have been measured with are not there. */
static void judge_cache(const struct quant_doc *s)
{
	static const char *const keys[] = { "kv_cache_quant_algo", "kv_cache_scheme" };
	const json_t *x;
	bool has = quant_doc_has_tensor(s, "k_scale") || quant_doc_has_tensor(s, "kv_scale");
	size_t k;

	for (k = 0; k < 2; k++) {
		x = json_object_get(s->q, keys[k]);
		if (x && !json_is_null(x) && !has)
			report_add(s->r, RULE_CONFIG_FIELD_TENSORS, &s->at,
				"%s: \"%s%s\" is %s, and no tensor has scales of such a cache: engines take 1 for them",
				s->at.file, s->in, keys[k], text_quote(quant_doc_brief(x).s).s);
	}
}

/* Holds what is said of the matrices beside the experts, where they are FP8 as published. */
static void judge_dense(const struct quant_doc *s)
{
	const enum codec dense = s->f->form[FORMED_DENSE];
	const struct codec_form *f = &codecs[dense];

	if (dense != CODEC_FP8 && dense != CODEC_FP8_32)
		return;
	quant_doc_hold(s, s->q, "", "weight_block_size",
		json_pack("[i,i]", (int)f->rows, (int)f->cols), false, "dense matrices");
	quant_doc_hold(s, s->q, "", "fmt", json_string("e4m3"), true, "dense matrices");
	quant_doc_hold(s, s->q, "", "scale_fmt", json_string("ue8m0"), true, "dense matrices");
	quant_doc_hold(s, s->q, "", "activation_scheme", json_string("dynamic"), true,
		"dense matrices");
}

/* Holds the algorithm of a whole model whose experts are NVFP4: what is beside them decides whether there are several. */
static void judge_algo(const struct quant_doc *s)
{
	const char *is = json_string_value(json_object_get(s->q, "quant_algo"));

	if (s->f->form[FORMED_EXPERTS] != CODEC_NVFP4 || s->compressed)
		return;
	if (codecs[s->f->form[FORMED_DENSE]].scale == DT_COUNT && is && !strcmp(is, "NVFP4"))
		return; /* nothing else is quantized */
	quant_doc_hold(s, s->q, "", "quant_algo", json_string("MIXED_PRECISION"), false, "nvfp4");
}

static int judge(const struct quant_doc *s, struct err *e)
{
	const char *list = json_object_get(s->q, "ignore") ? "ignore" : "exclude_modules";
	enum codec c = s->f->form[FORMED_EXPERTS];

	if (!s->compressed && codecs[c].scale != DT_COUNT && codecs[c].rows == 1)
		quant_doc_hold(s, s->q, "", "group_size", json_integer(codecs[c].cols), true,
			codecs[c].name);
	judge_algo(s);
	judge_cache(s);
	return layer_list_judge(s, list) && module_lists_judge(s, list) ? 0 : err_nomem(e);
}

/* Judges quantization_config of config.json, if there is one. */
static int judge_config(const struct formed *f, struct report *r, struct err *e)
{
	const json_t *q = json_object_get(f->c->doc.o, "quantization_config");
	const char *method = json_string_value(json_object_get(q, "quant_method"));
	struct quant_doc s = { .f = f,
		.r = r,
		.at = { .file = "config.json" },
		.in = "quantization_config.",
		.q = q,
		.compressed = method && !strcmp(method, "compressed-tensors"),
		.experts_only = f->form[FORMED_EXPERTS] == CODEC_NVFP4 };

	if (!json_is_object(q))
		return 0;
	if (!s.compressed)
		judge_dense(&s);
	return judge(&s, e);
}

/* Judges hf_quant_config.json, which is ModelOpt's, if there is one. */
static int judge_hf(const struct formed *f, struct report *r, struct err *e)
{
	enum codec c = f->form[FORMED_EXPERTS];
	struct quant_doc s = { .f = f,
		.r = r,
		.at = { .file = HF_QUANT },
		.in = "quantization.",
		.experts_only = c == CODEC_NVFP4 };
	struct config_doc doc = { 0 };
	char actual[CKPT_PATH];
	struct stat st;
	bool there;
	int rc;

	if (ckpt_file(f->c, HF_QUANT, actual, &st, &there, e))
		return -1;
	if (!there)
		return 0;
	if (config_doc_read(&doc, f->c->io, f->c->dir, actual, e)) {
		config_doc_free(&doc);
		if (e->kind != ERR_DATA && e->kind != ERR_MISMATCH)
			return err_at(e, HF_QUANT);
		report_take(r, &s.at, e);
		return 0;
	}
	s.q = json_object_get(doc.o, "quantization");
	if (c != CODEC_NVFP4)
		quant_doc_hold(&s, s.q, "", "quant_algo",
			json_string(c == CODEC_MXFP8 ? "MXFP8" : "none"), false, codecs[c].name);
	rc = judge(&s, e);
	config_doc_free(&doc);
	return rc;
}

int quantization_judge(const struct formed *f, struct report *r, struct err *e)
{
	if (f->form[FORMED_EXPERTS] == CODEC_NONE || f->stacked)
		return 0;
	return judge_config(f, r, e) || judge_hf(f, r, e) ? -1 : 0;
}
