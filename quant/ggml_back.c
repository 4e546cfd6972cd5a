/* SPDX-License-Identifier: MIT */
#include "quant/ggml_back.h"

#include "core/mem.h"
#include "quant/ggml_floats.h"
#include "quant/num.h"
#include "quant/residue.h"
#include "quant/unscale.h"

#include <math.h>
#include <string.h>

enum { MX = GGML_MXFP4_ITEMS, MX_BYTES = GGML_MXFP4_BYTES };

/* --- values --- */

static void f32_values(const uint8_t *src, size_t cols, double *v)
{
	float f;
	size_t i;

	for (i = 0; i < cols; i++) {
		memcpy(&f, src + 4 * i, sizeof f);
		v[i] = (double)f;
	}
}

static void bf16_values(const uint8_t *src, size_t cols, double *v)
{
	size_t i;

	for (i = 0; i < cols; i++)
		v[i] = (double)num_bf16((uint16_t)(src[2 * i] | src[2 * i + 1] << 8));
}

static void mxfp4_values(const uint8_t *src, size_t cols, double *v)
{
	double d;
	size_t b, i;

	for (b = 0; b < cols / MX; b++, src += MX_BYTES, v += MX) {
		d = (double)num_e8m0(src[0]);
		for (i = 0; i < MX / 2; i++) {
			v[i] = d * (double)num_e2m1(src[1 + i] & 15);
			v[i + MX / 2] = d * (double)num_e2m1(src[1 + i] >> 4);
		}
	}
}

static const struct {
	uint32_t type;
	void (*get)(const uint8_t *src, size_t cols, double *v);
} values[] = {
	{ GGML_F32, f32_values },
	{ GGML_BF16, bf16_values },
	{ GGML_MXFP4, mxfp4_values },
};

static bool float_values(uint32_t type, const uint8_t *src, size_t cols, unsigned features,
	double *v)
{
	enum { SOME = 1024 }; /* a multiple of every block */
	const struct ggml_type_row *r = ggml_type_find(type);
	float some[SOME];
	size_t at, n, i;

	if (!ggml_floats_has(type))
		return false;
	for (at = 0; at < cols; at += n, src += n / r->items * r->bytes) {
		n = cols - at < SOME ? cols - at : SOME;
		(void)ggml_floats(type, src, n, features, some);
		for (i = 0; i < n; i++)
			v[at + i] = (double)some[i];
	}
	return true;
}

bool ggml_decodes(uint32_t type)
{
	size_t i;

	for (i = 0; i < sizeof values / sizeof *values; i++)
		if (values[i].type == type)
			return true;
	return ggml_floats_has(type);
}

bool ggml_values(uint32_t type, const uint8_t *src, size_t cols, unsigned features, double *v)
{
	size_t i;

	for (i = 0; i < sizeof values / sizeof *values; i++)
		if (values[i].type == type) {
			values[i].get(src, cols, v);
			return true;
		}
	return float_values(type, src, cols, features, v);
}

/* --- matrices --- */

bool ggml_has_back(enum codec from, uint32_t type)
{
	const struct ggml_way *w = ggml_way_find(from, type);

	return w && !w->lossy && (w->back || residue_has(from));
}

static size_t aligned(size_t n)
{
	return mem_ceil_div(n, 16) * 16;
}

static size_t across(enum codec from, uint64_t cols)
{
	return (size_t)mem_ceil_div(cols, codecs[from].cols);
}

size_t ggml_back_work(enum codec from, uint64_t rows, uint64_t cols)
{
	return (size_t)cols * sizeof(double) + across(from, cols) * sizeof(double) +
		aligned(residues_bytes(from, rows, cols));
}

/* A matrix on its way. */
struct back {
	const struct ggml_matrix *m;
	const struct codec_form *f;
	size_t n;      /* blocks of a row */
	double *v;     /* [cols] of a row */
	double *block; /* [n] the largest magnitude of a block of the band, then its scale */
	uint8_t *kept; /* residues */
};

static const uint8_t *row_at(const struct back *b, uint64_t row)
{
	return b->m->rows_at + row * b->m->stride;
}

/* The columns of block g. */
static size_t width(const struct back *b, size_t g)
{
	size_t at = g * b->f->cols;

	return b->m->cols - at < b->f->cols ? (size_t)b->m->cols - at : b->f->cols;
}

/* Raises the largest magnitudes of the blocks to those of a row of BF16. Returns false where one is not finite. */
static bool tops_of_bf16(const struct back *b, const uint8_t *row)
{
	bool ok = true;
	double x;
	size_t g;

	for (g = 0; g < b->n; g++) {
		x = (double)num_bf16(unscale_top(row + 2 * g * b->f->cols, width(b, g)));
		ok = ok && isfinite(x);
		b->block[g] = x > b->block[g] ? x : b->block[g];
	}
	return ok;
}

