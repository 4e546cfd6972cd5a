/* test_doctor.c -- dsv4-verify doctor beyond the cases of test_cases.c: copies of config.json that are mended,
 * thresholds from both sides, hostile input, and what a scan counts against the plain way to count it.
 *
 * SPDX-License-Identifier: MIT */
#include "quant/num.h"
#include "tests/ck.h"
#include "tests/verify.h"
#include "formats/json/jmember.h"
#include "verify/doctor/implied.h"
#include "verify/doctor/order.h"
#include "verify/doctor/scan.h"

#include <math.h>
#include <time.h>

/* --- config.json mended --- */

static const struct mend {
	const char *key, *value; /* NULL: taken out */
} mends[] = {
	{ "expert_dtype", NULL },
	{ "expert_dtype", "\"fp8\"" },
	{ "compress_ratios", NULL },
	{ "compress_ratios", "[0, 4, 128, 4]" },
	{ "compress_ratios", "[0, 128, 4, 4, 0]" },
	{ "compress_ratios", "\"none\"" },
	{ "num_nextn_predict_layers", "0" },
	{ "num_nextn_predict_layers", "3" },
	{ "num_hash_layers", "1" },
	{ "num_hash_layers", NULL },
	{ "vocab_size", "129280" },
	{ "hidden_size", "4096" },
	{ "hc_mult", "2" },
	{ "num_attention_heads", "64" },
	{ "head_dim", "512" },
	{ "q_lora_rank", "-1" },
	{ "n_routed_experts", "256" },
	{ "moe_intermediate_size", "2048" },
	{ "num_experts_per_tok", "6" },
	{ "index_n_heads", "64" },
	{ "index_head_dim", "true" },
	{ "quantization_config", NULL },
	{ "quantization_config", "{\"quant_method\": \"modelopt\"}" },
};

/* The config says something wrong, doctor writes a copy, with the copy nothing is found; no other file of the
 * folder was touched. */
static void mended(void)
{
	struct path dir, fixed = dirs_path("fixed.json");
	char before[65], after[65];
	struct report r;
	size_t i, n;
	struct ck *c;
	uint8_t *p;

	for (i = 0; i < sizeof mends / sizeof *mends; i++) {
		c = ck_load(FLASH);
		ck_config(c, mends[i].key, mends[i].value);
		dir = ck_write(c, "mend");
		ck_free(c);
		unlink(fixed.s);
		digest_file(model_file(dir.s, "config.json").s, before);
		CHECK_IN(mends[i].key, ck_doctor(&r, dir.s, NULL, fixed.s, false) == 1);
		CHECK_IN(mends[i].key, r.n >= 1 && r.errors < 20);
		report_free(&r);
		digest_file(model_file(dir.s, "config.json").s, after);
		CHECK_IN(mends[i].key, !strcmp(before, after));
		CHECK_IN(mends[i].key, model_entries(dir.s) == model_entries(FLASH));
		p = file_get_all(fixed.s, &n);
		CHECK_IN(mends[i].key, p);
		model_put(dir.s, "config.json", p, n);
		free(p);
		if (ck_doctor(&r, dir.s, NULL, NULL, false) || r.n) {
			verify_print(&r);
			FAILED(mends[i].key);
		}
		report_free(&r);
	}
	/* never where nothing is wrong */
	unlink(fixed.s);
	CHECK(ck_doctor(&r, dir.s, NULL, fixed.s, false) == 0);
	report_free(&r);
	c = ck_load(FLASH);
	ck_config(c, "num_hash_layers", "1");
	dir = ck_write(c, "mend");
	ck_free(c);
	CHECK(ck_doctor(&r, dir.s, NULL, fixed.s, false) == 1);
	report_free(&r);
	CHECK(ck_doctor(&r, dir.s, NULL, fixed.s, false) == 2); /* what is there is not replaced */
	report_free(&r);
	CHECK(ck_doctor(&r, dir.s, NULL, model_file(dir.s, "").s, false) == 2);
	report_free(&r);
	unlink(fixed.s);
	CHECK(ck_doctor(&r, FLASH, NULL, fixed.s, false) == 0 && !is_file(fixed.s));
	report_free(&r);
}

