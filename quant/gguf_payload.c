/* gguf_payload.c -- bytes of the tables and norms of a GGUF as a checkpoint has them, read block by block and written as
 * values of the type that is wanted.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "core/file.h"
#include "core/mem.h"
#include "formats/gguf/ggml_type.h"
#include "quant/ggml_back.h"
#include "quant/gguf_model.h"
#include "quant/num.h"

#include <stdlib.h>
#include <string.h>

enum { SOME = 4096 }; /* elements at a time; a multiple of all blocks */

struct reader {
	const struct gguf_model *m;
	unsigned features; /* of the processor */
	uint8_t raw[SOME * 8];
	double v[SOME];
	uint8_t made[SOME * 8];
};

static int read_at(const struct gguf_model *m, const struct gguf_matrix *x, uint64_t off, void *dst,
	size_t n, struct err *e)
{
	if (file_read(m->io, m->fds[x->part], dst, n, x->at + off, e))
		return err_at(e, "%s", text_quote(m->set.parts[x->part].name).s);
	return 0;
}

int gguf_model_read(const struct gguf_model *m, const struct gguf_matrix *x, void *dst,
	struct err *e)
{
	return read_at(m, x, 0, dst, (size_t)x->bytes, e);
}

/* n ids. */
static void put_ids(const uint8_t *raw, size_t n, uint8_t *to)
{
	int64_t wide;
	int32_t id;
	size_t i;

	for (i = 0; i < n; i++) {
		memcpy(&id, raw + 4 * i, sizeof id);
		wide = id;
		memcpy(to + 8 * i, &wide, sizeof wide);
	}
}

/* n values as that type; false where one is none of its, unless it may be rounded. */
static bool put_values(const double *v, size_t n, unsigned dtype, bool rounds, uint8_t *to)
{
	uint16_t h;
	size_t i;
	float f;

	for (i = 0; i < n; i++) {
		f = (float)v[i];
		h = num_bf16_from(f);
		if (dtype == DT_F32) {
			memcpy(to + 4 * i, &f, sizeof f);
		} else {
			if (!rounds && (double)num_bf16(h) != v[i])
				return false;
			memcpy(to + 2 * i, &h, sizeof h);
		}
	}
	return true;
}

/* Elements at .. at + n, from a whole block on, to r->made. */
static int make(struct reader *r, uint32_t i, uint64_t at, size_t n, struct err *e)
{
	const struct gguf_matrix *x = &r->m->v[i];
	const struct tensor *t = &r->m->c->tensors[i];
	const struct ggml_type_row *row = ggml_type_find(x->type);
	/* The embedding begins the residual stream, which is BF16; one that was rounded already has other values. */
	bool rounds = t->dtype == DT_BF16 && x->type != GGML_BF16 && x->type != GGML_F32;
	size_t whole = mem_ceil_div(n, row->items);

	if (read_at(r->m, x, at / row->items * row->bytes, r->raw, whole * row->bytes, e))
		return -1;
	if (t->dtype == DT_I64)
		put_ids(r->raw, n, r->made);
	else if (!ggml_values(x->type, r->raw, whole * row->items, r->features, r->v) ||
		!put_values(r->v, n, t->dtype, rounds, r->made))
		return err_rule(e, RULE_MODEL_DTYPE, ERR_NOPOS,
			"%s: tensor %s has values that are none of %s",
			text_quote(r->m->set.parts[x->part].name).s, text_quote(t->name).s,
			dtypes[t->dtype].name);
	return 0;
}

static int read_tensor(void *reader, uint32_t i, uint64_t off, uint8_t *dst, size_t n,
	struct err *e)
{
	struct reader *r = reader;
	const struct tensor *t = &r->m->c->tensors[i];
	uint64_t each = dtypes[t->dtype].bits / 8, items = ggml_type_find(r->m->v[i].type)->items,
		 at, all = r->m->v[i].rows * r->m->v[i].cols;
	size_t skip, count, take;

	for (; n; off += take, dst += take, n -= take) {
		at = off / each / items * items;
		skip = (size_t)(off - at * each);
		count = all - at < SOME ? (size_t)(all - at) : SOME;
		count = (skip + n + each - 1) / each < count
			? (size_t)((skip + n + each - 1) / each)
			: count;
		take = count * each - skip < n ? (size_t)(count * each - skip) : n;
		if (make(r, i, at, count, e))
			return -1;
		memcpy(dst, r->made + skip, take);
	}
	return 0;
}

static void *reader_open(void *ctx)
{
	struct reader *r = malloc(sizeof *r);

	if (r) {
		r->m = ctx;
		r->features = cpu_features();
	}
	return r;
}

static size_t need(void *ctx)
{
	(void)ctx;
	return sizeof(struct reader);
}

void gguf_model_payload(struct gguf_model *m)
{
	m->payload = (struct ckpt_payload){ .ctx = m,
		.open = reader_open,
		.close = free,
		.need = need,
		.read = read_tensor,
		.has = ckpt_payload_has_all,
		.missing = ckpt_payload_misses_none,
		.check = ckpt_payload_knows_none };
}
