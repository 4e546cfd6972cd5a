/* blocks.c -- OP_GGML: matrices one after the other, in rows of a type of ggml (quant/ggml.h). A unit is a row.
 *
 * State, in this order: struct blocks, values of a row, scales of a band where the source's blocks have several rows,
 * residues (quant/residue.h) of the matrices at hand and bytes of the frames so far, where that is kept for the way
 * back. Stage: source rows on their way, then their own scales, then a frame on its way. Nothing stays in it.
 *
 * What is kept of a tensor of one matrix is its frame; of several, the frames one behind the other, of no bytes where
 * nothing is kept, and then the bytes of each as an u32. Where all of them are empty nothing is kept.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/make/maker.h"

#include "quant/ggml_search.h"
#include "quant/residue.h"

#include <string.h>

#define NONE UINT64_MAX
enum {
	MATRICES = 2, /* that lie side by side, at most */
	SEARCHED =
		2 * sizeof(double) + 2 * sizeof(float) /* bytes of a column: struct ggml_search */
};

struct blocks {
	uint64_t matrix; /* whose rows are made, NONE nobody's */
	uint64_t band;   /* of formats whose blocks have several rows: whose scales are at hand */
	double *v;       /* [cols], and tables of the way */
	const struct row_way *way;
	struct ggml_search search; /* of rows that a search makes; its places are behind v */
	uint8_t *scales;           /* of a band */
	struct residues r
		[MATRICES]; /* of the matrix at hand; of those that lie side by side one for each */
	uint32_t *frame;    /* [matrices] bytes of their frames */
	uint8_t *residues;  /* room of r */
};

/* What a step needs: all of it follows from the matrix. */
struct sizes {
	size_t v, scales, stage;
	uint64_t row; /* bytes of a source row */
	uint64_t scale_row;
	uint64_t out;   /* bytes of a row that is made */
	uint64_t block; /* rows of a block of the source format */
	size_t residues, frames,
		frame; /* room for residues of a matrix, bytes of frames, a frame; 0: nothing is kept */
};

static size_t aligned(size_t n)
{
	return mem_ceil_div(n, 16) * 16;
}

static const struct tensor *source_of(const struct plan *p, const struct step *s, uint32_t k)
{
	return &p->ckpt->tensors[s->as.ggml->src[k]];
}

static struct sizes sizes_of(const struct plan *p, const struct step *s)
{
	const struct step_ggml *g = s->as.ggml;
	const struct tensor *codes = source_of(p, s, 0);
	struct sizes z = { .row = (codes->end - codes->begin) / g->rows, /* a vector is one row */
		.out = ggml_row_bytes(g->how->type, g->cols),
		.block = codecs[g->how->from].rows };

	z.scale_row = g->each > 1 ? step_row_bytes(source_of(p, s, 1)) : 0;
	z.v = aligned((size_t)g->cols * (g->searched ? SEARCHED : sizeof(double)));
	z.stage = aligned(maker_rows(z.row));
	z.scales = aligned((size_t)(z.block > 1 ? z.scale_row : z.scale_row * (z.stage / z.row)));
	if (p->opts.back && !g->how->back && ggml_has_back(g->how->from, g->how->type)) {
		z.residues = aligned(residues_room(g->how->from, g->rows, g->cols));
		z.frame = residues_frame(g->how->from, g->rows, g->cols);
		z.frames = aligned(g->matrices * sizeof(uint32_t));
	}
	return z;
}

static size_t state(const struct plan *p, const struct step *s)
{
	struct sizes z = sizes_of(p, s);

	return aligned(sizeof(struct blocks)) + z.v + (z.block > 1 ? z.scales : 0) + z.frames +
		z.residues * (s->as.ggml->beside ? MATRICES : 1);
}

static size_t stage(const struct plan *p, const struct step *s)
{
	struct sizes z = sizes_of(p, s);

	return z.stage + (z.block > 1 ? 0 : z.scales) + z.frame;
}

static uint64_t unit(const struct plan *p, const struct step *s)
{
	return sizes_of(p, s).out * (s->as.ggml->beside ? s->as.ggml->matrices : 1);
}

