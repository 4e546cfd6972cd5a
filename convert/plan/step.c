/* SPDX-License-Identifier: MIT */
#include "convert/plan/step.h"

/* clang-format off */
/* Of ops without a layout: how many sources. Their places in as are as step_source says. */
static const uint8_t sources[OP_COUNT] = {
	[OP_FIRSTS] = 1, [OP_LEVELS] = 2,
	[OP_HALVES] = 1, [OP_NARROW] = 1, [OP_COPY] = 1, [OP_ROWS] = 1, [OP_COLS] = 1, [OP_REMAP] = 1,
	[OP_RECORD] = 2, [OP_DEQUANT] = 2, [OP_CAST] = 2, [OP_CAST_SCALE] = 1, [OP_WIDEN] = 1,
};
/* clang-format on */

/* Codes come of codes and scales, scales and factor of scales; the partner's scales are asked for the factor, of
 * formats that have one. */
static uint32_t reform_source(const struct step_reform_part *r, uint32_t k)
{
	const uint32_t v[] = { r->of->codes, r->of->scales, r->of->partner };

	return v[r->part == PART_CODES || r->part == PART_INPUT || r->part == PART_SHAPE ? k
											 : k + 1];
}

static uint32_t reform_sources(const struct step_reform_part *r)
{
	uint32_t scales = r->of->how->second && r->of->partner != r->of->scales ? 2 : 1;

	return r->part == PART_INPUT || r->part == PART_SHAPE ? 1
		: r->part == PART_CODES                       ? 1 + scales
							      : scales;
}

uint32_t step_sources(const struct step *s)
{
	if (s->op == OP_REFORM)
		return reform_sources(&s->as.reform);
	if (step_joins(s))
		return s->as.join->n;
	if (s->op == OP_GGML)
		return s->as.ggml->matrices * s->as.ggml->each;
	return s->op == OP_TILE ? s->as.tile->experts * s->as.tile->parts : sources[s->op];
}

uint32_t step_source(const struct step *s, uint32_t k)
{
	switch (s->op) {
	case OP_TILE:
		return s->as.tile->src[k];
	case OP_REFORM:
		return reform_source(&s->as.reform, k);
	case OP_GGML:
		return s->as.ggml->src[k];
	case OP_JOIN:
	case OP_JOIN_F32:
		return s->as.join->src[k];
	case OP_FIRSTS:
		return s->as.firsts->src;
	case OP_REMAP:
		return s->as.remap.src;
	case OP_RECORD:
	case OP_LEVELS:
		return k ? s->as.record.scales : s->as.record.codes;
	case OP_DEQUANT:
	case OP_CAST:
		return k ? s->as.recode.scales : s->as.recode.codes;
	case OP_CAST_SCALE:
	case OP_WIDEN:
		return s->as.recode.scales;
	default:
		return s->as.copy.src;
	}
}

bool step_part(const struct step *s, uint32_t k, const struct tensor *source)
{
	uint64_t rows = s->take.rows;

	if (step_joins(s))
		rows = s->as.join->first[k + 1] - s->as.join->first[k];
	return (s->op == OP_TILE || step_joins(s)) &&
		rows * s->take.cols < source->end - source->begin;
}

uint64_t step_tensor_rows(const struct tensor *t)
{
	return t->rank ? t->dim[0] : 1;
}

uint64_t step_row_bytes(const struct tensor *t)
{
	uint64_t rows = step_tensor_rows(t);

	return rows ? (t->end - t->begin) / rows : 0;
}

struct step_slice step_all(const struct tensor *t)
{
	return (struct step_slice){ 0, step_tensor_rows(t), 0, step_row_bytes(t) };
}

/* Hashes that folders carry were made with these numbers: a part that an op cannot take, and what is the
 * same for all ranks of an engine, are zeros. */
void step_numbers(const struct step *s, uint64_t n[4])
{
	bool rows = s->op == OP_ROWS || s->op == OP_DEQUANT || s->op == OP_RECORD || step_joins(s),
	     cols = s->op == OP_COLS || step_joins(s);

	n[0] = rows ? s->take.row : 0;
	n[1] = s->op == OP_CAST_SCALE || s->op == OP_FIRSTS ? s->out.dim[0] : s->take.rows;
	n[2] = cols ? s->take.col : 0;
	n[3] = cols ? s->take.cols : s->op == OP_REMAP ? s->as.remap.experts : 0;
}