static void edited(void)
{
	static const struct {
		const char *from, *key, *value, *to;
	} t[] = {
		{ "{}", "a", "1", "{\n  \"a\": 1}" },
		{ "{ \"b\": 2.5e-7 }", "a", "[1, 2]", "{\n  \"a\": [1, 2], \"b\": 2.5e-7 }" },
		{ "{\"a\" : -1e-6 , \"b\":{\"a\":3}}", "a", "7", "{\"a\" : 7 , \"b\":{\"a\":3}}" },
		{ "{\"b\":{\"a\":3}, \"a\":[[],{}]\n}\n", "a", "\"x\"",
			"{\"b\":{\"a\":3}, \"a\":\"x\"\n}\n" },
		/* taken out, with its comma */
		{ "{}", "a", NULL, "{}" },
		{ "{ \"a\": 1 }", "a", NULL, "{  }" },
		{ "{\n  \"a\": 1,\n  \"b\": 2\n}", "a", NULL, "{\n  \"b\": 2\n}" },
		{ "{\n  \"a\": 1,\n  \"b\": 2\n}", "b", NULL, "{\n  \"a\": 1\n}" },
		{ "{\"b\":{\"a\":3}}", "a", NULL, "{\"b\":{\"a\":3}}" },
	};
	struct text s = { 0 };
	struct err e = { 0 };
	size_t i;

	for (i = 0; i < sizeof t / sizeof *t; i++) {
		text_str(&s, t[i].from);
		CHECK_IN(t[i].from, !jmember_set(&s, t[i].key, t[i].value, &e));
		CHECK_IN(s.s, !strcmp(s.s, t[i].to));
		text_free(&s);
	}
	text_str(&s, "[1]");
	CHECK(jmember_set(&s, "a", "1", &e) == -1 && e.rule);
	text_free(&s);
}

/* --- thresholds, both sides --- */

static struct scan_mark mark_of(const struct scan_item *t, const uint8_t *p, size_t n)
{
	struct scan s = { .spread = true, .e_min = 1, .e_max = 254 };
	struct scan_mark m = { 0 };
	uint64_t hist[256] = { 0 };

	scan_look(&s, t, p, n, 0, hist, &m);
	return m;
}

static void zeros(void)
{
	static const struct {
		size_t n, from, run;
		bool seen;
	} t[] = {
		{ SCAN_PIECE, 0, SCAN_ZEROS, true },
		{ SCAN_PIECE, 0, SCAN_ZEROS - 1, false },
		{ SCAN_PIECE, 3001, SCAN_ZEROS, true },
		{ SCAN_PIECE, 3001, SCAN_ZEROS - 1, false },
		{ SCAN_PIECE, SCAN_PIECE - SCAN_ZEROS, SCAN_ZEROS, true },
		{ SCAN_ZEROS_SMALL, 0, SCAN_ZEROS_SMALL, true },
		{ SCAN_ZEROS_SMALL - 1, 0, SCAN_ZEROS_SMALL - 1, false },
		{ SCAN_ZEROS_SMALL + 1, 0, SCAN_ZEROS_SMALL, false },
	};
	const struct scan_item it = { .holds = SCAN_FP4 };
	uint8_t p[SCAN_PIECE];
	struct scan_mark m;
	size_t i;

	for (i = 0; i < sizeof t / sizeof *t; i++) {
		memset(p, 1, sizeof p);
		memset(p + t[i].from, 0, t[i].run);
		m = mark_of(&it, p, t[i].n);
		CHECK(t[i].seen ? m.zeros == t[i].from && m.end == t[i].from + t[i].run : !m.end);
	}
}

