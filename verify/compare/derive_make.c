/* derive_make.c -- the two ways to make a unit; derive.c has looked at sizes and types before.
 *
 * SPDX-License-Identifier: MIT */
#include "verify/compare/derive.h"

#include "quant/num.h"

#include <stdlib.h>
#include <string.h>

enum {
	CODES = 256, /* values of a byte of codes */
	SHIFT = 6,   /* a cast to FP8 puts the new scale 2^6 below the largest: 6 * 2^6 <= 448 */
	STEPS = 256, /* distances of an old scale from the new one: 2^SHIFT down to 2^-249 */
	TABLE_COLS = 512 /* columns of a row that holds every byte of two FP4 codes once */
};

/* What decode and encode make of every byte, kept for looking up. */
struct derive_tables {
	bool has_cast;
	uint16_t cast[STEPS][CODES]; /* two FP4 codes to two E4M3, the first low */
	uint16_t bf16[CODES];        /* an E4M3 times scale, as BF16 */
	bool has_bf16;
	double scale; /* of bf16 */
	double v[TABLE_COLS];
	uint8_t row[TABLE_COLS];
};

/* --- the same in both ways: bytes of the source, and ids; rows row..row+n of the result --- */

static int make_cols(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	bool all = d->cols == d->src_bytes;
	uint64_t i;

	if (derive_read(d, d->src[0], (d->row + row) * d->src_bytes, all ? out : m->stage,
		    (size_t)(n * d->src_bytes), e))
		return -1;
	for (i = 0; !all && i < n; i++)
		memcpy(out + i * d->cols, m->stage + i * d->src_bytes + d->col, (size_t)d->cols);
	return 0;
}

