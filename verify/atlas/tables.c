/* SPDX-License-Identifier: MIT */
#include "verify/atlas/tables.h"

#include "formats/codec.h"
#include "quant/cb4.h"

#include <stdlib.h>
#include <string.h>

static int by_place(const void *a, const void *b)
{
	const struct table_piece *x = a, *y = b;

	if (x->layer != y->layer)
		return x->layer < y->layer ? -1 : 1;
	if (x->ranks != y->ranks)
		return x->ranks < y->ranks ? -1 : 1;
	return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static uint64_t rows_of(const struct table_piece *p)
{
	return p->t->rank ? p->t->dim[0] : 0;
}

int tables_open(struct tables *t, const struct ckpt *c, struct err *e)
{
	struct engram_share h = { 0 };
	struct table_piece *p;
	const char *word;
	size_t i, cap = 0;

	*t = (struct tables){ .c = c };
	for (i = 0; i < c->n; i++) {
		word = engram_record_of(&h, c->tensors[i].name);
		if (!word || !strcmp(word, ENGRAM_LEVELS))
			continue;
		if (mem_grow(&t->v, &cap, t->n + 1, sizeof *t->v)) {
			tables_close(t);
			return err_nomem(e);
		}
		p = &t->v[t->n++];
		*p = (struct table_piece){ .t = &c->tensors[i],
			.word = word,
			.layer = engram_layer(c->tensors[i].name),
			.rank = h.rank,
			.ranks = h.ranks };
	}
	if (t->n)
		qsort(t->v, t->n, sizeof *t->v, by_place);
	for (i = 1; i < t->n; i++)
		if (t->v[i].layer == t->v[i - 1].layer && t->v[i].ranks == t->v[i - 1].ranks)
			t->v[i].first = t->v[i - 1].first + rows_of(&t->v[i - 1]);
	return 0;
}

void tables_close(struct tables *t)
{
	free(t->v);
	*t = (struct tables){ 0 };
}

/* The layout by which piece p has records of so many columns; NULL: none. */
static const struct rowrec *layout_of(const struct table_piece *p, uint64_t cols)
{
	const struct rowrec_dim d = { codec_row_bytes(CODEC_FP8_ROW, cols),
		cols / codecs[CODEC_FP8_ROW].cols };
	const struct rowrec *r;

	if (p->t->dtype != DT_U8 || p->t->rank != 2 || cols % codecs[CODEC_FP8_ROW].cols)
		return NULL;
	for (r = rowrecs; r < rowrecs + n_rowrecs; r++)
		if (!strcmp(r->tensor, p->word) && rowrec_bytes(r, d) == p->t->dim[1])
			return r;
	return NULL;
}

/* Whether v[0 .. n] are all ranks of a table of so many rows, in one layout. */
static bool is_whole(const struct table_piece *v, size_t n, uint64_t rows, uint64_t cols)
{
	const struct rowrec *how = layout_of(&v[0], cols);
	size_t i;

	for (i = 0; i < n; i++)
		if (v[i].rank != i || layout_of(&v[i], cols) != how)
			return false;
	return how && n == v[0].ranks && v[n - 1].first + v[n - 1].t->dim[0] == rows;
}

/* The levels of the table whose codes are called so in the source, which one rank has; NULL: they are not there. */
static const struct tensor *levels_of(const struct ckpt *c, const char *codes,
	const struct table_piece *v, size_t n)
{
	const struct engram_share h = { .rank = v->rank, .ranks = v->ranks };
	const struct tensor *t;
	char name[ENGRAM_NAME];

	if (n != 1 || !engram_record_name(name, codes, ENGRAM_LEVELS, &h))
		return NULL;
	t = ckpt_find(c, name);
	return t && t->dtype == DT_F32 && t->rank == 1 && t->dim[0] == CB4_LEVELS ? t : NULL;
}

bool tables_find(const struct tables *t, const char *codes, uint64_t rows, uint64_t cols,
	struct table_rows *to)
{
	uint64_t layer = engram_layer(codes);
	size_t i, n;

	*to = (struct table_rows){ 0 };
	if (!engram_table(codes) || !rows || !cols || cols > UINT32_MAX)
		return false;
	for (i = 0; i < t->n; i += n) {
		for (n = 1; i + n < t->n && t->v[i + n].layer == t->v[i].layer &&
			t->v[i + n].ranks == t->v[i].ranks;
			n++)
			;
		if (t->v[i].layer != layer || !is_whole(&t->v[i], n, rows, cols))
			continue;
		*to = (struct table_rows){
			.how = layout_of(&t->v[i], cols), .v = &t->v[i], .n = n
		};
		if (to->how->form == ROWREC_CB4) {
			to->levels = levels_of(t->c, codes, &t->v[i], n);
			if (!to->levels)
				continue;
		}
		to->bytes = rows * t->v[i].t->dim[1];
		return true;
	}
	return false;
}

int tables_read(const struct table_rows *t, const struct ckpt *c, uint64_t row, uint64_t n,
	uint8_t *buf, struct err *e)
{
	uint64_t each = t->v[0].t->dim[1], take, left;
	size_t k;

	for (k = 0; n; k++) {
		left = t->v[k].first + t->v[k].t->dim[0];
		if (row >= left)
			continue;
		take = left - row < n ? left - row : n;
		if (ckpt_read(c, t->v[k].t, (row - t->v[k].first) * each, buf,
			    (size_t)(take * each), e))
			return -1;
		buf += take * each;
		row += take;
		n -= take;
	}
	return 0;
}
