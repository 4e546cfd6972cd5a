/* SPDX-License-Identifier: MIT */
#include "verify/compare/mix_type.h"

#include "formats/model/family.h"
#include "formats/model/selection.h"
#include "quant/ggml_search.h"

uint32_t mix_type_of(const struct sidecar_tensor *t)
{
	static const struct {
		enum dtype dtype;
		uint32_t type;
	} plain[] = { { DT_F32, GGML_F32 }, { DT_F16, GGML_F16 }, { DT_BF16, GGML_BF16 },
		{ DT_I32, GGML_I32 } };
	size_t i;

	for (i = 0; i < sizeof plain / sizeof *plain; i++)
		if (plain[i].dtype == t->dtype)
			return plain[i].type;
	return t->ggml;
}

int mix_type_check(const struct mix *m, const struct config *c, const struct sidecar *s,
	const struct sidecar_tensor *t, struct err *e)
{
	const char *name = s->sources[t->first].tensor;
	const struct role *r = family_role(c->family, name, false);
	size_t place = selection_place(c, name);
	const struct mix_line *l;
	uint32_t type = mix_type_of(t);

	if (!r || place == SIZE_MAX)
		return 0; /* of a source that is none of the model's, which others say */
	l = mix_find_at(m, (unsigned)(r - c->family->roles), (uint32_t)place,
		r->store == STORE_EXPERT ? 0 : -1);
	if (l && l->type != type)
		return err_rule(e, RULE_COMPARE_SHAPE, ERR_NOPOS,
			"tensor %s is of type %s, and line %u of the recipe in the manifest says %s",
			text_quote(t->name).s, ggml_type_name(type), l->number,
			ggml_type_name(l->type));
	if (!l && t->op == OP_GGML && ggml_searched_find(CODEC_F32, type))
		return err_rule(e, RULE_COMPARE_SHAPE, ERR_NOPOS,
			"tensor %s is of type %s, and the recipe in the manifest does not name it",
			text_quote(t->name).s, ggml_type_name(type));
	return 0;
}
