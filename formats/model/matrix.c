/* SPDX-License-Identifier: MIT */
#include "formats/model/matrix.h"

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

static bool has_form(struct matrix_parts *m, const struct ckpt *c, const char *name, uint64_t rows,
	uint64_t cols, enum codec k)
{
	const struct codec_form *f = &codecs[k];
	uint64_t dim[2];

	*m = (struct matrix_parts){ .form = k };
	if (f->code == DT_COUNT)
		return false;
	m->codes = matrix_part(c, name, f->codes, f->code);
	if (!has_shape(m->codes, rows, codec_dim1(k, cols)))
		return false;
	codec_scale_dim(k, rows, cols, dim);
	m->scales = f->scale == DT_COUNT ? NULL : matrix_part(c, name, f->scales, f->scale);
	m->second = f->second.name ? matrix_part(c, name, f->second.name, DT_F32) : NULL;
	return (f->scale == DT_COUNT || has_shape(m->scales, dim[0], dim[1])) &&
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
