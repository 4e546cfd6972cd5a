/* SPDX-License-Identifier: MIT */
#include "verify/atlas/values.h"

#include "core/file.h"
#include "formats/gguf/ggml_type.h"
#include "formats/model/drafts.h"
#include "formats/model/engram.h"
#include "formats/model/matrix.h"
#include "quant/codec.h"
#include "quant/ggml_back.h"

#include <stdio.h>
#include <string.h>

/* --- opening --- */

/* The MTP block of a GGUF, where it lies in the folder as the converter calls it. */
static int open_drafts(struct values *v, int dir, struct err *e)
{
	static const char name[] = "mtp-model.gguf";
	struct findings f = { 0 };
	struct stat st;
	int rc;

	if (v->io->lstat(v->io, dir, name, &st) || !S_ISREG(st.st_mode))
		return 0;
	rc = gguf_model_open(&v->drafts_g, &v->drafts, v->io, dir, name, GGUF_OF_MTP, &f, e);
	v->has_drafts = !rc;
	rc = rc ? rc : finding_first(&f, e);
	finding_free(&f);
	return rc;
}

static int open_gguf(struct values *v, struct folder *at, struct err *e)
{
	char name[KIND_MORE];
	bool alone = *at->gguf != 0; /* then it is that file that was meant */

	memcpy(name, at->gguf, sizeof name);
	if (!alone && gguf_model_find(v->io, at->dir, name, e))
		return -1;
	if (gguf_model_open(&v->g, &v->c, v->io, at->dir, name, GGUF_OF_MODEL, &at->found, e))
		return -1;
	v->is_gguf = true;
	if (finding_first(&at->found, e))
		return -1;
	return alone ? 0 : open_drafts(v, at->dir, e);
}

/* Any folder of safetensors, by its headers; what config.json says of number formats is not asked. */
static int open_tensors(struct values *v, struct folder *at, const struct ckpt_opts *o,
	struct err *e)
{
	if (at->has_ckpt)
		folder_take(at, &v->c);
	else if (ckpt_open_at(&v->c, v->io, at->dir, o, &at->found, e))
		return -1;
	v->open = true;
	return finding_first_but(&at->found, "config.", e);
}

/* Experts that are stacked for MLX are no matrices that could be found by their names. They are exact: nothing is lost by
 * saying no. */
static int not_stacked(const struct values *v, struct err *e)
{
	size_t i;

	for (i = 0; i < v->c.n && !strstr(v->c.tensors[i].name, ".ffn.switch_mlp."); i++)
		;
	return i == v->c.n
		? 0
		: err_set(e, ERR_UNSUPPORTED,
			  "the experts of a layer are one tensor there (mlx --stack), which an atlas is not made of; dsv4-verify compare proves that it is exact");
}

static int audited(struct values *v, struct folder *at, struct err *e)
{
	if (finding_first(&at->found, e) || audit_make(&v->a, &v->c, CODEC_NONE, &at->found, e))
		return -1;
	v->has_audit = v->a.ckpt != NULL;
	return finding_first(&at->found, e);
}

static int open_as(struct values *v, const char *path, const struct values_opts *o, enum use use,
	struct err *e)
{
	struct ckpt_opts co = { .header_cap = o->header_cap, .follow_links = o->follow_links };
	struct folder at;
	int rc;

	*v = (struct values){ .io = o->io, .path = path, .features = o->features };
	if (folder_open(&at, o->io, path, use, &co, e))
		return -1;
	rc = at.kind == KIND_GGUF || at.kind == KIND_QUANT_GGUF ? open_gguf(v, &at, e)
								: open_tensors(v, &at, &co, e);
	rc = rc                           ? rc
		: use == USE_ATLAS_SOURCE ? audited(v, &at, e)
		: matrix_alone(&v->c, e) || not_stacked(v, e) || tables_open(&v->tables, &v->c, e)
		? -1
		: 0;
	folder_close(&at);
	if (rc) {
		err_at(e, "%s", text_quote(path).s);
		values_close(v);
	}
	return rc;
}

int values_open_source(struct values *v, const char *path, const struct values_opts *o,
	struct err *e)
{
	return open_as(v, path, o, USE_ATLAS_SOURCE, e);
}

