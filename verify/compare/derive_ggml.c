/* derive_ggml.c -- tensors of a GGUF made once more from the source: what they must be called, and rows of the block
 * formats of ggml, element by element.
 *
 * It shares nothing with the converter but the tables of formats (quant/codec.h, formats/gguf/ggml_type.h) and of names
 * (formats/model/gguf_name.h).
 *
 * SPDX-License-Identifier: MIT */
#include "verify/compare/derive.h"

#include "formats/gguf/ggml_type.h"
#include "formats/model/gguf_name.h"
#include "core/cpu.h"
#include "quant/ggml_search.h"
#include "quant/num.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 32 };

bool derive_ggml_named(const struct derive *d, uint32_t k, uint32_t each)
{
	const char *from = d->a->sources[d->t->first + k].tensor;
	char name[GGUF_NAME_MAX + 1];
	long expert;

	if (!gguf_name_of(name, &expert, from, k % each == 1, gguf_of_file(d->a->name),
		    &d->c->config) ||
		strcmp(name, d->t->name) != 0)
		return false;
	if (gguf_name_beside(d->t->name))
		return strstr(from, k / each ? ".h_proj." : ".e_proj.") != NULL;
	return expert < 0 || (uint32_t)expert == k / each;
}

/* The number format of the sources; *each is how many a matrix has. False where they are of none that is taken. */
static bool format_of(struct derive *d, uint32_t *each)
{
	const struct tensor *w = d->src[0], *s = d->t->n > 1 ? d->src[1] : NULL;

	*each = 1;
	d->from = CODEC_NONE;
	if (w->dtype == DT_BF16)
		d->from = CODEC_BF16;
	if (w->dtype == DT_F32 && d->searched) /* else they are copied */
		d->from = CODEC_F32;
	if (d->from != CODEC_NONE || w->dtype == DT_I64)
		return d->t->n == 1;
	*each = 2;
	d->from = s ? codec_of_types(w->dtype, s->dtype) : CODEC_NONE;
	return d->from == CODEC_MXFP4 || d->from == CODEC_FP8 || d->from == CODEC_FP8_F32;
}

/* Blocks of the type that the sidecar says; of one that says none by the bytes of a row. */
static bool blocks_of(struct derive *d, uint64_t cols, uint64_t last)
{
	const struct ggml_type_row *r;

	d->ggml = d->t->ggml ? d->t->ggml : d->from == CODEC_MXFP4 ? GGML_MXFP4 : GGML_Q8_0;
	r = ggml_type_find(d->ggml);
	if (d->ggml != GGML_Q8_0 && d->ggml != GGML_MXFP4 && !d->searched)
		return false;
	if (d->ggml == GGML_MXFP4 && d->from != CODEC_MXFP4)
		return false;
	return cols % r->items == 0 && last == cols / r->items * r->bytes;
}

/* The type of ggml that type and shape of the result are. */
static bool type_of(struct derive *d, uint64_t cols)
{
	uint64_t last = d->t->rank ? d->t->dim[d->t->rank - 1] : 1;

	switch (d->t->dtype) {
	case DT_F32:
		d->ggml = GGML_F32;
		return last == cols;
	case DT_BF16:
		d->ggml = GGML_BF16;
		return last == cols;
	case DT_I32:
		d->ggml = GGML_I32;
		return last == cols && d->src[0]->dtype == DT_I64;
	case DT_F16:
		d->ggml = GGML_F16;
		return last == cols && d->searched;
	case DT_U8:
		return blocks_of(d, cols, last);
	default:
		return false;
	}
}

/* All matrices are like the first, and called as they must be. */
static const char *check_all(const struct derive *d, uint32_t each,
	const struct tensor *(*source)(const struct derive *d, uint64_t k))
{
	const struct tensor *s, *first;
	uint32_t k;

	for (k = 0; k < d->t->n; k++) {
		s = source(d, k);
		first = d->src[k % each];
		if (!s || s->dtype != first->dtype || s->rank != first->rank ||
			memcmp(s->dim, first->dim, s->rank * sizeof *s->dim) != 0)
			return "its sources are not of one type and shape";
		if (!derive_ggml_named(d, k, each))
			return "a source that is not what its name says, or out of order";
	}
	return NULL;
}

