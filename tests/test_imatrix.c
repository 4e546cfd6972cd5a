/* test_imatrix.c -- files of importance: what is read is what was written, and what is no sum of squares is refused.
 *
 * SPDX-License-Identifier: MIT */
#include "core/file.h"
#include "formats/gguf/ggml_type.h"
#include "formats/gguf/imatrix.h"
#include "tests/dirs.h"

#include <math.h>

/* A file that differs in one thing from a right one. */
struct variant {
	const char *name, *word;        /* word: of the report */
	const char *type;               /* general.type; NULL: imatrix */
	const char *sums, *counts;      /* names; "": left out; NULL: those of m.weight */
	uint64_t dim[3], counts_dim[2]; /* 0: those of a right file */
	uint32_t ggml;                  /* of both */
	float value, count; /* of the last sum, and of the last count; 0: the right ones */
};

static void put(struct text *t, const struct variant *v)
{
	struct gguf_out o = { 0 };
	uint64_t sums[] = { v->dim[0] ? v->dim[0] : 4, v->dim[1] ? v->dim[1] : 2,
		v->dim[2] ? v->dim[2] : 1 };
	uint64_t counts[] = { v->counts_dim[0] ? v->counts_dim[0] : 1,
		v->counts_dim[1] ? v->counts_dim[1] : 2 };
	uint64_t n = sums[0] * sums[1] * sums[2], m = counts[0] * counts[1], i;
	unsigned bytes = v->ggml == GGML_F16 ? 2 : 4;
	float x;

	gguf_put_string(&o, "general.type", v->type ? v->type : "imatrix",
		strlen(v->type ? v->type : "imatrix"));
	if (!v->sums || *v->sums)
		gguf_put_tensor(&o, v->sums ? v->sums : "m.weight.in_sum2", v->ggml, sums, 3);
	if (!v->counts || *v->counts)
		gguf_put_tensor(&o, v->counts ? v->counts : "m.weight.counts", v->ggml, counts, 2);
	gguf_write_head(&o, t);
	for (i = 0; (!v->sums || *v->sums) && i < n; i++) {
		x = i + 1 == n && v->value != 0 ? v->value : (float)i;
		text_put(t, &x, bytes);
	}
	while (t->n % 32)
		text_put(t, "", 1);
	for (i = 0; (!v->counts || *v->counts) && i < m; i++) {
		x = i + 1 == m && v->count != 0 ? v->count : (float)(2 * i);
		text_put(t, &x, bytes);
	}
	while (t->n % 32)
		text_put(t, "", 1);
	gguf_out_free(&o);
}

static int opened(struct imatrix *m, const struct variant *v, struct err *e)
{
	struct path dir = dirs_new("imatrix"), file;
	struct text t = { 0 };
	int fd = open(dir.s, O_RDONLY | O_DIRECTORY), rc;

	put(&t, v);
	file = dirs_path("imatrix/x.gguf");
	CHECK(!file_put(io_posix(), fd, "x.gguf", t.s, t.n, e));
	close(fd);
	rc = imatrix_open(m, io_posix(), file.s, e);
	text_free(&t);
	return rc;
}

static void taken(void)
{
	const struct variant right = { 0 };
	const struct imatrix_tensor *t;
	struct err e = { 0 };
	struct imatrix m;
	float mean[4];
	double count;

	CHECK(!opened(&m, &right, &e));
	t = imatrix_find(&m, "m.weight");
	CHECK(t && t->cols == 4 && t->mats == 2 && !imatrix_find(&m, "m") && m.n == 1);
	/* matrix 0 saw no token, and its sums say nothing; matrix 1 saw two */
	CHECK(t && !imatrix_mean(&m, t, 0, mean, &count, &e) && count == 0 && mean[0] == 1 &&
		mean[3] == 1);
	CHECK(t && !imatrix_mean(&m, t, 1, mean, &count, &e) && count == 2 && mean[0] == 2 &&
		mean[3] == 3.5f);
	imatrix_close(&m);
	imatrix_close(&m);
}