int values_open(struct values *v, const char *path, const struct values_opts *o, struct err *e)
{
	return open_as(v, path, o, USE_ATLAS, e);
}

void values_close(struct values *v)
{
	if (v->has_audit)
		audit_free(&v->a);
	if (v->is_gguf)
		gguf_model_close(&v->g, &v->c);
	if (v->has_drafts)
		gguf_model_close(&v->drafts_g, &v->drafts);
	tables_close(&v->tables);
	if (v->open)
		ckpt_close(&v->c);
	memset(v, 0, sizeof *v);
}

/* --- where a tensor lies --- */

static uint64_t bytes_of(const struct tensor *t)
{
	return t ? t->end - t->begin : 0;
}

/* A matrix of a number format that has a row in formats/codec.h. */
static struct lie in_codec(enum codec c, const struct tensor *codes, const struct tensor *scales,
	const struct tensor *zeros, uint64_t rows, uint64_t cols)
{
	struct lie l = { .form = codecs[c].name,
		.rows = rows,
		.cols = cols,
		.bytes = bytes_of(codes) + bytes_of(scales) + bytes_of(zeros),
		.codec = c,
		.codes = codes,
		.scales = scales,
		.zeros = zeros,
		.second = 1,
		.fd = -1 };
	uint64_t dim[2];

	l.stride = l.row_bytes = codec_row_bytes(c, cols);
	if (!scales)
		return l;
	codec_scale_dim(c, rows, cols, dim);
	l.scale_rows = codecs[c].rows;
	l.scale_row = dim[0] ? bytes_of(scales) / dim[0] : 0;
	l.scale_kept = zeros ? codec_scale_row(c, (size_t)cols) : l.scale_row;
	return l;
}

/* A tensor of plain numbers; form NULL where they are none that has a value. */
static struct lie plain(const struct tensor *t, uint64_t rows, uint64_t cols)
{
	static const struct {
		uint8_t dtype, codec;
	} types[] = { { DT_BF16, CODEC_BF16 }, { DT_F32, CODEC_F32 } };
	struct lie l = { 0 };
	size_t i;

	for (i = 0; i < sizeof types / sizeof *types; i++)
		if (types[i].dtype == t->dtype)
			return in_codec((enum codec)types[i].codec, t, NULL, NULL, rows, cols);
	if (t->dtype != DT_F16)
		return l;
	l = in_codec(CODEC_BF16, t, NULL, NULL, rows, cols); /* but for what the bits mean */
	l.codec = CODEC_NONE;
	l.ggml = GGML_F16;
	l.form = "f16";
	return l;
}

/* Rows and columns of a tensor of numbers: all but its last dimension are rows. */
static void shape_of(const struct tensor *t, uint64_t *rows, uint64_t *cols)
{
	unsigned i;

	*rows = 1;
	*cols = t->rank ? t->dim[t->rank - 1] : 1;
	for (i = 0; i + 1u < t->rank; i++)
		*rows *= t->dim[i];
}

struct lie values_source(const struct values *v, size_t i)
{
	const struct want *w = v->a.want[i];
	const struct tensor *t = &v->c.tensors[i];
	uint64_t rows, cols;
	enum codec c;
	long k;

	if (!w || w->scale)
		return (struct lie){ 0 };
	shape_of(t, &rows, &cols);
	c = role_codec(w->role, v->a.forms);
	if (c == CODEC_NONE || !rows || !cols)
		return rows && cols ? plain(t, rows, cols) : (struct lie){ 0 };
	k = audit_partner(&v->a, i);
	return in_codec(c, t, k < 0 ? NULL : &v->c.tensors[k], NULL, rows, codec_cols(c, cols));
}

