/* test_lib_tables.c -- libdsv4 and tables of Engram: as they are, as records of one rank or several, rounded; and records that are not
 * what the folder says.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/lib.h"
#include "tests/v41.h"

#include <math.h>

enum { COLS = 64, ROWS = 306 }; /* of the table of layer 3 of tests/configs/small-v41.json */

static struct path made(const char *name, const char *tool, const char *options)
{
	struct path p = dirs_path(name);

	dirs_remove(p.s);
	CHECK_IN(options, ends(0, NULL, tool, "run %s -o %s -q %s", v41_model(), p.s, options));
	return p;
}

/* All values of tensor i, which has so many rows. */
static float *values_of(const struct dsv4 *d, size_t i, uint64_t rows, const char *codec)
{
	float *v = calloc(ROWS * COLS, sizeof *v);
	struct dsv4_error e = { 0 };
	struct dsv4_values is = { 0 };

	CHECK(i != DSV4_NONE && !dsv4_values(d, i, &is, &e));
	CHECK_IN(e.message, is.count == 1 && is.rows == rows && is.cols == COLS);
	CHECK_IN(codec, is.codec && !strcmp(is.codec, codec));
	CHECK_IN(e.message, !dsv4_decode(d, i, 0, 0, rows, v, ROWS * COLS, NULL, &e));
	return v;
}

/* The values of the table as the checkpoint has it. */
static float *wanted(void)
{
	struct path p = made("plain", "dsv4-convert", "--target hf --engram separate");
	struct dsv4 *d = opened(p.s);
	size_t i = dsv4_find(d, 0, "layers.3.engram.embed.weight");
	float *v = values_of(d, i, ROWS, "fp8-row");

	CHECK(dsv4_tensor(d, i) && !dsv4_tensor(d, i)->records);
	dsv4_close(d);
	return v;
}

/* Records say where a row lies, and decode to the values of the table. */
static void records(void)
{
	static const struct {
		const char *options, *layout;
		uint32_t ranks;
		uint64_t bytes;
	} row[] = {
		{ "--engram-layout record", "record", 1, 66 },
		{ "--engram-layout record512", "record512", 1, 512 },
		{ "--engram-layout record --engram-ranks 4", "record", 4, 66 },
		{ "--engram-layout record512 --engram-ranks 3", "record512", 3, 512 },
	};
	float *want = wanted(), *got, one[COLS];
	const struct dsv4_records *r;
	const struct dsv4_tensor *t;
	struct dsv4_error e;
	char name[100], options[200];
	uint64_t next;
	struct path p;
	struct dsv4 *d;
	size_t i, k;
	uint32_t rank;

	for (k = 0; k < sizeof row / sizeof *row; k++) {
		snprintf(options, sizeof options, "--target hf --engram separate %s",
			row[k].options);
		p = made("records", "dsv4-convert", options);
		d = opened(p.s);
		for (rank = 0, next = 0; rank < row[k].ranks; rank++) {
			if (row[k].ranks == 1)
				snprintf(name, sizeof name, "layers.3.engram.embed.record");
			else
				snprintf(name, sizeof name,
					"layers.3.engram.embed.record.rank-%u-of-%u", rank,
					row[k].ranks);
			i = dsv4_find(d, 0, name);
			t = dsv4_tensor(d, i);
			r = t ? t->records : NULL;
			CHECK_IN(name, r && !strcmp(r->layout, row[k].layout) && !t->stack);
			if (!r)
				continue;
			CHECK_IN(name,
				r->rank == rank && r->ranks == row[k].ranks && r->first == next &&
					r->rows == ROWS && r->cols == COLS);
			CHECK_IN(name,
				r->bytes == row[k].bytes && r->codes == 64 && r->scales == 2 &&
					t->offset % 4096 == 0 &&
					t->bytes == t->shape[0] * r->bytes);
			got = values_of(d, i, t->shape[0], "fp8-row");
			CHECK_IN(name,
				!memcmp(got, want + next * COLS, t->shape[0] * COLS * sizeof *got));
			CHECK_IN(name,
				!dsv4_decode(d, i, 0, t->shape[0] - 1, 1, one, COLS, NULL, &e) &&
					!memcmp(one, want + (next + t->shape[0] - 1) * COLS,
						sizeof one));
			CHECK_IN(name,
				dsv4_decode(d, i, 0, t->shape[0], 1, one, COLS, NULL, &e) &&
					is(&e, "lib.range", "rows"));
			next += t->shape[0];
			free(got);
		}
		CHECK_IN(row[k].options, next == ROWS);
		for (i = 0; dsv4_file(d, (uint32_t)i); i++)
			CHECK_IN(row[k].options, !dsv4_check(d, (uint32_t)i, NULL, &e));
		dsv4_close(d);
	}
	free(want);
}

