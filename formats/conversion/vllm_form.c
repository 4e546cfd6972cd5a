/* SPDX-License-Identifier: MIT */
#include "formats/conversion/vllm_form.h"

#include "formats/codec.h"
#include "formats/layout/engine.h"

#include <string.h>

/* A number without leading zeros at *s, which moves behind it; -1: there is none, or one that is absurd. */
static long number(const char **s)
{
	long v = 0;
	int n;

	for (n = 0; (*s)[n] >= '0' && (*s)[n] <= '9' && n < 6; n++)
		v = 10 * v + ((*s)[n] - '0');
	if (!n || (n > 1 && **s == '0'))
		return -1;
	*s += n;
	return v;
}

static bool skip(const char **s, const char *text)
{
	size_t n = strlen(text);

	if (strncmp(*s, text, n) != 0)
		return false;
	*s += n;
	return true;
}

long vllm_rank_of(const char *file)
{
	long rank;

	if (!skip(&file, "model-rank-"))
		return -1;
	rank = number(&file);
	if (rank < 0 || !skip(&file, "-part-") || number(&file) < 0)
		return -1;
	return strcmp(file, ".safetensors") != 0 ? -1 : rank;
}

/* A tensor on its way. */
struct form {
	const struct ckpt *c;
	const struct sidecar *s;
	const struct sidecar_tensor *t;
	struct vllm_place at; /* of its first source */
	uint64_t rank;
	uint64_t rows;      /* of all sources, that are taken */
	uint64_t row_bytes; /* of each, that are taken */
};

/* Source k, and where it goes; NULL: the source has none, or it goes nowhere. */
static const struct tensor *source(const struct form *f, uint32_t k, struct vllm_place *at)
{
	const struct tensor *t = ckpt_find(f->c, f->s->sources[f->t->first + k].tensor);

	return t && rank_place_of(f->s->target, at, t) ? t : NULL;
}

/* A range is an equal part of so many, and that of the rank; there is one only where ranks share the tensor so. */
static bool is_part(const struct form *f, const uint64_t range[2], uint64_t all, enum split by)
{
	uint64_t n = range[1] - range[0];

	if (!range[1])
		return true;
	return f->at.split == by && range[0] < range[1] && range[1] <= all && all % n == 0 &&
		range[0] == f->rank * n;
}

/* Source k is the one that comes at this place, and as much of it is taken as there is for the rank. */
static const char *look_at_source(struct form *f, uint32_t k, long *last)
{
	struct vllm_place at;
	const struct tensor *t = source(f, k, &at);
	uint64_t rows = t && t->rank ? t->dim[0] : 1, bytes = t ? (t->end - t->begin) / rows : 0;

	if (!t || strcmp(at.name, f->t->name) != 0)
		return "it is made of a tensor that is none of this parameter's";
	if (at.part != k % f->at.parts ||
		(at.expert >= 0 && (at.part ? at.expert != *last : at.expert <= *last)))
		return "its sources are not in order";
	*last = at.expert;
	if (!is_part(f, f->t->row, rows, SPLIT_ROWS) || !is_part(f, f->t->col, bytes, SPLIT_COLS))
		return "what is taken of its sources is not the part of the rank";
	if (k && bytes != f->row_bytes && !f->t->col[1])
		return "its sources have rows of other lengths";
	f->row_bytes = f->t->col[1] ? f->t->col[1] - f->t->col[0] : bytes;
	f->rows += f->t->row[1] ? f->t->row[1] - f->t->row[0] : rows;
	return NULL;
}

/* Experts that go whole to a rank are its run of the ids: the first is the rank times how many it has. Those that
 * are cut are all there. */
static const char *look_at_experts(const struct form *f)
{
	struct vllm_place first, last;
	uint64_t n = f->t->n / f->at.parts;

	if (f->at.expert < 0)
		return NULL;
	if (!source(f, 0, &first) || !source(f, f->t->n - 1, &last) ||
		(uint64_t)(last.expert - first.expert) + 1 != n)
		return "its experts are not a run of ids";
	if (f->t->row[1] || f->t->col[1])
		return first.expert ? "experts that are cut are not all there" : NULL;
	return (uint64_t)first.expert == f->rank * n ? NULL
						     : "its experts are not those of the rank";
}

/* Of how many ranks a tensor is that ranks share, by the part that is taken; 0: all ranks have all of it. */
static uint64_t ranks_of(const struct ckpt *c, const struct sidecar *s,
	const struct sidecar_tensor *t)
{
	struct form f = { .c = c, .s = s, .t = t };
	struct vllm_place at;
	const struct tensor *first = t->n ? source(&f, 0, &at) : NULL;
	uint64_t rows = first && first->rank ? first->dim[0] : 1;

	if (!first || at.split == SPLIT_NONE)
		return 0;
	if (t->row[1] > t->row[0])
		return rows / (t->row[1] - t->row[0]);
	if (t->col[1] > t->col[0])
		return (first->end - first->begin) / rows / (t->col[1] - t->col[0]);
	return at.expert >= 0 ? c->config.E / (t->n / at.parts ? t->n / at.parts : 1) : 1;
}

/* All tensors of a file are of as many ranks as the one before them that ranks share. Returns whether t is. */
static bool same_ranks(const struct form *f)
{
	uint64_t n = ranks_of(f->c, f->s, f->t), before = 0;
	const struct sidecar_tensor *o;

	for (o = f->t; n && !before && o > f->s->tensors; o--)
		before = ranks_of(f->c, f->s, o - 1);
	return !n || (f->rank < n && (!before || before == n));
}

