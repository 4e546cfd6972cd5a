/* SPDX-License-Identifier: MIT */
#include "formats/model/decoder.h"

#include "formats/model/family.h"

#include <jansson.h>
#include <string.h>

enum {
	TENSORS_MAX = 1 << 20, /* of a model; the largest published one has 149,782 */
	OF_EXPERT = 6          /* tensors: three matrices, each with its scales */
};

int decoder_quant(const struct config *c, const json_t *o, struct err *e)
{
	const struct codec_form *dense = &codecs[c->family->dense];
	const json_t *q = json_object_get(o, "quantization_config");
	const json_t *b = json_object_get(q, "weight_block_size"),
		     *m = json_object_get(q, "quant_method");

	if (!q)
		return config_bad(e, RULE_CONFIG_FIELD_MISSING, "quantization_config",
			"is missing");
	if (!json_is_string(m) || strcmp(json_string_value(m), "fp8"))
		return config_bad(e, RULE_CONFIG_QUANT, "quantization_config",
			"does not say quant_method fp8");
	if (json_array_size(b) != 2 || json_integer_value(json_array_get(b, 0)) != dense->rows ||
		json_integer_value(json_array_get(b, 1)) != dense->cols)
		return err_rule(e, RULE_CONFIG_QUANT, ERR_NOPOS,
			"config.json: \"quantization_config\" does not say weight_block_size [%u, %u], the blocks of %s",
			dense->rows, dense->cols, c->family->what);
	return 0;
}

int decoder_divides(const struct config *c, struct err *e)
{
	const struct codec_form *fp4 = &codecs[CODEC_MXFP4];

	if (c->H * c->hd % c->G)
		return err_rule(e, RULE_CONFIG_FIELD_RANGE, ERR_NOPOS,
			"config.json: %llu heads of %llu do not divide into %llu o_groups",
			(unsigned long long)c->H, (unsigned long long)c->hd,
			(unsigned long long)c->G);
	if (c->D % fp4->cols || c->I % fp4->cols)
		return err_rule(e, RULE_CONFIG_FIELD_RANGE, ERR_NOPOS,
			"config.json: hidden_size %llu and moe_intermediate_size %llu must be multiples of %u",
			(unsigned long long)c->D, (unsigned long long)c->I, fp4->cols);
	if ((c->L + c->stages) * (c->E > c->DE ? c->E : c->DE) > TENSORS_MAX / OF_EXPERT)
		return config_bad(e, RULE_CONFIG_FIELD_RANGE, "n_routed_experts",
			"times the layers is absurd");
	if (c->K > c->E)
		return config_bad(e, RULE_CONFIG_FIELD_RANGE, "num_experts_per_tok",
			"exceeds n_routed_experts");
	if (c->n_hash > c->L)
		return config_bad(e, RULE_CONFIG_FIELD_RANGE, "num_hash_layers",
			"exceeds num_hidden_layers");
	return 0;
}
