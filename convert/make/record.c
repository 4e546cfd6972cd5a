/* SPDX-License-Identifier: MIT */
#include "convert/make/record.h"

#include <string.h>

int record_open(struct record *r, struct err *e)
{
	*r = (struct record){ .xxh = xxh_new() };
	return r->xxh ? 0 : err_nomem(e);
}

void record_close(struct record *r)
{
	xxh_free(r->xxh);
	memset(r, 0, sizeof *r);
}

void record_begin(struct record *r, bool on)
{
	r->at = 0;
	r->on = on;
	xxh_reset(r->xxh);
}

void record_add(struct record *r, uint64_t off, const uint8_t *p, size_t n)
{
	uint64_t known;

	if (!r->on || off > r->at || off + n <= r->at)
		return;
	known = r->at - off;
	xxh_update(r->xxh, p + known, n - (size_t)known);
	r->at = off + n;
}

void record_rows(struct record *r, const uint8_t *p, uint64_t rows, uint64_t stride, uint64_t cols)
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

struct xxh_digest record_end(const struct record *r)
{
	return xxh_final(r->xxh);
}