const char *derive_ggml_open(struct derive *d,
	const struct tensor *(*source)(const struct derive *d, uint64_t k))
{
	const struct tensor *w = d->src[0];
	uint64_t matrices, rows, cols, dim[2], n = 1;
	uint32_t each, i;

	if (!format_of(d, &each) || d->t->n % each || w->rank < 1 || w->rank > 2 || d->t->row[1] ||
		d->t->col[1])
		return "its sources are no matrices that a GGUF is made of";
	matrices = d->t->n / each;
	rows = w->rank > 1 ? w->dim[0] : 1;
	cols = w->rank > 1 ? w->dim[1] : w->dim[0];
	cols = each > 1 ? codec_cols(d->from, cols) : cols;
	if (each > 1) {
		codec_scale_dim(d->from, rows, cols, dim);
		if (d->src[1]->rank != 2 || d->src[1]->dim[0] != dim[0] ||
			d->src[1]->dim[1] != dim[1])
			return "its scales are not those of its codes";
	}
	for (i = 0; i + 1 < d->t->rank; i++)
		n *= d->t->dim[i];
	d->beside = gguf_name_beside(d->t->name);
	if (d->t->rank != (matrices > 1 && !d->beside ? 3u : w->rank) || !cols || !rows ||
		n != (d->beside ? rows : matrices * rows) ||
		!type_of(d, d->beside ? matrices * cols : cols))
		return "type or shape are not what the transform makes";
	d->rows = rows;
	d->cols = cols;
	d->src_bytes = (w->end - w->begin) / rows;
	d->n_rows = n;
	d->row_bytes = (d->t->end - d->t->begin) / d->n_rows;
	d->unit_rows = DERIVE_UNIT / d->row_bytes ? DERIVE_UNIT / d->row_bytes : 1;
	d->keep = each;
	d->searched = d->searched && ggml_searched_find(d->from, d->ggml);
	d->importance = d->searched && d->imatrix && !d->beside
		? imatrix_find(d->imatrix, d->t->name)
		: NULL;
	if (d->importance && (d->importance->cols != cols || d->importance->mats != matrices))
		return "its importance is of another shape";
	d->stage = (size_t)(d->src_bytes + cols * (2 * sizeof(double) + 3 * sizeof(float)) + 64);
	return check_all(d, each, source);
}

/* --- making rows --- */

/* IEEE binary16 of a number that is not negative, found by trying: the nearest of all, ties to even. */
static uint16_t half(double x)
{
	uint16_t lo = 0, hi = 0x7bff, mid;
	double a, b;

#define VALUE(h) ((h) < 0x400 ? ldexp((h), -24) : ldexp(1024 + ((h)&0x3ff), ((h) >> 10) - 25))
	while (lo < hi) { /* the largest whose value is not above x */
		mid = (uint16_t)((lo + hi + 1) / 2);
		if (VALUE(mid) <= x)
			lo = mid;
		else
			hi = (uint16_t)(mid - 1);
	}
	a = x - VALUE(lo);
	b = VALUE(lo + 1) - x;
	return (uint16_t)(a < b || (a == b && lo % 2 == 0) ? lo : lo + 1);
}

static void put_q8_0(const double *v, uint8_t *out)
{
	float most = 0, d, id;
	uint16_t h;
	unsigned i;

	for (i = 0; i < BLOCK; i++)
		most = fmaxf(most, fabsf((float)v[i]));
	d = most / 127.0f;
	id = d != 0 ? 1.0f / d : 0.0f;
	h = half((double)d);
	memcpy(out, &h, sizeof h);
	for (i = 0; i < BLOCK; i++)
		out[2 + i] = (uint8_t)(int)roundf((float)v[i] * id);
}

/* Code i of a block of MXFP4 of the source. */
static unsigned code(const uint8_t *codes, unsigned i)
{
	return (unsigned)codes[i / 2] >> 4 * (i % 2) & 15u;
}

static void put_mxfp4(const uint8_t *codes, uint8_t scale, uint8_t *out)
{
	unsigned i;

	out[0] = scale;
	for (i = 0; i < BLOCK / 2; i++)
		out[1 + i] = (uint8_t)(code(codes, i) | code(codes, i + BLOCK / 2) << 4);
}

static void put_f16(const double *v, uint64_t cols, uint8_t *out)
{
	uint16_t h;
	uint64_t i;

	for (i = 0; i < cols; i++) {
		h = (uint16_t)(half(fabs(v[i])) | (signbit(v[i]) ? 0x8000 : 0));
		memcpy(out + 2 * i, &h, sizeof h);
	}
}

