/* test_diff.c -- dsv4-verify diff: nothing where nothing differs, and what differs, by how much.
 *
 * SPDX-License-Identifier: MIT */
#include "quant/num.h"
#include "tests/verify.h"
#include "verify/compare/diff.h"

#include <math.h>

static int diff(struct report *r, const char *a, const char *b)
{
	struct diff_opts o = { .open = { .io = io_posix() }, .threads = 2 };
	struct err e = { 0 };

	report_begin(r, "test 0", "diff", a, b);
	if (!diff_run(r, a, b, &o, &e))
		report_finish(r, &e);
	return err_exit_code(&e);
}

static uint64_t count_of(const struct report *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->n_rows; i++)
		if (!strcmp(r->rows[i].name, name))
			return r->rows[i].count;
	return 0;
}

static bool same(const char *a, const char *b, uint64_t n, uint64_t by_digest)
{
	struct report r;
	int rc = diff(&r, a, b);
	bool ok = !rc && !r.n && count_of(&r, "the same") == n &&
		count_of(&r, "of these by digest, not read") == by_digest;

	if (!ok)
		verify_print(&r);
	report_free(&r);
	return ok;
}

static void nothing(void)
{
	struct path hf = dirs_path("hf"), big = dirs_path("one"), set = dirs_path("set");
	struct model_job j = model_job("hf", 1);
	struct job_opts o = set_opts("frag-k32", 2, false);

	CHECK(same(FLASH, FLASH, 427, 0));
	CHECK(convert(&j, FLASH, hf.s));
	CHECK(same(FLASH, hf.s, 427, 0));
	CHECK(same(hf.s, hf.s, 427, 427));
	j.plan.shard_size = 1 << 30; /* the same tensors in one shard */
	CHECK(convert(&j, FLASH, big.s));
	CHECK(same(hf.s, big.s, 427, 427));
	CHECK(set_makes(FLASH, set.s, &o));
	CHECK(same(set.s, set.s, 414, 414));
}

/* A tensor of a copy with some of its bytes changed. */
static void change(const char *dir, const char *shard, const char *tensor, uint64_t at,
	const void *p, size_t n)
{
	struct ckpt_opts co = { 0 };
	struct findings f = { 0 };
	const struct tensor *t;
	struct err e = { 0 };
	struct ckpt c;
	uint8_t *b;
	size_t size;

	CHECK(!ckpt_open(&c, io_posix(), dir, &co, &f, &e) && !f.n);
	t = ckpt_find(&c, tensor);
	CHECK_IN(tensor, t != NULL);
	b = file_get_all(model_file(dir, shard).s, &size);
	memcpy(b + c.shards[t->shard].data_at + t->begin + at, p, n);
	model_put(dir, shard, b, size);
	free(b);
	ckpt_close(&c);
	finding_free(&f);
}

static void bytes(void)
{
	struct path m = model_copy(FLASH, "m");
	const struct report_finding *f;
	const uint16_t one = 0x3f80, two = 0x4000; /* in BF16 */
	struct path k = model_copy(FLASH, "k");
	struct report r;

	change(m.s, "model-00006-of-00007.safetensors", "norm.weight", 6, &one, 2);
	change(k.s, "model-00006-of-00007.safetensors", "norm.weight", 6, &two, 2);
	CHECK(diff(&r, m.s, k.s) == 1 && r.n == 1);
	f = verify_find(&r, "diff.bytes", "model-00006-of-00007.safetensors");
	CHECK(f && f->at.n_tensors == 1 && !strcmp(f->at.tensors[0], "norm.weight"));
	CHECK(f &&
		strstr(f->cause,
			"1 values differ, by at most 1 (value 3 of 256), relative at "
			"most 0.5; NaN or infinite on one side 0"));
	CHECK(count_of(&r, "the same") == 426 && count_of(&r, "with other bytes") == 1);
	CHECK(count_of(&r, "norm.weight") == 1);
	report_free(&r);
	/* FP4: the high nibble of byte 130 is row 1, column 5 */
	{
		uint8_t a = 0x20, b = 0x70;

		change(m.s, "model-00002-of-00007.safetensors", "layers.0.ffn.experts.3.w1.weight",
			130, &a, 1);
		change(k.s, "model-00002-of-00007.safetensors", "layers.0.ffn.experts.3.w1.weight",
			130, &b, 1);
	}
	CHECK(diff(&r, m.s, k.s) == 1 && r.n == 2);
	f = verify_find(&r, "diff.bytes", "model-00002-of-00007.safetensors");
	CHECK(f &&
		strstr(f->cause,
			"1 values differ, by at most 5 (value 1,5), relative at most 0.83"));
	report_free(&r);
}

