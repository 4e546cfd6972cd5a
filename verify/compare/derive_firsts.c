/* derive_firsts.c -- tables of Engram of which every column has its first rows, as a slice has them, made once more from the source.
 *
 * The result has no number of rows of its own choice: its columns have the primes from some engram_vocab_size on, and the rows tell
 * which.
 *
 * SPDX-License-Identifier: MIT */
#include "verify/compare/derive.h"

#include "formats/model/engram.h"

#include <string.h>

static int wrong(const struct derive *d, struct err *e, const char *what)
{
	return err_rule(e, RULE_COMPARE_SHAPE, ERR_NOPOS, "tensor %s (%s): %s",
		text_quote(d->t->name).s, ops[d->t->op].name, what);
}

int derive_firsts_open(struct derive *d, const char *target, struct err *e)
{
	const struct tensor *s = d->src[0];
	const struct config *c = &d->c->config;
	const struct sidecar_tensor *t = d->t;
	uint64_t layer = engram_layer(s->name);

	if (strcmp(target, "slice") != 0 || t->n != 1 || !engram_table(s->name) || s->rank != 2 ||
		t->row[1] || t->col[1] || !c->engram || layer >= c->L || !c->layer[layer].rows ||
		engram_columns(c) > ENGRAM_COLUMNS || s->dim[0] != c->layer[layer].rows)
		return wrong(d, e, "its source is no table of Engram");
	if (t->dtype != s->dtype || t->rank != 2 || t->dim[1] != s->dim[1] ||
		!engram_vocab_of(c, c->layer[layer].table, t->dim[0], &d->keep))
		return wrong(d, e,
			"type or shape are not those of a table whose columns have the next primes");
	d->n_rows = t->dim[0];
	d->row_bytes = d->src_bytes;
	d->unit_rows = d->row_bytes && d->row_bytes < DERIVE_UNIT ? DERIVE_UNIT / d->row_bytes : 1;
	return 0;
}

int derive_firsts_make(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	uint64_t from[ENGRAM_COLUMNS + 1], to[ENGRAM_COLUMNS + 1], take, k;
	const struct config *c = &d->c->config;
	uint32_t table = c->layer[engram_layer(d->src[0]->name)].table;
	struct config less = *c;

	(void)m;
	less.EV = d->keep;
	(void)engram_bounds(c, table, from);
	(void)engram_bounds(&less, table, to);
	for (k = 0; n; k++) {
		if (row >= to[k + 1])
			continue;
		take = to[k + 1] - row < n ? to[k + 1] - row : n;
		if (derive_read(d, d->src[0], (from[k] + row - to[k]) * d->row_bytes, out,
			    (size_t)(take * d->row_bytes), e))
			return -1;
		out += take * d->row_bytes;
		row += take;
		n -= take;
	}
	return 0;
}