static struct lie in_gguf(const struct gguf_model *g, const struct tensor *t, uint64_t rows,
	uint64_t cols, unsigned features)
{
	const struct gguf_matrix *x = &g->v[t - g->c->tensors];
	const struct want *w = inventory_find(&g->inv, t->name);
	int side = w ? gguf_side_of(w->role) : -1;
	struct lie l = { .form = ggml_type_name(x->type),
		.rows = rows,
		.cols = cols,
		.bytes = x->bytes,
		.ggml = x->type,
		.features = features,
		.second = 1,
		.fd = g->fds[x->part],
		.at = x->at };

	/* what has rows in the source may be one long row there: the values follow one another */
	if (x->rows * x->cols != rows * cols || (x->cols != cols && x->rows != 1) ||
		!ggml_decodes(x->type))
		return (struct lie){ 0 };
	l.stride = l.row_bytes = x->bytes / rows;
	if (side < 0)
		return l;
	l.row_bytes /= 2; /* two matrices side by side */
	l.bytes /= 2;
	l.at += (uint64_t)side * l.row_bytes;
	return l;
}

/* A table as records; form NULL: there is none, or not all of it. Records with levels have as many bytes as MXFP4. */
static int in_records(struct lie *to, const struct values *v, const char *tensor, uint64_t rows,
	uint64_t cols, struct err *e)
{
	uint8_t levels[CB4_LEVELS * sizeof(float)];
	struct table_rows t;
	struct lie l;

	*to = (struct lie){ 0 };
	if (!tables_find(&v->tables, tensor, rows, cols, &t))
		return 0;
	l = in_codec(t.how->bits == 8 ? CODEC_FP8_ROW : CODEC_MXFP4, t.v[0].t, NULL, NULL, rows,
		cols);
	l.table = t;
	if (t.levels) {
		if (ckpt_read(&v->c, t.levels, 0, levels, sizeof levels, e))
			return -1;
		cb4_get_levels(l.level, levels);
		l.form = t.how->name;
		t.bytes += sizeof levels;
	}
	l.bytes = t.bytes;
	l.stride = t.v[0].t->dim[1];
	*to = l;
	return 0;
}

int values_find(const struct values *v, const char *tensor, uint64_t rows, uint64_t cols,
	struct lie *l, struct err *e)
{
	static const char end[] = ".weight";
	size_t n = strlen(tensor), stem = n - (n < sizeof end - 1 ? n : sizeof end - 1);
	const struct tensor *t = ckpt_find(&v->c, tensor);
	struct matrix_parts m;
	char name[ST_NAME_MAX + 1];
	uint8_t second[4];
	uint64_t r, k;

	*l = (struct lie){ 0 };
	if (v->is_gguf) {
		if (t)
			*l = in_gguf(&v->g, t, rows, cols, v->features);
		t = t || !v->has_drafts || !drafts_own(tensor) ? NULL
							       : ckpt_find(&v->drafts, tensor);
		if (t)
			*l = in_gguf(&v->drafts_g, t, rows, cols, v->features);
		return 0;
	}
	snprintf(name, sizeof name, "%.*s", (int)stem, tensor);
	if (!strcmp(tensor + stem, end) && matrix_find(&m, &v->c, name, rows, cols)) {
		if (matrix_lacks_zeros(&v->c, m.form))
			return 0;
		*l = in_codec(m.form, m.codes, m.scales, m.zeros, rows, cols);
		if (!m.second)
			return 0;
		l->bytes += bytes_of(m.second);
		if (ckpt_read(&v->c, m.second, 0, second, sizeof second, e))
			return -1;
		l->second = codec_second(m.form, second);
		return 0;
	}
	if (!t)
		return in_records(l, v, tensor, rows, cols, e);
	shape_of(t, &r, &k);
	if (r == rows && k == cols)
		*l = plain(t, rows, cols);
	return 0;
}

bool values_have_drafts(const struct values *v)
{
	size_t i;

	for (i = 0; i < v->c.n && !drafts_own(v->c.tensors[i].name); i++)
		;
	return v->has_drafts || i < v->c.n;
}

const char *values_records(const struct values *v, const char *tensor)
{
	size_t i;

	for (i = 0; i < v->tables.n && engram_table(tensor); i++)
		if (v->tables.v[i].layer == engram_layer(tensor))
			return v->tables.v[i].t->name;
	return NULL;
}

static uint64_t set_bytes(const struct gguf_set *s)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < s->n; i++)
		n += s->parts[i].size;
	return n;
}

uint64_t values_files(const struct values *v)
{
	uint64_t n = 0;
	size_t i;

	if (v->is_gguf)
		return set_bytes(&v->g.set) + (v->has_drafts ? set_bytes(&v->drafts_g.set) : 0);
	for (i = 0; i < v->c.n_shards; i++)
		n += (uint64_t)v->c.shards[i].st.st_size;
	return n;
}