static void spread(void)
{
	const struct scan_item it = { .holds = SCAN_E8M0, .width = 8 };
	uint8_t p[256 * 8];
	struct scan_mark m;

	memset(p, 120, sizeof p);
	p[130 * 8 + 5] = 120 - 14;
	CHECK(!mark_of(&it, p, sizeof p).spread.n);
	p[130 * 8 + 5] = 120 - 15;
	m = mark_of(&it, p, sizeof p);
	CHECK(m.spread.n == 1 && m.spread.first == 128 * 8 + 4);
	p[0] = 120 - 15;
	CHECK(mark_of(&it, p, sizeof p).spread.n == 2);
}

/* Counts of random bytes are those of a loop over all of them. */
static void counted(void)
{
	struct scan_item it = { .holds = SCAN_E8M0 };
	struct scan s = { .e_min = 3, .e_max = 250 };
	struct scan_mark m;
	uint64_t hist[256], want[256], nan, range, first;
	uint8_t *p;
	size_t n, i;
	int round;

	for (round = 0; round < 200; round++) {
		n = 1 + rnd(5000);
		p = guarded(n);
		rnd_bytes(p, n);
		memset(&m, 0, sizeof m);
		memset(hist, 0, sizeof hist);
		memset(want, 0, sizeof want);
		it.holds = SCAN_E8M0;
		scan_look(&s, &it, p, n, 7, hist, &m);
		for (nan = range = 0, first = 0, i = 0; i < n; i++) {
			want[p[i]]++;
			if (p[i] == 255)
				first = nan++ ? first : 7 + i;
			range += p[i] != 255 && (p[i] < 3 || p[i] > 250);
		}
		CHECK(same_bytes("histogram", hist, want, sizeof want));
		CHECK(m.nan.n == nan && m.range.n == range && (!nan || m.nan.first == first));
		memset(&m, 0, sizeof m);
		it.holds = SCAN_FP8;
		scan_look(&s, &it, p, n, 0, hist, &m);
		for (nan = 0, i = 0; i < n; i++)
			if (num_e4m3_is_nan(p[i]))
				first = nan++ ? first : i;
		CHECK(m.nan.n == nan && (!nan || m.nan.first == first));
	}
}

/* Columns with sizes of their own are told apart; columns without are not; noise is not structure. */
static void orders(void)
{
	enum { D = 4096 };
	static double x[D], y[D];
	double r[ORDERS];
	unsigned i, p, o, round;

	for (round = 0; round < 50; round++) {
		for (o = 0; o < ORDERS; o++) {
			for (i = 0; i < D; i++)
				y[i] = 1 + (double)rnd(1000) / 2000;
			for (i = 0; i < D; i++) {
				p = i % 32;
				p = o == ORDER_RIGHT           ? p
					: o == ORDER_EXCHANGED ? p ^ 1
							       : p / 2 + (p & 1) * 16;
				x[i] = y[i - i % 32 + p] + (double)rnd(1000) / 2000;
			}
			CHECK(order_guess(x, y, D, r) == (enum order)o && r[o] > 0.5);
		}
		for (i = 0; i < D; i++)
			x[i] = 1 + (double)rnd(1000) / 2000;
		CHECK(order_guess(x, y, D, r) == ORDER_RIGHT);
		for (i = 0; i < D; i++) /* neighbours alike: no order fits much better */
			x[i] = y[i] = 1 + sin(i / 40.0) / 2;
		CHECK(order_guess(x, y, D, r) == ORDER_RIGHT);
	}
	memset(x, 0, sizeof x);
	CHECK(order_guess(x, y, D, r) == ORDER_RIGHT && order_guess(x, y, 0, r) == ORDER_RIGHT);
}

/* --- hostile --- */

