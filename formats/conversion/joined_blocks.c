/* joined_blocks.c -- tensors of a GGUF as pieces of the source tensors that they were made of.
 *
 * Matrices lie one after the other, or side by side, in rows of a type of ggml. What of them values do not tell lies in
 * NAME.dropped: of one matrix its frame; of several their frames, and then the bytes of each as an u32.
 *
 * SPDX-License-Identifier: MIT */
#include "core/file.h"
#include "formats/codec.h"
#include "formats/conversion/joined.h"
#include "formats/gguf/ggml_type.h"
#include "formats/model/gguf_name.h"

#include <stdlib.h>
#include <string.h>

static int wrong(struct err *e, const char *what)
{
	return err_rule(e, RULE_SET_FORM, ERR_NOPOS, "%s", what);
}

/* A tensor of a sidecar on its way. */
struct blocks {
	struct joined *j;
	const struct sidecar_tensor *t;
	uint32_t file, each, matrices;
	uint64_t data_at;
	size_t first;            /* its pieces are j->pieces[first ..] */
	struct joined_form form; /* of each matrix */
	uint64_t row_bytes;      /* of a matrix, there */
	bool beside;
	uint32_t *frames; /* owns; [matrices] bytes of what was kept; NULL: of one matrix */
};

static const struct tensor *source(const struct blocks *b, size_t k)
{
	return &b->j->c->tensors[b->j->pieces[b->first + k].tensor];
}

/* How many source tensors make a matrix, and their number format. False where they are none that a GGUF is made of. */
static bool find_format(struct blocks *b)
{
	const struct tensor *w = source(b, 0), *s = b->t->n > 1 ? source(b, 1) : NULL;

	b->each = w->dtype == DT_BF16 || w->dtype == DT_I64 ? 1 : 2;
	if (b->each == 1) {
		b->form.from = w->dtype == DT_BF16 ? CODEC_BF16 : CODEC_NONE;
		return b->t->n == 1 && w->rank && w->rank <= 2;
	}
	b->form.from = (uint8_t)(s ? codec_of_types(w->dtype, s->dtype) : CODEC_NONE);
	return (b->form.from == CODEC_MXFP4 || b->form.from == CODEC_FP8 ||
		       b->form.from == CODEC_FP8_F32) &&
		w->rank == 2 && b->t->n % 2 == 0;
}

/* The type of ggml that the declared type is. */
static bool find_type(struct blocks *b)
{
	static const struct {
		uint8_t dtype;
		uint32_t type;
	} plain[] = { { DT_F32, GGML_F32 }, { DT_BF16, GGML_BF16 }, { DT_I32, GGML_I32 } };
	size_t i;

	b->form.ggml = b->form.from == CODEC_MXFP4 ? GGML_MXFP4 : GGML_Q8_0;
	for (i = 0; i < sizeof plain / sizeof *plain; i++)
		if (plain[i].dtype == b->t->dtype) {
			b->form.ggml = plain[i].type;
			return true;
		}
	return b->t->dtype == DT_U8;
}

/* Every source is like the first of its kind, and the tensor is as large as they make it. */
static bool find_shape(struct blocks *b)
{
	const struct tensor *w = source(b, 0), *x;
	const struct ggml_type_row *r = ggml_type_find(b->form.ggml);
	enum codec from = (enum codec)b->form.from;
	uint64_t rows = w->rank > 1 ? w->dim[0] : 1, dim1 = w->dim[w->rank - 1], dim[2], bytes,
		 cols = b->each > 1 ? codec_cols(from, dim1) : dim1;
	uint32_t k;

	if (!rows || !cols || rows > UINT32_MAX || cols > UINT32_MAX || cols % r->items ||
		(w->rank > 1 && w->rank != 2))
		return false;
	codec_scale_dim(from, rows, cols, dim);
	b->matrices = b->t->n / b->each;
	for (k = 0; k < b->t->n; k++) {
		x = source(b, k);
		if (k % b->each ? x->rank != 2 || x->dim[0] != dim[0] || x->dim[1] != dim[1] ||
					x->dtype != source(b, 1)->dtype
				: x->rank != w->rank || x->dtype != w->dtype ||
					memcmp(x->dim, w->dim, w->rank * sizeof *w->dim) != 0)
			return false;
	}
	b->form.rows = (uint32_t)rows;
	b->form.cols = (uint32_t)cols;
	b->row_bytes = cols / r->items * r->bytes;
	return mem_mul(b->row_bytes, rows, &bytes) && mem_mul(bytes, b->matrices, &bytes) &&
		bytes == b->t->end - b->t->begin && !b->t->row[1] && !b->t->col[1];
}

