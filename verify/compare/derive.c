/* SPDX-License-Identifier: MIT */
#include "verify/compare/derive.h"

#include "formats/layout/engine.h"
#include "quant/num.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BAND = 128, GROUP = 32, SHIFT = 6, UNIT = 1 << 20 };

/* --- looking at it --- */

static int wrong(const struct derive *d, struct err *e, const char *what)
{
	return err_rule(e, ERR_MISMATCH, "compare.shape", ERR_NOPOS, "tensor %s (%s): %s",
		text_quote(d->t->name).s, ops[d->t->op].name, what);
}

static const struct account_source *source(const struct derive *d, uint64_t k)
{
	return &d->a->sources[d->t->first + k];
}

static const struct tensor *find_source(const struct derive *d, uint64_t k, struct err *e)
{
	const struct account_source *s = source(d, k);
	const struct tensor *t = ckpt_find(d->c, s->tensor);

	if (t && !strcmp(d->c->shards[t->shard].name, d->a->shards[s->shard]))
		return t;
	err_rule(e, ERR_MISMATCH, "compare.source", ERR_NOPOS,
		"tensor %s: the source has no tensor %s in %s", text_quote(d->t->name).s,
		text_quote(s->tensor).s, text_quote(d->a->shards[s->shard]).s);
	return NULL;
}

/* The part of each source that is taken; false where the source has not so much. */
static bool bound(struct derive *d)
{
	const struct tensor *s = d->src[0];
	uint64_t rows = s->rank ? s->dim[0] : 1;

	d->src_bytes = rows ? (s->end - s->begin) / rows : 0;
	d->row = d->t->row[1] ? d->t->row[0] : 0;
	d->col = d->t->col[1] ? d->t->col[0] : 0;
	if (d->t->row[1] > rows || d->t->col[1] > d->src_bytes)
		return false;
	d->rows = (d->t->row[1] ? d->t->row[1] : rows) - d->row;
	d->cols = (d->t->col[1] ? d->t->col[1] : d->src_bytes) - d->col;
	return true;
}

/* Two names, but for the number of the layer where they may differ. */
static bool same_name(const char *a, const char *b, bool renamed)
{
	static const char layers[] = "layers.";
	size_t n = sizeof layers - 1;

	if (renamed && !strncmp(a, layers, n) && !strncmp(b, layers, n)) {
		a += n;
		b += n;
		a += strspn(a, "0123456789");
		b += strspn(b, "0123456789");
	}
	return !strcmp(a, b);
}

/* Shape and type of the result: those of the source but for what a row of the table changes. */
static bool has_shape(const struct derive *d, unsigned dtype, uint64_t rows, uint64_t last)
{
	const struct account_tensor *t = d->t;
	const struct tensor *s = d->src[0];
	unsigned i;

	if (t->dtype != dtype || t->rank != s->rank)
		return false;
	for (i = 0; i < t->rank; i++)
		if (t->dim[i] != (i == 0 ? rows : i + 1 == t->rank ? last : s->dim[i]))
			return false;
	return true;
}

static uint64_t last_of(const struct tensor *t)
{
	return t->rank ? t->dim[t->rank - 1] : 1;
}

static int open_copy(struct derive *d, struct err *e)
{
	const struct tensor *s = d->src[0];
	bool fp4 = s->dtype == DT_I8 && d->t->dtype == DT_F4 && s->rank == 2;
	uint64_t row = s->rank ? s->dim[0] : 1, last = last_of(s);

	if (d->t->op == OP_ROWS)
		row = d->rows;
	if (d->t->op == OP_COLS)
		last = d->cols * 8 / dtypes[s->dtype].bits;
	if ((d->t->op == OP_COPY && (d->t->row[1] || d->t->col[1])) ||
		(d->t->op == OP_ROWS && d->t->col[1]) || (d->t->op == OP_COLS && d->t->row[1]))
		return wrong(d, e, "a part that this transform does not take");
	if (s->rank < 2 && !fp4) /* one dimension is both the first and the last */
		last = row;
	if (!has_shape(d, fp4 ? DT_F4 : s->dtype, row, fp4 ? 2 * last : last))
		return wrong(d, e, "type or shape are not those of what is taken of its source");
	d->n_rows = d->rows;
	d->row_bytes = d->cols;
	return 0;
}

