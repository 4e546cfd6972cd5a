/* SPDX-License-Identifier: MIT */
#include "verify/doctor/order.h"

#include "core/mem.h"
#include "formats/codec.h"
#include "quant/num.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows that are looked at: 512 of routed experts put 6 % of noise on the size of a column. */
enum { EXPERTS = 16, EXPERTS_JOINED = 2, ROWS = 16, ROWS_OTHER = 64, WIDTH_MAX = 1 << 16 };
static const double errors_apart = 6, largest = 4;

struct looker {
	const struct ckpt *c;
	void *reader;             /* of the payload */
	uint8_t *buf;             /* owns; ROWS_OTHER rows of two bytes a column */
	double *x, *y, *part;     /* own; [WIDTH_MAX] */
	double fp8[256], fp4[16]; /* squares */
	struct err *e;
};

/* Columns that share a scale: those of a group. */
static unsigned group(void)
{
	return codecs[CODEC_MXFP4].cols;
}

/* Column that the code at place p of a group belongs to. */
static unsigned column(enum order o, unsigned p)
{
	return o == ORDER_RIGHT        ? p
		: o == ORDER_EXCHANGED ? p ^ 1
				       : p / 2 + (p & 1) * (group() / 2);
}

enum order order_guess(const double *x, const double *y, uint64_t D, double r[ORDERS])
{
	double xx = 0, yy = 0, xy[ORDERS] = { 0 }, cor[ORDERS] = { 0 }, margin, a;
	enum order best = ORDER_RIGHT;
	const unsigned n = group();
	uint64_t i;
	unsigned o;

	for (i = 0; i < D; i++) {
		a = x[i] - 1;
		xx += a * a;
		yy += (y[i] - 1) * (y[i] - 1);
		for (o = 0; o < ORDERS; o++)
			xy[o] += a * (y[i - i % n + column((enum order)o, (unsigned)(i % n))] - 1);
	}
	for (o = 0; o < ORDERS; o++) {
		cor[o] = xx > 0 && yy > 0 ? xy[o] / sqrt(xx * yy) : 0;
		if (cor[o] > cor[best])
			best = (enum order)o;
	}
	if (r)
		memcpy(r, cor, sizeof cor);
	margin = errors_apart / sqrt((double)(D ? D : 1));
	return cor[best] > margin && cor[best] > cor[ORDER_RIGHT] + margin ? best : ORDER_RIGHT;
}

/* --- sizes of columns --- */

/* Each group gets a mean of 1; what stands out is cut, so that no single channel decides. */
static void normalize(double *v, uint64_t D)
{
	const unsigned n = group();
	double sum;
	uint64_t g, i;

	for (g = 0; g < D; g += n) {
		for (sum = 0, i = g; i < g + n; i++)
			sum += v[i];
		for (i = g; i < g + n; i++) {
			v[i] = sum > 0 ? v[i] * n / sum : 1;
			v[i] = v[i] > largest ? largest : v[i];
		}
	}
}

static void add_row(const struct looker *l, const struct tensor *t, const uint8_t *p, uint64_t D,
	double *out)
{
	uint64_t i;
	uint16_t h;

	switch (t->dtype) {
	case DT_I8:
		for (i = 0; i < D / 2; i++) {
			out[2 * i] += l->fp4[p[i] & 15];
			out[2 * i + 1] += l->fp4[p[i] >> 4];
		}
		break;
	case DT_F8_E4M3:
		for (i = 0; i < D; i++)
			out[i] += l->fp8[p[i]];
		break;
	default:
		for (i = 0; i < D; i++) {
			double v;

			memcpy(&h, p + 2 * i, 2);
			v = (double)num_bf16(h);
			out[i] += isfinite(v) ? v * v : 0;
		}
	}
}

/* Adds the first rows of a tensor of that name, if it is there and of that form; rows that were added. */
static int add_tensor(struct looker *l, const char *name, enum dtype type, uint64_t D,
	uint64_t rows, double *out, uint64_t *added)
{
	const struct tensor *t = ckpt_find(l->c, name);
	const struct ckpt_payload *y = l->c->payload;
	uint64_t width = type == DT_I8 ? D / 2 : type == DT_BF16 ? 2 * D : D, i;
	size_t at;
	int rc;

	if (!t || t->dtype != type || t->rank != 2 || t->dim[1] != (type == DT_I8 ? D / 2 : D))
		return 0;
	at = (size_t)(t - l->c->tensors);
	if (y ? !y->has(y->ctx, (uint32_t)at) : l->c->shards[t->shard].fd < 0)
		return 0;
	rows = rows < t->dim[0] ? rows : t->dim[0];
	rc = y ? y->read(l->reader, (uint32_t)at, 0, l->buf, (size_t)(rows * width), l->e)
	       : ckpt_read(l->c, t, 0, l->buf, (size_t)(rows * width), l->e);
	for (i = 0; !rc && i < rows; i++)
		add_row(l, t, l->buf + i * width, D, out);
	*added += rc ? 0 : rows;
	return rc;
}