/* Ids of more experts made ids of fewer: the remainder, and if the row has that already, the next one. */
static int make_remap(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	uint64_t width = d->src[0]->dim[1], v[64], i, k, j;

	if (derive_read(d, d->src[0], row * d->src_bytes, m->stage, (size_t)(n * d->src_bytes), e))
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

/* Ids of experts, of 32 bits. An id that has not so many is none that the converter writes. */
static int make_narrow(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	uint64_t i, ids = n * d->src[0]->dim[1], v;
	uint32_t low;

	if (derive_read(d, d->src[0], row * d->src_bytes, m->stage, (size_t)(n * d->src_bytes), e))
		return -1;
	for (i = 0; i < ids; i++) {
		memcpy(&v, m->stage + i * sizeof v, sizeof v);
		if (v > INT32_MAX)
			return err_rule(e, RULE_DATA_EXPERT_ID, ERR_NOPOS,
				"tensor %s: an expert id that is no expert's",
				text_quote(d->src[0]->name).s);
		low = (uint32_t)v;
		memcpy(out + i * sizeof low, &low, sizeof low);
	}
	return 0;
}

/* Rows row..row+n of tensors that lie below one another. */
static int make_join(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	struct derive one = *d;
	uint64_t rows, take;
	uint32_t k;

	for (k = 0; n && k < d->t->n; k++) {
		one.src[0] = ckpt_find(d->c, d->a->sources[d->t->first + k].tensor);
		rows = derive_use(d, k, one.src[0]).rows;
		if (row >= rows) {
			row -= rows;
			continue;
		}
		take = rows - row < n ? rows - row : n;
		if (make_cols(m, &one, row, take, out, e))
			return -1;
		out += take * d->cols;
		n -= take;
		row = 0;
	}
	return 0;
}

/* The new scale of a block: SHIFT below the largest of its old ones, not below the smallest that there is. */
static uint8_t new_scale(const struct derive *d, const uint8_t *s, uint64_t groups, uint64_t block)
{
	uint64_t per = codecs[d->to].cols / codecs[d->from].cols, r, g;
	unsigned top = 0;

	for (r = 0; r < codecs[d->to].rows; r++)
		for (g = per * block; g < per * (block + 1); g++)
			top = s[r * groups + g] > top ? s[r * groups + g] : top;
	return (uint8_t)(top < SHIFT ? 0 : top - SHIFT);
}

/* Scale i of the result: its byte, or the number that this means. */
static void put_scale(const struct derive *d, uint8_t *out, uint64_t i, unsigned byte)
{
	const float v = num_e8m0(byte);

	if (d->t->dtype == DT_F32)
		memcpy(out + 4 * i, &v, sizeof v);
	else
		out[i] = (uint8_t)byte;
}

/* The same, whose numbers become FP32. */
static int make_join_f32(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	uint64_t each = d->src[0]->dtype == DT_F8_E8M0 ? 1 : 2, numbers = n * d->cols / each, i;
	uint8_t *rows = malloc((size_t)(n * d->cols) + 1);
	uint16_t h = 0;
	float v;
	int rc;

	if (!rows)
		return err_nomem(e);
	rc = make_join(m, d, row, n, rows, e);
	for (i = 0; !rc && i < numbers; i++) {
		if (each == 2)
			memcpy(&h, rows + 2 * i, sizeof h);
		v = each == 1 ? num_e8m0(rows[i]) : num_bf16(h);
		memcpy(out + sizeof v * i, &v, sizeof v);
	}
	free(rows);
	return rc;
}

/* All first halves of rows, then all second ones; the unit is all of it. */
static int make_halves(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	uint64_t half = d->cols / 2, h;

	(void)row;
	if (derive_read(d, d->src[0], 0, m->stage, (size_t)(n * d->cols), e))
		return -1;
	for (h = 0; h < 2 * n; h++)
		memcpy(out + h * half, m->stage + (h < n ? 2 * h : 2 * (h - n) + 1) * half,
			(size_t)half);
	return 0;
}

static int make_widen(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	uint64_t i;

	if (derive_read(d, d->src[0], row * d->cols, m->stage, (size_t)(n * d->cols), e))
		return -1;
	for (i = 0; i < n * d->cols; i++)
		put_scale(d, out, i, m->stage[i]);
	return 0;
}

static int make_scale(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	uint64_t groups = d->src_bytes, rows = codecs[d->to].rows, b;

	(void)n; /* one at a time */
	if (derive_read(d, d->src[0], row * rows * groups, m->stage, (size_t)(rows * groups), e))
		return -1;
	for (b = 0; b < d->t->dim[1]; b++)
		put_scale(d, out, b, new_scale(d, m->stage, groups, b));
	return 0;
}

/* --- tables --- */

static struct derive_tables *tables(struct derive_maker *m, struct err *e)
{
	if (!m->tables)
		m->tables = calloc(1, sizeof *m->tables);
	if (!m->tables)
		err_nomem(e);
	return m->tables;
}

/* From code 8, minus zero, a cast to FP8 makes zero: the sign of a zero is not kept. */
static void unsigned_zeros(double *v, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		if (v[i] == 0)
			v[i] = 0;
}

/* cast[i]: of an old scale 2^(SHIFT - i) times the new one. Only this distance matters, so that any two
 * bytes that have it will do. */
static void fill_cast(struct derive_tables *t)
{
	uint8_t old[TABLE_COLS], new[TABLE_COLS], codes[CODES]; /* more than there are blocks */
	unsigned i, c;

	for (c = 0; c < CODES; c++)
		codes[c] = (uint8_t)c;
	for (i = 0; i < STEPS - 1; i++) { /* 254 is the largest byte that is no NaN */
		memset(old, i < SHIFT ? (int)(SHIFT - i) : 0, sizeof old);
		memset(new, i < SHIFT ? 0 : (int)(i - SHIFT), sizeof new);
		codec_ops[CODEC_MXFP4].decode(codes, old, 1, TABLE_COLS, t->v);
		unsigned_zeros(t->v, TABLE_COLS);
		codec_ops[CODEC_FP8].encode(t->v, new, 1, TABLE_COLS, t->row);
		for (c = 0; c < CODES; c++)
			t->cast[i][c] = (uint16_t)(t->row[2 * c] | t->row[2 * c + 1] << 8);
	}
	t->has_cast = true;
}

/* bf16: of E4M3 with the scale whose bytes are at s. */
static void fill_bf16(struct derive_tables *t, enum codec from, const uint8_t *s)
{
	size_t each = dtypes[codecs[from].scale].bits / 8;
	uint8_t codes[CODES], two[2 * sizeof(float)];
	unsigned c;

	if (t->has_bf16 && t->scale == codec_scale(from, s, 0))
		return;
	for (c = 0; c < CODES; c++)
		codes[c] = (uint8_t)c;
	memcpy(two, s, each); /* 256 codes are two blocks */
	memcpy(two + each, s, each);
	codec_ops[from].decode(codes, two, 1, CODES, t->v);
	codec_ops[CODEC_BF16].encode(t->v, NULL, 1, CODES, (uint8_t *)t->bf16);
	t->scale = codec_scale(from, s, 0);
	t->has_bf16 = true;
}

/* --- number formats --- */

/* Codes to stage, scales of the band behind them. */
static int read_cast(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t **scales, uint8_t **new, struct err *e)
{
	uint64_t k = codec_cols(d->from, d->src[0]->dim[1]), groups = d->src[1]->dim[1], b;

	*scales = m->stage + n * d->src_bytes;
	*new = *scales + n *groups;
	if (derive_read(d, d->src[0], row * d->src_bytes, m->stage, (size_t)(n * d->src_bytes),
		    e) ||
		derive_read(d, d->src[1], row * groups, *scales, (size_t)(n * groups), e))
		return -1;
	for (b = 0; b < k / codecs[d->to].cols; b++)
		(*new)[b] = new_scale(d, *scales, groups, b);
	return 0;
}

static int plain_cast(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	uint64_t groups = d->src[1]->dim[1], k = codec_cols(d->from, d->src[0]->dim[1]), i;
	uint8_t *s, *new;
	double *v;

	if (read_cast(m, d, row, n, &s, &new, e))
		return -1;
	v = malloc((size_t)k * sizeof *v);
	if (!v)
		return err_nomem(e);
	for (i = 0; i < n; i++) {
		codec_ops[d->from].decode(m->stage + i * d->src_bytes, s + i * groups, 1, (size_t)k,
			v);
		unsigned_zeros(v, k);
		codec_ops[d->to].encode(v, new, 1, (size_t)k, out + i * d->row_bytes);
	}
	free(v);
	return 0;
}

static int make_cast(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	uint64_t groups = d->src[1]->dim[1], each = d->src_bytes / groups, i, g, j;
	uint64_t per = codecs[d->to].cols / codecs[d->from].cols;
	struct derive_tables *t = tables(m, e);
	const uint8_t *codes = m->stage;
	const uint16_t *cast;
	uint8_t *s, *new;

	if (!t || read_cast(m, d, row, n, &s, &new, e))
		return -1;
	if (memchr(s, NUM_E8M0_NAN, (size_t)(n * groups)))
		return plain_cast(m, d, row, n, out, e);
	if (!t->has_cast)
		fill_cast(t);
	for (i = 0; i < n; i++)
		for (g = 0; g < groups; g++) {
			cast = t->cast[(uint8_t)(new[g / per] + SHIFT - s[i * groups + g])];
			for (j = 0; j < each; j++, out += 2)
				memcpy(out, &cast[*codes++], 2);
		}
	return 0;
}

/* Row i of the unit: its scales are those of its block row, which is read where it begins. */
static int read_scales(const struct derive *d, uint64_t row, uint64_t *band, uint8_t *scales,
	struct err *e)
{
	const struct tensor *s = d->src[1];
	uint64_t n = s->dim[1] * dtypes[s->dtype].bits / 8, now = row / codecs[d->from].rows;

	if (*band == now)
		return 0;
	*band = now;
	return derive_read(d, s, now * n, scales, (size_t)n, e);
}

/* Rows from..to of a unit, all of one block row; each block's table is made once. */
static void look_up_band(struct derive_tables *t, const struct derive *d, const uint8_t *scales,
	const uint8_t *codes, uint64_t rows, uint8_t *out)
{
	uint64_t k = d->src_bytes, each = dtypes[d->src[1]->dtype].bits / 8, b, i, c, end;
	uint32_t block = codecs[d->from].cols;

	for (b = 0; b * block < k; b++) {
		fill_bf16(t, d->from, scales + b * each);
		end = (b + 1) * block < k ? (b + 1) * block : k;
		for (i = 0; i < rows; i++)
			for (c = b * block; c < end; c++)
				memcpy(out + 2 * (i * k + c), &t->bf16[codes[i * k + c]], 2);
	}
}

static int make_dequant(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	uint64_t k = d->src_bytes, band = UINT64_MAX, i, take, block = codecs[d->from].rows;
	struct derive_tables *t = tables(m, e);
	uint8_t *scales = m->stage + n * k;

	if (!t || derive_read(d, d->src[0], (d->row + row) * k, m->stage, (size_t)(n * k), e))
		return -1;
	for (i = 0; i < n; i += take) {
		take = block - (d->row + row + i) % block;
		take = take < n - i ? take : n - i;
		if (read_scales(d, d->row + row + i, &band, scales, e))
			return -1;
		look_up_band(t, d, scales, m->stage + i * k, take, out + 2 * i * k);
	}
	return 0;
}

static int plain_dequant(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	uint64_t k = d->src_bytes, band = UINT64_MAX, i;
	uint8_t *scales = m->stage + n * k;
	double *v;
	int rc;

	rc = derive_read(d, d->src[0], (d->row + row) * k, m->stage, (size_t)(n * k), e);
	v = malloc((size_t)k * sizeof *v);
	if (!v)
		return err_nomem(e);
	for (i = 0; !rc && i < n; i++) {
		rc = read_scales(d, d->row + row + i, &band, scales, e);
		if (rc)
			break;
		codec_ops[d->from].decode(m->stage + i * k, scales, 1, (size_t)k, v);
		codec_ops[d->to].encode(v, NULL, 1, (size_t)k, out + i * d->row_bytes);
	}
	free(v);
	return rc;
}

/* --- layouts --- */

static const struct sidecar_source *source(const struct derive *d, uint64_t k)
{
	return &d->a->sources[d->t->first + k];
}

/* What is taken of the parts of an expert to stage; m->rows[i]: row i of the matrix that is laid out. */
static int read_parts(struct derive_maker *m, const struct derive *d, uint64_t expert,
	struct err *e)
{
	bool all = d->cols == d->src_bytes;
	uint64_t each = d->rows * d->cols, i;
	const struct tensor *t;
	unsigned part;

	for (part = 0; part < d->t->parts; part++) {
		t = ckpt_find(d->c, source(d, expert * d->t->parts + part)->tensor);
		for (i = 0; i < (all ? 1 : d->rows); i++)
			if (derive_read(d, t, (d->row + i) * d->src_bytes + d->col,
				    m->stage + part * each + i * d->cols,
				    (size_t)(all ? each : d->cols), e))
				return -1;
	}
	rowmap_from(d->map, (uint32_t)d->rows, m->from);
	for (i = 0; i < d->dim.rows; i++)
		m->rows[i] = m->stage + m->from[i] * d->cols;
	return 0;
}

static int plain_tile(struct derive_maker *m, const struct derive *d, uint64_t expert, uint64_t n,
	uint8_t *out, struct err *e)
{
	struct tile_grid g = tile_grid(d->tile, d->dim);
	uint64_t s, take, at;

	(void)n; /* one at a time */
	if (read_parts(m, d, expert, e))
		return -1;
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

static int make_tile(struct derive_maker *m, const struct derive *d, uint64_t expert, uint64_t n,
	uint8_t *out, struct err *e)
{
	if (gather_make(&m->gather, d->tile, d->dim))
		return err_nomem(e);
	if (!m->gather.usable)
		return plain_tile(m, d, expert, n, out, e);
	if (read_parts(m, d, expert, e))
		return -1;
	gather_run(&m->gather, m->rows, out);
	return 0;
}

/* --- both ways of each transform --- */

typedef int make_fn(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e);
static const struct makers {
	make_fn *quick, *plain;
} makers[OP_COUNT] = {
	[OP_COPY] = { make_cols, make_cols },
	[OP_ROWS] = { make_cols, make_cols },
	[OP_COLS] = { make_cols, make_cols },
	[OP_DEQUANT] = { make_dequant, plain_dequant },
	[OP_CAST] = { make_cast, plain_cast },
	[OP_CAST_SCALE] = { make_scale, make_scale },
	[OP_WIDEN] = { make_widen, make_widen },
	[OP_REMAP] = { make_remap, make_remap },
	[OP_TILE] = { make_tile, plain_tile },
	[OP_REFORM] = { derive_reform_make, derive_reform_plain },
	[OP_GGML] = { derive_ggml_make, derive_ggml_plain },
	[OP_JOIN] = { make_join, make_join },
	[OP_NARROW] = { make_narrow, make_narrow },
	[OP_JOIN_F32] = { make_join_f32, make_join_f32 },
	[OP_RECORD] = { derive_record_make, derive_record_plain },
	[OP_HALVES] = { make_halves, make_halves },
	[OP_FIRSTS] = { derive_firsts_make, derive_firsts_make },
	[OP_LEVELS] = { derive_levels_make, derive_levels_make },
};

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
	if (make_room(m, d, e))
		return -1;
	return makers[d->t->op].quick(m, d, unit * d->unit_rows,
		derive_unit_bytes(d, unit) / d->row_bytes, out, e);
}

int derive_unit_plain(struct derive_maker *m, const struct derive *d, uint64_t unit, uint8_t *out,
	struct err *e)
{
	if (make_room(m, d, e))
		return -1;
	return makers[d->t->op].plain(m, d, unit * d->unit_rows,
		derive_unit_bytes(d, unit) / d->row_bytes, out, e);
}

void derive_free(struct derive_maker *m)
{
	free(m->stage);
	free(m->rows);
	free(m->from);
	free(m->tables);
	free(m->lost);
	free(m->looks);
	free(m->table4);
	free(m->cb4);
	gather_free(&m->gather);
	memset(m, 0, sizeof *m);
}