/* A row that a search has made: F16 and Q8_0, where nothing is searched, are made here. */
static void put_searched(struct derive_maker *m, const struct derive *d,
	const struct ggml_search *s, const uint8_t *codes, const uint8_t *scales, uint8_t *out)
{
	const struct ggml_way *how = ggml_searched_find(d->from, d->ggml);
	size_t cols = (size_t)d->cols, i;

	/* where a value cannot be had the bytes are some, and not those that are there: no run has written them */
	(void)ggml_search_row(how, s, codes, scales, cols, out);
	if (d->ggml == GGML_F16)
		put_f16(s->v, cols, out);
	for (i = 0; d->ggml == GGML_Q8_0 && i < cols; i += BLOCK)
		put_q8_0(s->v + i, out + i / BLOCK * 34);
	m->blocks.n += ggml_search_blocks(d->ggml, cols);
	m->blocks.lossy += ggml_search_changed(d->ggml, s, cols);
}

static void put_values(const struct derive *d, const double *v, uint8_t *out)
{
	uint64_t i;
	float f;
	uint16_t h;

	for (i = 0; i < d->cols; i++) {
		f = (float)v[i];
		h = num_bf16_from(f);
		if (d->ggml == GGML_F32)
			memcpy(out + 4 * i, &f, sizeof f);
		else if (d->ggml == GGML_BF16)
			memcpy(out + 2 * i, &h, sizeof h);
		else if (i % BLOCK == 0)
			put_q8_0(v + i, out + i / BLOCK * 34);
	}
}

/* One row, whose codes and scales are at hand. */
static void put_row(const struct derive *d, const uint8_t *codes, const uint8_t *scales, double *v,
	uint8_t *out)
{
	uint64_t i;

	if (d->ggml == GGML_I32) {
		for (i = 0; i < d->cols;
			i++) /* the lower half of an id; ids are small, as the converter says */
			memcpy(out + 4 * i, codes + 8 * i, 4);
	} else if (d->ggml == GGML_MXFP4) {
		for (i = 0; i < d->cols / BLOCK; i++)
			put_mxfp4(codes + 16 * i, scales[i], out + 17 * i);
	} else {
		codec_ops[d->from].decode(codes, scales, 1, (size_t)d->cols, v);
		put_values(d, v, out);
	}
}

/* Row `row` of matrix k of the tensor to out. */
static int make_row(struct derive_maker *m, const struct derive *d, const struct lowbit_way *way,
	uint64_t k, uint64_t row, uint8_t *out, struct err *e)
{
	uint8_t *stage = m->stage;
	const struct sidecar_source *s = d->a->sources + d->t->first + k * d->keep;
	double *v = (double *)(void *)stage;
	float *x = (float *)(void *)(v + 2 * d->cols), *mean = x + d->cols;
	const struct ggml_search search = { .way = way,
		.weights = d->importance ? mean : NULL,
		.v = v,
		.got = v + d->cols,
		.x = x };
	uint8_t *codes = (uint8_t *)(mean + d->cols), *scales = codes + d->src_bytes;
	double tokens;
	const struct tensor *t;
	size_t bytes;

	if (derive_read(d, ckpt_find(d->c, s[0].tensor), row * d->src_bytes, codes,
		    (size_t)d->src_bytes, e))
		return -1;
	if (d->importance && imatrix_mean(d->imatrix, d->importance, k, mean, &tokens, e))
		return -1;
	if (d->keep > 1) {
		t = ckpt_find(d->c, s[1].tensor);
		bytes = (size_t)((t->end - t->begin) / t->dim[0]);
		if (derive_read(d, t, row / codecs[d->from].rows * bytes, scales, bytes, e))
			return -1;
	}
	if (d->searched)
		put_searched(m, d, &search, codes, scales, out);
	else
		put_row(d, codes, scales, v, out);
	return 0;
}

static int make_rows(struct derive_maker *m, const struct derive *d, const struct lowbit_way *way,
	uint64_t row, uint64_t n, uint8_t *out, struct err *e)
{
	uint64_t k, parts = d->beside ? d->t->n / d->keep : 1;

	for (; n--; row++)
		for (k = 0; k < parts; k++, out += d->row_bytes / parts)
			if (make_row(m, d, way, d->beside ? k : row / d->rows, row % d->rows, out,
				    e))
				return -1;
	return 0;
}

int derive_ggml_make(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	return make_rows(m, d, lowbit_best(cpu_features()), row, n, out, e);
}

int derive_ggml_plain(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	return make_rows(m, d, lowbit_best(0), row, n, out, e);
}
