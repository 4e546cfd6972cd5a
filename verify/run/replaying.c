/* SPDX-License-Identifier: MIT */
#include "verify/run/replaying.h"

#include <stdio.h>
#include <stdlib.h>

int replaying_feed(struct replaying *k, struct forward *f, const char *name, float *to, uint64_t n,
	struct err *e)
{
	float *v;
	int rc = record_floats(k->r, name, n, &v, e);

	if (rc == 1 && f->dev->put(f->dev, to, v, (size_t)(4 * n), e))
		rc = -1;
	free(v);
	return rc;
}

int replaying_fetch(struct replaying *k, const float *from, uint64_t n, float **v, struct err *e)
{
	*v = malloc((size_t)(4 * n + 1));
	if (!*v)
		return err_nomem(e);
	if (!k->f.dev->get(k->f.dev, *v, from, (size_t)(4 * n), e))
		return 0;
	free(*v);
	*v = NULL;
	return -1;
}

void replaying_judge(struct replaying *k, const char *name, const struct measure *m, double max)
{
	double rel = measure_rel(m);
	char text[96];

	snprintf(text, sizeof text, "%.2f %% equal, relative L2 %.2g", 100 * measure_equal(m), rel);
	report_row(k->rep, "sub-blocks", name, m->n, 0, text);
	report_figure(k->rep, "equal", measure_equal(m));
	report_figure(k->rep, "relative_l2", rel);
	report_figure(k->rep, "limit", k->ours ? 0 : max);
	if (max <= k->max_rel && rel > k->res->worst_rel)
		k->res->worst_rel = rel;
	if (k->ours ? m->equal == m->n : rel <= max && !m->nan)
		return;
	if (k->ours)
		report_add(k->rep, RULE_REPLAY_DIFFERS, NULL,
			"%s: value %llu of %llu is %.9g, the record says %.9g (%.2f %% equal, "
			"relative L2 %.2g)",
			name, (unsigned long long)m->first, (unsigned long long)m->n, (double)m->is,
			(double)m->was, 100 * measure_equal(m), rel);
	else
		report_add(k->rep, RULE_REPLAY_DIFFERS, NULL,
			"%s: relative L2 %.3g, at most %.3g is allowed (first at value %llu: %.9g, "
			"the record says %.9g)",
			name, rel, max, (unsigned long long)m->first, (double)m->is,
			(double)m->was);
}
