/* decode.c -- values of a tensor as F32: its codes and scales read, taken out of their layouts, and multiplied by the
 * table of number formats.
 *
 * Which format a tensor has follows from its name, its type and the tensor of scales beside it, as codec.h has them;
 * sizes must fit to the row of the table. Nothing is guessed: what fits no row has no values.
 *
 * SPDX-License-Identifier: MIT */
#include "core/text.h"
#include "quant/codec.h"
#include "quant/lib/handle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 1200 };

/* How the values of a tensor are stored. */
struct form {
	enum codec codec;
	const struct handle_tensor *codes, *scales, *second; /* NULL: the format has none */
	uint64_t count, rows, cols;                          /* of codes */
	uint64_t row_bytes, scale_rows, scale_bytes;         /* scale_bytes: of a row of scales */
};

/* --- which format --- */

/* The tensor of the same matrix whose name ends with to instead of from; NULL: the folder has none. */
static const struct handle_tensor *beside(const struct dsv4 *d, const struct handle_tensor *t,
	const char *from, const char *to)
{
	size_t n = strlen(t->is.name), m = strlen(from), i;
	char name[NAME];

	if (!to || n < m + 1 || n - m + strlen(to) >= sizeof name ||
		strcmp(t->is.name + n - m, from) != 0 || t->is.name[n - m - 1] != '.')
		return NULL;
	snprintf(name, sizeof name, "%.*s%s", (int)(n - m), t->is.name, to);
	i = dsv4_find(d, d->files[t->is.file].is.folder, name);
	return i == DSV4_NONE ? NULL : &d->tensors[i];
}

/* Codes that lie in stacks: E2M1 in bytes, whatever type the engine calls them. */
static bool form_of_stack(const struct dsv4 *d, struct form *f)
{
	const struct handle_tensor *t = f->codes, *s = beside(d, t, "weight", "scale");
	uint64_t dim[2];

	f->codec = CODEC_MXFP4;
	f->count = t->stack.count;
	f->rows = t->stack.rows;
	f->row_bytes = t->stack.row_bytes;
	f->cols = codec_cols(f->codec, f->row_bytes);
	codec_scale_dim(f->codec, f->rows, f->cols, dim);
	f->scales = s;
	f->scale_rows = dim[0];
	f->scale_bytes = dim[1];
	return !t->scales && s && s->is.stack && s->scales && s->stack.count == f->count &&
		s->stack.rows == dim[0] && s->stack.row_bytes == dim[1] && s->map == t->map;
}

/* Whether a plain tensor is the codes of format c, with scales of the right size beside it. */
static bool is_form(const struct dsv4 *d, struct form *f, enum codec c)
{
	const struct handle_tensor *t = f->codes, *s;
	const struct codec_form *w = &codecs[c];
	/* The official rank files declare MXFP4 as F4, and count codes. */
	bool f4 = c == CODEC_MXFP4 && t->dtype == DT_F4;
	uint64_t dim[2], last = t->is.rank ? t->is.shape[t->is.rank - 1] : 1;

	if ((t->dtype != w->code && !f4) || (w->scale != DT_COUNT && t->is.rank != 2) || !last)
		return false;
	f->codec = c;
	f->cols = f4 ? last : codec_cols(c, last);
	f->row_bytes = codec_row_bytes(c, f->cols);
	f->rows = f->row_bytes ? t->is.bytes / f->row_bytes : 0;
	f->count = 1;
	f->scales = f->second = NULL;
	if (w->scale == DT_COUNT)
		return f->rows * f->row_bytes == t->is.bytes;
	s = beside(d, t, w->codes, w->scales);
	codec_scale_dim(c, f->rows, f->cols, dim);
	if (!s || s->is.stack || s->dtype != w->scale || s->is.rank != 2 ||
		s->is.shape[0] != dim[0] || s->is.shape[1] != dim[1])
		return false;
	f->scales = s;
	f->scale_rows = dim[0];
	f->scale_bytes = s->is.bytes / (dim[0] ? dim[0] : 1);
	f->second = beside(d, t, w->codes, w->second.name);
	return !w->second.name || (f->second && f->second->is.bytes == sizeof(float));
}

static int form_of(const struct dsv4 *d, const struct handle_tensor *t, struct form *f,
	struct err *e)
{
	unsigned c;

	*f = (struct form){ .codes = t };
	if (t->is.stack ? form_of_stack(d, f) : false)
		return 0;
	for (c = CODEC_NONE + 1; !t->is.stack && c < CODEC_COUNT; c++)
		if (is_form(d, f, (enum codec)c))
			return 0;
	return err_rule(e, RULE_LIB_DECODE, ERR_NOPOS,
		"tensor %s of type %s holds no values of a number format that is known, or the "
		"scales of it are not in its folder",
		text_quote(t->is.name).s, t->is.dtype);
}

int dsv4_values(const struct dsv4 *d, size_t i, struct dsv4_values *v, struct dsv4_error *e)
{
	struct err why = { 0 };
	struct form f;

	if (handle_needs(d, "d", &why) || handle_needs(v, "v", &why))
		return handle_fails(e, &why);
	if (i >= d->info.tensors)
		err_rule(&why, RULE_LIB_RANGE, ERR_NOPOS, "tensor %zu of %zu", i, d->info.tensors);
	else if (!form_of(d, &d->tensors[i], &f, &why))
		*v = (struct dsv4_values){ f.count, f.rows, f.cols, codecs[f.codec].name };
	return handle_fails(e, &why);
}

/* --- bytes in the order of the source --- */

/* Some rows of the codes or scales of one matrix. */
struct rows {
	uint8_t *p; /* owns */
	uint64_t first;
};

