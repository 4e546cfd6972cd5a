/* SPDX-License-Identifier: MIT */
#include "formats/layout/rowrec.h"

#include <string.h>

const struct rowrec rowrecs[] = {
	{ "record", "record", 1, 8, ROWREC_KEPT,
		"the codes of a row, then its scales: 256 + 8 = 264 bytes of V4.1-Flash" },
	/* 512 bytes are the smallest block that disks are read by (O_DIRECT); no such record lies across two of them more
	 * than it must. */
	{ "record512", "record", 512, 8, ROWREC_KEPT,
		"the same, filled with zeros to a multiple of 512 bytes, a block of a disk" },
	{ "mxfp4", "mxfp4", 1, 4, ROWREC_MXFP4,
		"rounded: codes E2M1, the first in the low bits, then an E8M0 scale for 32 columns: 128 + 8 = 136 bytes of V4.1-Flash" },
	{ "cb4", "cb4", 1, 4, ROWREC_CB4,
		"rounded to 16 levels of the table's own, in embed.levels: numbers of levels, the first in the low bits, then an E5M3 scale for 32 columns: 128 + 8 = 136 bytes of V4.1-Flash" },
};
const unsigned n_rowrecs = sizeof rowrecs / sizeof *rowrecs;

const struct rowrec *rowrec_find(const char *name)
{
	unsigned i;

	for (i = 0; i < n_rowrecs; i++)
		if (!strcmp(rowrecs[i].name, name))
			return &rowrecs[i];
	return NULL;
}

struct rowrec_dim rowrec_inside(const struct rowrec *r, struct rowrec_dim d)
{
	return (struct rowrec_dim){ d.codes * r->bits / 8, d.scales };
}

uint64_t rowrec_bytes(const struct rowrec *r, struct rowrec_dim d)
{
	d = rowrec_inside(r, d);
	return (d.codes + d.scales + r->unit - 1) / r->unit * r->unit;
}

uint64_t rowrec_code_at(const struct rowrec *r, struct rowrec_dim d, uint64_t row, uint64_t b)
{
	return row * rowrec_bytes(r, d) + b;
}

uint64_t rowrec_scale_at(const struct rowrec *r, struct rowrec_dim d, uint64_t row, uint64_t b)
{
	return row * rowrec_bytes(r, d) + rowrec_inside(r, d).codes + b;
}

struct rowrec_place rowrec_where(const struct rowrec *r, struct rowrec_dim d, uint64_t at)
{
	uint64_t row = at / rowrec_bytes(r, d), b = at % rowrec_bytes(r, d);

	d = rowrec_inside(r, d);
	if (b < d.codes)
		return (struct rowrec_place){ row, b, ROWREC_CODE };
	if (b < d.codes + d.scales)
		return (struct rowrec_place){ row, b - d.codes, ROWREC_SCALE };
	return (struct rowrec_place){ row, b - d.codes - d.scales, ROWREC_FILL };
}

void rowrec_pack(const struct rowrec *r, struct rowrec_dim d, const uint8_t *codes,
	const uint8_t *scales, size_t n, uint8_t *dst)
{
	size_t each = (size_t)rowrec_bytes(r, d), c = (size_t)d.codes, s = (size_t)d.scales, i;

	for (i = 0; i < n; i++, dst += each) {
		memcpy(dst, codes + i * c, c);
		memcpy(dst + c, scales + i * s, s);
		memset(dst + c + s, 0, each - c - s);
	}
}
