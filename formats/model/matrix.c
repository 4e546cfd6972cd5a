/* SPDX-License-Identifier: MIT */
#include "formats/model/matrix.h"
#include "core/text.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

const struct tensor *matrix_part(const struct ckpt *c, const char *name, const char *end,
	unsigned dtype)
{
	char full[ST_NAME_MAX + 32];
	const struct tensor *t;

	snprintf(full, sizeof full, "%s.%s", name, end);
	t = ckpt_find(c, full);
	return t && t->dtype == dtype ? t : NULL;
}

static bool has_shape(const struct tensor *t, uint64_t rows, uint64_t cols)
{
	return t && t->rank == 2 && t->dim[0] == rows && t->dim[1] == cols;
}

/* Source: CompressedTensorsWNA16.create_weights of vLLM, which reads both. */
static const char zero_points[] = ".weight_zero_point", order[] = ".weight_g_idx";

/* Returns the zero points of the matrix NAME, of whatever type; NULL if there are none. */
static const struct tensor *zeros_of(const struct ckpt *c, const char *name)
{
	char full[ST_NAME_MAX + 32];

	snprintf(full, sizeof full, "%s%s", name, zero_points);
	return ckpt_find(c, full);
}

static bool has_form(struct matrix_parts *m, const struct ckpt *c, const char *name, uint64_t rows,
	uint64_t cols, enum codec k)
{
	const struct codec_form *f = &codecs[k];
	uint64_t dim[2], zeros[2];

	*m = (struct matrix_parts){ .form = k };
	if (f->code == DT_COUNT)
		return false;
	m->codes = matrix_part(c, name, f->codes, f->code);
	if (!has_shape(m->codes, rows, codec_dim1(k, cols)))
		return false;
	codec_scale_dim(k, rows, cols, dim);
	m->scales = f->scale == DT_COUNT ? NULL : matrix_part(c, name, f->scales, f->scale);
	m->second = f->second.name ? matrix_part(c, name, f->second.name, DT_F32) : NULL;
	m->zeros = zeros_of(c, name);
	if ((m->zeros != NULL) != (f->zeros != NULL))
		return false; /* zero points are of the values, whoever has a format without them */
	codec_zero_dim(k, rows, cols, zeros);
	return (f->scale == DT_COUNT || has_shape(m->scales, dim[0], dim[1])) &&
		(!f->zeros ||
			(m->zeros->dtype == DT_I32 && has_shape(m->zeros, zeros[0], zeros[1]))) &&
		(!f->second.name || (m->second && m->second->end - m->second->begin == 4));
}

bool matrix_find(struct matrix_parts *m, const struct ckpt *c, const char *name, uint64_t rows,
	uint64_t cols)
{
	unsigned k;

	for (k = CODEC_NONE + 1; k < CODEC_COUNT; k++)
		if (has_form(m, c, name, rows, cols, (enum codec)k))
			return true;
	*m = (struct matrix_parts){ .form = CODEC_NONE };
	return false;
}

/* Whether the arguments of weights are those of whole numbers with as many bits and columns for a scale as f has. */
static bool args_are_of(const json_t *args, const struct codec_form *f)
{
	const char *type = json_string_value(json_object_get(args, "type"));
	const json_t *cols = json_object_get(args, "group_size");

	return type && !strcmp(type, "int") &&
		json_integer_value(json_object_get(args, "num_bits")) == f->bits &&
		(f->cols == CODEC_ALL_COLS || !json_is_integer(cols) ||
			json_integer_value(cols) == f->cols);
}

bool matrix_lacks_zeros(const struct ckpt *c, enum codec form)
{
	json_t *groups = json_object_get(json_object_get(c->doc.o, "quantization_config"),
		       "config_groups"),
	       *group, *args;
	unsigned asymmetric = 0, all = 0;
	const char *key;

	if (form != CODEC_INT4_128 && form != CODEC_INT4_32 && form != CODEC_INT8_ROW)
		return false;
	json_object_foreach(groups, key, group)
	{
		args = json_object_get(group, "weights");
		if (!args_are_of(args, &codecs[form]))
			continue;
		all++;
		asymmetric += json_is_false(json_object_get(args, "symmetric"));
	}
	return all && asymmetric == all;
}

/* Whether t is the zero points of a matrix in a number format that has such: as many as the header of the codes asks for. */
static bool zeros_fit(const struct ckpt *c, const struct tensor *t)
{
	char name[ST_NAME_MAX + 1];
	struct matrix_parts m;
	const struct tensor *codes;
	unsigned k;

	snprintf(name, sizeof name, "%.*s", (int)(strlen(t->name) - strlen(zero_points)), t->name);
	for (k = CODEC_NONE + 1; k < CODEC_COUNT; k++) {
		codes = codecs[k].zeros ? matrix_part(c, name, codecs[k].codes, codecs[k].code)
					: NULL;
		if (codes && codes->rank == 2 &&
			has_form(&m, c, name, codes->dim[0],
				codec_cols((enum codec)k, codes->dim[1]), (enum codec)k))
			return true;
	}
	return false;
}

int matrix_alone(const struct ckpt *c, struct err *e)
{
	const struct tensor *t;
	const char *what;
	size_t i;

	for (i = 0; i < c->n; i++) {
		t = &c->tensors[i];
		what = text_ends(t->name, order) ? "an order of columns"
			: text_ends(t->name, zero_points) && !zeros_fit(c, t) ? "zero points"
									      : NULL;
		if (what)
			return err_rule(e, RULE_FORM_UNREAD, ERR_NOPOS,
				"tensor %s: a matrix has %s beside codes and scales, which is no number format that is known",
				text_quote(t->name).s, what);
	}
	return 0;
}