static int routed(struct looker *l, const char *block, uint64_t D, uint64_t *rows)
{
	unsigned n = l->c->payload ? EXPERTS_JOINED : EXPERTS, i, w;
	char name[96];

	memset(l->x, 0, D * sizeof *l->x);
	for (i = 0; i < n; i++)
		for (w = 1; w <= 3; w += 2) {
			snprintf(name, sizeof name, "%s.ffn.experts.%u.w%u.weight", block, i, w);
			if (add_tensor(l, name, DT_I8, D, ROWS, l->x, rows))
				return -1;
		}
	normalize(l->x, D);
	return 0;
}

static int others(struct looker *l, const char *block, uint64_t D, uint64_t *rows)
{
	static const struct {
		const char *name;
		enum dtype type;
	} other[] = { { "shared_experts.w1.weight", DT_F8_E4M3 },
		{ "shared_experts.w3.weight", DT_F8_E4M3 }, { "gate.weight", DT_BF16 } };
	char name[96];
	uint64_t i, had;
	unsigned k;

	memset(l->y, 0, D * sizeof *l->y);
	for (k = 0; k < sizeof other / sizeof *other; k++) {
		memset(l->part, 0, D * sizeof *l->part);
		snprintf(name, sizeof name, "%s.ffn.%s", block, other[k].name);
		had = *rows;
		if (add_tensor(l, name, other[k].type, D, ROWS_OTHER, l->part, rows))
			return -1;
		normalize(l->part, D);
		for (i = 0; *rows > had && i < D; i++)
			l->y[i] += l->part[i];
	}
	normalize(l->y, D);
	return 0;
}

/* --- */

static int open_looker(struct looker *l)
{
	const struct ckpt_payload *y = l->c->payload;
	unsigned i;

	l->buf = malloc((size_t)ROWS_OTHER * 2 * WIDTH_MAX);
	l->x = malloc(WIDTH_MAX * sizeof *l->x);
	l->y = malloc(WIDTH_MAX * sizeof *l->y);
	l->part = malloc(WIDTH_MAX * sizeof *l->part);
	l->reader = y ? y->open(y->ctx) : NULL;
	if (!l->buf || !l->x || !l->y || !l->part || (y && !l->reader))
		return err_nomem(l->e);
	for (i = 0; i < 256; i++)
		l->fp8[i] = num_e4m3_is_nan(i) ? 0 : (double)num_e4m3(i) * (double)num_e4m3(i);
	for (i = 0; i < 16; i++)
		l->fp4[i] = (double)num_e2m1(i) * (double)num_e2m1(i);
	return 0;
}

static void close_looker(struct looker *l)
{
	if (l->reader)
		l->c->payload->close(l->reader);
	free(l->buf);
	free(l->x);
	free(l->y);
	free(l->part);
}

int order_judge(struct report *r, const struct ckpt *c, struct err *e)
{
	static const char *const what[] = { "", "the high nibble first",
		"the halves of each group of columns with one scale apart, as GGML has them" };
	struct looker l = { .c = c, .e = e };
	const struct config *f = &c->config;
	uint64_t D = f->D, i, rows, other, hits[ORDERS] = { 0 };
	char block[32], first[ORDERS][32] = { "" };
	int rc = 0;
	enum order o;

	if (!D || D % group() || D > WIDTH_MAX || f->experts == CODEC_FP8)
		return 0;
	rc = open_looker(&l);
	for (i = 0; !rc && i < f->L + f->stages; i++) {
		snprintf(block, sizeof block, i < f->L ? "layers.%u" : "mtp.%u",
			(unsigned)(i < f->L ? i : i - f->L));
		rows = other = 0;
		rc = routed(&l, block, D, &rows) || others(&l, block, D, &other) ? -1 : 0;
		if (rc || !rows || !other)
			continue;
		o = order_guess(l.x, l.y, D, NULL);
		if (!hits[o]++)
			snprintf(first[o], sizeof first[o], "%s", block);
	}
	close_looker(&l);
	for (o = ORDER_EXCHANGED; !rc && o < ORDERS; o++)
		if (hits[o])
			report_add(r, RULE_SUSPECT_NIBBLE_ORDER, NULL,
				"suspect: in %llu of %llu blocks, first %s, the columns of routed experts fit those of shared expert and router better with %s",
				(unsigned long long)hits[o], (unsigned long long)(f->L + f->stages),
				first[o], what[o]);
	return rc;
}
