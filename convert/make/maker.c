/* SPDX-License-Identifier: MIT */
#include "convert/make/maker.h"

#include <stdlib.h>
#include <string.h>

const struct make_op *const make_ops[OP_COUNT] = {
	[OP_COPY] = &slicing_bytes,
	[OP_ROWS] = &slicing_bytes,
	[OP_COLS] = &slicing_columns,
	[OP_REMAP] = &slicing_ids,
	[OP_DEQUANT] = &recoding_codes,
	[OP_CAST] = &recoding_codes,
	[OP_CAST_SCALE] = &recoding_scales,
	[OP_WIDEN] = &recoding_scales,
	[OP_TILE] = &tiling_op,
	[OP_REFORM] = &reforming_op,
	[OP_GGML] = &blocks_op,
	[OP_JOIN] = &joining_op,
	[OP_NARROW] = &slicing_narrow,
	[OP_JOIN_F32] = &joining_f32,
	[OP_RECORD] = &records_op,
	[OP_HALVES] = &slicing_halves,
	[OP_FIRSTS] = &slicing_firsts,
	[OP_LEVELS] = &levels_op,
};

static uint64_t state_need(const struct plan *p, const struct plan_file *f)
{
	uint64_t most = 0, n;
	size_t i;

	for (i = 0; i < f->n; i++) {
		n = make_ops[f->steps[i].op]->state(p, &f->steps[i]);
		most = n > most ? n : most;
	}
	return most;
}

uint64_t maker_need(const struct plan *p, const struct plan_file *f)
{
	return state_need(p, f) + source_need(p->ckpt);
}

uint64_t maker_stage_need(const struct plan *p, const struct plan_file *f)
{
	uint64_t most = 0, n;
	size_t i;

	for (i = 0; i < f->n; i++) {
		n = make_ops[f->steps[i].op]->stage(p, &f->steps[i]);
		most = n > most ? n : most;
	}
	return most;
}

int maker_open(struct maker *m, const struct plan *p, const struct plan_file *f, struct err *e)
{
	*m = (struct maker){ .p = p };
	if (source_open(&m->source, p->ckpt, e) || recorder_open(&m->recorder[0], e) ||
		recorder_open(&m->recorder[1], e)) {
		maker_close(m);
		return -1;
	}
	m->state = malloc((size_t)state_need(p, f) + 1);
	if (m->state)
		return 0;
	maker_close(m);
	return err_nomem(e);
}

void maker_close(struct maker *m)
{
	source_close(&m->source);
	recorder_close(&m->recorder[0]);
	recorder_close(&m->recorder[1]);
	free(m->lost);
	free(m->state);
	memset(m, 0, sizeof *m);
}

void maker_begin(struct maker *m, const struct step *s, struct step_result *res)
{
	m->st = s;
	m->res = res;
	res->lost = (uint32_t)m->n_lost;
	res->n_lost = 0;
	recorder_begin(&m->recorder[0], step_records(s, 0));
	recorder_begin(&m->recorder[1], step_sources(s) > 1 && step_records(s, 1));
	make_ops[s->op]->begin(m);
}

int maker_lost(struct maker *m, uint64_t row, size_t col, struct err *e)
{
	if (m->n_lost == SIDECAR_LOST)
		return 0;
	if (mem_grow(&m->lost, &m->lost_cap, m->n_lost + 1, sizeof *m->lost))
		return err_nomem(e);
	m->lost[m->n_lost++] = (struct sidecar_block){ (uint32_t)row, (uint32_t)col };
	m->res->n_lost++;
	return 0;
}

int maker_read(struct maker *m, unsigned k, uint64_t off, uint8_t *dst, size_t n, struct err *e)
{
	if (source_read(&m->source, step_source(m->st, k), off, dst, n, e))
		return -1;
	recorder_add(&m->recorder[k], off, dst, n);
	return 0;
}

int maker_end_records(struct maker *m, uint8_t *room, size_t n, struct err *e)
{
	uint64_t bytes, take;
	uint32_t k, i;

	for (k = 0; k < step_sources(m->st); k++) {
		if (!step_records(m->st, k))
			continue;
		i = step_source(m->st, k);
		bytes = m->p->ckpt->tensors[i].end - m->p->ckpt->tensors[i].begin;
		while (m->recorder[k].at < bytes) {
			take = bytes - m->recorder[k].at;
			take = take < n ? take : n;
			if (maker_read(m, k, m->recorder[k].at, room, (size_t)take, e))
				return -1;
		}
		m->res->src[k] = recorder_end(&m->recorder[k]);
		if (source_check(&m->source, i, &m->res->src[k], e))
			return -1;
	}
	return 0;
}

uint32_t maker_run(const uint64_t *first, uint32_t n, uint64_t at)
{
	uint32_t lo = 0, hi = n, mid;

	while (hi - lo > 1) {
		mid = lo + (hi - lo) / 2;
		if (first[mid] <= at)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}