static int open_dequant(struct derive *d, struct err *e)
{
	const struct tensor *w = d->src[0], *s = d->src[1];

	if (d->t->n != 2 || w->rank != 2 || s->rank != 2 || w->dtype != DT_F8_E4M3 ||
		(s->dtype != DT_F8_E8M0 && s->dtype != DT_F32) || d->t->col[1] ||
		s->dim[0] != mem_ceil_div(w->dim[0], BAND) ||
		s->dim[1] != mem_ceil_div(w->dim[1], BAND))
		return wrong(d, e, "its sources are no FP8 weight and its scale");
	if (!has_shape(d, DT_BF16, d->rows, w->dim[1]))
		return wrong(d, e, "type or shape are not those of its source in BF16");
	d->n_rows = d->rows;
	d->row_bytes = 2 * w->dim[1];
	return 0;
}

/* FP4 weights and their scales, to FP8: the weight, or its new scale. */
static int open_cast(struct derive *d, struct err *e)
{
	bool scale = d->t->op == OP_CAST_SCALE;
	const struct tensor *s = d->src[d->t->n - 1];
	const struct tensor *w = scale ? NULL : d->src[0];

	if (d->t->n != (scale ? 1 : 2) || s->rank != 2 || s->dtype != DT_F8_E8M0 || d->t->row[1] ||
		d->t->col[1] || s->dim[0] % BAND || s->dim[1] % (BAND / GROUP) ||
		(w &&
			(w->rank != 2 || w->dtype != DT_I8 || w->dim[0] != s->dim[0] ||
				w->dim[1] != s->dim[1] * (GROUP / 2))))
		return wrong(d, e, "its sources are no FP4 weight and its scale");
	if (scale ? !has_shape(d, DT_F8_E8M0, s->dim[0] / BAND, s->dim[1] / (BAND / GROUP))
		  : !has_shape(d, DT_F8_E4M3, s->dim[0], s->dim[1] * GROUP))
		return wrong(d, e, "type or shape are not those of the cast");
	d->n_rows = d->t->dim[0];
	d->row_bytes = d->t->dim[1];
	return 0;
}

/* How many: the rows of the router beside the table. 0: there is none. */
static uint64_t experts_left(const struct derive *d)
{
	static const char end[] = "tid2eid", router[] = "weight";
	size_t n = strlen(d->t->name), i;

	if (n < sizeof end || strcmp(d->t->name + n - (sizeof end - 1), end))
		return 0;
	n -= sizeof end - 1;
	for (i = 0; i < d->a->n; i++)
		if (!strncmp(d->a->tensors[i].name, d->t->name, n) &&
			!strcmp(d->a->tensors[i].name + n, router) && d->a->tensors[i].rank == 2)
			return d->a->tensors[i].dim[0];
	return 0;
}

static int open_remap(struct derive *d, struct err *e)
{
	const struct tensor *s = d->src[0];

	if (d->t->n != 1 || s->rank != 2 || s->dtype != DT_I64 || d->t->row[1] || d->t->col[1] ||
		s->dim[1] > 64 || !has_shape(d, DT_I64, s->dim[0], s->dim[1]))
		return wrong(d, e, "its source is no table of expert ids");
	d->keep = experts_left(d);
	if (d->keep < s->dim[1])
		return wrong(d, e, "there is no router beside it, or one of too few experts");
	d->n_rows = d->rows;
	d->row_bytes = d->cols;
	return 0;
}

/* The number at s; -1 if there is none, or a silly one. */
static long number_at(const char *s)
{
	long v = 0;
	int i;

	for (i = 0; s[i] >= '0' && s[i] <= '9' && i < 7; i++)
		v = 10 * v + (s[i] - '0');
	return i && s[i] == '.' ? v : -1;
}