static void refused(void)
{
	static const struct variant bad[] = {
		{ .name = "a model", .word = "general.type", .type = "model" },
		{ .name = "nan", .word = "m.weight: a sum", .value = NAN },
		{ .name = "infinite", .word = "a sum", .value = INFINITY },
		{ .name = "negative", .word = "is -1", .value = -1 },
		{ .name = "count nan", .word = "a sum or count", .count = NAN },
		{ .name = "count negative", .word = "is -3", .count = -3 },
		{ .name = "no counts", .word = "no counts", .counts = "" },
		{ .name = "no sums", .word = "0 matrices", .sums = "" },
		{ .name = "counts of another", .word = "no counts", .counts = "n.weight.counts" },
		{ .name = "another tensor", .word = "neither", .counts = "m.weight" },
		{ .name = "no name", .word = "neither", .sums = ".in_sum2" },
		{ .name = "fewer counts", .word = "shapes", .counts_dim = { 1, 1 } },
		{ .name = "counts of two columns", .word = "shapes", .counts_dim = { 2, 2 } },
		{ .name = "rank 3", .word = "shapes", .dim = { 4, 2, 2 } },
		{ .name = "FP16", .word = "F32", .ggml = GGML_F16 },
	};
	struct imatrix m;
	size_t i;

	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct err e = { 0 };

		CHECK_IN(bad[i].name,
			opened(&m, &bad[i], &e) && e.rule && !strcmp(e.rule, "importance.form") &&
				strstr(e.text, bad[i].word) && strstr(e.text, "x.gguf"));
		if (!strstr(e.text, bad[i].word))
			fprintf(stderr, "%s: %s\n", bad[i].name, e.text);
		imatrix_close(&m);
	}
}

/* Sums and counts that are finite, of which the mean is not: the encoders take no such weight. */
static void no_mean(void)
{
	const struct variant few = { .count = 1e-39f };
	const struct imatrix_tensor *t;
	struct err e = { 0 };
	struct imatrix m;
	float mean[4];
	double count;

	CHECK(!opened(&m, &few, &e));
	t = imatrix_find(&m, "m.weight");
	CHECK(t && imatrix_mean(&m, t, 1, mean, &count, &e) && e.rule &&
		!strcmp(e.rule, "importance.form") && strstr(e.text, "no mean"));
	imatrix_close(&m);
}

/* The writer's file is one that the reader takes, with its keys. */
static void written(void)
{
	static const float values[] = { 4, 8, 2, 0, 0, 0, 0, 0, 9, 18, 0, 0, 0, 0, 0, 0, 3 };
	struct path dir = dirs_new("written"), file = dirs_path("written/y.gguf");
	struct imatrix_head h = { .dataset = "a set", .chunks = 3, .chunk_size = 512 };
	const struct imatrix_tensor *t;
	struct gguf_out o = { 0 };
	struct text head = { 0 };
	struct err e = { 0 };
	struct imatrix m;
	float mean[2];
	double count;
	int fd = open(dir.s, O_RDONLY | O_DIRECTORY);

	imatrix_begin(&o, &h);
	CHECK(imatrix_put(&o, "b.weight", 2, 1));
	CHECK(imatrix_put(&o, "a.weight", 2, 1));
	CHECK(!imatrix_put(&o,
		"a.name.that.is.so.long.that.no.tensor.of.a.gguf.can.be.called.so.weight", 2, 1));
	gguf_write_head(&o, &head);
	text_put(&head, values, sizeof(float) * 2);
	while (head.n % 32)
		text_put(&head, "", 1);
	text_put(&head, values + 2, sizeof(float) * 6);
	while (head.n % 32)
		text_put(&head, "", 1);
	text_put(&head, values + 8, sizeof(float) * 8);
	while (head.n % 32)
		text_put(&head, "", 1);
	text_put(&head, values + 16, sizeof(float));
	while (head.n % 32)
		text_put(&head, "", 1);
	CHECK(!file_put(io_posix(), fd, "y.gguf", head.s, head.n, &e));
	close(fd);
	CHECK(!imatrix_open(&m, io_posix(), file.s, &e));
	CHECK(m.n == 2 && m.chunks == 3 && m.chunk_size == 512 && !strcmp(m.datasets, "a set"));
	t = imatrix_find(&m, "b.weight");
	CHECK(t && !imatrix_mean(&m, t, 0, mean, &count, &e) && count == 2 && mean[0] == 2 &&
		mean[1] == 4);
	t = imatrix_find(&m, "a.weight");
	CHECK(t && !imatrix_mean(&m, t, 0, mean, &count, &e) && count == 3 && mean[0] == 3 &&
		mean[1] == 6);
	imatrix_close(&m);
	gguf_out_free(&o);
	text_free(&head);
}

static const struct test tests[] = {
	{ "taken", taken },
	{ "refused", refused },
	{ "no_mean", no_mean },
	{ "written", written },
	{ NULL, NULL },
};
TEST_MAIN(tests)