static bool has_shape(const struct form *f, const struct tensor *s)
{
	const struct sidecar_tensor *t = f->t;
	uint64_t cols = f->row_bytes * 8 / dtypes[s->dtype].bits, experts = t->n / f->at.parts;

	if (f->at.expert >= 0)
		return t->rank == 3 && t->dim[0] == experts && t->dim[1] == f->rows / experts &&
			t->dim[2] == cols;
	if (t->rank != s->rank || (t->rank > 0 && t->dim[0] != f->rows))
		return false;
	return t->rank < 2 || (t->rank == 2 && t->dim[1] == cols);
}

/* The op that makes the parameter. */
static enum op op_of(const struct form *f, const struct tensor *first)
{
	const struct sidecar_tensor *t = f->t;
	static const enum op forms[] = { [FORM_F32] = OP_JOIN_F32,
		[FORM_BF16] = OP_DEQUANT,
		[FORM_HALVES] = OP_HALVES,
		[FORM_TILE] = OP_TILE };

	if (f->at.form != FORM_SAME)
		return forms[f->at.form];
	if (f->at.parts > 1 || f->at.expert >= 0)
		return OP_JOIN;
	if (f->at.dtype != first->dtype)
		return OP_NARROW;
	return t->row[1] ? OP_ROWS : t->col[1] ? OP_COLS : OP_COPY;
}

/* Experts are laid out as SGLANG_PACKED has them. */
static bool has_layout(const struct form *f)
{
	const struct sidecar_tensor *t = f->t;
	bool scale = t->dtype == DT_F8_E8M0;
	uint64_t experts = t->n / f->at.parts, rows = experts ? f->rows / experts : 0,
		 cols = scale ? f->row_bytes * codecs[CODEC_MXFP4].cols
			      : codec_cols(CODEC_MXFP4, f->row_bytes);
	struct engine_fit fit;
	char why[256];

	return rows && rows <= UINT32_MAX && cols <= UINT32_MAX && t->parts == f->at.parts &&
		engine_fit(engine_find(SGLANG_PACKED), f->at.parts == 2 ? ENGINE_W13 : ENGINE_W2,
			scale, (uint32_t)rows, (uint32_t)cols, &fit, why, sizeof why) &&
		!strcmp(t->layout, fit.tile->name) && t->version == fit.tile->version &&
		!strcmp(t->map, fit.map->name) && fit.dtype == t->dtype &&
		t->rank == fit.rank + 1 && t->dim[0] == experts &&
		memcmp(t->dim + 1, fit.shape, fit.rank * sizeof *fit.shape) == 0;
}

/* The second source of a matrix in BF16 is its scales. */
static const char *look_at_scale(const struct form *f)
{
	struct vllm_place at;

	return !source(f, 1, &at) || strcmp(at.name, f->t->name) != 0 || at.part != 1
		? "its second source is not its scales"
		: NULL;
}

/* Drafts, and what is kept, are as in the source. */
static const char *form_of_draft(const struct ckpt *c, const struct sidecar *s,
	const struct sidecar_tensor *t)
{
	const struct tensor *d = t->n ? ckpt_find(c, s->sources[t->first].tensor) : NULL;
	struct vllm_place at;

	if (!d || t->n != 1 || t->op != OP_COPY || strcmp(d->name, t->name) != 0 ||
		(rank_place_of(s->target, &at, d) && !at.kept))
		return "it is no copy of a tensor that is kept beside";
	return t->dtype != d->dtype || t->rank != d->rank || t->row[1] || t->col[1] ||
			(d->rank && memcmp(t->dim, d->dim, d->rank * sizeof *d->dim) != 0)
		? "type or shape are not those of its source"
		: NULL;
}

const char *vllm_form(const struct ckpt *c, const struct sidecar *s, const struct sidecar_tensor *t)
{
	struct form f = { .c = c, .s = s, .t = t };
	const struct tensor *first = source(&f, 0, &f.at);
	long rank = vllm_rank_of(s->name), last = -1;
	const char *wrong = NULL;
	uint32_t k;

	if (!strcmp(s->name, rank_kept_file(s->target)))
		return form_of_draft(c, s, t);
	if (rank < 0)
		return "its file is not called as one of a rank";
	f.rank = (uint64_t)rank;
	if (!first || (f.at.expert < 0 ? t->n != f.at.parts : t->n % f.at.parts != 0))
		return "it has another number of sources than its parameter";
	for (k = 0; !wrong && k < (f.at.form == FORM_BF16 ? 1 : t->n); k++)
		wrong = look_at_source(&f, k, &last);
	if (!wrong && f.at.form == FORM_BF16)
		wrong = look_at_scale(&f);
	wrong = wrong ? wrong : look_at_experts(&f);
	if (wrong)
		return wrong;
	if (t->op != op_of(&f, first))
		return "its transform is not the one that makes this parameter";
	if (!same_ranks(&f))
		return "it is shared by another number of ranks than others of its file";
	if (t->dtype != f.at.dtype ||
		!(f.at.form == FORM_TILE ? has_layout(&f) : has_shape(&f, first)))
		return "type or shape are not those of the parameter";
	return NULL;
}
