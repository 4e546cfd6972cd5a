/* SPDX-License-Identifier: MIT */
#include "verify/doctor/group_args.h"

#include <stdio.h>

/* The words that arguments have for each number format; NULL: nothing is asked. */
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

/* Holds the arguments of activations: floating-point of 8 bits, or of 4 beside weights of 4, with scales that are found while
 * the model runs or that are stored. Null and a missing member mean that activations are not quantized. */
static void hold_activations(const struct quant_doc *s, const json_t *group, const char *name,
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
		quant_doc_hold(s, group, in, "input_activations", json_object(), false, of);
		return;
	}
	snprintf(in, sizeof in, "config_groups.%.40s.input_activations.", name);
	if (n != 8 && (n != 4 || codecs[c].bits != 4))
		quant_doc_hold(s, a, in, "num_bits", json_integer(codecs[c].bits), false, of);
	quant_doc_hold(s, a, in, "type", json_string("float"), false, of);
	quant_doc_hold(s, a, in, "symmetric", json_true(), true, of);
	if (!json_is_true(json_object_get(a, "dynamic")) &&
		!quant_doc_has_tensor(s, ".input_scale") &&
		!quant_doc_has_tensor(s, ".input_global_scale"))
		quant_doc_hold(s, a, in, "dynamic", json_true(), false, of);
}

void group_args_judge(const struct quant_doc *s, const json_t *group, const char *name,
	enum codec c)
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
	quant_doc_hold(s, w, in, "num_bits", json_integer(f->bits), false, f->name);
	quant_doc_hold(s, w, in, "type", json_string("float"), false, f->name);
	quant_doc_hold(s, w, in, "symmetric", json_true(), true, f->name);
	quant_doc_hold(s, w, in, "dynamic", json_false(), true, f->name);
	hold_activations(s, group, name, c);
	if (f->rows == 1)
		quant_doc_hold(s, w, in, "group_size", json_integer(f->cols), false, f->name);
	else
		quant_doc_hold(s, w, in, "block_structure",
			json_pack("[i,i]", (int)f->rows, (int)f->cols), false, f->name);
	if (words[i].strategy)
		quant_doc_hold(s, w, in, "strategy", json_string(words[i].strategy), f->rows == 1,
			f->name);
	if (words[i].scale_dtype)
		quant_doc_hold(s, w, in, "scale_dtype", json_string(words[i].scale_dtype), true,
			f->name);
	if (words[i].format && json_object_get(group, "format")) {
		snprintf(in, sizeof in, "config_groups.%.40s.", name);
		quant_doc_hold(s, group, in, "format", json_string(words[i].format), true, f->name);
	}
}
