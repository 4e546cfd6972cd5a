/* SPDX-License-Identifier: MIT */
#include "verify/compare/derive_look.h"

#include <stdlib.h>
#include <string.h>

enum {
	BYTES = 256,      /* of codes: each once is a row */
	COLS = 2 * BYTES, /* at most, of FP4 */
	LOOKS = 256       /* one for each E8M0 scale, or for so many blocks side by side */
};

struct derive_looks {
	enum codec from, to; /* what they are of */
	double second;
	bool unsigned_zeros;
	struct derive_look v[LOOKS];
	/* Room to make one. */
	double was[COLS], is[COLS];
	uint8_t codes[BYTES], old[4 * COLS], scales[4 * COLS];
};

bool derive_look_fits(const struct derive *d)
{
	unsigned from = codecs[d->from].bits, to = codecs[d->to].bits;

	return from && 8 % from == 0 && to % from == 0 && to / from <= 8;
}

int derive_look_begin(struct derive_looks **looks, const struct derive *d, struct err *e)
{
	struct derive_looks *l = *looks;
	unsigned i;

	if (!l)
		l = *looks = calloc(1, sizeof *l);
	if (!l)
		return err_nomem(e);
	if (l->from == d->from && l->to == d->to &&
		!memcmp(&l->second, &d->second, sizeof l->second) &&
		l->unsigned_zeros == d->t->unsigned_zeros)
		return 0;
	l->from = d->from;
	l->to = d->to;
	l->second = d->second;
	l->unsigned_zeros = d->t->unsigned_zeros;
	for (i = 0; i < LOOKS; i++)
		l->v[i].made = false;
	return 0;
}

static size_t scale_size(enum codec c)
{
	return dtypes[codecs[c].scale].bits / 8;
}

/* Makes *l that of its scale: by the plain way, of a row that has each byte once. */
static void make(struct derive_looks *x, const struct derive *d, struct derive_look *l)
{
	unsigned per = 8u / codecs[d->from].bits, cols = BYTES * per, i, c, k;
	struct derive_row r = { x->was, x->is, x->scales };
	size_t size = scale_size(d->from);

	for (i = 0; i < BYTES; i++)
		x->codes[i] = (uint8_t)i;
	for (i = 0; i * codecs[d->from].cols < cols; i++)
		memcpy(x->old + i * size, l->scale, size);
	derive_reform_row(d, x->codes, x->old, cols, &r, l->out);
	l->each = codecs[d->to].bits / codecs[d->from].bits;
	l->same = l->each == 1 && !memcmp(l->out, x->codes, BYTES);
	l->told = false;
	for (i = 0, c = 0; i < BYTES; i++) {
		l->flags[i] = derive_reform_below(d, x->old, 0) ? LOOK_BELOW : 0;
		l->told = l->told || l->flags[i];
		for (k = 0; k < per; k++, c++) {
			if (x->was[c] != 0)
				l->flags[i] |= LOOK_ANY;
			if (!derive_reform_changed(d, &r, x->codes, x->old, c))
				continue;
			l->flags[i] |= LOOK_CHANGED;
			l->told = true;
		}
	}
	l->made = true;
}

const struct derive_look *derive_look(struct derive_looks *looks, const struct derive *d,
	const uint8_t *old, uint64_t i)
{
	size_t size = scale_size(d->from);
	struct derive_look *l = &looks->v[(size == 1 ? old[i] : i) % LOOKS];

	if (l->made && !memcmp(l->scale, old + i * size, size))
		return l;
	memcpy(l->scale, old + i * size, size);
	make(looks, d, l);
	return l;
}

unsigned derive_look_up(const struct derive_look *l, const uint8_t *codes, size_t n, uint8_t *out)
{
	unsigned flags = 0;
	size_t i;

	for (i = 0; l->told && i < n; i++)
		flags |= l->flags[codes[i]];
	if (l->same)
		memcpy(out, codes, n);
	else if (l->each == 1)
		for (i = 0; i < n; i++)
			out[i] = l->out[codes[i]];
	else if (l->each == 2)
		for (i = 0; i < n; i++)
			memcpy(out + 2 * i, l->out + 2 * codes[i], 2);
	else if (l->each == 4)
		for (i = 0; i < n; i++)
			memcpy(out + 4 * i, l->out + 4 * codes[i], 4);
	else
		for (i = 0; i < n; i++)
			memcpy(out + 8 * i, l->out + 8 * codes[i], 8);
	return flags;
}