/* BLOCK.ffn.experts.w13.weight is made of BLOCK.ffn.experts.N.w1.weight, .N.w3.weight, N ascending. */
static int check_experts(const struct derive *d, struct err *e)
{
	static const char mid[] = ".ffn.experts.";
	static const char *const w[2][2] = { { "w2", NULL }, { "w1", "w3" } };
	const char *at = strstr(d->t->name, mid), *name, *rest;
	bool two = d->t->parts == 2;
	char want[ST_NAME_MAX + 32];
	long last = -1, id;
	size_t stem;
	uint32_t k;

	stem = at ? (size_t)(at - d->t->name) + sizeof mid - 1 : 0;
	if (!at || strncmp(d->t->name + stem, two ? "w13." : "w2.", two ? 4 : 3))
		return wrong(d, e, "a name that is not of experts laid out");
	rest = strchr(d->t->name + stem, '.');
	for (k = 0; k < d->t->n; k++) {
		name = source(d, k)->tensor;
		id = strncmp(name, d->t->name, stem) ? -1 : number_at(name + stem);
		snprintf(want, sizeof want, "%.*s%ld.%s%s", (int)stem, d->t->name, id,
			w[two][k % d->t->parts], rest);
		if (id < 0 || strcmp(want, name) || (k % d->t->parts ? id != last : id <= last))
			return wrong(d, e, "its sources are not the experts in order");
		last = id;
	}
	return 0;
}

static int check_fit(const struct derive *d, const char *target, struct err *e)
{
	const struct engine *g = engine_find(target);
	bool two = d->t->parts == 2, scale = d->src[0]->dtype == DT_F8_E8M0;
	struct engine_fit fit;
	char why[256];
	uint64_t k = scale ? d->cols * GROUP : d->cols * 2;

	if (!g)
		return wrong(d, e, "the target is no engine");
	if (!engine_fit(g, two ? ENGINE_W13 : ENGINE_W2, scale, d->dim.rows, (uint32_t)k, &fit, why,
		    sizeof why))
		return wrong(d, e, why);
	if (fit.tile != d->tile || fit.map != d->map || fit.dtype != d->t->dtype ||
		d->t->rank != fit.rank + 1 || d->t->dim[0] != d->n_rows ||
		memcmp(d->t->dim + 1, fit.shape, fit.rank * sizeof *fit.shape))
		return wrong(d, e, "layout, type or shape are not those of the target");
	return 0;
}

static int open_tile(struct derive *d, const char *target, struct err *e)
{
	const struct account_tensor *t = d->t;
	uint32_t k;

	d->tile = tile_find(t->layout);
	d->map = rowmap_find(t->map);
	if (!d->tile || !d->map || d->tile->version != t->version)
		return err_rule(e, ERR_UNSUPPORTED, "set.layout", ERR_NOPOS,
			"tensor %s: layout %s version %u with rows %s is none of this program's",
			text_quote(t->name).s, text_quote(t->layout).s, t->version,
			text_quote(t->map).s);
	if (t->parts != d->map->parts || t->n % t->parts || d->src[0]->rank != 2)
		return wrong(d, e, "no whole number of experts");
	for (k = 1; k < t->n; k++) {
		const struct tensor *s = find_source(d, k, e);

		if (!s)
			return -1;
		if (s->dtype != d->src[0]->dtype || s->rank != 2 ||
			memcmp(s->dim, d->src[0]->dim, 2 * sizeof *s->dim))
			return wrong(d, e, "experts of different types or shapes");
	}
	if (!d->rows || !d->cols || d->rows * t->parts > UINT32_MAX || d->rows % d->map->unit ||
		d->cols > UINT32_MAX / 2)
		return wrong(d, e, "rows that the order of rows does not take");
	d->dim = tile_dim(d->tile, (uint32_t)(d->rows * t->parts), d->cols);
	d->n_rows = t->n / t->parts;
	if (!tile_fits(d->tile, d->dim) ||
		tile_bytes(d->tile, d->dim) * d->n_rows != t->end - t->begin)
		return wrong(d, e, "another size than its layout has");
	d->row_bytes = tile_bytes(d->tile, d->dim);
	return check_experts(d, e) || check_fit(d, target, e) ? -1 : 0;
}

