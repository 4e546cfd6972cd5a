/* decode.c -- values of a tensor as F32: its codes and scales read, taken out of their layouts, and multiplied by the
 * table of number formats.
 *
 * Which format a tensor has follows from its name, its type and the tensor of scales beside it, as codec.h has them;
 * sizes must fit to the row of the table. Nothing is guessed: what fits no row has no values.
 *
 * SPDX-License-Identifier: MIT */
#include "core/text.h"
#include "formats/model/sglang_name.h"
#include "formats/layout/rowrec.h"
#include "formats/model/engram.h"
#include "quant/cb4.h"
#include "quant/codec.h"
#include "quant/lib/handle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 1200 };

/* How the values of a tensor are stored. */
struct form {
	enum codec codec;
	const struct handle_tensor *codes, *scales, *second, *zeros; /* NULL: the format has none */
	uint64_t count, rows, cols;                                  /* of codes */
	uint64_t row_bytes, scale_rows, scale_bytes; /* scale_bytes: of a row of scales */
	const struct handle_tensor
		*levels; /* of cb4: codes are numbers of these; NULL: they are of codec */
	uint64_t
		inside; /* a row has its scales so many bytes behind its first code; 0: they lie elsewhere */
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

/* The scales of a parameter of an engine's own names: of X.weight X.weight_scale_inv, of experts' X_weight that or
 * X_weight_scale. NULL: the target has other names, or there are none, or both. */
static const struct handle_tensor *engine_scales(const struct dsv4 *d,
	const struct handle_tensor *t)
{
	static const char *const ends[] = { "_scale", "_scale_inv" };
	const struct handle_tensor *found = NULL;
	size_t n = strlen(t->is.name), i, k, met = 0;
	char name[NAME];

	if (!rank_target(d->info.target) || n < 7 || n + 11 > sizeof name ||
		strcmp(t->is.name + n - 6, "weight") != 0)
		return NULL;
	for (k = 0; k < sizeof ends / sizeof *ends; k++) {
		snprintf(name, sizeof name, "%s%s", t->is.name, ends[k]);
		i = dsv4_find(d, d->files[t->is.file].is.folder, name);
		if (i != DSV4_NONE && !met++)
			found = &d->tensors[i];
	}
	return met == 1 ? found : NULL;
}

/* Codes that lie in stacks: E2M1 in bytes, whatever type the engine calls them. */
static bool form_of_stack(const struct dsv4 *d, struct form *f)
{
	const struct handle_tensor *t = f->codes, *s = beside(d, t, "weight", "scale");
	uint64_t dim[2];

	s = s ? s : engine_scales(d, t);
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

/* Zero points are of the values, whatever has codes and scales of a format without them. */
static const char zeros_name[] = "weight_zero_point";

static bool zeros_fit(const struct form *f)
{
	const struct handle_tensor *z = f->zeros;
	uint64_t dim[2];

	codec_zero_dim(f->codec, f->rows, f->cols, dim);
	return !z->is.stack && z->dtype == DT_I32 && z->is.rank == 2 && z->is.shape[0] == dim[0] &&
		z->is.shape[1] == dim[1];
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
	f->scales = f->second = f->zeros = NULL;
	if (w->scale == DT_COUNT)
		return f->rows * f->row_bytes == t->is.bytes;
	f->zeros = beside(d, t, w->codes, zeros_name);
	if ((f->zeros != NULL) != (w->zeros != NULL) || (f->zeros && !zeros_fit(f)))
		return false;
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

/* Formats that engines have under names of their own, by the types of codes and scales. */
static const struct {
	uint8_t code, scale; /* enum dtype */
	enum codec codec;
} engine_forms[] = {
	{ DT_F8_E4M3, DT_F8_E8M0, CODEC_FP8 }, { DT_F8_E4M3, DT_F32, CODEC_FP8_F32 },
	{ DT_U8, DT_U8, CODEC_MXFP4 }, /* routed experts of vLLM */
};

/* A matrix, or one behind the other, by an engine's own names. Several matrices of the source that became one have scales of
 * their own each, so that all must be whole blocks: only then is the number of scales that of the sum. */
static bool is_engine_form(const struct dsv4 *d, struct form *f)
{
	const struct handle_tensor *t = f->codes, *s = engine_scales(d, t);
	uint32_t last = t->is.rank - 1u, i;
	uint64_t dim[2];

	if (!s || s->is.stack || (t->is.rank != 2 && t->is.rank != 3) || s->is.rank != t->is.rank)
		return false;
	f->codec = CODEC_NONE;
	for (i = 0; i < sizeof engine_forms / sizeof *engine_forms; i++)
		if (t->dtype == engine_forms[i].code && s->dtype == engine_forms[i].scale)
			f->codec = engine_forms[i].codec;
	f->count = t->is.rank == 3 ? t->is.shape[0] : 1;
	f->rows = t->is.shape[last - 1];
	f->cols = codec_cols(f->codec, t->is.shape[last]);
	f->row_bytes = codec_row_bytes(f->codec, f->cols);
	codec_scale_dim(f->codec, f->rows, f->cols, dim);
	if (f->codec == CODEC_NONE || !f->count || !f->rows || !f->cols ||
		f->rows % codecs[f->codec].rows ||
		(t->is.rank == 3 && s->is.shape[0] != f->count) ||
		s->is.shape[last - 1] != dim[0] || s->is.shape[last] != dim[1])
		return false;
	f->scales = s;
	f->scale_rows = dim[0];
	f->scale_bytes = s->is.bytes / f->count / dim[0];
	return true;
}

/* Name of the number format of f. */
static const char *name_of(const struct form *f)
{
	return f->levels ? f->codes->is.records->codec : codecs[f->codec].name;
}

/* Rows of a table with their scales; false: levels that they have numbers of are not beside them. */
static bool form_of_records(const struct dsv4 *d, struct form *f)
{
	const struct dsv4_records *r = f->codes->is.records;
	const struct rowrec *how = rowrec_find(r->layout);
	bool cb4 = how && how->form == ROWREC_CB4;

	f->levels = cb4 ? beside(d, f->codes, how->tensor, ENGRAM_LEVELS) : NULL;
	if (cb4 &&
		(!f->levels || f->levels->dtype != DT_F32 || f->levels->is.rank != 1 ||
			f->levels->is.shape[0] != CB4_LEVELS))
		return false;
	f->codec = !how || how->form == ROWREC_KEPT ? CODEC_FP8_ROW
						    : CODEC_MXFP4; /* its bytes are those of cb4 */
	f->count = 1;
	f->rows = f->codes->is.shape[0];
	f->cols = r->cols;
	f->row_bytes = r->bytes;
	f->inside = r->codes;
	return true;
}

static int form_of(const struct dsv4 *d, const struct handle_tensor *t, struct form *f,
	struct err *e)
{
	unsigned c;

	*f = (struct form){ .codes = t };
	if (t->is.records && form_of_records(d, f))
		return 0;
	if (t->is.stack ? form_of_stack(d, f) : false)
		return 0;
	for (c = CODEC_NONE + 1; !t->is.stack && !t->is.records && c < CODEC_COUNT; c++)
		if (is_form(d, f, (enum codec)c))
			return 0;
	*f = (struct form){ .codes = t };
	if (!t->is.stack && !t->is.records && is_engine_form(d, f))
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
		*v = (struct dsv4_values){ f.count, f.rows, f.cols, name_of(&f) };
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

/* Rows first .. first + n of matrix k of t, which has count of them. */
struct part {
	uint64_t k, count, first, n, row_bytes;
};

static int get_rows(const struct dsv4 *d, const struct handle_tensor *t, const struct part *p,
	struct rows *r, const struct handle_call *c, struct err *e)
{
	if (t->is.stack)
		return unstack(d, t, p->k, r, c, e);
	r->first = p->first;
	r->p = malloc(p->n * p->row_bytes + 1);
	if (!r->p)
		return err_nomem(e);
	return read_tensor(d, t, p->k * (t->is.bytes / p->count) + p->first * p->row_bytes, r->p,
		p->n * p->row_bytes, c, e);
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

static int read_levels(const struct dsv4 *d, const struct form *f, float *level,
	const struct handle_call *c, struct err *e)
{
	uint8_t b[CB4_LEVELS * sizeof(float)];

	if (!f->levels)
		return 0;
	if (read_tensor(d, f->levels, 0, b, sizeof b, c, e))
		return -1;
	cb4_get_levels(level, b);
	return 0;
}

/* What was read for a decode. */
struct pieces {
	struct rows codes, scales, zeros;
	double second;
	float level[CB4_LEVELS];
	uint8_t *
		joined; /* owns; scales of a row with its zero points, codec_scale_row() bytes; NULL: there are none of these */
	double *v;      /* owns; the values of a row */
};

/* Returns the scales of a row as its format is decoded with, NULL if there are none. code: the codes of the row. */
static const uint8_t *scales_of(const struct form *f, const struct pieces *p, const uint8_t *code,
	uint64_t row)
{
	uint64_t groups = f->scale_bytes / sizeof(uint16_t);
	const uint8_t *scale;

	if (f->inside)
		return code + f->inside;
	if (!p->scales.p)
		return NULL;
	scale = p->scales.p + (row / codecs[f->codec].rows - p->scales.first) * f->scale_bytes;
	if (!p->joined)
		return scale;
	memcpy(p->joined, scale, f->scale_bytes);
	codec_zeros_get(p->zeros.p +
			(row / CODEC_ZERO_ROWS - p->zeros.first) * groups * sizeof(uint32_t),
		row, groups, p->joined + f->scale_bytes);
	return p->joined;
}

static void put_numbers(const struct form *f, const struct pieces *p, const struct wish *w)
{
	const uint8_t *code;
	uint64_t i, j;

	for (i = 0; i < w->rows; i++) {
		code = p->codes.p + (w->row + i - p->codes.first) * f->row_bytes;
		if (f->levels)
			cb4_decode(p->level, code, code + f->inside, f->cols, p->v);
		else
			codec_ops[f->codec].decode(code, scales_of(f, p, code, w->row + i),
				p->second, f->cols, p->v);
		for (j = 0; j < f->cols; j++)
			w->dst[i * f->cols + j] = (float)p->v[j];
	}
}

static int decode(const struct dsv4 *d, const struct form *f, const struct wish *w,
	const struct handle_call *c, struct err *e)
{
	uint64_t block = codecs[f->codec].rows, s0 = w->row / block,
		 s1 = (w->row + w->rows + block - 1) / block, z0 = w->row / CODEC_ZERO_ROWS,
		 z1 = (w->row + w->rows + CODEC_ZERO_ROWS - 1) / CODEC_ZERO_ROWS;
	const struct part code = { w->k, f->count, w->row, w->rows, f->row_bytes },
			  scale = { w->k, f->count, s0, s1 - s0, f->scale_bytes },
			  zero = { w->k, f->count, z0, z1 - z0, 2 * f->scale_bytes };
	struct pieces p = { .v = malloc((f->cols + 1) * sizeof *p.v) };
	int rc = -1;

	if (f->zeros)
		p.joined = malloc(codec_scale_row(f->codec, f->cols));
	if (!p.v || (f->zeros && !p.joined)) {
		err_nomem(e);
		goto out;
	}
	if (get_rows(d, f->codes, &code, &p.codes, c, e) ||
		(f->scales && get_rows(d, f->scales, &scale, &p.scales, c, e)) ||
		(f->zeros && get_rows(d, f->zeros, &zero, &p.zeros, c, e)) ||
		read_levels(d, f, p.level, c, e) || read_second(d, f, &p.second, c, e))
		goto out;
	put_numbers(f, &p, w);
	rc = 0;
out:
	free(p.v);
	free(p.joined);
	free(p.codes.p);
	free(p.scales.p);
	free(p.zeros.p);
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
