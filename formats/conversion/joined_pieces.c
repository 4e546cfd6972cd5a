/* joined_pieces.c -- from what a sidecar says of the tensors of a file to the pieces of the source tensors
 * that they are made of.
 *
 * The sidecar was held to its digest and read strictly before (chain.h). No number of it is used all the same
 * before it was bounded by what the headers of the source say.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/sglang_name.h"
#include "formats/codec.h"
#include "formats/model/family.h"
#include "formats/model/recipes.h"
#include "formats/gguf/gguf_set.h"
#include "formats/conversion/joined.h"
#include "formats/layout/rowrec.h"
#include "formats/op.h"

#include <string.h>

static int wrong(struct err *e, const char *what)
{
	return err_rule(e, RULE_SET_FORM, ERR_NOPOS, "%s", what);
}

/* The tensor of a sidecar while its pieces are made. */
struct entry {
	const struct sidecar_tensor *t;
	uint32_t file;    /* index into joined.files */
	uint64_t data_at; /* byte of the file where its payload begins */
	size_t first;     /* its pieces are pieces[first .. n_pieces] of joined */
};

/* The digest of source s of t, where t tells that of all of it: by a word, or since it is a copy. */
static bool whole_digest(const struct sidecar_tensor *t, const struct sidecar_source *s,
	struct xxh_digest *d)
{
	if (!s->has_xxh && !sidecar_is_copy(t))
		return false;
	*d = s->has_xxh ? s->xxh : t->xxh;
	return true;
}

/* Each source becomes a piece; what part of it, the functions below say. */
static int add_sources(struct joined *o, const struct sidecar *a, const struct entry *n,
	struct err *e)
{
	const struct sidecar_source *s;
	struct xxh_digest xxh;
	const struct tensor *t;
	uint32_t k;

	if (mem_grow(&o->pieces, &o->pieces_cap, o->n_pieces + n->t->n, sizeof *o->pieces))
		return err_nomem(e);
	for (k = 0; k < n->t->n; k++) {
		struct piece p = { .file = n->file };

		s = &a->sources[n->t->first + k];
		t = ckpt_find(o->c, s->tensor);
		if (!t)
			return wrong(e, "a source tensor that the source has not");
		p.tensor = (uint32_t)(t - o->c->tensors);
		if (s->part) {
			p.has_xxh = true;
			p.xxh = s->xxh;
		} else if (whole_digest(n->t, s, &xxh)) {
			if (o->has_xxh[p.tensor] &&
				memcmp(&o->xxh[p.tensor], &xxh, sizeof xxh) != 0)
				return wrong(e,
					"its sidecar says another digest of its source than that of another file: they were made of two sources");
			o->has_xxh[p.tensor] = true;
			o->xxh[p.tensor] = xxh;
		}
		o->pieces[o->n_pieces++] = p;
	}
	return 0;
}

/* Which rows and columns of its source piece p is; false where the source has no such. */
static bool bound(const struct joined *o, const struct sidecar_tensor *t, struct piece *p)
{
	const struct tensor *s = &o->c->tensors[p->tensor];
	uint64_t rows = s->rank ? s->dim[0] : 1, cols = rows ? (s->end - s->begin) / rows : 0;

	p->row = t->row[1] ? t->row[0] : 0;
	p->col = t->col[1] ? t->col[0] : 0;
	if (t->row[1] > rows || t->col[1] > cols || (t->row[1] && t->row[0] >= t->row[1]) ||
		(t->col[1] && t->col[0] >= t->col[1]))
		return false;
	p->rows = (t->row[1] ? t->row[1] : rows) - p->row;
	p->cols = (t->col[1] ? t->col[1] : cols) - p->col;
	return true;
}

/* Experts of a block lie one after the other, as a recipe has them, and not as an engine. */
static bool lies_stacked(const struct joined *j)
{
	const struct recipe *r = recipe_find(j->target);

	return r && r->stacked;
}