static void begin(struct maker *m)
{
	struct sizes z = sizes_of(m->p, m->st);
	struct blocks *x = m->state;
	uint8_t *at = (uint8_t *)m->state + aligned(sizeof *x);

	m->holds = NULL;
	x->matrix = x->band = NONE;
	x->v = (double *)(void *)at;
	x->way = row_best(m->features);
	memset(x->v, 0, z.v);
	x->search = (struct ggml_search){ .way = lowbit_best(m->features),
		.v = x->v,
		.got = x->v + m->st->as.ggml->cols,
		.x = (float *)(void *)(x->v + 2 * m->st->as.ggml->cols) };
	x->scales = at + z.v;
	x->frame = (uint32_t *)(void *)(x->scales + (z.block > 1 ? z.scales : 0));
	x->residues = (uint8_t *)x->frame + z.frames;
	memset(x->frame, 0, z.frames);
}

/* Where scales of the rows at hand lie. */
static uint8_t *scales_at(const struct maker *m, const struct sizes *z)
{
	const struct blocks *x = m->state;

	return z->block > 1 ? x->scales : m->stage + z->stage;
}

/* Rows of one matrix, and of one band where there are bands. */
static uint64_t at_once(const struct maker *m, uint64_t at)
{
	struct sizes z = sizes_of(m->p, m->st);
	uint64_t rows = m->st->as.ggml->rows, row = at % rows, n = z.stage / z.row;

	n = n < rows - row ? n : rows - row;
	if (z.block > 1 && n > z.block - row % z.block)
		n = z.block - row % z.block;
	return n;
}

/* --- what is kept for the way back --- */

static bool keeps(const struct maker *m, const struct sizes *z)
{
	return m->keep && z->residues;
}

/* Begins the residues of the matrix at hand, which are in r[i]. */
static void begin_residues(struct maker *m, const struct sizes *z, uint32_t i)
{
	struct blocks *x = m->state;
	const struct step_ggml *g = m->st->as.ggml;

	if (keeps(m, z))
		residues_begin(&x->r[i], g->how->from, g->rows, g->cols,
			x->residues + i * z->residues);
}

/* Adds n bytes to what is kept of the tensor. */
static int add_kept(struct maker *m, const uint8_t *p, size_t n, struct err *e)
{
	struct keep_place at;

	if (keep_frame(m->keep, p, n, &at, e))
		return -1;
	if (!m->res->dropped.to)
		m->res->dropped.from = at.from;
	m->res->dropped.to = at.to;
	return 0;
}

/* The residues of matrix k, all of whose rows were made, are in r[i]. */
static int end_residues(struct maker *m, const struct sizes *z, uint64_t k, uint32_t i,
	struct err *e)
{
	struct blocks *x = m->state;
	uint8_t *frame = m->stage + z->stage + (z->block > 1 ? 0 : z->scales);
	size_t n;

	if (!keeps(m, z) || !x->r[i].any)
		return 0;
	n = residues_pack(&x->r[i], frame, z->frame);
	x->frame[k] = (uint32_t)n;
	return add_kept(m, frame, n, e);
}

/* Bytes of the frames of all matrices, behind them. */
static int end_frames(struct maker *m, const struct sizes *z, struct err *e)
{
	const struct blocks *x = m->state;
	uint32_t n = m->st->as.ggml->matrices;

	if (!keeps(m, z) || !m->res->dropped.to || n == 1)
		return 0;
	return add_kept(m, (const uint8_t *)x->frame, n * sizeof *x->frame, e);
}

/* Takes row `row` of the matrix for its residues. */
static int keep_row(struct maker *m, const struct sizes *z, uint32_t i, uint64_t row,
	const uint8_t *codes, const uint8_t *scales, struct err *e)
{
	struct blocks *x = m->state;

	if (!keeps(m, z) || residues_row(&x->r[i], row, codes, scales))
		return 0;
	return source_bad_byte(&m->source,
		m->st->as.ggml->src[x->matrix * m->st->as.ggml->each + 1],
		row / z->block * z->scale_row, RULE_DATA_SCALE_NUMBER,
		"a scale is zero, and the values do not tell its codes (--no-restore leaves out the way back)",
		e);
}

/* --- */

