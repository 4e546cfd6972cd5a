/* SPDX-License-Identifier: MIT */
#include "verify/compare/derive.h"

#include "core/text.h"
#include "formats/gguf/gguf_set.h"
#include "formats/conversion/stack.h"
#include "formats/conversion/vllm_form.h"
#include "formats/model/family.h"
#include "quant/cb4_learn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- looking at it --- */

static int wrong(const struct derive *d, struct err *e, const char *what)
{
	return err_rule(e, RULE_COMPARE_SHAPE, ERR_NOPOS, "tensor %s (%s): %s",
		text_quote(d->t->name).s, ops[d->t->op].name, what);
}

static const struct sidecar_source *source(const struct derive *d, uint64_t k)
{
	return &d->a->sources[d->t->first + k];
}

static const struct tensor *find_source(const struct derive *d, uint64_t k, struct err *e)
{
	const struct sidecar_source *s = source(d, k);
	const struct tensor *t = ckpt_find(d->c, s->tensor);

	if (t && !strcmp(d->c->shards[t->shard].name, d->a->shards[s->shard]))
		return t;
	err_rule(e, RULE_COMPARE_SOURCE, ERR_NOPOS, "tensor %s: the source has no tensor %s in %s",
		text_quote(d->t->name).s, text_quote(s->tensor).s,
		text_quote(d->a->shards[s->shard]).s);
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
	const struct sidecar_tensor *t = d->t;
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

/* As many rows as a MiB of the result has, of which none depends on another. */
static void by_mebibyte(struct derive *d)
{
	d->unit_rows = d->row_bytes ? DERIVE_UNIT / d->row_bytes : 1;
	d->unit_rows = d->unit_rows ? d->unit_rows : 1;
	d->stage = (size_t)(d->unit_rows * d->src_bytes);
}

static int open_copy(struct derive *d, const char *target, struct err *e)
{
	const struct tensor *s = d->src[0];
	bool fp4 = s->dtype == DT_I8 && d->t->dtype == DT_F4 && s->rank == 2;
	uint64_t row = s->rank ? s->dim[0] : 1, last = last_of(s);

	(void)target;
	if (d->t->n != 1)
		return wrong(d, e, "more sources than it takes");
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
	by_mebibyte(d);
	return 0;
}

/* The shape of codes and scales of a matrix of format c is this. */
static bool is_pair(enum codec c, const struct tensor *codes, const struct tensor *scales)
{
	uint64_t dim[2];

	if (codes->rank != 2 || scales->rank != 2)
		return false;
	codec_scale_dim(c, codes->dim[0], codec_cols(c, codes->dim[1]), dim);
	return scales->dim[0] == dim[0] && scales->dim[1] == dim[1];
}

static int open_dequant(struct derive *d, const char *target, struct err *e)
{
	const struct tensor *w = d->src[0], *s = d->src[1];

	(void)target;
	if (d->t->n != 2)
		return wrong(d, e, "it has no scale");
	d->from = codec_of_types(w->dtype, s->dtype);
	d->to = CODEC_BF16;
	if ((d->from != CODEC_FP8 && d->from != CODEC_FP8_F32) || d->t->col[1] ||
		!is_pair(d->from, w, s))
		return wrong(d, e, "its sources are no FP8 weight and its scale");
	if (!has_shape(d, codecs[d->to].code, d->rows, w->dim[1]))
		return wrong(d, e, "type or shape are not those of its source in BF16");
	d->n_rows = d->rows;
	d->row_bytes = codec_row_bytes(d->to, w->dim[1]);
	d->unit_rows = codecs[d->from].rows;
	d->stage = (size_t)(d->unit_rows * d->src_bytes + 2 * s->dim[1] * sizeof(float));
	return 0;
}

/* FP4 weights and their scales, to FP8: both casts have these sources. */
static bool casts(struct derive *d, const struct tensor *w, const struct tensor *s)
{
	d->from = CODEC_MXFP4;
	d->to = family_fp8(d->c->config.family);
	if (s->rank != 2 || s->dtype != codecs[d->from].scale || d->t->row[1] || d->t->col[1] ||
		!codec_whole(d->to, s->dim[0], s->dim[1] * codecs[d->from].cols))
		return false;
	return !w || (w->dtype == codecs[d->from].code && is_pair(d->from, w, s));
}

static int open_cast(struct derive *d, const char *target, struct err *e)
{
	const struct tensor *w = d->src[0], *s = d->src[1];
	uint64_t k;

	(void)target;
	if (d->t->n != 2 || !casts(d, w, s))
		return wrong(d, e, "its sources are no FP4 weight and its scale");
	k = codec_cols(d->from, w->dim[1]);
	if (!has_shape(d, codecs[d->to].code, w->dim[0], k))
		return wrong(d, e, "type or shape are not those of the cast");
	d->n_rows = w->dim[0];
	d->row_bytes = codec_row_bytes(d->to, k);
	d->unit_rows = codecs[d->to].rows;
	d->stage = (size_t)(d->unit_rows * (d->src_bytes + s->dim[1]) + k / codecs[d->to].cols);
	return 0;
}

static int open_cast_scale(struct derive *d, const char *target, struct err *e)
{
	const struct tensor *s = d->src[0];
	uint64_t dim[2];

	(void)target;
	if (d->t->n != 1 || !casts(d, NULL, s))
		return wrong(d, e, "its sources are no FP4 weight and its scale");
	if (d->to == CODEC_FP8 && d->t->dtype == codecs[CODEC_FP8_F32].scale)
		d->to = CODEC_FP8_F32;
	codec_scale_dim(d->to, s->dim[0], s->dim[1] * codecs[d->from].cols, dim);
	if (!has_shape(d, codecs[d->to].scale, dim[0], dim[1]))
		return wrong(d, e, "type or shape are not those of the cast");
	d->n_rows = dim[0];
	d->row_bytes = dim[1] * dtypes[d->t->dtype].bits / 8;
	d->unit_rows = 1;
	d->stage = (size_t)(codecs[d->to].rows * d->src_bytes);
	return 0;
}

/* E8M0 scales, as the FP32 numbers that they mean. */
static int open_widen(struct derive *d, const char *target, struct err *e)
{
	const struct tensor *s = d->src[0];

	(void)target;
	if (d->t->n != 1 || s->rank != 2 || s->dtype != DT_F8_E8M0 || d->t->row[1] || d->t->col[1])
		return wrong(d, e, "its source is no E8M0 scale");
	if (!has_shape(d, DT_F32, s->dim[0], s->dim[1]))
		return wrong(d, e, "type or shape are not those of its source in FP32");
	d->n_rows = d->rows;
	d->row_bytes = sizeof(float) * d->cols;
	by_mebibyte(d);
	return 0;
}

/* How many: the rows of the router beside the table. 0: there is none. */
static uint64_t experts_left(const struct derive *d)
{
	static const char router[] = "weight";
	size_t n = text_stem(d->t->name, "tid2eid"), i;

	if (!n)
		return 0;
	for (i = 0; i < d->a->n; i++)
		if (!strncmp(d->a->tensors[i].name, d->t->name, n) &&
			!strcmp(d->a->tensors[i].name + n, router) && d->a->tensors[i].rank == 2)
			return d->a->tensors[i].dim[0];
	return 0;
}

static int open_remap(struct derive *d, const char *target, struct err *e)
{
	const struct tensor *s = d->src[0];

	(void)target;
	if (d->t->n != 1 || s->rank != 2 || s->dtype != DT_I64 || d->t->row[1] || d->t->col[1] ||
		s->dim[1] > 64 || !has_shape(d, DT_I64, s->dim[0], s->dim[1]))
		return wrong(d, e, "its source is no table of expert ids");
	d->keep = experts_left(d);
	if (d->keep < s->dim[1])
		return wrong(d, e, "there is no router beside it, or one of too few experts");
	d->n_rows = d->rows;
	d->row_bytes = d->cols;
	by_mebibyte(d);
	return 0;
}

/* It is what the target takes. */
static int check_stack(const struct derive *d, const char *target, struct err *e)
{
	const struct stack k = { .s = d->a,
		.t = d->t,
		.tile = d->tile,
		.map = d->map,
		.rows = d->dim.rows,
		.cols = d->cols,
		.scale = d->src[0]->dtype == codecs[CODEC_MXFP4].scale };
	char why[256];

	return stack_fits(&k, target, why, sizeof why) ? 0 : wrong(d, e, why);
}

static int open_tile(struct derive *d, const char *target, struct err *e)
{
	const struct sidecar_tensor *t = d->t;
	uint32_t k;

	d->tile = tile_find(t->layout);
	d->map = rowmap_find(t->map);
	if (!d->tile || !d->map || d->tile->version != t->version)
		return err_rule(e, RULE_SET_LAYOUT, ERR_NOPOS,
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
	d->unit_rows = 1;
	d->stage = (size_t)(d->dim.rows * d->cols);
	return check_stack(d, target, e);
}

static const struct tensor *any_source(const struct derive *d, uint64_t k)
{
	return find_source(d, k, NULL);
}

static int open_ggml(struct derive *d, const char *target, struct err *e)
{
	const char *what = derive_ggml_open(d, any_source);

	(void)target;
	return what ? wrong(d, e, what) : 0;
}

/* Rows of source k that are taken. */
static uint64_t rows_of(const struct derive *d, const struct tensor *s)
{
	return d->t->row[1] ? d->rows : s->rank ? s->dim[0] : 1;
}

/* Tensors below one another. That they are those of the parameter was looked at before. */
static int open_join(struct derive *d, const char *target, struct err *e)
{
	const struct tensor *s;
	uint32_t k;

	if (!rank_target(target))
		return wrong(d, e, "no tensor of this target is joined of others");
	for (k = 0; k < d->t->n; k++) {
		s = find_source(d, k, e);
		if (!s)
			return -1;
		d->n_rows += rows_of(d, s);
	}
	d->row_bytes = d->t->op == OP_JOIN
		? d->cols
		: sizeof(float) * d->cols / (d->src[0]->dtype == DT_F8_E8M0 ? 1 : 2);
	by_mebibyte(d);
	return 0;
}

/* Rows of two halves. That they are those of the parameter was looked at before. */
static int open_halves(struct derive *d, const char *target, struct err *e)
{
	if (!rank_target(target) || d->cols % 2)
		return wrong(d, e, "no tensor of this target is of halves");
	d->n_rows = d->rows;
	d->row_bytes = d->cols;
	d->unit_rows = d->n_rows;
	d->stage = (size_t)(d->n_rows * d->cols);
	return 0;
}

/* Ids of experts, of 32 bits. */
static int open_narrow(struct derive *d, const char *target, struct err *e)
{
	const struct tensor *s = d->src[0];

	(void)target;
	if (d->t->n != 1 || s->rank != 2 || s->dtype != DT_I64 || d->t->row[1] || d->t->col[1] ||
		!has_shape(d, DT_I32, s->dim[0], s->dim[1]))
		return wrong(d, e, "its source is no table of expert ids");
	d->n_rows = d->rows;
	d->row_bytes = d->cols / 2;
	by_mebibyte(d);
	return 0;
}

/* Whether the tensor may be called as it is. Tensors with many sources look at that themselves. */
static bool is_named(const struct derive *d, bool renamed)
{
	if (d->t->op == OP_TILE || d->t->op == OP_GGML || d->t->op == OP_REFORM ||
		d->t->op == OP_RECORD || d->t->op == OP_LEVELS)
		return true;
	if (gguf_named(d->a->name))
		return derive_ggml_named(d, 0, d->t->n) &&
			(d->t->n < 2 || derive_ggml_named(d, 1, d->t->n));
	return same_name(d->t->name, d->src[0]->name, renamed);
}

/* A row for each transform: whether sources and result fit together, and what a unit is. On success
 * n_rows, row_bytes, unit_rows and stage are set. */
static int (*const openers[OP_COUNT])(struct derive *d, const char *target, struct err *e) = {
	[OP_COPY] = open_copy,
	[OP_ROWS] = open_copy,
	[OP_COLS] = open_copy,
	[OP_DEQUANT] = open_dequant,
	[OP_CAST] = open_cast,
	[OP_CAST_SCALE] = open_cast_scale,
	[OP_WIDEN] = open_widen,
	[OP_REMAP] = open_remap,
	[OP_TILE] = open_tile,
	[OP_REFORM] = derive_reform_open,
	[OP_GGML] = open_ggml,
	[OP_JOIN] = open_join,
	[OP_NARROW] = open_narrow,
	[OP_JOIN_F32] = open_join,
	[OP_RECORD] = derive_record_open,
	[OP_HALVES] = open_halves,
	[OP_FIRSTS] = derive_firsts_open,
	[OP_LEVELS] = derive_levels_open,
};

int derive_read(const struct derive *d, const struct tensor *s, uint64_t off, void *dst, size_t n,
	struct err *e)
{
	return d->reader
		? d->c->payload->read(d->reader, (uint32_t)(s - d->c->tensors), off, dst, n, e)
		: ckpt_read(d->c, s, off, dst, n, e);
}

/* What contradicts what the conversion says of Engram; NULL: nothing. */
static const char *engram_wrong(const struct derive *d)
{
	const char *name = d->src[0] ? d->src[0]->name : "";
	bool apart = !strncmp(d->a->name, ENGRAM_FILE, sizeof ENGRAM_FILE - 1);

	if (d->engram == ENGRAM_DROP && engram_own(name))
		return "it is of Engram, which the conversion says it is without";
	if (d->engram == ENGRAM_SEPARATE && engram_table(name) != apart)
		return apart
			? "it is no table of Engram, and lies in a file of those"
			: "it is a table of Engram, and the conversion says that these lie in files of their own";
	if (engram_table(name) &&
		(d->t->op == OP_RECORD || d->t->op == OP_LEVELS) != (d->record != NULL))
		return "the conversion says another layout of Engram's tables";
	return NULL;
}

int derive_open(struct derive *d, const struct derive_from *from, const struct sidecar *a,
	const struct sidecar_tensor *t, const struct manifest *m, struct err *e)
{
	const char *target = m->target;
	bool vllm = rank_target(target);
	uint32_t k;

	*d = (struct derive){ .c = from->c,
		.reader = from->reader,
		.imatrix = from->imatrix,
		.a = a,
		.t = t,
		.drafts = m->drafts,
		.engram = m->engram,
		.record = rowrec_find(m->engram_layout),
		.searched = t->op == OP_GGML && m->recipe };
	if (t->op != OP_TILE && t->op != OP_GGML && t->op != OP_JOIN && t->op != OP_JOIN_F32 &&
		t->n > (t->op == OP_REFORM ? 3 : 2))
		return wrong(d, e, "more sources than it takes");
	for (k = 0; k < t->n && k < 2; k++) {
		d->src[k] = find_source(d, k, e);
		if (!d->src[k])
			return -1;
	}
	if (!bound(d))
		return wrong(d, e, "more rows or columns than its source has");
	if (d->drafts == DRAFTS_DROP && d->src[0] && drafts_own(d->src[0]->name))
		return wrong(d, e, "it is of a draft, which the conversion says it is without");
	if (engram_wrong(d))
		return wrong(d, e, engram_wrong(d));
	if (vllm && vllm_form(from->c, a, t))
		return wrong(d, e, vllm_form(from->c, a, t));
	/* in a slice layers have other numbers */
	if (!vllm && !is_named(d, !strcmp(target, "slice")))
		return wrong(d, e, "it is made of a tensor of another name");
	if (derive_reform_left(d, target, e) || openers[t->op](d, target, e))
		return -1;
	d->units = d->row_bytes ? mem_ceil_div(d->n_rows, d->unit_rows) : 0;
	if (d->n_rows * d->row_bytes != t->end - t->begin)
		return wrong(d, e, "another size than the transform makes");
	return 0;
}

struct derive_use derive_use(const struct derive *d, uint32_t k, const struct tensor *s)
{
	uint64_t rows = s->rank ? s->dim[0] : 1;
	uint64_t bytes = rows ? (s->end - s->begin) / rows : 0;

	if (d->t->op == OP_REFORM)
		return derive_reform_uses(d, s) ? (struct derive_use){ 0, rows, 0, bytes }
						: (struct derive_use){ 0, 0, 0, 0 };
	if (d->t->op == OP_JOIN || d->t->op == OP_JOIN_F32)
		return (struct derive_use){ d->row, rows_of(d, s), d->col, d->cols };
	if (d->t->op == OP_LEVELS) /* they are not had of it */
		return (struct derive_use){ 0, 0, 0, 0 };
	if (d->t->op == OP_FIRSTS)
		return (struct derive_use){ 0, d->n_rows, 0, bytes };
	if (d->t->op == OP_RECORD)
		return (struct derive_use){ d->row, d->rows, 0, bytes };
	if (d->t->op == OP_GGML ||
		(k && d->t->op != OP_TILE)) /* the scale beside a weight, all of it */
		return (struct derive_use){ 0, rows, 0, bytes };
	return (struct derive_use){ d->row, d->rows, d->col, d->cols };
}

uint64_t derive_memory(const struct sidecar_tensor *t)
{
	/* An expert: its rows, laid out, and the file's bytes. Of all others a unit is about a MiB, or 128
	 * rows; 4 MiB are enough for rows of up to 8192 columns, with what they are made of. */
	uint64_t most = 4u << 20;

	if (t->op == OP_LEVELS || (t->op == OP_RECORD && t->blocks))
		most += cb4_learn_room() + sizeof(struct cb4);
	return t->op == OP_TILE ? 3 * (t->end - t->begin) * t->parts / t->n : most;
}

uint64_t derive_unit_bytes(const struct derive *d, uint64_t unit)
{
	uint64_t left = d->n_rows - unit * d->unit_rows;

	return (left < d->unit_rows ? left : d->unit_rows) * d->row_bytes;
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