static int settle_tile(struct joined *o, const struct entry *w, struct err *e)
{
	const struct sidecar_tensor *t = w->t;
	const struct tile *tile = tile_find(t->layout);
	const struct rowmap *map = rowmap_find(t->map);
	size_t n = t->n, k;
	const struct tensor *s;
	struct tile_dim d;
	struct piece *p;
	uint64_t each;

	if (!tile || !map || t->version != tile->version)
		return err_rule(e, RULE_SET_LAYOUT, ERR_NOPOS,
			"layout %s version %llu with rows %s is none of this program's",
			text_quote(t->layout).s, (unsigned long long)t->version,
			text_quote(t->map).s);
	if (!n || t->parts != map->parts || n % t->parts || (t->end - t->begin) % (n / t->parts))
		return wrong(e, "a tensor that is no whole number of experts");
	each = (t->end - t->begin) / (n / t->parts);
	for (k = 0; k < n; k++) {
		p = &o->pieces[w->first + k];
		p->tile = tile;
		p->map = map;
		p->parts = t->parts;
		p->part = (uint32_t)(k % t->parts);
		p->at = w->data_at + t->begin + k / t->parts * each;
		if (!bound(o, t, p) || p->rows * p->parts > UINT32_MAX || p->rows % map->unit)
			return wrong(e, "a part that its source has not");
		d = tile_dim(tile, (uint32_t)(p->rows * p->parts), p->cols);
		if (!tile_fits(tile, d) || tile_bytes(tile, d) != each)
			return wrong(e, "a matrix of another size than its layout has");
		if (lies_stacked(o)) /* the bytes of an expert, as they are in the source */
			p->tile = strcmp(tile->name, "rows") ? tile : NULL;
		s = &o->c->tensors[p->tensor];
		o->packed = each > o->packed ? each : o->packed;
		o->plain = s->end - s->begin > o->plain ? s->end - s->begin : o->plain;
		o->rows = d.rows > o->rows ? d.rows : o->rows;
	}
	return 0;
}

/* The cast of a scale tensor of the source; made if it has none yet. NULL without memory. */
static struct joined_cast *cast_of(struct joined *o, uint32_t scale)
{
	if (o->cast_of[scale])
		return &o->casts[o->cast_of[scale] - 1];
	if (mem_grow(&o->casts, &o->casts_cap, o->n_casts + 1, sizeof *o->casts))
		return NULL;
	o->casts[o->n_casts] = (struct joined_cast){ .scale = scale,
		.weight = UINT32_MAX,
		.at = UINT64_MAX,
		.t_at = UINT64_MAX,
		.second_at = UINT64_MAX,
		.zero_at = UINT64_MAX };
	o->cast_of[scale] = (uint32_t)++o->n_casts;
	return &o->casts[o->n_casts - 1];
}

/* Which tensor of its matrix an entry is, and of which formats: by the words of the sidecar, or of the cast to FP8,
 * which has two sources for its codes and one for its scales. */
struct form_part {
	uint8_t from, to;
	unsigned part;
};

static struct form_part part_of(const struct joined *j, const struct sidecar_tensor *t)
{
	if (t->op == OP_REFORM)
		return (struct form_part){ t->from, t->to, t->of };
	return (struct form_part){ CODEC_MXFP4, (uint8_t)family_fp8(j->c->config.family),
		t->n == 2 ? PART_CODES : PART_SCALES };
}

/* The sizes of a matrix of that format and its scales, as the source headers have them. */
static bool is_matrix(const struct tensor *w, const struct tensor *s, struct form_part p,
	struct joined_form *f)
{
	const struct codec_form *c = &codecs[p.from];
	uint64_t rows = w->rank == 2 ? w->dim[0] : 0,
		 cols = w->rank == 2 ? codec_cols((enum codec)p.from, w->dim[1]) : 0, dim[2];

	if (!rows || !cols || rows > UINT32_MAX || cols > UINT32_MAX || w->dtype != c->code ||
		s->dtype != c->scale || s->rank != 2 ||
		w->end - w->begin != rows * codec_row_bytes((enum codec)p.from, cols))
		return false;
	codec_scale_dim((enum codec)p.from, rows, cols, dim);
	*f = (struct joined_form){
		.from = p.from, .to = p.to, .rows = (uint32_t)rows, .cols = (uint32_t)cols
	};
	return s->dim[0] == dim[0] && s->dim[1] == dim[1];
}