static int read_tensor(const struct dsv4 *d, const struct handle_tensor *t, uint64_t at, uint8_t *p,
	size_t n, const struct handle_call *c, struct err *e)
{
	if (!n)
		return 0;
	return handle_read(d, &d->files[t->is.file], n == t->is.bytes ? t : NULL, t->is.offset + at,
		p, n, c, e);
}

/* A matrix of a stack, out of its layout: all its rows. */
static int unstack(const struct dsv4 *d, const struct handle_tensor *t, uint64_t k, struct rows *r,
	const struct handle_call *c, struct err *e)
{
	const struct dsv4_stack *s = &t->stack;
	uint8_t *laid = malloc(s->bytes);
	int rc = -1;

	r->first = 0;
	r->p = malloc(s->rows * s->row_bytes);
	if (!laid || !r->p)
		err_nomem(e);
	else if (!read_tensor(d, t, k * s->bytes, laid, s->bytes, c, e))
		rc = handle_relayout((struct handle_side){ t->tile, t->map }, laid,
			(struct handle_side){ tile_find("rows"), NULL }, r->p, s->rows,
			s->row_bytes, d->features, e);
	free(laid);
	return rc;
}

static int get_rows(const struct dsv4 *d, const struct handle_tensor *t, uint64_t k, uint64_t first,
	uint64_t n, uint64_t row_bytes, struct rows *r, const struct handle_call *c, struct err *e)
{
	if (t->is.stack)
		return unstack(d, t, k, r, c, e);
	r->first = first;
	r->p = malloc(n * row_bytes + 1);
	if (!r->p)
		return err_nomem(e);
	return read_tensor(d, t, first * row_bytes, r->p, n * row_bytes, c, e);
}

/* --- numbers --- */

/* The rows of a decode. */
struct wish {
	uint64_t k, row, rows;
	float *dst;
};

static int read_second(const struct dsv4 *d, const struct form *f, double *second,
	const struct handle_call *c, struct err *e)
{
	uint8_t b[sizeof(float)] = { 0 };

	*second = 1;
	if (!f->second)
		return 0;
	if (read_tensor(d, f->second, 0, b, sizeof b, c, e))
		return -1;
	*second = codec_second(f->codec, b);
	return 0;
}

static void put_numbers(const struct form *f, const struct rows *codes, const struct rows *scales,
	double second, const struct wish *w, double *v)
{
	uint64_t block = codecs[f->codec].rows, i, j;
	const uint8_t *code, *scale;

	for (i = 0; i < w->rows; i++) {
		code = codes->p + (w->row + i - codes->first) * f->row_bytes;
		scale = scales->p
			? scales->p + ((w->row + i) / block - scales->first) * f->scale_bytes
			: NULL;
		codec_ops[f->codec].decode(code, scale, second, f->cols, v);
		for (j = 0; j < f->cols; j++)
			w->dst[i * f->cols + j] = (float)v[j];
	}
}

static int decode(const struct dsv4 *d, const struct form *f, const struct wish *w,
	const struct handle_call *c, struct err *e)
{
	uint64_t block = codecs[f->codec].rows, s0 = w->row / block,
		 s1 = (w->row + w->rows + block - 1) / block;
	struct rows codes = { 0 }, scales = { 0 };
	double second, *v = malloc((f->cols + 1) * sizeof *v);
	int rc = -1;

	if (!v) {
		err_nomem(e);
		goto out;
	}
	if (get_rows(d, f->codes, w->k, w->row, w->rows, f->row_bytes, &codes, c, e) ||
		(f->scales &&
			get_rows(d, f->scales, w->k, s0, s1 - s0, f->scale_bytes, &scales, c, e)) ||
		read_second(d, f, &second, c, e))
		goto out;
	put_numbers(f, &codes, &scales, second, w, v);
	rc = 0;
out:
	free(v);
	free(codes.p);
	free(scales.p);
	return rc;
}

static int check_wish(const struct form *f, const struct wish *w, size_t n, struct err *e)
{
	if (w->k >= f->count || w->row > f->rows || w->rows > f->rows - w->row)
		return err_rule(e, RULE_LIB_RANGE, ERR_NOPOS,
			"rows %llu to %llu + %llu of matrix %llu of tensor %s, which has %llu of %llu "
			"rows",
			(unsigned long long)w->row, (unsigned long long)w->row,
			(unsigned long long)w->rows, (unsigned long long)w->k,
			text_quote(f->codes->is.name).s, (unsigned long long)f->count,
			(unsigned long long)f->rows);
	if (w->rows > n / f->cols)
		return err_rule(e, RULE_LIB_RANGE, ERR_NOPOS,
			"room for %zu numbers, and %llu rows of %llu are wanted", n,
			(unsigned long long)w->rows, (unsigned long long)f->cols);
	if (w->rows && !w->dst)
		return err_rule(e, RULE_LIB_CALL, ERR_NOPOS, "no memory to write to");
	return 0;
}

int dsv4_decode(const struct dsv4 *d, size_t i, uint64_t k, uint64_t row, uint64_t rows, float *dst,
	size_t n, const struct dsv4_read_options *o, struct dsv4_error *e)
{
	struct wish w = { k, row, rows, dst };
	struct err why = { 0 };
	struct handle_call c;
	struct form f;

	if (handle_needs(d, "d", &why))
		return handle_fails(e, &why);
	if (i >= d->info.tensors)
		err_rule(&why, RULE_LIB_RANGE, ERR_NOPOS, "tensor %zu of %zu", i, d->info.tensors);
	else if (!handle_call(&c, o, DSV4_UNVERIFIED | DSV4_DIRECT, &why) &&
		!form_of(d, &d->tensors[i], &f, &why) && !check_wish(&f, &w, n, &why) && rows)
		(void)decode(d, &f, &w, &c, &why); /* why says it */
	return handle_fails(e, &why);
}