static void set_units(struct derive *d)
{
	uint64_t in = d->src_bytes;

	d->unit_rows = d->row_bytes ? UNIT / d->row_bytes : 1;
	if (d->t->op == OP_CAST || d->t->op == OP_DEQUANT)
		d->unit_rows = BAND;
	if (d->t->op == OP_TILE || d->t->op == OP_CAST_SCALE || !d->unit_rows)
		d->unit_rows = 1;
	d->units = d->row_bytes ? mem_ceil_div(d->n_rows, d->unit_rows) : 0;
	if (d->t->op == OP_CAST_SCALE)
		in *= BAND;
	if (d->t->op == OP_CAST)
		in += d->src[1]->dim[1];
	if (d->t->op == OP_TILE)
		in = d->dim.rows * d->cols;
	d->stage = (size_t)(d->t->op == OP_TILE ? in : in * d->unit_rows);
	if (d->t->op == OP_DEQUANT)
		d->stage += (size_t)(d->src[1]->dim[1] * 4);
}

int derive_open(struct derive *d, const struct ckpt *c, const struct account *a,
	const struct account_tensor *t, const char *target, bool renamed, struct err *e)
{
	uint32_t k;
	int rc;

	*d = (struct derive){ .c = c, .a = a, .t = t };
	if (t->op != OP_TILE && t->n > 2)
		return wrong(d, e, "more sources than it takes");
	for (k = 0; k < t->n && k < 2; k++) {
		d->src[k] = find_source(d, k, e);
		if (!d->src[k])
			return -1;
	}
	if (!bound(d))
		return wrong(d, e, "more rows or columns than its source has");
	if (t->op != OP_TILE && !same_name(t->name, d->src[0]->name, renamed))
		return wrong(d, e, "it is made of a tensor of another name");
	if ((t->op == OP_COPY || t->op == OP_ROWS || t->op == OP_COLS) && t->n != 1)
		return wrong(d, e, "more sources than it takes");
	switch (t->op) {
	case OP_DEQUANT:
		rc = t->n == 2 ? open_dequant(d, e) : wrong(d, e, "it has no scale");
		break;
	case OP_CAST:
	case OP_CAST_SCALE:
		rc = open_cast(d, e);
		break;
	case OP_REMAP:
		rc = open_remap(d, e);
		break;
	case OP_TILE:
		rc = open_tile(d, target, e);
		break;
	default:
		rc = open_copy(d, e);
	}
	if (!rc)
		set_units(d);
	if (!rc && d->n_rows * d->row_bytes != t->end - t->begin)
		rc = wrong(d, e, "another size than the transform makes");
	return rc;
}

uint64_t derive_unit_bytes(const struct derive *d, uint64_t unit)
{
	uint64_t left = d->n_rows - unit * d->unit_rows;

	return (left < d->unit_rows ? left : d->unit_rows) * d->row_bytes;
}

/* --- making it: rows row..row+n of the result --- */

static int make_cols(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	uint64_t i;

	if (ckpt_read(d->c, d->src[0], (d->row + row) * d->src_bytes, m->stage,
		    (size_t)(n * d->src_bytes), e))
		return -1;
	for (i = 0; i < n; i++)
		memcpy(out + i * d->cols, m->stage + i * d->src_bytes + d->col, (size_t)d->cols);
	return 0;
}

static int make_dequant(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	const struct tensor *s = d->src[1];
	uint64_t k = d->src[0]->dim[1], blocks = s->dim[1], band, i, c;
	size_t each = s->dtype == DT_F32 ? 4 : 1;
	uint8_t *scales = m->stage + n * k;
	float scale = 0;
	uint16_t v;

	if (ckpt_read(d->c, d->src[0], (d->row + row) * k, m->stage, (size_t)(n * k), e))
		return -1;
	for (i = 0, band = UINT64_MAX; i < n; i++) {
		if (band != (d->row + row + i) / BAND) {
			band = (d->row + row + i) / BAND;
			if (ckpt_read(d->c, s, band * blocks * each, scales,
				    (size_t)(blocks * each), e))
				return -1;
		}
		for (c = 0; c < k; c++) {
			if (each == 4)
				memcpy(&scale, scales + c / BAND * 4, 4);
			else
				scale = num_e8m0(scales[c / BAND]);
			v = num_bf16_from(num_e4m3(m->stage[i * k + c]) * scale);
			memcpy(out + 2 * (i * k + c), &v, 2); /* little-endian, as the files are */
		}
	}
	return 0;
}

