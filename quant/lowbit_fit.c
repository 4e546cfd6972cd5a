/* SPDX-License-Identifier: MIT */
#include "quant/lowbit_way.h"
#include "quant/num.h"

#include <math.h>

float lowbit_farthest(const float *p, unsigned n)
{
	float far = 0;
	unsigned i;

	for (i = 0; i < n; i++)
		far = fabsf(p[i]) > fabsf(far) ? p[i] : far;
	return far;
}

float lowbit_first(float far, float most, float part)
{
	uint16_t h = num_f16_from(far / most * part);

	return num_f16((uint16_t)(!(h & 0x7fff) && far != 0 ? h | 1 : h));
}

double lowbit_total(const float *error, unsigned n)
{
	double sum = 0;
	unsigned i;

	for (i = 0; i < n; i++)
		sum += (double)error[i];
	return sum;
}

/* The error is a d^2 - 2 b d dmin + c dmin^2 - 2 e d + 2 f dmin + what does not depend on them. */
bool lowbit_refit(const struct lowbit_sums *s, unsigned at, unsigned n, const float *scale,
	const float *min, float *d, float *dmin)
{
	double a = 0, b = 0, c = 0, e = 0, f = 0, det, sc, m, was_d = (double)*d,
	       was_m = (double)*dmin, to_d, to_m;
	unsigned i;

	for (i = at; i < at + n; i++) {
		sc = (double)scale[i];
		m = (double)min[i];
		a += sc * sc * (double)s->qq[i];
		b += sc * m * (double)s->q[i];
		c += m * m * (double)s->one[i];
		e += sc * (double)s->xq[i];
		f += m * (double)s->x[i];
	}
	det = a * c - b * b;
	if (det > 1e-12 * a * c) {
		to_d = (c * e - b * f) / det;
		to_m = (b * e - a * f) / det;
	} else {
		to_d = a > 0 ? (e + b * was_m) / a : was_d;
		to_m = was_m;
	}
	if (!(to_m >= 0)) {
		to_m = 0;
		to_d = a > 0 ? e / a : was_d;
	}
	if (!(to_d > 0 && to_d < 65504 && to_m < 65504))
		return false;
	*d = num_f16(num_f16_from((float)to_d));
	*dmin = num_f16(num_f16_from((float)to_m));
	return (double)*d != was_d || (double)*dmin != was_m;
}

bool lowbit_refit_scale(const struct lowbit_sums *s, unsigned at, unsigned n, const float *scale,
	float *d)
{
	double a = 0, e = 0, sc, to, was = (double)*d;
	unsigned i;

	for (i = at; i < at + n; i++) {
		sc = (double)scale[i];
		a += sc * sc * (double)s->qq[i];
		e += sc * (double)s->xq[i];
	}
	to = a > 0 ? e / a : was;
	if (!(fabs(to) < 65504))
		return false;
	*d = num_f16(num_f16_from((float)to));
	return (double)*d != was;
}

/* The levels of 32 values whose entries are given. */
static void levels_of(const struct ggml_grid *g, const uint8_t *entry, float *y)
{
	unsigned e, i, word, mask = (1u << g->bits) - 1;

	for (e = 0; e < 32 / g->values; e++) {
		word = g->entries[entry[e]];
		for (i = 0; i < g->values; i++, word >>= g->bits)
			*y++ = g->level[word & mask];
	}
}

void lowbit_grid_signs(const struct ggml_grid *g, const float *x, const float *w,
	const uint8_t *entry, uint8_t *signs)
{
	unsigned b, i, set, turn;
	float cost, low, y[32];

	levels_of(g, entry, y);
	for (b = 0; b < 32; b += 8) {
		for (set = 0, i = 0; i < 8; i++)
			set |= (num_bits(x[b + i]) >> 31 & (x[b + i] != 0)) << i;
		if (__builtin_parity(set)) {
			turn = 0;
			low = INFINITY;
			for (i = 0; i < 8; i++) {
				cost = w[b + i] * fabsf(x[b + i]) * y[b + i];
				turn = cost < low ? 1u << i : turn;
				low = cost < low ? cost : low;
			}
			set ^= turn;
		}
		signs[b / 8] = (uint8_t)set;
	}
}

void lowbit_grid_sums(const struct ggml_grid *g, const float *x, const float *w,
	const uint8_t *entry, const uint8_t *signs, float *xq, float *qq)
{
	float y[32], wy;
	unsigned i;

	levels_of(g, entry, y);
	*xq = *qq = 0;
	for (i = 0; i < 32; i++) {
		y[i] = signs[i / 8] >> i % 8 & 1 ? -y[i] : y[i];
		wy = w[i] * y[i];
		*xq += wy * x[i];
		*qq += wy * y[i];
	}
}
