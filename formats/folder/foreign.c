/* SPDX-License-Identifier: MIT */
#include "formats/folder/foreign.h"

#include "core/text.h"
#include "formats/model/family.h"
#include "formats/model/member.h"
#include "formats/model/vision.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char *string_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* --- tensors --- */

enum place { AT_START, AT_END, INSIDE };

/* In the order of precedence: a name that an earlier row has decides. */
static const struct mark {
	const char *text;
	enum place place;
	bool over; /* it decides also where config.json names a quantization, and where experts are as published */
	enum kind kind;
	const char *more;
} marks[] = {
	{ ".engram.", INSIDE, true, KIND_V41, "" },
	{ "vision.", AT_START, true, KIND_VISION, "" },
	{ "aligner.", AT_START, true, KIND_VISION, "" },
	{ ".gate.bias_vl", AT_END, true, KIND_VISION, "" },
	{ ".weight_scale_2", AT_END, true, KIND_NVFP4, "of ModelOpt" },
	{ ".weight_global_scale", AT_END, true, KIND_NVFP4, "of compressed-tensors" },
	{ ".weight_packed", AT_END, false, KIND_COMPRESSED, "" },
	{ ".qweight", AT_END, false, KIND_QUANTIZED, "GPTQ or AWQ" },
	{ ".scales", AT_END, false, KIND_MLX, "" },
	{ "model.embed_tokens.", AT_START, false, KIND_TRANSFORMERS, "" },
	{ ".self_attn.", INSIDE, false, KIND_TRANSFORMERS, "" },
};
enum { MARKS = sizeof marks / sizeof *marks };

static bool has_mark(const char *name, const struct mark *m)
{
	return m->place == AT_START  ? !strncmp(name, m->text, strlen(m->text))
		: m->place == AT_END ? text_ends(name, m->text)
				     : strstr(name, m->text) != NULL;
}

/* Whether config.json has every field of the part that sees. (config_vision judges their values.) */
static bool describes_vision(const json_t *o)
{
	static const struct config_field fields[] = { VISION_FIELDS };
	size_t i;

	for (i = 0; i < sizeof fields / sizeof *fields; i++)
		if (!config_says(o, fields[i].key))
			return false;
	return true;
}

/* Whether config.json describes the tensors that have the mark, so that it tells nothing of the kind. */
static bool known_mark(const struct ckpt *c, const struct mark *m)
{
	const char *type = string_of(c->doc.o, "model_type");

	if (!strcmp(type, family_v41.name))
		return m->kind == KIND_VISION || m->kind == KIND_V41;
	return m->kind == KIND_VISION && (c->config.vision || describes_vision(c->doc.o));
}

/* The first row of which a tensor has the mark; MARKS: none. */
static unsigned first_mark(const struct ckpt *c)
{
	unsigned first = MARKS, m;
	bool known[MARKS];
	size_t i;

	for (m = 0; m < MARKS; m++)
		known[m] = known_mark(c, &marks[m]);
	for (i = 0; i < c->n; i++)
		for (m = 0; m < first; m++)
			if (!known[m] && has_mark(c->tensors[i].name, &marks[m]))
				first = m;
	return first;
}

/* Every name begins with "model.", and behind it are the names of the model: wrapped modules save so. (Names that
 * transformers gives are a mark above.) */
static bool prefixed(const struct ckpt *c)
{
	static const char prefix[] = "model.";
	bool ours = false;
	size_t i;

	for (i = 0; i < c->n; i++) {
		if (strncmp(c->tensors[i].name, prefix, sizeof prefix - 1))
			return false;
		ours = ours || text_ends(c->tensors[i].name, ".attn.wq_a.weight");
	}
	return ours;
}

static bool is_wide(enum dtype d)
{
	return d == DT_BF16 || d == DT_F16 || d == DT_F32;
}

/* Every w1 and w3 of a routed expert holds a wide number for each column. (Half the columns are packed FP4,
 * or under a wrong type a finding.) */
static bool experts_are_wide(const struct ckpt *c)
{
	const struct tensor *norm = ckpt_find(c, "norm.weight"), *t;
	uint64_t width = norm && norm->rank == 1 ? norm->dim[0] : 0;
	size_t i, n = 0;

	for (i = 0; i < c->n; i++) {
		t = &c->tensors[i];
		if (!strstr(t->name, ".ffn.experts.") ||
			(!text_ends(t->name, ".w1.weight") && !text_ends(t->name, ".w3.weight")))
			continue;
		if (!is_wide(t->dtype) || t->rank != 2 || t->dim[1] != width)
			return false;
		n++;
	}
	return n && width;
}

/* A quantized expert with its scale is there as the model has it. */
static bool as_published(const struct ckpt *c)
{
	return ckpt_find(c, "layers.0.ffn.experts.0.w1.weight") &&
		ckpt_find(c, "layers.0.ffn.experts.0.w1.scale");
}

/* --- config.json --- */