/* The new scale of a block of 128 x 128: six steps below the largest of its 512. */
static unsigned new_scale(const uint8_t *s, uint64_t groups, uint64_t block)
{
	unsigned top = 0;
	uint64_t r, g;

	for (r = 0; r < BAND; r++)
		for (g = 4 * block; g < 4 * block + 4; g++)
			top = s[r * groups + g] > top ? s[r * groups + g] : top;
	return top < SHIFT ? 0 : top - SHIFT;
}

static int make_scale(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	uint64_t groups = d->src_bytes, b;

	(void)n; /* one at a time */
	if (ckpt_read(d->c, d->src[0], row * BAND * groups, m->stage, (size_t)(BAND * groups), e))
		return -1;
	for (b = 0; b < d->row_bytes; b++)
		out[b] = (uint8_t)new_scale(m->stage, groups, b);
	return 0;
}

static int make_cast(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	uint64_t k = d->row_bytes, groups = k / GROUP, i, c;
	uint8_t *scales = m->stage + n * d->src_bytes, byte;
	unsigned code;
	int t = 0;

	if (ckpt_read(d->c, d->src[0], row * d->src_bytes, m->stage, (size_t)(n * d->src_bytes),
		    e) ||
		ckpt_read(d->c, d->src[1], row * groups, scales, (size_t)(n * groups), e))
		return -1;
	for (c = 0; c < k; c++) {
		if (c % BAND == 0)
			t = (int)new_scale(scales, groups, c / BAND);
		for (i = 0; i < n; i++) {
			byte = m->stage[i * d->src_bytes + c / 2];
			code = c % 2 ? byte >> 4 : byte & 15;
			out[i * k + c] = code == 8
				? 0
				: num_e4m3_from(ldexpf(num_e2m1(code),
					  (int)scales[i * groups + c / GROUP] - t));
		}
	}
	return 0;
}

/* Ids of more experts made ids of fewer: the remainder, and if the row has that already, the next one. */
static int make_remap(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	uint64_t width = d->src[0]->dim[1], v[64], i, k, j;

	if (ckpt_read(d->c, d->src[0], row * d->src_bytes, m->stage, (size_t)(n * d->src_bytes), e))
		return -1;
	for (i = 0; i < n; i++) {
		memcpy(v, m->stage + i * d->src_bytes, (size_t)d->src_bytes);
		for (k = 0; k < width; k++) {
			v[k] %= d->keep;
			for (j = 0; j < k;)
				if (v[j] == v[k]) {
					v[k] = (v[k] + 1) % d->keep;
					j = 0;
				} else {
					j++;
				}
		}
		memcpy(out + i * d->row_bytes, v, (size_t)d->row_bytes);
	}
	return 0;
}

static int make_tile(struct derive_maker *m, const struct derive *d, uint64_t expert, uint64_t n,
	uint8_t *out, struct err *e)
{
	struct tile_grid g = tile_grid(d->tile, d->dim);
	uint64_t each = d->rows * d->cols, s, take, at, i;
	const struct tensor *t;
	unsigned part;

	(void)n; /* one at a time */
	for (part = 0; part < d->t->parts; part++) {
		t = ckpt_find(d->c, source(d, expert * d->t->parts + part)->tensor);
		for (i = 0; i < (d->cols == d->src_bytes ? 1 : d->rows); i++)
			if (ckpt_read(d->c, t, (d->row + i) * d->src_bytes + d->col,
				    m->stage + part * each + i * d->cols,
				    (size_t)(d->cols == d->src_bytes ? each : d->cols), e))
				return -1;
	}
	rowmap_from(d->map, (uint32_t)d->rows, m->from);
	for (i = 0; i < d->dim.rows; i++)
		m->rows[i] = m->stage + m->from[i] * d->cols;
	for (s = 0; s < g.n; s += take, out += take * g.bytes) {
		take = d->tile->by_cols ? g.n : g.across;
		at = d->tile->by_cols ? 0 : s / g.across * g.rows;
		if (at < d->dim.rows)
			tile_pack(d->tile, d->dim, m->rows + at, s, take, out);
		else
			memset(out, 0, (size_t)(take * g.bytes)); /* rounded up */
	}
	return 0;
}

