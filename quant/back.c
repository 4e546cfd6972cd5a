/* SPDX-License-Identifier: MIT */
#include "quant/back.h"

#include "quant/ggml_back.h"
#include "quant/reform.h"
#include "quant/uncast.h"

/* The cast of FP4 to FP8 looks at blocks of several rows, and has a way back of its own. */
static bool is_cast(const struct joined_form *f)
{
	return f->from == CODEC_MXFP4 && (f->to == CODEC_FP8 || f->to == CODEC_FP8_32);
}

static size_t work(const struct joined_form *f)
{
	const struct reform *how = reform_find((enum codec)f->from, (enum codec)f->to);

	if (f->blocks)
		return ggml_has_back((enum codec)f->from, f->ggml)
			? ggml_back_work((enum codec)f->from, f->rows, f->cols)
			: 0;
	if (is_cast(f) && !codec_whole((enum codec)f->to, f->rows, f->cols))
		return 0;
	if (is_cast(f))
		return uncast_work(f->rows, f->cols);
	if (!how || f->cols % how->block || f->cols % codecs[f->to].cols)
		return 0;
	return reform_work(how, f->rows, f->cols);
}

static int blocks_back(const struct joined_form *f, const struct joined_matrix *m, uint8_t *codes,
	uint8_t *scales, uint8_t *room, struct err *e)
{
	const struct ggml_matrix g = { .from = (enum codec)f->from,
		.type = f->ggml,
		.rows = f->rows,
		.cols = f->cols,
		.rows_at = m->codes,
		.stride = f->stride,
		.kept = m->kept,
		.n_kept = m->n_kept };

	if (ggml_back(&g, codes, scales, room))
		return 0;
	return err_rule(e, RULE_SET_DIGEST, ERR_NOPOS,
		"values that no matrix of the source has: it was damaged since");
}

static int back(const struct joined_form *f, const struct joined_matrix *m, uint8_t *codes,
	uint8_t *scales, uint8_t *room, struct err *e)
{
	const struct reform_matrix r = { .how = reform_find((enum codec)f->from, (enum codec)f->to),
		.rows = f->rows,
		.cols = f->cols,
		.codes = m->codes,
		.scales = m->scales,
		.second = m->second,
		.kept = m->kept,
		.n_kept = m->n_kept };

	if (f->blocks)
		return blocks_back(f, m, codes, scales, room, e);
	if (is_cast(f))
		return uncast(m->codes, m->scales, fp4to8_of(codecs[f->to].cols), m->kept,
			m->n_kept, f->rows, f->cols, codes, scales, room, e);
	return reform_back(&r, codes, scales, room, e);
}

const struct joined_uncast quant_back = { work, back };
