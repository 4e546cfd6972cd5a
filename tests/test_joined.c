/* test_joined.c -- what the tensors of a conversion must be, so that who reads their headers computes with the model that
 * it was made of: those of matrices in other number formats, one thing wrong at a time.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/codec.h"
#include "formats/conversion/joined.h"
#include "tests/set.h"

#define W1 "layers.0.ffn.experts.0.w1."

static const struct row {
	const char *what, *name;
	uint8_t op, of, to, dtype, rank;
	uint64_t rows, cols; /* 0: those that it has; of scales in blocks */
	bool good;
} rows[] = {
	{ "cast", W1 "weight", OP_CAST, 0, 0, DT_F8_E4M3, 2, 0, 0, true },
	{ "cast, of another name", "layers.0.ffn.experts.0.w3.weight", OP_CAST, 0, 0, DT_F8_E4M3, 2,
		0, 0, false },
	{ "cast, of another type", W1 "weight", OP_CAST, 0, 0, DT_I8, 2, 0, 0, false },
	{ "cast, of another shape", W1 "weight", OP_CAST, 0, 0, DT_F8_E4M3, 2, 1, 0, false },
	{ "scales", W1 "scale", OP_CAST_SCALE, 0, 0, DT_F8_E8M0, 2, 0, 0, true },
	{ "scales as numbers", W1 "scale", OP_CAST_SCALE, 0, 0, DT_F32, 2, 0, 0, true },
	{ "scales of another type", W1 "scale", OP_CAST_SCALE, 0, 0, DT_BF16, 2, 0, 0, false },
	{ "scales of another shape", W1 "scale", OP_CAST_SCALE, 0, 0, DT_F8_E8M0, 2, 0, 1, false },
	{ "scales of another name", W1 "weight", OP_CAST_SCALE, 0, 0, DT_F8_E8M0, 2, 0, 0, false },
	{ "codes", W1 "weight", OP_REFORM, PART_CODES, CODEC_NVFP4, DT_U8, 2, 0, 0, true },
	{ "codes of another type", W1 "weight", OP_REFORM, PART_CODES, CODEC_NVFP4, DT_I8, 2, 0, 0,
		false },
	{ "codes of another name", W1 "weight_packed", OP_REFORM, PART_CODES, CODEC_NVFP4, DT_U8, 2,
		0, 0, false },
	{ "new scales", W1 "weight_scale", OP_REFORM, PART_SCALES, CODEC_NVFP4, DT_F8_E4M3, 2, 0, 0,
		true },
	{ "new scales as numbers", W1 "weight_scale", OP_REFORM, PART_SCALES, CODEC_NVFP4, DT_F32,
		2, 0, 0, false },
	{ "factor", W1 "weight_scale_2", OP_REFORM, PART_SECOND, CODEC_NVFP4, DT_F32, 0, 0, 0,
		true },
	{ "factor, with a dimension", W1 "weight_scale_2", OP_REFORM, PART_SECOND, CODEC_NVFP4,
		DT_F32, 1, 0, 0, false },
	{ "factor of BF16", W1 "weight_scale_2", OP_REFORM, PART_SECOND, CODEC_BF16, DT_F32, 0, 0,
		0, false },
};

static bool holds(const struct ckpt *c, const struct row *r)
{
	bool scales = r->op == OP_CAST_SCALE || r->of == PART_SCALES || r->of == PART_SECOND;
	struct sidecar_source of[2] = { { .tensor = scales ? W1 "scale" : W1 "weight" },
		{ .tensor = W1 "scale" } };
	const struct tensor *w = ckpt_find(c, W1 "weight");
	enum codec to = r->op == OP_REFORM ? (enum codec)r->to : CODEC_FP8;
	uint64_t dim[2] = { w->dim[0], codec_dim1(to, codec_cols(CODEC_MXFP4, w->dim[1])) };
	struct sidecar_tensor t = { .name = r->name,
		.dim = dim,
		.n = scales ? 1 : 2,
		.op = r->op,
		.from = CODEC_MXFP4,
		.to = r->to,
		.of = r->of,
		.dtype = r->dtype,
		.rank = r->rank };
	const struct sidecar s = { .tensors = &t, .n = 1, .sources = of, .n_sources = 2 };
	const struct joined j = { .c = c };
	struct piece p = { .tensor = (uint32_t)(w - c->tensors) };
	struct err e = { 0 };
	int rc;

	if (scales)
		codec_scale_dim(to, w->dim[0], codec_cols(CODEC_MXFP4, w->dim[1]), dim);
	dim[0] += r->rows;
	dim[1] += r->cols;
	rc = joined_form(&j, &s, &t, &p, &e);
	return r->good ? !rc : rc && e.rule && !strcmp(e.rule, "set.form");
}

static void matrices(void)
{
	struct ckpt_opts co = { 0 };
	struct findings f = { 0 };
	struct err e = { 0 };
	struct ckpt c;
	size_t i;

	CHECK(!ckpt_open(&c, io_posix(), FLASH, &co, &f, &e));
	for (i = 0; i < sizeof rows / sizeof *rows; i++)
		CHECK_IN(rows[i].what, holds(&c, &rows[i]));
	ckpt_close(&c);
	finding_free(&f);
}

static const struct test tests[] = { { "joined: matrices", matrices }, { NULL, NULL } };
TEST_MAIN(tests)
