/* SPDX-License-Identifier: MIT */
#include "verify/doctor/group_args.h"

#include <stdio.h>
#include <strings.h>

/* The words that arguments have for each number format; NULL: nothing is asked. tokens: activations are to be quantized by
 * token while the model runs, else they may be or not. */
static const struct words {
	enum codec form;
	const char *type, *strategy, *scale_dtype, *format;
	bool tokens;
} words[] = {
	{ CODEC_NVFP4, "float", NULL, NULL, NULL, false },
	{ CODEC_NVFP4_CT, "float", "tensor_group", "torch.float8_e4m3fn", "nvfp4-pack-quantized",
		false },
	{ CODEC_MXFP4_CT, "float", "group", "torch.uint8", "mxfp4-pack-quantized", false },
	{ CODEC_MXFP8, "float", "group", "torch.uint8", "mxfp8-quantized", false },
	{ CODEC_FP8_CT, "float", "block", NULL, "float-quantized", false },
	{ CODEC_INT4_128, "int", "group", NULL, "pack-quantized", false },
	{ CODEC_INT4_32, "int", "group", NULL, "pack-quantized", false },
	{ CODEC_INT4_128_ASYM, "int", "group", NULL, "pack-quantized", false },
	{ CODEC_INT4_32_ASYM, "int", "group", NULL, "pack-quantized", false },
	{ CODEC_INT8_ROW, "int", "channel", NULL, "int-quantized", true },
	{ CODEC_FP8_CHANNEL, "float", "channel", NULL, "float-quantized", true },
};

/* Holds the arguments of activations: floating-point of 8 bits, or of 4 beside weights of 4, with scales that are found while
 * the model runs or that are stored. Null and a missing member mean that activations are not quantized. */
static void hold_activations(const struct quant_doc *s, const json_t *group, const char *name,
	enum codec c, const struct words *told)
{
	const json_t *a = json_object_get(group, "input_activations"),
		     *bits = json_object_get(a, "num_bits");
	const char *of = codecs[c].name;
	json_int_t n = json_integer_value(bits);
	char in[96];

	snprintf(in, sizeof in, "config_groups.%.40s.", name);
	if (!told->tokens && (!a || json_is_null(a)))
		return;
	if (!json_is_object(a)) {
		quant_doc_hold(s, group, in, "input_activations", json_object(), false, of);
		return;
	}
	snprintf(in, sizeof in, "config_groups.%.40s.input_activations.", name);
	if (n != 8 && (n != 4 || codecs[c].bits != 4))
		quant_doc_hold(s, a, in, "num_bits", json_integer(codecs[c].bits), false, of);
	quant_doc_hold(s, a, in, "type", json_string(told->tokens ? told->type : "float"), false,
		of);
	quant_doc_hold(s, a, in, "symmetric", json_true(), true, of);
	if (told->tokens)
		quant_doc_hold(s, a, in, "strategy", json_string("token"), false, of);
	if (!json_is_true(json_object_get(a, "dynamic")) &&
		!quant_doc_has_tensor(s, ".input_scale") &&
		!quant_doc_has_tensor(s, ".input_global_scale"))
		quant_doc_hold(s, a, in, "dynamic", json_true(), false, of);
}

/* Holds the order of columns: "group", which older files call "dynamic" or true, means that weight_g_idx lies beside each matrix,
 * and a folder that has those is not read this far. Null, false, "weight" and "static" need no tensor. Source: ActivationOrdering
 * of compressed-tensors. */
static void hold_order(const struct quant_doc *s, const json_t *w, const char *in, const char *of)
{
	static const char *const free_of[] = { "weight", "static" };
	const json_t *is = json_object_get(w, "actorder");
	const char *said = json_string_value(is);
	size_t i;

	if (json_is_false(is))
		return;
	for (i = 0; i < sizeof free_of / sizeof *free_of; i++)
		if (said && !strcasecmp(said, free_of[i]))
			return;
	quant_doc_hold(s, w, in, "actorder", json_null(), true, of);
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
	quant_doc_hold(s, w, in, "type", json_string(words[i].type), false, f->name);
	quant_doc_hold(s, w, in, "symmetric", json_boolean(!f->zeros), !f->zeros, f->name);
	quant_doc_hold(s, w, in, "dynamic", json_false(), true, f->name);
	hold_order(s, w, in, f->name);
	hold_activations(s, group, name, c, &words[i]);
	if (f->rows == 1 && f->cols != CODEC_ALL_COLS)
		quant_doc_hold(s, w, in, "group_size", json_integer(f->cols), false, f->name);
	else if (f->rows > 1)
		quant_doc_hold(s, w, in, "block_structure",
			json_pack("[i,i]", (int)f->rows, (int)f->cols), false, f->name);
	if (words[i].strategy)
		quant_doc_hold(s, w, in, "strategy", json_string(words[i].strategy),
			f->rows == 1 && f->cols != CODEC_ALL_COLS, f->name);
	if (words[i].scale_dtype)
		quant_doc_hold(s, w, in, "scale_dtype", json_string(words[i].scale_dtype), true,
			f->name);
	if (words[i].format && json_object_get(group, "format")) {
		snprintf(in, sizeof in, "config_groups.%.40s.", name);
		quant_doc_hold(s, group, in, "format", json_string(words[i].format), true, f->name);
	}
}