/* Rounded records decode to what their codes and scales are, one by one. */
static void rounded(void)
{
	static const float e2m1[] = { 0, 0.5f, 1, 1.5f, 2, 3, 4, 6 };
	struct path p = made("rounded", "dsv4-quant", "--to engram-mxfp4");
	struct dsv4 *d = opened(p.s);
	size_t i = dsv4_find(d, 0, "layers.3.engram.embed.mxfp4"), r, c;
	const struct dsv4_tensor *t = dsv4_tensor(d, i);
	float *v = values_of(d, i, ROWS, "mxfp4"), want;
	uint8_t *b = malloc(ROWS * 34), code;

	CHECK(t && t->records && !strcmp(t->records->layout, "mxfp4") && t->bytes == ROWS * 34 &&
		t->records->codes == 32 && t->records->scales == 2);
	CHECK(!dsv4_read(d, i, 0, b, ROWS * 34, NULL, NULL));
	for (r = 0; r < ROWS; r++)
		for (c = 0; c < COLS; c++) {
			code = b[r * 34 + c / 2] >> (c % 2 ? 4 : 0) & 15;
			want = ldexpf(e2m1[code & 7], b[r * 34 + 32 + c / 32] - 127);
			want = code & 8 ? -want : want;
			CHECK(!memcmp(&want, &v[r * COLS + c], sizeof want));
		}
	free(b);
	free(v);
	dsv4_close(d);
}

/* Records with levels decode to levels times scales. */
static void with_levels(void)
{
	struct path p = made("levels", "dsv4-quant", "--to engram-cb4");
	struct dsv4 *d = opened(p.s);
	size_t i = dsv4_find(d, 0, "layers.3.engram.embed.cb4"),
	       k = dsv4_find(d, 0, "layers.3.engram.embed.levels"), r, c;
	const struct dsv4_tensor *t = dsv4_tensor(d, i), *l = dsv4_tensor(d, k);
	float *v = values_of(d, i, ROWS, "cb4"), level[16], want;
	uint8_t *b = malloc(ROWS * 34), s;

	CHECK(t && t->records && !strcmp(t->records->layout, "cb4") && t->bytes == ROWS * 34 &&
		t->records->codes == 32 && t->records->scales == 2);
	CHECK(l && !l->records && !strcmp(l->dtype, "F32") && l->bytes == sizeof level);
	CHECK(!dsv4_read(d, i, 0, b, ROWS * 34, NULL, NULL));
	CHECK(!dsv4_read(d, k, 0, level, sizeof level, NULL, NULL));
	for (r = 0; r < ROWS; r++)
		for (c = 0; c < COLS; c++) {
			s = b[r * 34 + 32 + c / 32];
			want = s < 8 ? ldexpf(s, -17) : ldexpf((float)(8 + s % 8), s / 8 - 18);
			want *= level[b[r * 34 + c / 2] >> (c % 2 ? 4 : 0) & 15];
			CHECK(!memcmp(&want, &v[r * COLS + c], sizeof want));
		}
	free(b);
	free(v);
	dsv4_close(d);
}

/* A sidecar, manifest or config.json that says something else, with digests that were made to fit. */
static void lying(void)
{
	static const char file[] = "engram-3.safetensors";
	static const struct {
		const char *file, *from, *to, *rule, *word;
	} row[] = {
		{ file, "[306, 66]", "[66, 306]", "set.form", "rows of layout record" },
		{ file, "[306, 66]", "[102,198]", "set.form", "rows of layout record" },
		{ file, "\"U8\"", "\"I8\"", "set.form", "rows of layout record" },
		{ file, "embed.record", "embed.mxfp4x", "set.form", "config.json has no table" },
		{ file, "layers.3.", "layers.2.", "set.form", "config.json has no table" },
		{ file, "layers.3.", "layers.1.", "set.form", "rows of layout record" },
		{ NULL, "\"engram_layout\": \"record\"", "\"engram_layout\": \"record512\"",
			"set.form", "rows of layout record512" },
		{ NULL, "\"engram_layout\": \"record\"", "\"engram_layout\": \"mxfp4\"", "set.form",
			"config.json has no table" },
		{ NULL, "\"engram_layout\": \"record\"", "\"engram_layout\": \"record9\"",
			"set.layout", "record9" },
	};
	struct path p;
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		p = made("lying", "dsv4-convert",
			"--target hf --engram separate --engram-layout record");
		if (row[i].file) {
			verify_edit(p.s, row[i].file, row[i].from, row[i].to);
		} else {
			verify_exchange(model_file(p.s, MAN_NAME).s, row[i].from, row[i].to);
			verify_seal(p.s);
		}
		CHECK_IN(row[i].to, refuses(p.s, NULL, row[i].rule, row[i].word));
	}
}

/* A byte that is another one is found, whichever way it is read. */
static void damaged(void)
{
	static const char file[] = "engram-3.safetensors";
	struct path p = made("damaged", "dsv4-convert",
		"--target hf --engram separate --engram-layout record512");
	struct dsv4_error e = { 0 };
	uint8_t *b;
	struct dsv4 *d;
	float v[COLS];
	size_t n, i;

	b = file_get_all(model_file(p.s, file).s, &n);
	b[n - 512 * 7 + 100] ^= 4; /* in the zeros of a record */
	model_put(p.s, file, b, n);
	free(b);
	d = opened(p.s);
	i = dsv4_find(d, 0, "layers.3.engram.embed.record");
	CHECK(dsv4_decode(d, i, 0, ROWS - 7, 1, v, COLS, NULL, &e) && is(&e, "check.chunk", file));
	CHECK(dsv4_check(d, dsv4_tensor(d, i)->file, NULL, &e) && is(&e, "check.chunk", file));
	dsv4_close(d);
}

static const struct test tests[] = {
	{ "tables: records", records },
	{ "tables: rounded", rounded },
	{ "tables: levels", with_levels },
	{ "tables: lying", lying },
	{ "tables: damaged", damaged },
	{ 0 },
};
TEST_MAIN(tests)
