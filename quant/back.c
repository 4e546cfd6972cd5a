/* SPDX-License-Identifier: MIT */
#include "quant/back.h"

#include "quant/reform.h"
#include "quant/uncast.h"

/* The cast of FP4 to FP8 looks at blocks of several rows, and has a way back of its own. */
static bool is_cast(const struct joined_form *f)
{
	return f->from == CODEC_MXFP4 && f->to == CODEC_FP8;
}

static size_t work(const struct joined_form *f)
{
	const struct reform *how = reform_find((enum codec)f->from, (enum codec)f->to);

	if (is_cast(f) && (f->rows % FP4TO8_BLOCK || f->cols % FP4TO8_BLOCK))
		return 0;
	if (is_cast(f))
		return uncast_work(f->rows, f->cols);
	if (!how || f->cols % how->block || f->cols % codecs[f->to].cols)
		return 0;
	return reform_work(how, f->rows, f->cols);
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

	if (is_cast(f))
		return uncast(m->codes, m->scales, m->kept, m->n_kept, f->rows, f->cols, codes,
			scales, room, e);
	return reform_back(&r, codes, scales, room, e);
}

const struct joined_uncast quant_back = { work, back };