/* The same of values. */
static bool tops_of_values(const struct back *b)
{
	const double *v = b->v;
	bool ok = true;
	size_t g, i, n;
	double x;

	for (g = 0; g < b->n; g++) {
		for (i = 0, n = width(b, g); i < n; i++) {
			x = fabs(*v++);
			ok = ok && isfinite(x);
			b->block[g] = x > b->block[g] ? x : b->block[g];
		}
	}
	return ok;
}

/* The largest magnitudes of the blocks of rows row..end. */
static bool find_tops(const struct back *b, uint64_t row, uint64_t end)
{
	bool ok = true;

	memset(b->block, 0, b->n * sizeof *b->block);
	for (; ok && row < end; row++)
		ok = b->m->type == GGML_BF16
			? tops_of_bf16(b, row_at(b, row))
			: ggml_values(b->m->type, row_at(b, row), (size_t)b->m->cols, 0, b->v) &&
				tops_of_values(b);
	return ok;
}

/* Codes of a row of BF16 by their bits. Returns false where a scale wants the values, or where one is not its code's. */
static bool put_bits(const struct back *b, const uint8_t *row, uint8_t *codes)
{
	size_t g;
	int k;

	if (b->m->type != GGML_BF16 || (b->m->from != CODEC_FP8 && b->m->from != CODEC_FP8_F32))
		return false;
	for (g = 0; g < b->n; g++)
		if (!unscale_power((float)b->block[g], &k) ||
			!unscale_fp8(codes + g * b->f->cols, row + 2 * g * b->f->cols, width(b, g),
				k))
			return false;
	return true;
}

/* Codes of a row, given the values of its scales: false where one of them is not its value. */
static bool put_row(const struct back *b, uint64_t row, const uint8_t *scales, uint8_t *codes)
{
	enum codec from = b->m->from;
	size_t g, i, n, at = 0;
	double x;

	if (put_bits(b, row_at(b, row), codes))
		return true;
	if (!ggml_values(b->m->type, row_at(b, row), (size_t)b->m->cols, 0, b->v))
		return false;
	codec_ops[from].encode(b->v, scales, 1, (size_t)b->m->cols, codes);
	for (g = 0; g < b->n; g++)
		for (i = 0, n = width(b, g); i < n; i++, at++) {
			x = from == CODEC_MXFP4
				? (double)num_e2m1(codes[at / 2] >> (at % 2 * 4) & 15)
				: (double)num_e4m3(codes[at]);
			x *= b->block[g];
			if (memcmp(&x, &b->v[at], sizeof x) != 0)
				return false;
		}
	return true;
}

/* The rows of one band, and their scales. */
static bool put_band(const struct back *b, uint64_t row, uint64_t end, uint8_t *codes,
	uint8_t *scales)
{
	uint64_t bytes = codec_row_bytes(b->m->from, b->m->cols),
		 scale_row = b->n * dtypes[b->f->scale].bits / 8, band = row / b->f->rows;
	size_t g;

	if (!find_tops(b, row, end))
		return false;
	scales += band * scale_row;
	for (g = 0; g < b->n; g++) {
		b->block[g] = residue_scale(b->m->from, b->block[g], b->kept + band * scale_row,
			scales, g);
		if (b->block[g] == 0)
			return false;
	}
	for (; row < end; row++)
		if (!put_row(b, row, scales, codes + row * bytes))
			return false;
	return true;
}

static bool by_values(const struct ggml_matrix *m, uint8_t *codes, uint8_t *scales, uint8_t *work)
{
	struct back b = { .m = m, .f = &codecs[m->from], .n = across(m->from, m->cols) };
	uint64_t row, end;

	b.v = (double *)(void *)work;
	b.block = b.v + m->cols;
	b.kept = (uint8_t *)(b.block + b.n);
	if (!residues_unpack(m->from, m->rows, m->cols, m->kept, m->n_kept, b.kept))
		return false;
	for (row = 0; row < m->rows; row = end) {
		end = row + b.f->rows < m->rows ? row + b.f->rows : m->rows;
		if (!put_band(&b, row, end, codes, scales))
			return false;
	}
	return true;
}

bool ggml_back(const struct ggml_matrix *m, uint8_t *codes, uint8_t *scales, uint8_t *work)
{
	const struct ggml_way *w = ggml_way_find(m->from, m->type);
	uint64_t each = m->from == CODEC_NONE ? m->cols * sizeof(int64_t)
					      : codec_row_bytes(m->from, m->cols),
		 i;

	if (!w || w->lossy)
		return false;
	if (!w->back)
		return residue_has(m->from) && by_values(m, codes, scales, work);
	for (i = 0; i < m->rows; i++)
		if (!w->back(m->rows_at + i * m->stride,
			    scales ? scales + i * across(m->from, m->cols) : NULL, (size_t)m->cols,
			    NULL, codes + i * each))
			return false;
	return !m->n_kept;
}