/* The digests of a matrix that was read to its end; a new record for the next one. */
static int end_matrix(struct maker *m, struct err *e)
{
	const struct blocks *x = m->state;
	const struct step_ggml *g = m->st->as.ggml;
	struct sizes z = sizes_of(m->p, m->st);
	struct xxh_digest d;
	uint32_t k;

	if (x->matrix != NONE && end_residues(m, &z, x->matrix, 0, e))
		return -1;
	for (k = 0; m->st->record && x->matrix != NONE && k < g->each; k++) {
		d = recorder_end(&m->recorder[k]);
		m->res->many[x->matrix * g->each + k] = d;
		if (source_check(&m->source, g->src[x->matrix * g->each + k], &d, e))
			return -1;
		recorder_begin(&m->recorder[k], true);
	}
	return 0;
}

static int read_rows(struct maker *m, uint32_t k, uint64_t off, uint8_t *dst, size_t n,
	struct err *e)
{
	const struct blocks *x = m->state;
	const struct step_ggml *g = m->st->as.ggml;
	uint32_t i = g->src[x->matrix * g->each + k];

	if (source_read(&m->source, i, off, dst, n, e))
		return -1;
	recorder_add(&m->recorder[k], off, dst, n);
	return k && m->p->ckpt->tensors[i].dtype == DT_F8_E8M0
		? source_check_e8m0(&m->source, i, dst, n, off, e)
		: 0;
}

/* Reads the scales of rows row..row+n; those of a band once. */
static int read_scales(struct maker *m, const struct sizes *z, uint64_t row, size_t n,
	struct err *e)
{
	struct blocks *x = m->state;

	if (!z->scale_row)
		return 0;
	if (z->block == 1)
		return read_rows(m, 1, row * z->scale_row, scales_at(m, z),
			n * (size_t)z->scale_row, e);
	if (x->band == row / z->block)
		return 0;
	x->band = row / z->block;
	return read_rows(m, 1, x->band * z->scale_row, x->scales, (size_t)z->scale_row, e);
}

/* Says what is wrong with column col of a row. */
static int bad(struct maker *m, const struct sizes *z, uint64_t row, size_t col, struct err *e)
{
	const struct blocks *x = m->state;
	const struct step_ggml *g = m->st->as.ggml;
	static const struct {
		enum codec from;
		enum rule_id rule;
		const char *what;
	} why[] = {
		{ CODEC_NONE, RULE_DATA_EXPERT_ID, "an expert id that is no expert's" },
		{ CODEC_BF16, RULE_DATA_NOT_FINITE, "a BF16 value that is NaN or infinite" },
		{ CODEC_FP8, RULE_DATA_DEQUANT_INEXACT,
			"the product with its scale is NaN or cannot be had in the type that is written" },
		{ CODEC_FP8_F32, RULE_DATA_DEQUANT_INEXACT,
			"the product with its scale is NaN or cannot be had in the type that is written" },
		{ CODEC_F32, RULE_DATA_DEQUANT_INEXACT,
			"an F32 value that is NaN or cannot be had in the type that is written" },
		{ CODEC_MXFP4, RULE_DATA_DEQUANT_INEXACT,
			"the product with its scale cannot be had in the type that is written" },
	};
	size_t i = 0;

	while (i + 1 < sizeof why / sizeof *why && why[i].from != g->how->from)
		i++;
	return source_bad_byte(&m->source, g->src[x->matrix * g->each],
		row * z->row + col * z->row / g->cols, why[i].rule, why[i].what, e);
}

/* Reads the importance of the columns of the matrix at hand. */
static int load_importance(struct maker *m, struct err *e)
{
	struct blocks *x = m->state;
	const struct step_ggml *g = m->st->as.ggml;
	float *mean = x->search.x + g->cols;
	double tokens;

	x->search.weights = g->importance ? mean : NULL;
	if (!g->importance)
		return 0;
	return imatrix_mean(m->p->opts.imatrix, g->importance, x->matrix, mean, &tokens, e);
}