/* "W4A16, pack-quantized" of the first group of compressed-tensors. */
static void name_scheme(const json_t *q, char more[KIND_MORE])
{
	const json_t *group =
		json_object_iter_value(json_object_iter(json_object_get(q, "config_groups")));
	const json_t *w = json_object_get(group, "weights"),
		     *a = json_object_get(group, "input_activations");
	long long bits = json_integer_value(json_object_get(w, "num_bits"));
	long long in = json_is_object(a) ? json_integer_value(json_object_get(a, "num_bits")) : 16;
	const char *format = string_of(q, "format");

	if (bits > 0 && in > 0)
		snprintf(more, KIND_MORE, "W%lldA%lld%s%s", bits, in, *format ? ", " : "",
			text_quote(format).s);
	else
		snprintf(more, KIND_MORE, "%s", text_quote(format).s);
}

/* What quantization_config calls itself, where that alone says that these are no V4 tensors. modelopt is not here: it
 * says so of tensors as they are published, too. */
static enum kind by_method(const json_t *o, char more[KIND_MORE])
{
	const json_t *q = json_object_get(o, "quantization_config"),
		     *mlx = json_object_get(o, "quantization");
	const char *method = string_of(q, "quant_method");

	if (!strcmp(method, "quark"))
		return KIND_QUARK;
	if (!strcmp(method, "compressed-tensors")) {
		name_scheme(q, more);
		return KIND_COMPRESSED;
	}
	if (json_object_get(mlx, "bits") && json_object_get(mlx, "group_size")) {
		snprintf(more, KIND_MORE, "%lld bits",
			(long long)json_integer_value(json_object_get(mlx, "bits")));
		return KIND_MLX;
	}
	return KIND_DOWNLOAD;
}

/* Whether config.json says that experts are NVFP4. ModelOpt's exports have it beside a quant_method fp8. */
static bool says_nvfp4(const json_t *o)
{
	const json_t *q = json_object_get(o, "quantization_config");

	return !strcmp(string_of(q, "moe_quant_algo"), "NVFP4") ||
		!strcmp(string_of(q, "quant_algo"), "NVFP4");
}

static enum kind by_type(const json_t *o, char more[KIND_MORE])
{
	const char *type = string_of(o, "model_type");
	bool said = json_is_string(json_object_get(o, "model_type"));

	if (!said || family_knows(type))
		return KIND_DOWNLOAD;
	snprintf(more, KIND_MORE, "model_type %s", text_quote(type).s);
	return !strncmp(type, "deepseek_v41", 12) || !strncmp(type, "deepseek_v4_1", 13)
		? KIND_V41
		: KIND_OTHER;
}

/* Whether the mark is of a member that all tensors can be of, or of one that is not known; sets more to which that is, and which
 * config.json is of. Shards of different members are no checkpoint of any: the audit says which are whose. */
static bool of_member(const struct ckpt *c, const struct mark *mark, char more[KIND_MORE])
{
	struct member_view v;
	struct text t = { 0 };

	if (mark->kind != KIND_V41 && mark->kind != KIND_VISION)
		return true;
	if (!c->doc.o || member_look(&v, c))
		return true;
	if (!v.tensors && !v.torn && (mark->kind == KIND_V41 || v.blind))
		return false;
	if (v.tensors & v.config || !v.tensors)
		return true;
	member_put(&t, &v, c);
	snprintf(more, KIND_MORE, "%s", t.s && !t.failed ? t.s : "");
	text_free(&t);
	return true;
}

static enum kind judge(const struct ckpt *c, const json_t *o, char more[KIND_MORE])
{
	const char *method = string_of(json_object_get(o, "quantization_config"), "quant_method");
	enum kind k = by_type(o, more);
	unsigned m;

	if (k != KIND_DOWNLOAD)
		return k;
	m = first_mark(c);
	k = by_method(o, more);
	if (k == KIND_MLX && as_published(c)) {
		k = KIND_DOWNLOAD; /* published tensors, of which MLX is told what they are (formats/model/mlx.h) */
		*more = 0;
	}
	if (m < MARKS && !of_member(c, &marks[m], more))
		m = MARKS;
	if (m < MARKS && (marks[m].over || (k == KIND_DOWNLOAD && !as_published(c)))) {
		if (!*more)
			snprintf(more, KIND_MORE, "%s", marks[m].more);
		return marks[m].kind;
	}
	if (k != KIND_DOWNLOAD)
		return k;
	if (c->n && says_nvfp4(o) && !as_published(c))
		return KIND_NVFP4;
	if (prefixed(c))
		return KIND_PREFIXED;
	if (experts_are_wide(c))
		return KIND_BF16;
	if (*method && strcmp(method, "fp8") && c->n && !as_published(c)) {
		snprintf(more, KIND_MORE, "%s", text_quote(method).s);
		return KIND_QUANTIZED;
	}
	return KIND_DOWNLOAD;
}

enum kind foreign_kind(const struct ckpt *c, char more[KIND_MORE])
{
	*more = 0;
	return judge(c, c->doc.o, more);
}