/* Room for what d needs. */
static int make_room(struct derive_maker *m, const struct derive *d, struct err *e)
{
	size_t rows = d->t->op == OP_TILE ? d->dim.rows : 0;

	if (mem_grow(&m->stage, &m->stage_cap, d->stage + 1, 1) ||
		mem_grow(&m->rows, &m->rows_cap, rows + 1, sizeof *m->rows) ||
		mem_grow(&m->from, &m->from_cap, rows + 1, sizeof *m->from))
		return err_nomem(e);
	return 0;
}

int derive_unit(struct derive_maker *m, const struct derive *d, uint64_t unit, uint8_t *out,
	struct err *e)
{
	static int (*const make[OP_COUNT])(struct derive_maker *, const struct derive *, uint64_t,
		uint64_t, uint8_t *, struct err *) = { [OP_COPY] = make_cols,
		[OP_ROWS] = make_cols,
		[OP_COLS] = make_cols,
		[OP_DEQUANT] = make_dequant,
		[OP_CAST] = make_cast,
		[OP_CAST_SCALE] = make_scale,
		[OP_REMAP] = make_remap,
		[OP_TILE] = make_tile };

	if (make_room(m, d, e))
		return -1;
	return make[d->t->op](m, d, unit * d->unit_rows, derive_unit_bytes(d, unit) / d->row_bytes,
		out, e);
}

void derive_free(struct derive_maker *m)
{
	free(m->stage);
	free(m->rows);
	free(m->from);
	memset(m, 0, sizeof *m);
}

/* --- naming a place --- */

/* The element of the matrix that became the one at byte `at` of an expert. */
static void where_tile(const struct derive *d, uint64_t expert, uint64_t at, struct derive_place *p)
{
	uint64_t unit = d->tile->twist ? 32
		: d->tile->bits < 8    ? 8
				       : d->tile->bits,
		 bit = 8 * at, x;
	uint32_t r, c, i, part;
	const char *name;

	for (r = 0; r < d->dim.rows; r++) {
		for (c = 0; c < d->dim.cols; c++) {
			x = d->tile->at(d->dim, r, c) * d->tile->bits;
			if (x / unit != bit / unit)
				continue;
			for (part = 0; part < d->t->parts; part++)
				for (i = 0; i < d->rows; i++)
					if (d->map->to(part, i, (uint32_t)d->rows) == r)
						goto found;
		}
	}
	snprintf(p->s, sizeof p->s, "expert %llu of the tensor, byte %llu, in what was rounded up",
		(unsigned long long)expert, (unsigned long long)at);
	return;
found:
	name = source(d, expert * d->t->parts + part)->tensor;
	snprintf(p->s, sizeof p->s, "row %llu, column %llu of %.90s",
		(unsigned long long)(d->row + i),
		(unsigned long long)((d->col * 8 / d->tile->bits + c) * d->tile->bits /
			(d->src[0]->dtype == DT_I8 ? 4 : 8)),
		text_quote(name).s);
}

struct derive_place derive_where(const struct derive *d, uint64_t unit, uint64_t at)
{
	struct derive_place p;

	if (d->tile)
		where_tile(d, unit, at, &p);
	else
		snprintf(p.s, sizeof p.s, "row %llu, column %llu",
			(unsigned long long)(unit * d->unit_rows + at / d->row_bytes),
			(unsigned long long)(at % d->row_bytes * 8 / dtypes[d->t->dtype].bits));
	return p;
}