/* Writes a row of a matrix to dst. Returns the first column whose value cannot be had there, cols if there is none. */
static size_t put_row(struct maker *m, const uint8_t *codes, const uint8_t *scales, uint8_t *dst)
{
	struct blocks *x = m->state;
	const struct step_ggml *g = m->st->as.ggml;
	size_t cols = (size_t)g->cols, col;

	if (!g->searched)
		return g->how->row(x->way, codes, scales, cols, x->v, dst);
	col = ggml_search_row(g->how, &x->search, codes, scales, cols, dst);
	if (col == cols) {
		m->res->blocks += ggml_search_blocks(g->how->type, cols);
		m->res->inexact += ggml_search_changed(g->how->type, &x->search, cols);
	}
	return col;
}

/* Rows of matrices that are put side by side. */
static int make_beside(struct maker *m, const struct sizes *z, uint64_t row, size_t n, uint8_t *dst,
	struct err *e)
{
	struct blocks *x = m->state;
	const struct step_ggml *g = m->st->as.ggml;
	size_t col;

	for (; n--; row++)
		for (x->matrix = 0; x->matrix < g->matrices; x->matrix++, dst += z->out) {
			x->band = NONE;
			if (!row)
				begin_residues(m, z, (uint32_t)x->matrix);
			if (read_scales(m, z, row, 1, e) ||
				read_rows(m, 0, row * z->row, m->stage, (size_t)z->row, e))
				return -1;
			col = put_row(m, m->stage, scales_at(m, z), dst);
			if (col < g->cols)
				return bad(m, z, row, col, e);
			if (keep_row(m, z, (uint32_t)x->matrix, row, m->stage, scales_at(m, z), e))
				return -1;
		}
	return 0;
}

/* Digests of matrices that lie side by side: they were read by turns, and are read once more. */
static int record_beside(struct maker *m, const struct sizes *z, struct err *e)
{
	const struct step_ggml *g = m->st->as.ggml;
	uint32_t k;
	uint64_t at, bytes;
	size_t n;

	for (k = 0; m->st->record && k < g->matrices * g->each; k++) {
		bytes = m->p->ckpt->tensors[g->src[k]].end - m->p->ckpt->tensors[g->src[k]].begin;
		recorder_begin(&m->recorder[0], true);
		for (at = 0; at < bytes; at += n) {
			n = bytes - at < z->stage ? (size_t)(bytes - at) : z->stage;
			if (source_read(&m->source, g->src[k], at, m->stage, n, e))
				return -1;
			recorder_add(&m->recorder[0], at, m->stage, n);
		}
		m->res->many[k] = recorder_end(&m->recorder[0]);
		if (source_check(&m->source, g->src[k], &m->res->many[k], e))
			return -1;
	}
	return 0;
}

static int end(struct maker *m, struct err *e)
{
	const struct step_ggml *g = m->st->as.ggml;
	struct sizes z = sizes_of(m->p, m->st);
	uint32_t k;

	if (!g->beside)
		return end_matrix(m, e) || end_frames(m, &z, e) ? -1 : 0;
	for (k = 0; k < g->matrices; k++)
		if (end_residues(m, &z, k, k, e))
			return -1;
	return end_frames(m, &z, e) || record_beside(m, &z, e) ? -1 : 0;
}

static int make(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e)
{
	struct blocks *x = m->state;
	const struct step_ggml *g = m->st->as.ggml;
	struct sizes z = sizes_of(m->p, m->st);
	uint64_t row = at % g->rows;
	const uint8_t *scales = z.scale_row ? scales_at(m, &z) : NULL;
	size_t i, col;

	if (g->beside)
		return make_beside(m, &z, row, n, dst, e);
	if (x->matrix != at / g->rows) {
		if (end_matrix(m, e))
			return -1;
		x->matrix = at / g->rows;
		x->band = NONE;
		if (load_importance(m, e))
			return -1;
		begin_residues(m, &z, 0);
	}
	if (read_scales(m, &z, row, n, e) ||
		read_rows(m, 0, row * z.row, m->stage, n * (size_t)z.row, e))
		return -1;
	for (i = 0; i < n; i++) {
		col = put_row(m, m->stage + i * z.row, scales, dst + i * z.out);
		if (col < g->cols)
			return bad(m, &z, row + i, col, e);
		if (keep_row(m, &z, 0, row + i, m->stage + i * z.row, scales, e))
			return -1;
		scales = z.block == 1 && scales ? scales + z.scale_row : scales;
	}
	return 0;
}

const struct make_op blocks_op = { state, stage, unit, begin, NULL, at_once, make, end };
