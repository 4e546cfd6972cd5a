/* SPDX-License-Identifier: MIT */
#include "formats/archive/rowbase.h"

#include "formats/archive/le32.h"

#include <string.h>

enum {
	HEAD = 8,
	OTHER = 3,          /* the code of an exception */
	BASE_MOST = 255 - 2 /* base + 2 is a byte too */
};

/* Bytes for which one class more is worth its table: of 65536 scales, which are 10000 bytes, a table takes about 100. */
#define PER_CLASS 65536u

static size_t rows_of(size_t n, size_t row)
{
	return (n + row - 1) / row;
}

/* Returns the bytes of row i of n bytes: the last row may be shorter. */
static size_t row_bytes(size_t n, size_t row, size_t i)
{
	return n - i * row < row ? n - i * row : row;
}

size_t rowbase_bound(size_t n)
{
	/* head, two bytes for each of the most rows, four codes to a byte for each class, every byte an exception */
	return HEAD + 2 * rows_of(n, ROWBASE_ROW) + n / 4 + ROWBASE_CLASSES + n;
}

/* --- packing --- */

/* Returns the base of a row: three neighbours that are most of it, and of those the ones whose middle is most. */
static uint8_t base_of(const uint8_t *p, size_t n)
{
	uint32_t count[256] = { 0 };
	uint32_t lo = 255, hi = 0, best = 0, base = 0;
	size_t i;
	uint32_t b;

	for (i = 0; i < n; i++) {
		count[p[i]]++;
		lo = p[i] < lo ? p[i] : lo;
		hi = p[i] > hi ? p[i] : hi;
	}
	for (b = lo > 2 ? lo - 2 : 0; b <= hi && b <= BASE_MOST; b++) {
		uint32_t sum = count[b] + count[b + 1] + count[b + 2];

		if (sum > best || (sum == best && count[b + 1] > count[base + 1])) {
			best = sum;
			base = b;
		}
	}
	return (uint8_t)base;
}

static uint8_t code_of(uint8_t v, uint8_t base)
{
	unsigned d = (unsigned)v - base; /* wraps below the base */

	return (uint8_t)(d < OTHER ? d : OTHER);
}

/* Returns the mean of a row's codes in 1/127; an exception counts as the middle. */
static uint8_t mean_of(const uint8_t *p, size_t n, uint8_t base)
{
	size_t i, sum = 0;
	uint8_t c;

	for (i = 0; i < n; i++) {
		c = code_of(p[i], base);
		sum += c < OTHER ? c : 1;
	}
	return (uint8_t)(sum * 127 / n);
}

/* Turns the means of the rows into classes, each of about as many rows. */
static void classify(uint8_t *mean, size_t rows, size_t classes)
{
	size_t count[256] = { 0 }, i, below = 0;
	uint8_t class_of[256];

	for (i = 0; i < rows; i++)
		count[mean[i]]++;
	for (i = 0; i < 256; below += count[i++])
		class_of[i] = (uint8_t)(below * classes / (rows + 1));
	for (i = 0; i < rows; i++)
		mean[i] = class_of[mean[i]];
}

/* Puts bases and classes behind the head. */
static void put_rows(const uint8_t *p, size_t n, size_t row, uint8_t *base, uint8_t *class)
{
	size_t rows = rows_of(n, row), classes = n / PER_CLASS, i, k;

	for (i = 0; i < rows; i++) {
		k = row_bytes(n, row, i);
		base[i] = base_of(p + i * row, k);
		class[i] = mean_of(p + i * row, k, base[i]);
	}
	if (classes > ROWBASE_CLASSES)
		classes = ROWBASE_CLASSES;
	classify(class, rows, classes ? classes : 1);
}

/* Puts the codes of all rows of a class. Returns the byte behind them. */
static uint8_t *put_codes(const uint8_t *p, size_t n, size_t row, const uint8_t *base,
	const uint8_t *class, size_t which, uint8_t *d)
{
	size_t rows = rows_of(n, row), i, j, at = 0;

	for (i = 0; i < rows; i++) {
		const uint8_t *r = p + i * row;
		size_t k = row_bytes(n, row, i);

		if (class[i] != which)
			continue;
		for (j = 0; j < k; j++, at++) {
			if (at % 4 == 0)
				d[at / 4] = 0;
			d[at / 4] |= (uint8_t)(code_of(r[j], base[i]) << at % 4 * 2);
		}
	}
	return d + (at + 3) / 4;
}

