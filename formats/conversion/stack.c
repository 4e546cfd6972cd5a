/* SPDX-License-Identifier: MIT */
#include "formats/conversion/stack.h"

#include "formats/codec.h"
#include "formats/layout/engine.h"
#include "formats/model/mlx.h"
#include "formats/model/recipes.h"
#include "formats/model/sglang_name.h"
#include "formats/st/safetensors.h"

#include <stdio.h>
#include <string.h>

/* The number at s; -1 if there is none, or a silly one. */
static long number_at(const char *s)
{
	long v = 0;
	int i;

	for (i = 0; s[i] >= '0' && s[i] <= '9' && i < 7; i++)
		v = 10 * v + (s[i] - '0');
	return i && s[i] == '.' ? v : -1;
}

static const char *source(const struct stack *k, uint32_t i)
{
	return k->s->sources[k->t->first + i].tensor;
}

/* BLOCK.ffn.experts.w13.weight is made of BLOCK.ffn.experts.N.w1.weight, .N.w3.weight, N ascending. Returns a
 * clause that says what is not so, or NULL. */
static const char *experts(const struct stack *k)
{
	static const char mid[] = ".ffn.experts.";
	static const char *const w[2][2] = { { "w2", NULL }, { "w1", "w3" } };
	const char *name = k->t->name, *at = strstr(name, mid), *rest;
	bool two = k->t->parts == 2;
	char want[ST_NAME_MAX + 32];
	long last = -1, id;
	size_t stem;
	uint32_t i;

	stem = at ? (size_t)(at - name) + sizeof mid - 1 : 0;
	if (!at || strncmp(name + stem, two ? "w13." : "w2.", two ? 4 : 3))
		return "a name that is not of experts laid out";
	rest = strchr(name + stem, '.');
	for (i = 0; i < k->t->n; i++) {
		id = strncmp(source(k, i), name, stem) ? -1 : number_at(source(k, i) + stem);
		snprintf(want, sizeof want, "%.*s%ld.%s%s", (int)stem, name, id,
			w[two][i % k->t->parts], rest);
		if (id < 0 || strcmp(want, source(k, i)) != 0 ||
			(i % k->t->parts ? id != last : id <= last))
			return "its sources are not the experts in order";
		last = id;
	}
	return NULL;
}

/* The same by the names of SGLang's parameters. */
static const char *experts_of_sglang(const struct stack *k)
{
	struct tensor t = { .dtype = k->scale ? DT_F8_E8M0 : DT_I8, .rank = 2 };
	struct vllm_place at;
	long last = -1;
	uint32_t i;

	for (i = 0; i < k->t->n; i++) {
		t.name = source(k, i);
		if (!sglang_place_of(&at, &t) || at.form != FORM_TILE ||
			strcmp(at.name, k->t->name) != 0 || at.part != i % k->t->parts ||
			(at.part ? at.expert != last : at.expert <= last))
			return "its sources are not the experts in order";
		last = at.expert;
	}
	return NULL;
}

/* The stacks of a recipe: names as MLX has them, experts by their ids from 0 on, bytes as they are in the source. */
static const char *stacked(const struct stack *k)
{
	const struct sidecar_tensor *t = k->t;
	uint64_t each = k->scale ? 1 : dtypes[DT_U32].bits / 8;
	char name[ST_NAME_MAX + 1];
	uint32_t i, id;

	for (i = 0; i < t->n; i++)
		if (!mlx_stacked(name, sizeof name, source(k, i), &id) || id != i ||
			strcmp(name, t->name) != 0)
			return "its sources are not the experts in order";
	if (strcmp(k->tile->name, "rows") != 0 || strcmp(k->map->name, "same") != 0 ||
		t->dtype != (k->scale ? DT_U8 : DT_U32) || t->rank != 3 || t->dim[0] != t->n ||
		t->dim[1] != k->rows || t->dim[2] != k->cols / each)
		return "layout, type or shape are not those of the target";
	return NULL;
}

bool stack_fits(const struct stack *k, const char *engine, char *why, size_t room)
{
	bool sglang = !strcmp(engine, SGLANG_TARGET);
	const struct engine *g = engine_find(sglang ? SGLANG_PACKED : engine);
	const struct sidecar_tensor *t = k->t;
	bool two = t->parts == 2;
	uint64_t cols =
		k->scale ? k->cols * codecs[CODEC_MXFP4].cols : codec_cols(CODEC_MXFP4, k->cols);
	const struct recipe *r = recipe_find(engine);
	const char *wrong = !g ? "the target is no engine"
		: sglang       ? experts_of_sglang(k)
			       : experts(k);
	struct engine_fit fit;

	if (r && r->stacked) {
		wrong = stacked(k);
		if (wrong)
			snprintf(why, room, "%s", wrong);
		return !wrong;
	}
	if (!wrong && cols > UINT32_MAX)
		wrong = "rows that no engine takes";
	if (!wrong &&
		!engine_fit(g, two ? ENGINE_W13 : ENGINE_W2, k->scale, k->rows, (uint32_t)cols,
			&fit, why, room))
		return false;
	if (!wrong &&
		(fit.tile != k->tile || fit.map != k->map || fit.dtype != t->dtype ||
			t->rank != fit.rank + 1 || t->dim[0] != t->n / t->parts ||
			memcmp(t->dim + 1, fit.shape, fit.rank * sizeof *fit.shape) != 0))
		wrong = "layout, type or shape are not those of the target";
	if (wrong)
		snprintf(why, room, "%s", wrong);
	return !wrong;
}
