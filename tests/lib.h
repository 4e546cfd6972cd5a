/* lib.h -- for tests of libdsv4: conversions to open, and errors to expect.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_H
#define TESTS_LIB_H
#include "quant/codec.h"
#include "quant/lib/handle.h"
#include "tests/set.h"
#include "tests/verify.h"

/* --- folders --- */

static struct path marlin, hf;

static inline void make(void)
{
	struct job_opts o = set_opts("marlin-mxfp4", 2, true);

	if (marlin.s[0])
		return;
	marlin = dirs_path("marlin");
	o.plan.share.experts_tp = false;
	CHECK(set_makes(FLASH, marlin.s, &o));
	hf = dirs_path("hf");
	o = set_opts("hf", 0, false);
	o.plan.share = (struct share){ 0 };
	CHECK(set_makes(FLASH, hf.s, &o));
}

static inline struct dsv4 *opened(const char *path)
{
	struct dsv4_error e = { 0 };
	struct dsv4 *d = NULL;

	if (dsv4_open(&d, path, NULL, &e))
		fprintf(stderr, "%s: %s: %s\n", path, e.rule, e.message);
	CHECK(d);
	return d;
}

/* True if e is that rule, and has the word in its sentence. */
static inline bool is(const struct dsv4_error *e, const char *rule, const char *word)
{
	bool same = e->kind != DSV4_OK && !strcmp(e->rule, rule) && strstr(e->message, word);

	if (!same)
		fprintf(stderr, "expected %s with %s, got %d %s: %s\n", rule, word, e->kind,
			e->rule, e->message);
	return same;
}

static inline bool refuses(const char *path, const struct dsv4_open_options *o, const char *rule,
	const char *word)
{
	struct dsv4_error e = { 0 };
	struct dsv4 *d = (struct dsv4 *)&e;

	return dsv4_open(&d, path, o, &e) == -1 && !d && is(&e, rule, word);
}

/* A copy of the first rank's folder. */
static inline struct path rank_copy(const char *name)
{
	struct path p;

	make();
	p = model_copy(model_file(marlin.s, "rank-0-of-2").s, name);
	return p;
}
/* --- values --- */

static inline uint8_t *filled(uint64_t n)
{
	uint8_t *p = malloc(n + 1);

	if (!p)
		exit(2);
	rnd_bytes(p, n);
	return p;
}

/* The values of a weight of the source. */
static inline double *source_values(const struct ckpt *c, const char *name, uint64_t *rows,
	uint64_t *cols)
{
	const struct tensor *w = ckpt_find(c, name), *s = NULL;
	char scale[200];
	enum codec f;
	uint64_t i, each;
	uint8_t *p, *q = NULL;
	double *v;

	snprintf(scale, sizeof scale, "%.*sscale", (int)(strlen(name) - 6), name);
	s = ckpt_find(c, scale);
	f = codec_of_types(w->dtype, s ? s->dtype : DT_COUNT);
	*rows = w->dim[0];
	*cols = w->rank > 1 ? codec_cols(f, w->dim[1]) : 1;
	p = filled(w->end - w->begin);
	CHECK(!ckpt_read(c, w, 0, p, w->end - w->begin, NULL));
	if (s) {
		q = filled(s->end - s->begin);
		CHECK(!ckpt_read(c, s, 0, q, s->end - s->begin, NULL));
	}
	v = malloc(*rows * *cols * sizeof *v);
	each = s ? (s->end - s->begin) / s->dim[0] : 0;
	for (i = 0; i < *rows; i++)
		codec_ops[f].decode(p + i * codec_row_bytes(f, *cols),
			q ? q + i / codecs[f].rows * each : NULL, 1, *cols, v + i * *cols);
	free(p);
	free(q);
	return v;
}

/* Rows of tensor t of d, of matrix k, against values of the source from its row and column on. */
static inline void same_values(const struct dsv4 *d, const char *name, uint64_t k,
	const struct ckpt *c, const char *of, uint64_t row, uint64_t src_row, uint64_t src_col)
{
	size_t i = dsv4_find(d, 0, name);
	struct dsv4_values v = { 0 };
	struct dsv4_error e = { 0 };
	uint64_t rows, cols, r, j, n;
	double *want = source_values(c, of, &rows, &cols);
	float *got;

	CHECK_IN(name, !dsv4_values(d, i, &v, &e));
	n = rows - src_row < v.rows - row ? rows - src_row : v.rows - row;
	got = malloc((n * v.cols + 1) * sizeof *got);
	CHECK_IN(name, v.cols && n && !dsv4_decode(d, i, k, row, n, got, n * v.cols, NULL, &e));
	for (r = 0; r < n; r++)
		for (j = 0; j < v.cols; j++)
			if (got[r * v.cols + j] !=
				(float)want[(src_row + r) * cols + src_col + j]) {
				CHECK_IN(of, false);
				r = n - 1;
				break;
			}
	free(got);
	free(want);
}

#endif
