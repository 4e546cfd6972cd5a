/* SPDX-License-Identifier: MIT */
#include "verify/compute.h"

#include <stdio.h>

int compute_device(struct dev *d, const struct compute_opts *o, struct err *e)
{
	return dev_open_cpu(d, o->features, o->threads, e);
}

int compute_replay(struct report *rep, const char *folder, const char *record,
	const struct compute_opts *o, struct err *e)
{
	struct replay_opts ro = { .max_rel = o->max_rel, .block = o->block };
	struct replay_result res;
	struct weights w;
	struct record r;
	struct dev d;
	int rc;

	if (compute_device(&d, o, e))
		return -1;
	if (weights_open(&w, o->io, folder, &d, o->features, e)) {
		d.close(&d);
		return -1;
	}
	rc = record_open(&r, o->io, record, (uint32_t)w.c.config.L, FORWARD_TOKENS_MAX, e);
	if (!rc) {
		rc = replay_run(&w, &r, &ro, rep, &res, e);
		record_close(&r);
	}
	weights_close(&w);
	d.close(&d);
	return rc;
}