/* Elements in another type, one by one. */
static int settle_wide(struct blocks *b, struct err *e)
{
	struct piece *p = &b->j->pieces[b->first];
	const struct tensor *w = source(b, 0);

	if (!(w->dtype == DT_BF16 && b->form.ggml == GGML_F32) &&
		!(w->dtype == DT_I64 && b->form.ggml == GGML_I32))
		return wrong(e, "a tensor of a type that is not made of its source");
	p->wide = w->dtype == DT_BF16 ? JOINED_BF16_F32 : JOINED_I64_I32;
	p->at = b->data_at + b->t->begin;
	p->rows = w->dim[0]; /* of a vector too, as everywhere here */
	p->cols = (w->end - w->begin) / p->rows;
	return 0;
}

/* The table of what was kept of several matrices. */
static int load_frames(struct blocks *b, struct err *e)
{
	const struct joined_file *f = &b->j->files[b->file];
	uint64_t bytes = b->t->dropped[1] - b->t->dropped[0],
		 table = b->matrices * sizeof(uint32_t), sum = 0;
	uint32_t k;

	if (b->matrices == 1 || !bytes)
		return 0;
	if (bytes < table || b->t->dropped[1] > f->kept_bytes)
		return wrong(e, "what was kept of its matrices has no room for their sizes");
	b->frames = malloc(table);
	if (!b->frames)
		return err_nomem(e);
	if (file_read(b->j->c->io, f->kept, b->frames, table, b->t->dropped[1] - table, e))
		return -1;
	for (k = 0; k < b->matrices; k++)
		sum += b->frames[k];
	return sum == bytes - table ? 0
				    : err_rule(e, RULE_SET_DIGEST, ERR_NOPOS,
					      "what was kept of its matrices is damaged");
}

/* Matrix k; *kept is the byte of NAME.dropped where its frame begins, and moves behind it. */
static int settle_matrix(struct blocks *b, uint32_t k, uint64_t *kept, struct err *e)
{
	struct joined *j = b->j;
	struct piece *p = &j->pieces[b->first + (size_t)k * b->each];
	const struct tensor *w = &j->c->tensors[p[0].tensor], *s = &j->c->tensors[p[1].tensor];
	uint64_t codes = w->end - w->begin, scales = s->end - s->begin, room;
	struct joined_cast *c;
	unsigned i;

	if (mem_grow(&j->casts, &j->casts_cap, j->n_casts + 1, sizeof *j->casts))
		return err_nomem(e);
	c = &j->casts[j->n_casts++];
	*c = (struct joined_cast){ .file = b->file,
		.weight = p[0].tensor,
		.scale = p[1].tensor,
		.form = b->form,
		.at = b->data_at + b->t->begin + k * b->row_bytes * (b->beside ? 1 : b->form.rows),
		.kept_at = *kept };
	c->form.stride = b->row_bytes * (b->beside ? b->matrices : 1);
	c->bytes = (b->form.rows - 1) * c->form.stride + b->row_bytes;
	c->kept_bytes = b->frames ? b->frames[k]
		: b->matrices > 1 ? 0
				  : b->t->dropped[1] - b->t->dropped[0];
	*kept += c->kept_bytes;
	for (i = 0; i < 2; i++) {
		p[i].cast = (uint32_t)j->n_casts;
		p[i].rows = source(b, i)->dim[0];
		p[i].cols = (i ? scales : codes) / p[i].rows;
	}
	j->plain = codes > j->plain ? codes : j->plain;
	j->plain = scales > j->plain ? scales : j->plain;
	room = j->o.uncast->work(&c->form) + c->bytes + sizeof(float) + c->kept_bytes + codes +
		scales;
	j->cast_room = room > j->cast_room ? room : j->cast_room;
	return 0;
}

static int settle(struct blocks *b, struct err *e)
{
	uint64_t kept = b->t->dropped[0];
	uint32_t k;

	if (b->t->dropped[1] > b->j->files[b->file].kept_bytes)
		return wrong(e, "what was kept of it lies behind the end of what was kept");
	if (!find_format(b) || !find_type(b) || !find_shape(b))
		return wrong(e, "its sources are no matrices that it can be made of");
	b->beside = gguf_name_beside(b->t->name);
	if (b->each == 1)
		return settle_wide(b, e);
	b->form.blocks = true;
	if (!b->j->o.uncast || !b->j->o.uncast->work(&b->form))
		return err_rule(e, RULE_SET_CODEC, ERR_NOPOS,
			"from %s to %s of ggml: there is no way back", codecs[b->form.from].name,
			ggml_type_name(b->form.ggml));
	if (load_frames(b, e))
		return -1;
	for (k = 0; k < b->matrices; k++)
		if (settle_matrix(b, k, &kept, e))
			return -1;
	return 0;
}

int joined_blocks(struct joined *j, uint32_t file, uint64_t data_at, const struct sidecar_tensor *t,
	size_t first, struct err *e)
{
	struct blocks b = { .j = j, .t = t, .file = file, .data_at = data_at, .first = first };
	int rc = settle(&b, e);

	free(b.frames);
	return rc;
}
