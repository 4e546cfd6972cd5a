/* test_rowrec.c -- tables as records: the closed form and its inverse, what packs them, and the rows that ranks have, held to a
 * second derivation (tests/oracle/records.py).
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "core/hash/sha256.h"
#include "core/hash/xxh.h"
#include "formats/layout/rowrec.h"
#include "formats/model/engram.h"
#include "quant/table4.h"
#include "tests/check.h"

static const struct rowrec_dim dims[] = { { 256, 8 }, { 64, 2 }, { 512, 16 }, { 1000, 24 },
	{ 480, 32 }, { 1, 1 } };

/* Every byte of the result is a code, a scale or filling, and is where the closed form says. */
static void inverse(void)
{
	const struct rowrec *r;
	struct rowrec_dim in;
	struct rowrec_place p;
	uint64_t at, bytes;
	size_t i;

	for (r = rowrecs; r < rowrecs + n_rowrecs; r++) {
		CHECK(rowrec_find(r->name) == r);
		for (i = 0; i < sizeof dims / sizeof *dims; i++) {
			if (dims[i].codes * r->bits % 8)
				continue;
			bytes = rowrec_bytes(r, dims[i]);
			in = rowrec_inside(r, dims[i]);
			CHECK(in.codes == dims[i].codes * r->bits / 8 &&
				in.scales == dims[i].scales);
			CHECK(bytes % r->unit == 0 && bytes >= in.codes + in.scales);
			for (at = 0; at < 5 * bytes; at++) {
				p = rowrec_where(r, dims[i], at);
				CHECK(p.part != ROWREC_CODE ||
					(p.b < in.codes &&
						rowrec_code_at(r, dims[i], p.row, p.b) == at));
				CHECK(p.part != ROWREC_SCALE ||
					(p.b < in.scales &&
						rowrec_scale_at(r, dims[i], p.row, p.b) == at));
				CHECK(p.row == at / bytes);
			}
		}
	}
	CHECK(!rowrec_find("plain") && !rowrec_find(""));
}

/* Packs rows of fixed bytes, whose place is the closed form's. */
static void packed(const struct rowrec *r, struct rowrec_dim d, size_t rows, char hex[65])
{
	size_t bytes = (size_t)rowrec_bytes(r, d), n, b;
	uint8_t *c = malloc(rows * d.codes), *s = malloc(rows * d.scales),
		*out = malloc(rows * bytes);
	uint8_t sha[32];
	struct err e = { 0 };

	for (n = 0; n < rows * d.codes; n++)
		c[n] = (uint8_t)(n * 7 + 3);
	for (n = 0; n < rows * d.scales; n++)
		s[n] = (uint8_t)(n * 5 + 1);
	memset(out, 0xee, rows * bytes);
	rowrec_pack(r, d, c, s, rows, out);
	for (n = 0; n < rows; n++) {
		for (b = 0; b < d.codes; b++)
			CHECK(out[rowrec_code_at(r, d, n, b)] == c[n * d.codes + b]);
		for (b = 0; b < d.scales; b++)
			CHECK(out[rowrec_scale_at(r, d, n, b)] == s[n * d.scales + b]);
		for (b = d.codes + d.scales; b < bytes; b++)
			CHECK(!out[n * bytes + b]);
	}
	CHECK(!sha256_of(out, rows * bytes, sha, &e));
	hex_of(sha, sizeof sha, hex);
	free(c);
	free(s);
	free(out);
}

/* The same in 4 bits: the bytes of tests/oracle/records.py. */
static void rounded(size_t rows, size_t cols, char hex[65])
{
	static struct table4 t;
	const struct rowrec *r = rowrec_find("mxfp4");
	struct rowrec_dim d = { cols, cols / 32 };
	size_t bytes = (size_t)rowrec_bytes(r, d), n;
	uint8_t *c = malloc(rows * cols), *s = malloc(rows * cols / 32),
		*out = malloc(rows * bytes);
	uint8_t sha[32];
	bool changed[64];
	struct table4_row is;
	struct err e = { 0 };

	for (n = 0; n < rows * cols; n++) {
		c[n] = (uint8_t)(n * 7 + 3);
		c[n] = (uint8_t)(c[n] - ((c[n] & 127) == 127));
		if (n % cols < rows % 5)
			c[n] = 0x80;
		if (n / cols == 3 && n % cols >= cols - 32)
			c[n] = 0;
	}
	for (n = 0; n < rows * cols / 32; n++)
		s[n] = (uint8_t)(n * 37 % 200 + 20);
	table4_make(&t, cpu_features());
	for (n = 0; n < rows; n++) {
		is = table4_quick(&t, c + n * cols, s + n * d.scales, cols, out + n * bytes,
			out + rowrec_scale_at(r, d, n, 0), changed);
		CHECK(is.nan == cols && is.overflow == cols / 32);
		CHECK(rowrec_code_at(r, d, n, 0) == n * bytes);
	}
	CHECK(bytes == cols / 2 + cols / 32 && !sha256_of(out, rows * bytes, sha, &e));
	hex_of(sha, sizeof sha, hex);
	free(c);
	free(s);
	free(out);
}

