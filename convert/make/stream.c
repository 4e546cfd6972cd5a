/* SPDX-License-Identifier: MIT */
#include "convert/make/stream.h"

#include "core/text.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT64_MAX

/* The largest unit of the file. */
static size_t unit_need(const struct plan *p, const struct plan_file *f)
{
	uint64_t most = 0, n;
	size_t i;

	for (i = 0; i < f->n; i++) {
		n = make_ops[f->steps[i].op]->unit(p, &f->steps[i]);
		most = n > most ? n : most;
	}
	return (size_t)most;
}

/* How many sources the layouts of a file record. */
static size_t many_digests(const struct plan_file *f)
{
	size_t i, n = 0;

	for (i = 0; i < f->n; i++)
		n += step_many(&f->steps[i]) && f->steps[i].record ? step_sources(&f->steps[i]) : 0;
	return n;
}

uint64_t stream_need(const struct plan *p, const struct plan_file *f)
{
	/* A small text is copied as it grows; of a large one only what is written takes memory. */
	return sizeof(struct stream) + maker_need(p, f) + unit_need(p, f) +
		f->header_bytes * 3 / 2 + f->n * sizeof(struct step_result) +
		many_digests(f) * sizeof(struct xxh_digest);
}

uint64_t stream_stage(const struct plan *p, const struct plan_file *f)
{
	return maker_stage_need(p, f);
}

/* --- units --- */

/* n bytes from byte s->off on of the step's tensor, by whole units and what is left of them. */
static int next_units(struct stream *s, uint8_t *dst, size_t n, struct err *e)
{
	const struct step *st = s->maker.st;
	const struct make_op *op = make_ops[st->op];
	uint64_t bytes = op->unit(s->p, st), off = s->off, at, most;
	size_t in, take;

	while (n) {
		at = off / bytes;
		in = (size_t)(off % bytes);
		if (!in && n >= bytes) {
			most = op->at_once(&s->maker, at);
			take = (size_t)(n / bytes < most ? n / bytes : most);
			if (op->make(&s->maker, at, take, dst, e))
				return -1;
			take *= (size_t)bytes;
		} else {
			if (s->unit_no != at && op->make(&s->maker, at, 1, s->unit, e))
				return -1;
			s->unit_no = at;
			take = (size_t)bytes - in < n ? (size_t)bytes - in : n;
			memcpy(dst, s->unit + in, take);
		}
		off += take;
		dst += take;
		n -= take;
	}
	return 0;
}

uint64_t stream_rest(const struct stream *s)
{
	const struct step *st = s->maker.st;
	const struct make_op *op;
	uint64_t unit, end, all;

	if (s->step == s->f->n || !s->off)
		return 0;
	op = make_ops[st->op];
	if (!op->episode)
		return 0;
	unit = op->unit(s->p, st);
	all = st->out.end - st->out.begin;
	end = op->episode(&s->maker, (s->off - 1) / unit) * unit;
	return (end < all ? end : all) - s->off;
}

/* --- steps --- */

static void begin_step(struct stream *s)
{
	s->off = 0;
	s->unit_no = NONE;
	xxh_reset(s->out);
	if (s->step < s->f->n)
		maker_begin(&s->maker, &s->f->steps[s->step], &s->res[s->step]);
}

static int end_step(struct stream *s, struct err *e)
{
	const struct make_op *op = make_ops[s->maker.st->op];

	s->res[s->step].out = xxh_final(s->out);
	if (op->end && op->end(&s->maker, e))
		return -1;
	s->step++;
	begin_step(s);
	return 0;
}

/* What dst has of the header; its bytes. */
static size_t next_header(struct stream *s, uint8_t *dst, size_t n)
{
	uint64_t left = s->f->header_bytes - s->at;
	size_t take = left < n ? (size_t)left : n;

	memcpy(dst, s->header.s + s->at, take);
	s->at += take;
	if (s->at == s->f->header_bytes)
		text_free(&s->header);
	return take;
}

/* Zeros between the tensor before and the one at hand, of formats that align tensors; their bytes. */
static size_t next_gap(struct stream *s, uint8_t *dst, size_t n)
{
	uint64_t from = s->f->header_bytes + s->f->steps[s->step].out.begin + s->off;
	size_t take = from - s->at < n ? (size_t)(from - s->at) : n;

	memset(dst, 0, take);
	s->at += take;
	return take;
}

int stream_next(struct stream *s, uint8_t *stage, uint8_t *dst, size_t n, struct err *e)
{
	const struct step *st;
	uint64_t left;
	size_t take;

	s->maker.stage = stage;
	if (s->at < s->f->header_bytes) {
		take = next_header(s, dst, n);
		dst += take;
		n -= take;
	}
	/* One more round than bytes: empty tensors, and the end of the last one. */
	while (s->step < s->f->n && s->at >= s->f->header_bytes) {
		st = &s->f->steps[s->step];
		take = next_gap(s, dst, n);
		dst += take;
		n -= take;
		if (s->at < s->f->header_bytes + st->out.begin + s->off)
			break;
		left = st->out.end - st->out.begin - s->off;
		take = left < n ? (size_t)left : n;
		if (take && next_units(s, dst, take, e))
			return -1;
		xxh_update(s->out, dst, take);
		s->off += take;
		s->at += take;
		dst += take;
		n -= take;
		if (take < left)
			break;
		if (end_step(s, e))
			return -1;
	}
	return n ? err_set(e, ERR_SYSTEM, "%s: the plan has fewer bytes than the file", s->f->name)
		 : 0;
}

/* --- */

static void place_digests(struct stream *s)
{
	struct xxh_digest *at = s->many;
	size_t i;

	for (i = 0; i < s->f->n; i++)
		if (step_many(&s->f->steps[i]) && s->f->steps[i].record) {
			s->res[i].many = at;
			at += step_sources(&s->f->steps[i]);
		}
}

int stream_open(struct stream *s, const struct plan *p, const struct plan_file *f,
	unsigned features, bool lossy, struct err *e)
{
	*s = (struct stream){ .p = p, .f = f };
	if (maker_open(&s->maker, p, f, e))
		return -1;
	s->maker.features = features;
	s->maker.lossy = lossy;
	s->res = calloc(f->n + 1, sizeof *s->res);
	s->many = malloc(many_digests(f) * sizeof *s->many + 1);
	s->out = xxh_new();
	s->unit = malloc(unit_need(p, f) + 1);
	if (!s->res || !s->many || !s->out || !s->unit) {
		err_nomem(e);
		goto failed;
	}
	if (plan_header(p, f, &s->header, e))
		goto failed;
	place_digests(s);
	begin_step(s);
	return 0;
failed:
	stream_close(s);
	return -1;
}

uint64_t stream_bytes(const struct plan_file *f, size_t n)
{
	return n ? f->header_bytes + f->steps[n - 1].out.end : 0;
}

void stream_forget(struct stream *s)
{
	memset(s->res, 0, s->f->n * sizeof *s->res);
	place_digests(s);
}

void stream_skip(struct stream *s, size_t n)
{
	s->at = stream_bytes(s->f, n);
	s->step = n;
	text_free(&s->header);
	begin_step(s);
}

void stream_close(struct stream *s)
{
	maker_close(&s->maker);
	free(s->res);
	free(s->many);
	text_free(&s->header);
	xxh_free(s->out);
	free(s->unit);
	memset(s, 0, sizeof *s);
}