static void hostile(void)
{
	static const struct {
		const char *open, *item, *close;
		size_t n;
	} t[] = {
		{ "{\"a\":", "[", "", 500000 },
		{ "{\"a\":", "{\"a\":", "", 150000 },
		{ "[", "[", "]", 1 },
		{ "{\"a\":\"", "x", "\"}", 1000000 },
		{ "{\"a\":\"", "x", "\"}", 2000000 },
		{ "{\"compress_ratios\":[0", ",0", "]}", 500000 },
		{ "{\"quantization_config\":{\"ignore\":[\"x\"", ",\"attn\"", "]}}", 100000 },
		{ "{\"num_hidden_layers\":9", "9", "}", 1000 },
		{ "{\"num_hidden_layers\":4000, \"vocab_size\":-9223372036854775808", " ", "}", 1 },
		{ "{\"num_hidden_layers\":1e999", " ", "}", 1 },
		{ "{\"a\":1", ",\"a\":1", "}", 2 },
		{ "", "", "", 0 },
		{ "\xff\xfe{", "\x01", "}", 3 },
	};
	struct path dir = model_copy(FLASH, "hostile"), out = dirs_path("hostile.json");
	struct timespec a, b;
	struct report r;
	struct text s;
	size_t i, k;
	int rc;

	for (i = 0; i < sizeof t / sizeof *t; i++) {
		memset(&s, 0, sizeof s);
		text_str(&s, t[i].open);
		for (k = 0; k < t[i].n; k++)
			text_str(&s, t[i].item);
		text_str(&s, t[i].close);
		model_put(dir.s, "config.json", s.s, s.n);
		text_free(&s);
		unlink(out.s);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
		rc = ck_doctor(&r, dir.s, "vllm", out.s, false);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
		CHECK_IN(t[i].open, rc == 1 || rc == 2);
		CHECK_IN(t[i].open, r.errors || rc == 2);
		CHECK_IN(t[i].open, SLOW || b.tv_sec - a.tv_sec < 5);
		CHECK_IN(t[i].open, !is_file(out.s));
		report_free(&r);
	}
}

static void calls(void)
{
	struct path dir = dirs_new("empty"), set = dirs_path("set");
	struct job_opts o = set_opts("frag-k32", 2, false);
	struct report r;
	char line[1200];

	CHECK(ck_doctor(&r, dir.s, NULL, NULL, false) == 1);
	report_free(&r);
	CHECK(ck_doctor(&r, "tests/none", NULL, NULL, false) == 2);
	report_free(&r);
	CHECK(ck_doctor(&r, FLASH, "no-such-engine", NULL, false) == 2);
	report_free(&r);
	CHECK(set_makes(FLASH, set.s, &o));
	CHECK(ck_doctor(&r, model_file(set.s, "rank-0-of-2").s, NULL, NULL, false) == 2);
	report_free(&r);
	dirs_remove(model_file(set.s, "rank-1-of-2").s);
	CHECK(ck_doctor(&r, set.s, NULL, NULL, false) == 1 &&
		verify_find(&r, "set.incomplete", NULL));
	report_free(&r);
	dirs_remove(set.s);
	snprintf(line, sizeof line, "run " FLASH " -o %s -t official --mp 2 -q", set.s);
	CHECK(model_tool("dsv4-convert", line) == 0);
	CHECK(!unlink(model_file(set.s, "model0-mp2.safetensors").s) &&
		!unlink(model_file(set.s, "model1-mp2.safetensors").s));
	CHECK(ck_doctor(&r, set.s, NULL, NULL, false) == 1 &&
		verify_find(&r, "rank.missing", NULL));
	report_free(&r);
	CHECK(model_tool("dsv4-verify", "doctor " FLASH " --for vllm --json") == 0);
	CHECK(model_tool("dsv4-verify", "doctor " FLASH " --for nobody") == 2);
	CHECK(model_tool("dsv4-verify", "doctor") == 2);
}

static const struct test tests[] = {
	{ "doctor_calls", calls },
	{ "doctor_mended", mended },
	{ "doctor_edited", edited },
	{ "doctor_zeros", zeros },
	{ "doctor_spread", spread },
	{ "doctor_counted", counted },
	{ "doctor_orders", orders },
	{ "doctor_hostile", hostile },
	{ NULL, NULL },
};
TEST_MAIN(tests)