/* Bytes of the codes, and of the scales, of a matrix in its new format. */
static uint64_t new_codes(const struct joined_form *f)
{
	return f->rows * codec_row_bytes((enum codec)f->to, f->cols);
}

static uint64_t new_scales(const struct joined_form *f)
{
	uint64_t dim[2];

	if (codecs[f->to].scale == DT_COUNT)
		return 0;
	codec_scale_dim((enum codec)f->to, f->rows, f->cols, dim);
	return dim[0] * dim[1] * dtypes[codecs[f->to].scale].bits / 8;
}

/* Bytes of the zero points. */
static uint64_t new_zeros(const struct joined_form *f)
{
	uint64_t dim[2];

	if (!codecs[f->to].zeros)
		return 0;
	codec_zero_dim((enum codec)f->to, f->rows, f->cols, dim);
	return dim[0] * dim[1] * sizeof(int32_t);
}

/* Scales, zero points, or the factor: no part of the source as it is. */
static int settle_beside(struct joined *o, const struct entry *n, struct form_part p,
	struct joined_cast *c, struct err *e)
{
	const struct sidecar_tensor *t = n->t;

	o->n_pieces = n->first;
	if ((p.part == PART_SECOND                 ? c->second_at
			    : p.part == PART_ZEROS ? c->zero_at
						   : c->t_at) != UINT64_MAX)
		return wrong(e, "a part of a matrix that is there twice");
	if (p.part == PART_ZEROS) {
		c->zero_at = n->data_at + t->begin;
		c->zero_bytes = t->end - t->begin;
		return 0;
	}
	if (p.part == PART_SECOND) {
		if (t->end - t->begin != sizeof(float))
			return wrong(e, "a factor that is no number");
		c->second_at = n->data_at + t->begin;
		return 0;
	}
	c->t_at = n->data_at + t->begin;
	c->t_bytes = t->end - t->begin;
	return 0;
}

static int settle_codes(struct joined *o, const struct entry *n, struct form_part part,
	struct joined_cast *c, struct err *e)
{
	const struct sidecar_tensor *t = n->t;
	struct piece *p = &o->pieces[n->first];
	const struct tensor *w = &o->c->tensors[p->tensor], *s = &o->c->tensors[c->scale];
	uint64_t room, kept = o->files[n->file].kept_bytes;
	size_t work;
	uint32_t k;

	if (c->at != UINT64_MAX)
		return wrong(e, "a matrix that is there twice");
	o->n_pieces = n->first + 2; /* a partner's scales are no part of this matrix */
	if (!is_matrix(w, s, part, &c->form) || t->end - t->begin != new_codes(&c->form) ||
		t->dropped[1] > kept)
		return wrong(e, "a matrix of another size than its source has");
	work = o->o.lies ? 0 : o->o.uncast->work(&c->form);
	if (!work && !o->o.lies)
		return err_rule(e, RULE_SET_CODEC, ERR_NOPOS, "from %s to %s: there is no way back",
			codecs[part.from].name, codecs[part.to].name);
	c->file = n->file;
	c->weight = p->tensor;
	c->at = n->data_at + t->begin;
	c->bytes = t->end - t->begin;
	c->kept_at = t->dropped[0];
	c->kept_bytes = t->dropped[1] - t->dropped[0];
	for (k = 0; k < 2; k++) {
		if (!bound(o, t, &p[k]))
			return wrong(e, "a part that its source has not");
		p[k].cast = o->cast_of[c->scale];
	}
	if (o->o.lies)
		return 0;
	o->plain = w->end - w->begin > o->plain ? w->end - w->begin : o->plain;
	o->plain = s->end - s->begin > o->plain ? s->end - s->begin : o->plain;
	/* Of the cast to FP8 the scales may lie there as F32 numbers. */
	room = work + c->bytes + sizeof(float) * (new_scales(&c->form) + 1) + c->kept_bytes +
		(w->end - w->begin) + (s->end - s->begin);
	o->cast_room = room > o->cast_room ? room : o->cast_room;
	return 0;
}