/* --- values --- */

/* The rows of scales that rows row .. row + n of values need: the first, and how many. */
static uint64_t scales_of(const struct lie *l, uint64_t row, uint64_t n, uint64_t *many)
{
	uint64_t first = row / l->scale_rows;

	*many = (row + n - 1) / l->scale_rows - first + 1;
	return first;
}

/* Bytes of a row of words of zero points. */
static uint64_t zero_row(const struct lie *l)
{
	return (l->scale_kept - l->scale_row) * sizeof(uint32_t);
}

size_t lie_room(const struct lie *l, uint64_t n)
{
	uint64_t raw = l->zeros ? l->scale_row + zero_row(l) : 0; /* more than a row has of each */

	return (size_t)(n * l->stride +
		(l->scale_rows ? (n / l->scale_rows + 2) * (l->scale_kept + raw) : 0));
}

/* Scales and zero points of rows row .. row + n, put together at to; what they are put together of comes to lie behind them. */
static int read_zeros(const struct values *v, const struct lie *l, uint64_t row, uint64_t n,
	uint8_t *to, struct err *e)
{
	uint64_t first = row / CODEC_ZERO_ROWS, words = (row + n - 1) / CODEC_ZERO_ROWS - first + 1,
		 i;
	uint8_t *scales = to + n * l->scale_kept, *zeros = scales + n * l->scale_row, *kept;
	size_t groups = (size_t)(zero_row(l) / sizeof(uint32_t));

	if (ckpt_read(&v->c, l->scales, row * l->scale_row, scales, (size_t)(n * l->scale_row),
		    e) ||
		ckpt_read(&v->c, l->zeros, first * zero_row(l), zeros,
			(size_t)(words * zero_row(l)), e))
		return -1;
	for (i = 0; i < n; i++) {
		kept = to + i * l->scale_kept;
		memcpy(kept, scales + i * l->scale_row, (size_t)l->scale_row);
		codec_zeros_get(zeros + ((row + i) / CODEC_ZERO_ROWS - first) * zero_row(l),
			row + i, groups, kept + l->scale_row);
	}
	return 0;
}

int lie_read(const struct values *v, const struct lie *l, uint64_t row, uint64_t n, uint8_t *buf,
	struct err *e)
{
	uint64_t many, first;

	if (!l->codes)
		return file_read(v->io, l->fd, buf, (size_t)((n - 1) * l->stride + l->row_bytes),
			l->at + row * l->stride, e);
	if (l->table.how)
		return tables_read(&l->table, &v->c, row, n, buf, e);
	if (ckpt_read(&v->c, l->codes, row * l->stride, buf, (size_t)(n * l->stride), e))
		return -1;
	if (!l->scale_rows)
		return 0;
	if (l->zeros)
		return read_zeros(v, l, row, n, buf + n * l->stride, e);
	first = scales_of(l, row, n, &many);
	return ckpt_read(&v->c, l->scales, first * l->scale_row, buf + n * l->stride,
		(size_t)(many * l->scale_row), e);
}

void lie_decode(const struct lie *l, const uint8_t *codes, const uint8_t *buf, uint64_t row,
	uint64_t n, uint64_t i, double *v)
{
	const uint8_t *scales = NULL;

	if (l->codec == CODEC_NONE) {
		(void)ggml_values(l->ggml, codes, (size_t)l->cols, l->features,
			v); /* a type that is decoded */
		return;
	}
	if (l->scale_rows)
		scales = buf + n * l->stride +
			((row + i) / l->scale_rows - row / l->scale_rows) * l->scale_kept;
	if (l->table.how)
		scales = buf + i * l->stride + l->row_bytes;
	if (l->table.levels)
		cb4_decode(l->level, codes, scales, (size_t)l->cols, v);
	else
		codec_ops[l->codec].decode(codes, scales, l->second, (size_t)l->cols, v);
}

void lie_row(const struct lie *l, const uint8_t *buf, uint64_t row, uint64_t n, uint64_t i,
	double *v)
{
	lie_decode(l, buf + i * l->stride, buf, row, n, i, v);
}