static void others(void)
{
	struct path fp8 = dirs_path("fp8"), part = dirs_path("part");
	struct model_job j = model_job("hf", 1);
	struct report r;

	j.plan.experts = CODEC_FP8;
	j.plan.scales = SCALES_E8M0; /* scales of the same type and another shape */
	CHECK(convert(&j, FLASH, fp8.s));
	CHECK(diff(&r, FLASH, fp8.s) == 1);
	CHECK(verify_find(&r, "diff.dtype", NULL) && verify_find(&r, "diff.shape", NULL));
	CHECK(!verify_find(&r, "diff.only", NULL) && !verify_find(&r, "diff.bytes", NULL));
	report_free(&r);
	j = model_job("hf", 1);
	j.plan.layers = "0";
	CHECK(convert(&j, FLASH, part.s));
	CHECK(diff(&r, part.s, FLASH) == 1);
	CHECK(verify_find(&r, "diff.only", NULL) && !verify_find(&r, "diff.bytes", NULL));
	CHECK(count_of(&r, "the same") == count_of(&r, "in the first"));
	report_free(&r);
	CHECK(diff(&r, PRO, FLASH) == 1 && verify_find(&r, "diff.bytes", NULL));
	report_free(&r);
	CHECK(diff(&r, PRO, "/nonexistent") == 2);
	report_free(&r);
}

/* Values of all types, against what quant says of them, or by hand. */
static void values(void)
{
	static const struct {
		unsigned dtype;
		uint64_t a, b;
		double abs, rel;
		uint64_t changed, odd;
	} rows[] = {
		{ DT_F8_E4M3, 0x38, 0x40, 1, 0.5, 1, 0 },
		{ DT_F8_E4M3, 0x38, 0x7f, 0, 0, 1, 1 },
		{ DT_F8_E8M0, 127, 130, 7, 0.875, 1, 0 },
		{ DT_BF16, 0x3f80, 0xbf80, 2, 2, 1, 0 },
		{ DT_F16, 0x3c00, 0x4000, 1, 0.5, 1, 0 },
		{ DT_F16, 0x0001, 0x8001, 0x1p-23, 2, 1, 0 },
		{ DT_F16, 0x3c00, 0x7c00, 0, 0, 1, 1 },
		{ DT_F32, 0x3f800000, 0x40400000, 2, 2.0 / 3, 1, 0 },
		{ DT_F64, 0x3ff0000000000000, 0x4000000000000000, 1, 0.5, 1, 0 },
		{ DT_I16, 0xffff, 1, 2, 2, 1, 0 },
		{ DT_U16, 0xffff, 1, 65534, 65534.0 / 65535, 1, 0 },
		{ DT_I32, 0xffffffff, 3, 4, 4.0 / 3, 1, 0 },
		{ DT_I64, UINT64_MAX, 0, 1, 1, 1, 0 },
		{ DT_F4, 0x21, 0x71, 5, 5.0 / 6, 1, 0 },
		{ DT_I8, 0x12, 0x17, 5, 5.0 / 6, 1, 0 },
		{ DT_U8, 0x12, 0x12, 0, 0, 0, 0 },
		{ DT_BOOL, 0, 1, 1, 1, 1, 0 },
	};
	struct diff_sum s;
	size_t i, n;

	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		memset(&s, 0, sizeof s);
		n = dtypes[rows[i].dtype].bits > 8 ? dtypes[rows[i].dtype].bits / 8 : 1;
		CHECK(diff_values(&s, rows[i].dtype, (const uint8_t *)&rows[i].a,
			(const uint8_t *)&rows[i].b, n, 0));
		CHECK_IN(dtypes[rows[i].dtype].name,
			s.changed == rows[i].changed && s.odd == rows[i].odd);
		CHECK_IN(dtypes[rows[i].dtype].name,
			fabs(s.max_abs - rows[i].abs) < 1e-12 &&
				fabs(s.max_rel - rows[i].rel) < 1e-6);
	}
	CHECK(!diff_values(&s, DT_F6_E2M3, (const uint8_t *)"abc", (const uint8_t *)"abd", 3, 0));
}

static void program(void)
{
	CHECK(model_tool("dsv4-verify", "diff " FLASH " " FLASH " -q") == 0);
	CHECK(model_tool("dsv4-verify", "diff " FLASH " " PRO " -q --json") == 1);
	CHECK(model_tool("dsv4-verify", "diff " FLASH) == 2);
}

static const struct test tests[] = {
	{ "diff: nothing", nothing },
	{ "diff: bytes", bytes },
	{ "diff: others", others },
	{ "diff: values", values },
	{ "diff: program", program },
	{ NULL, NULL },
};
TEST_MAIN(tests)