/* A tensor of a matrix in another number format. Its sources are the codes and scales of the matrix, or the scales;
 * and where it has a factor, the scales of the matrix that shares it. */
static int settle_cast(struct joined *o, const struct entry *n, struct err *e)
{
	struct form_part p = part_of(o, n->t);
	uint32_t scale = p.part == PART_CODES;
	struct joined_cast *c;

	if (n->t->inexact && !o->o.lies)
		return err_rule(e, RULE_SET_CODEC, ERR_NOPOS,
			"a matrix that was rounded: there is no way back");
	if (p.part == PART_INPUT || p.part == PART_SHAPE) {
		o->n_pieces = n->first; /* nothing of the source */
		return 0;
	}
	if (n->t->n <= scale || n->t->n > scale + 2)
		return wrong(e, "a part of a matrix with another number of sources than it has");
	c = cast_of(o, o->pieces[n->first + scale].tensor);
	if (!c)
		return err_nomem(e);
	return p.part == PART_CODES ? settle_codes(o, n, p, c, e) : settle_beside(o, n, p, c, e);
}

/* Ops that leave elements as they are, or write each of them in another type. */
static const struct {
	bool is;
	enum joined_wide wide;
	enum dtype source; /* of what is written in another type */
} plain_ops[OP_COUNT] = {
	[OP_COPY] = { .is = true },
	[OP_ROWS] = { .is = true },
	[OP_COLS] = { .is = true },
	[OP_JOIN] = { .is = true },
	[OP_WIDEN] = { true, JOINED_E8M0_F32, DT_F8_E8M0 },
	[OP_NARROW] = { true, JOINED_I64_I32, DT_I64 },
};

/* Bytes that a piece takes there. */
static uint64_t bytes_there(const struct piece *p)
{
	uint64_t n = p->rows * p->cols;

	return p->wide == JOINED_E8M0_F32   ? n * sizeof(float)
		: p->wide == JOINED_I64_I32 ? n / 2
					    : n;
}

/* Tensors below one another, or one alone. */
static int settle_plain(struct joined *o, const struct entry *n, struct err *e)
{
	const struct sidecar_tensor *t = n->t;
	uint64_t at = n->data_at + t->begin;
	const struct tensor *s;
	struct piece *p;
	uint32_t k;

	if (!plain_ops[t->op].is)
		return err_rule(e, RULE_SET_CODEC, ERR_NOPOS,
			"a tensor whose values were changed (%s): there is no way back",
			ops[t->op].name);
	if (t->n != 1 && t->op != OP_JOIN)
		return wrong(e, "a plain tensor without just one source");
	for (k = 0; k < t->n; k++, at += bytes_there(p)) {
		p = &o->pieces[n->first + k];
		p->wide = (uint8_t)plain_ops[t->op].wide;
		p->at = at;
		if (!bound(o, t, p) || bytes_there(p) > n->data_at + t->end - at)
			return wrong(e, "a part of another size than its source has");
		s = &o->c->tensors[p->tensor];
		if (p->wide && (s->dtype != plain_ops[t->op].source || t->row[1] || t->col[1]))
			return wrong(e,
				"numbers in another type that are no whole tensor of the source");
		if (!p->has_xxh)
			continue;
		/* The tensor is put together before anybody gets of it, and its parts are held to their digests. */
		o->plain = s->end - s->begin > o->plain ? s->end - s->begin : o->plain;
		o->packed = bytes_there(p) > o->packed ? bytes_there(p) : o->packed;
	}
	return at == n->data_at + t->end ? 0
					 : wrong(e, "a part of another size than its source has");
}

/* The layout with which the table c and its scales s have records of so many bytes; NULL: there is none. */
static const struct rowrec *record_of(struct rowrec_dim d, uint64_t bytes)
{
	unsigned i;

	for (i = 0; i < n_rowrecs; i++)
		if (rowrecs[i].bits == 8 && rowrec_bytes(&rowrecs[i], d) == bytes)
			return &rowrecs[i];
	return NULL;
}

