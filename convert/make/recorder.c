/* SPDX-License-Identifier: MIT */
#include "convert/make/recorder.h"

#include <string.h>

int recorder_open(struct recorder *r, struct err *e)
{
	*r = (struct recorder){ .xxh = xxh_new() };
	return r->xxh ? 0 : err_nomem(e);
}

void recorder_close(struct recorder *r)
{
	xxh_free(r->xxh);
	memset(r, 0, sizeof *r);
}

void recorder_begin(struct recorder *r, bool on)
{
	r->at = 0;
	r->on = on;
	xxh_reset(r->xxh);
}

void recorder_add(struct recorder *r, uint64_t off, const uint8_t *p, size_t n)
{
	uint64_t known;

	if (!r->on || off > r->at || off + n <= r->at)
		return;
	known = r->at - off;
	xxh_update(r->xxh, p + known, n - (size_t)known);
	r->at = off + n;
}

void recorder_rows(struct recorder *r, const uint8_t *p, uint64_t rows, uint64_t stride,
	uint64_t cols)
{
	uint64_t i;

	r->at += rows * cols;
	if (stride == cols) {
		xxh_update(r->xxh, p, (size_t)(rows * cols));
		return;
	}
	for (i = 0; i < rows; i++)
		xxh_update(r->xxh, p + i * stride, (size_t)cols);
}

struct xxh_digest recorder_end(const struct recorder *r)
{
	return xxh_final(r->xxh);
}
