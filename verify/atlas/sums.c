/* SPDX-License-Identifier: MIT */
#include "verify/atlas/sums.h"

#include <math.h>

enum { LANES = 4 };

/* Sums of a row, a lane each. */
struct lanes {
	double energy[LANES], error[LANES], cross[LANES], out[LANES], weighed_energy[LANES],
		weighed_error[LANES];
};

static double joined(const double v[LANES])
{
	return (v[0] + v[1]) + (v[2] + v[3]);
}

static void add_value(struct sums *s, struct lanes *l, unsigned lane, double w, double q)
{
	double d = fabs(q - w);

	l->energy[lane] += w * w;
	l->error[lane] += d * d;
	l->cross[lane] += w * q;
	l->out[lane] += q * q;
	s->exact += q == w;
	s->flushed += q == 0 && w != 0;
	s->max_abs = d > s->max_abs ? d : s->max_abs;
}

void sums_row(struct sums *s, const double *w, const double *q, size_t cols, const double *lo,
	const double *hi, const float *weight)
{
	struct lanes l = { 0 };
	unsigned lane;
	double d;
	size_t c;

	for (c = 0; c < cols; c++) {
		lane = c % LANES;
		if (!isfinite(w[c]) || !isfinite(q[c])) {
			s->odd++;
			continue;
		}
		add_value(s, &l, lane, w[c], q[c]);
		s->clipped += lo && q[c] != w[c] && (w[c] < lo[c] || w[c] > hi[c]);
		if (!weight)
			continue;
		d = q[c] - w[c];
		l.weighed_energy[lane] += (double)weight[c] * (w[c] * w[c]);
		l.weighed_error[lane] += (double)weight[c] * (d * d);
	}
	s->n += cols;
	s->energy += joined(l.energy);
	s->error += joined(l.error);
	s->cross += joined(l.cross);
	s->out += joined(l.out);
	s->weighed_energy += joined(l.weighed_energy);
	s->weighed_error += joined(l.weighed_error);
}

void sums_add(struct sums *a, const struct sums *b)
{
	a->n += b->n;
	a->exact += b->exact;
	a->flushed += b->flushed;
	a->clipped += b->clipped;
	a->odd += b->odd;
	a->energy += b->energy;
	a->error += b->error;
	a->cross += b->cross;
	a->out += b->out;
	a->max_abs = b->max_abs > a->max_abs ? b->max_abs : a->max_abs;
	a->weighed_energy += b->weighed_energy;
	a->weighed_error += b->weighed_error;
}

double sums_rms(double error, double energy)
{
	return energy > 0 ? sqrt(error / energy) : (double)NAN;
}

double sums_sqnr(double error, double energy)
{
	return energy > 0 && error > 0 ? 10 * log10(energy / error) : (double)NAN;
}

double sums_cosine(const struct sums *s)
{
	double v = s->cross / (sqrt(s->energy) * sqrt(s->out));

	if (!(s->energy > 0 && s->out > 0))
		return (double)NAN;
	return s->error > 0 ? fmin(v, 1) : 1;
}