/* A table as records: the codes of a row, and behind them its scales. */
static int settle_record(struct joined *o, const struct entry *n, struct err *e)
{
	const struct sidecar_tensor *t = n->t;
	struct piece *p = &o->pieces[n->first];
	struct rowrec_dim d;
	uint32_t k;

	if (t->blocks)
		return err_rule(e, RULE_SET_CODEC, ERR_NOPOS,
			"a table that was rounded to 4 bits: there is no way back");
	if (t->n != 2 || t->rank != 2 || t->col[1])
		return wrong(e, "records that are not of codes and scales");
	for (k = 0; k < 2; k++)
		if (!bound(o, t, &p[k]) || p[k].has_xxh)
			return wrong(e, "a part that its source has not");
	d = (struct rowrec_dim){ p[0].cols, p[1].cols };
	if (p[0].cols > UINT32_MAX || p[1].cols > UINT32_MAX || p[0].rows != p[1].rows ||
		t->dim[0] != p[0].rows || !record_of(d, t->dim[1]) || t->dtype != DT_U8)
		return wrong(e, "records of another size than their source has");
	for (k = 0; k < 2; k++) {
		p[k].stride = t->dim[1];
		p[k].at = n->data_at + t->begin + (k ? d.codes : 0);
	}
	o->packed = o->packed < JOINED_RUN + t->dim[1] ? JOINED_RUN + t->dim[1] : o->packed;
	return 0;
}

/* Every cast that began in this file is whole. */
static int check_casts(const struct joined *o, size_t first, struct err *e)
{
	const struct joined_cast *c;
	uint64_t scales;

	for (c = o->casts + first; c < o->casts + o->n_casts; c++) {
		if (c->form.blocks)
			continue;
		if (c->at == UINT64_MAX)
			return wrong(e, "the scales or the factor of a matrix without its codes");
		scales = new_scales(&c->form);
		if (scales && c->t_at == UINT64_MAX)
			return wrong(e, "a matrix without its scales");
		if (codecs[c->form.to].second.name && c->second_at == UINT64_MAX)
			return wrong(e, "a matrix without its factor");
		if (c->zero_bytes != new_zeros(&c->form))
			return wrong(e, "a matrix without its zero points, or with others");
		if (c->t_bytes != scales &&
			!(c->form.to == CODEC_FP8 && c->t_bytes == scales * sizeof(float)))
			return wrong(e,
				"a matrix whose scales have another size than its codes ask for");
	}
	return 0;
}

/* From the sources of a tensor of the file name to its pieces, by how it was made. */
static int settle(struct joined *j, const struct entry *n, const char *name, struct err *e)
{
	if (rank_target(j->target) &&
		(n->t->op == OP_DEQUANT || n->t->op == OP_JOIN_F32 || n->t->op == OP_HALVES)) {
		j->n_pieces = n->first; /* its sources are kept in a file of their own */
		return 0;
	}
	if (n->t->op == OP_GGML || (n->t->op == OP_DEQUANT && gguf_named(name)))
		return joined_blocks(j, n->file, n->data_at, n->t, n->first, e);
	if ((n->t->op == OP_CAST || n->t->op == OP_CAST_SCALE || n->t->op == OP_REFORM) &&
		(j->o.uncast || j->o.lies))
		return settle_cast(j, n, e);
	if (n->t->op == OP_RECORD)
		return settle_record(j, n, e);
	return n->t->layout ? settle_tile(j, n, e) : settle_plain(j, n, e);
}

int joined_pieces(struct joined *j, uint32_t file, const struct sidecar *a, struct err *e)
{
	struct entry n = { .file = file, .data_at = a->header_bytes };
	size_t casts = j->n_casts, i;

	for (i = 0; i < a->n; i++) {
		n.t = &a->tensors[i];
		n.first = j->n_pieces;
		if (add_sources(j, a, &n, e))
			return -1;
		if (settle(j, &n, a->name, e) ||
			((j->o.every || lies_stacked(j)) &&
				joined_form(j, a, n.t, j->pieces + n.first, e)))
			return err_at(e, "tensor %s", text_quote(n.t->name).s);
	}
	return check_casts(j, casts, e);
}