static uint8_t *put_exceptions(const uint8_t *p, size_t n, size_t row, const uint8_t *base,
	const uint8_t *class, size_t which, uint8_t *d)
{
	size_t rows = rows_of(n, row), i, j;

	for (i = 0; i < rows; i++) {
		const uint8_t *r = p + i * row;
		size_t k = row_bytes(n, row, i);

		for (j = 0; class[i] == which && j < k; j++)
			if (code_of(r[j], base[i]) == OTHER)
				*d++ = r[j];
	}
	return d;
}

static void end_part(struct rowbase *parts, size_t end)
{
	if (!parts->n || parts->end[parts->n - 1] != end)
		parts->end[parts->n++] = end;
}

void rowbase_pack(const uint8_t *p, size_t n, uint32_t row, uint8_t *dst, struct rowbase *parts)
{
	size_t rows = rows_of(n, row), i;
	uint8_t *base = dst + HEAD, *class = base + rows, *d = class + rows;

	parts->n = 0;
	le32_set(dst, (uint32_t)n);
	le32_set(dst + 4, row);
	put_rows(p, n, row, base, class);
	end_part(parts, (size_t)(d - dst));
	for (i = 0; i < ROWBASE_CLASSES; i++) {
		d = put_codes(p, n, row, base, class, i, d);
		end_part(parts, (size_t)(d - dst));
	}
	for (i = 0; i < ROWBASE_CLASSES; i++)
		d = put_exceptions(p, n, row, base, class, i, d);
	end_part(parts, (size_t)(d - dst));
}

/* --- unpacking --- */

/* A form while it is turned back. */
struct form {
	const uint8_t *base, *class; /* [rows] */
	size_t rows, row, n;
	const uint8_t *codes, *exception, *end;
};

/* Finds the parts of the form; false where they do not fit. */
static bool open_form(struct form *f, const uint8_t *src, size_t k, size_t n)
{
	size_t bytes[ROWBASE_CLASSES] = { 0 }, i, codes = 0;
	uint32_t row;

	if (k < HEAD)
		return false;
	row = le32_get(src + 4);
	if (le32_get(src) != n || row < ROWBASE_ROW)
		return false;
	*f = (struct form){ .rows = rows_of(n, row), .row = row, .n = n };
	if (k - HEAD < 2 * f->rows)
		return false;
	f->base = src + HEAD;
	f->class = f->base + f->rows;
	for (i = 0; i < f->rows; i++) {
		if (f->class[i] >= ROWBASE_CLASSES || f->base[i] > BASE_MOST)
			return false;
		bytes[f->class[i]] += row_bytes(n, row, i);
	}
	for (i = 0; i < ROWBASE_CLASSES; i++)
		codes += (bytes[i] + 3) / 4;
	if (k - HEAD - 2 * f->rows < codes)
		return false;
	f->codes = f->class + f->rows;
	f->exception = f->codes + codes;
	f->end = src + k;
	return true;
}

/* Turns the codes at f->codes back, which are those of a class; false where exceptions are missing. */
static bool take_class(struct form *f, size_t which, uint8_t *out)
{
	size_t i, j, at = 0;

	for (i = 0; i < f->rows; i++) {
		uint8_t *r = out + i * f->row;
		size_t k = row_bytes(f->n, f->row, i);

		if (f->class[i] != which)
			continue;
		for (j = 0; j < k; j++, at++) {
			unsigned c = (unsigned)f->codes[at / 4] >> at % 4 * 2 & 3;

			if (c == OTHER && f->exception == f->end)
				return false;
			r[j] = c == OTHER ? *f->exception++ : (uint8_t)(f->base[i] + c);
		}
	}
	f->codes += (at + 3) / 4;
	return true;
}

bool rowbase_unpack(const uint8_t *src, size_t k, uint8_t *out, size_t n)
{
	struct form f;
	size_t i;

	if (!open_form(&f, src, k, n))
		return false;
	for (i = 0; i < ROWBASE_CLASSES; i++)
		if (!take_class(&f, i, out))
			return false;
	return f.exception == f.end;
}
