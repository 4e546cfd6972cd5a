/* SPDX-License-Identifier: MIT */
#include "quant/residue.h"

#include "core/mem.h"
#include "quant/num.h"
#include "quant/row.h"

#include <math.h>
#include <string.h>
#include <zstd.h>

enum { LEVEL = 1, BIAS = 127 }; /* residues are nearly always zero: more gains nothing */

bool residue_has(enum codec from)
{
	return from == CODEC_MXFP4 || from == CODEC_FP8 || from == CODEC_FP8_F32;
}

/* The largest codes: 6 is 0.75 * 2^3, 448 is 0.875 * 2^9. */
int residue_least(enum codec from, double top)
{
	bool fp4 = from == CODEC_MXFP4;
	int e, k;
	double m = frexp(top, &e);

	k = e - (fp4 ? 3 : 9) + (m > (fp4 ? 0.75 : 0.875));
	return top > 0 && k > -BIAS ? k : -BIAS;
}

static size_t each(enum codec from)
{
	return dtypes[codecs[from].scale].bits / 8;
}

static size_t across(enum codec from, uint64_t cols)
{
	return (size_t)mem_ceil_div(cols, codecs[from].cols);
}

size_t residues_bytes(enum codec from, uint64_t rows, uint64_t cols)
{
	if (!residue_has(from))
		return 0;
	return (size_t)mem_ceil_div(rows, codecs[from].rows) * across(from, cols) * each(from);
}

size_t residues_room(enum codec from, uint64_t rows, uint64_t cols)
{
	return residue_has(from) ? residues_bytes(from, rows, cols) + across(from, cols) : 0;
}

void residues_begin(struct residues *r, enum codec from, uint64_t rows, uint64_t cols,
	uint8_t *room)
{
	*r = (struct residues){ .from = from, .rows = rows, .cols = cols, .p = room };
	r->top = room + residues_bytes(from, rows, cols);
	memset(r->top, 0, across(from, cols));
}

/* The largest magnitude of n codes: for E4M3 and E2M1 it is ordered as the number is. */
static uint8_t top_fp8(const uint8_t *codes, size_t n, uint8_t most)
{
	uint8_t c = row_largest(codes, n, 0x7f);

	return c > most ? c : most;
}

static uint8_t top_fp4(const uint8_t *codes, size_t n, uint8_t most)
{
	uint8_t lo, hi;
	size_t i;

	for (i = 0; i < n / 2; i++) {
		lo = codes[i] & 7;
		hi = codes[i] >> 4 & 7;
		most = lo > most ? lo : most;
		most = hi > most ? hi : most;
	}
	return most;
}

/* The residue of scale g of a row of scales, whose block has that code of largest magnitude, to p. */
static bool put(const struct residues *r, const uint8_t *scales, size_t g, uint8_t top, uint8_t *p)
{
	double v = (double)(r->from == CODEC_MXFP4 ? num_e2m1(top) : num_e4m3(top)),
	       scale = fabs(codec_scale(r->from, scales, g));
	int k = residue_least(r->from, v * scale);
	uint32_t bits, least;

	if (each(r->from) == 1) {
		*p = (uint8_t)(scales[g] - (k + BIAS));
		return *p;
	}
	memcpy(&bits, scales + g * sizeof bits, sizeof bits);
	least = num_bits(ldexpf(1, k));
	bits ^= least;
	memcpy(p, &bits, sizeof bits);
	return bits;
}

bool residues_row(struct residues *r, uint64_t row, const uint8_t *codes, const uint8_t *scales)
{
	const struct codec_form *f = &codecs[r->from];
	size_t n = across(r->from, r->cols), g, cols, at;
	uint8_t *to = r->p + row / f->rows * n * each(r->from);

	for (g = 0; g < n; g++) {
		at = g * f->cols;
		cols = r->cols - at < f->cols ? (size_t)(r->cols - at) : f->cols;
		r->top[g] = r->from == CODEC_MXFP4 ? top_fp4(codes + at / 2, cols, r->top[g])
						   : top_fp8(codes + at, cols, r->top[g]);
	}
	if (row % f->rows != f->rows - 1 && row + 1 < r->rows)
		return true;
	for (g = 0; g < n; g++, to += each(r->from)) {
		if (codec_scale(r->from, scales, g) == 0)
			return false;
		r->any |= put(r, scales, g, r->top[g], to);
		r->top[g] = 0;
	}
	return true;
}

size_t residues_frame(enum codec from, uint64_t rows, uint64_t cols)
{
	return residue_has(from) ? ZSTD_compressBound(residues_bytes(from, rows, cols)) : 0;
}

size_t residues_pack(const struct residues *r, uint8_t *p, size_t room)
{
	size_t n = ZSTD_compress(p, room, r->p, residues_bytes(r->from, r->rows, r->cols), LEVEL);

	return ZSTD_isError(n) ? 0 : n;
}

bool residues_unpack(enum codec from, uint64_t rows, uint64_t cols, const uint8_t *frame, size_t n,
	uint8_t *p)
{
	size_t bytes = residues_bytes(from, rows, cols);

	memset(p, 0, bytes);
	return !n || ZSTD_decompress(p, bytes, frame, n) == bytes;
}

double residue_scale(enum codec from, double top, const uint8_t *residues, uint8_t *scales,
	size_t i)
{
	int k = residue_least(from, top);
	uint32_t bits, xor;
	float f;

	if (each(from) == 1) {
		if (k + BIAS >= NUM_E8M0_NAN)
			return 0;
		scales[i] = (uint8_t)(k + BIAS + residues[i]);
		return scales[i] == NUM_E8M0_NAN ? 0 : (double)num_e8m0(scales[i]);
	}
	memcpy(&xor, residues + i * sizeof xor, sizeof xor);
	bits = num_bits(ldexpf(1, k)) ^ xor;
	memcpy(scales + i * sizeof bits, &bits, sizeof bits);
	f = num_f32(bits);
	return isfinite(f) ? (double)f : 0;
}