/* Each line of the vectors. */
static void vectors(void)
{
	static struct config_layer layer[2];
	struct config c = { .engram = true, .layer = layer, .L = 2 };
	struct engram_share h;
	struct rowrec_dim d;
	char line[256], name[32], want[65], hex[65];
	unsigned long long rows, first, end, table;
	FILE *f = fopen("tests/vectors/records.txt", "r");
	size_t records = 0, shares = 0, fours = 0;

	while (f && fgets(line, sizeof line, f)) {
		if (sscanf(line, "record %31s %llu %lu %lu %64s", name, &rows, &d.codes, &d.scales,
			    want) == 5) {
			packed(rowrec_find(name), d, (size_t)rows, hex);
			CHECK_IN(line, !strcmp(hex, want));
			records++;
		} else if (sscanf(line, "mxfp4 %llu %llu %64s", &rows, &first, want) == 3) {
			rounded((size_t)rows, (size_t)first, hex);
			CHECK_IN(line, !strcmp(hex, want));
			fours++;
		} else if (sscanf(line, "share %lu %lu %lu %llu %lu %lu %llu %llu", &c.EV, &c.EG,
				   &c.EN, &table, &h.ranks, &h.rank, &first, &end) == 8) {
			layer[table].table = (uint32_t)table;
			layer[table].rows = engram_bounds(&c, (uint32_t)table, NULL);
			CHECK_IN(line, !engram_share_rows(&h, &c, table));
			CHECK_IN(line, h.first == first && h.end == end);
			shares++;
		} else {
			CHECK_IN(line, false);
		}
	}
	CHECK(f && !fclose(f) && records == 10 && shares == 328 && fours == 3);
	layer[0].rows = 0;
	h = (struct engram_share){ .ranks = 1 };
	CHECK(engram_share_rows(&h, &c, 0) && engram_share_rows(&h, &c, 9));
	h = (struct engram_share){ .ranks = 4096 };
	CHECK(engram_share_rows(&h, &c, 1)); /* the first of more ranks than rows */
}

static void names(void)
{
	static const char *const bad[] = { "layers.1.engram.embed.weight",
		"layers.1.engram.embed.recordx", "layers.1.engram.embed.record.rank-1-of-1",
		"layers.1.engram.embed.record.rank-2-of-2",
		"layers.1.engram.embed.record.rank-01-of-2",
		"layers.1.engram.embed.record.rank-0-of-2x", "mtp.1.engram.embed.record",
		"layers.x.engram.embed.record", "layers.1.engram.embed.record." };
	struct engram_share h = { .rank = 3, .ranks = 8 }, is;
	char name[ENGRAM_NAME], many[400];
	size_t i;

	CHECK(engram_record_name(name, "layers.14.engram.embed.weight", "record", &h) &&
		!strcmp(name, "layers.14.engram.embed.record.rank-3-of-8"));
	for (i = 0; i < n_rowrecs; i++) {
		CHECK(engram_record_name(name, "layers.1.engram.embed.weight", rowrecs[i].tensor,
			&h));
		CHECK_IN(name,
			engram_record_of(&is, name) == rowrecs[i].tensor ||
				!strcmp(engram_record_of(&is, name), rowrecs[i].tensor));
	}
	CHECK(engram_record_name(name, "layers.14.engram.embed.weight", "record", &h));
	CHECK(engram_record_of(&is, name) && is.rank == 3 && is.ranks == 8 &&
		engram_layer(name) == 14);
	CHECK(engram_record_of(&is, "layers.1.engram.embed.record") && !is.rank && is.ranks == 1);
	for (i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK_IN(bad[i], !engram_record_of(&is, bad[i]));
	CHECK(!engram_record_name(name, "layers.1.engram.embed.scale", "record", &h));
	snprintf(many, sizeof many, "layers.%0300d.engram.embed.weight", 1);
	CHECK(!engram_record_name(name, many, "record", &h));
}

static const struct test tests[] = { { "rowrec: inverse", inverse }, { "rowrec: vectors", vectors },
	{ "rowrec: names", names }, { NULL, NULL } };
TEST_MAIN(tests)
