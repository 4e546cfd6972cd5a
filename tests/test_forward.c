/* test_forward.c -- the forward pass held against the golden activations, against itself on other devices,
 * and against bad records.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "core/hash/xxh.h"
#include "core/rule.h"
#include "kernels/forward/rope.h"
#include "tests/emulated.h"
#include "tests/dirs.h"
#include "tests/model.h"
#include "verify/run/compute.h"
#include "verify/run/heads.h"

#include <math.h>

#define FLASH "tests/golden/tiny-flash"
#define PRO "tests/golden/tiny-pro"
#define EXPECTED ".expected.safetensors"

struct pass {
	struct dev d;
	struct weights w;
};

static bool open_pass(struct pass *p, const char *dir, unsigned features, unsigned threads)
{
	struct err e = { 0 };

	if (!dev_open_cpu(&p->d, features, threads, &e)) {
		if (!weights_open(&p->w, io_posix(), dir, &p->d, features, &e))
			return true;
		p->d.close(&p->d);
	}
	FAILED(e.text);
	return false;
}

static void close_pass(struct pass *p)
{
	weights_close(&p->w);
	p->d.close(&p->d);
}

/* --- golden --- */

static void replay_golden(const char *dir, const char *record)
{
	struct replay_opts o = {
		.max_rel = -1, .features = cpu_features(), .threads = 2, .at_once = 1 << 20
	};
	struct replay_result res;
	struct err e = { 0 };
	struct report rep;
	struct record r;
	struct pass p;

	if (!open_pass(&p, dir, cpu_features(), 2))
		return;
	report_begin(&rep, "test", "replay", dir, record);
	if (!record_open(&r, io_posix(), record, (uint32_t)p.w.c.config.L, FORWARD_TOKENS_MAX,
		    &e)) {
		CHECK_IN(dir, !replay_run(&p.w, &r, &o, &rep, &res, &e));
		CHECK_IN(dir, !rep.errors && !r.ours);
		CHECK_IN(dir, res.worst_rel <= 3e-3 && res.worst_rel > 0);
		CHECK_IN(dir, rep.warnings == 0 && res.least_equal >= 0.99);
		CHECK_IN(dir, res.routed && !res.reroute);
		CHECK_IN(dir,
			measure_rel(&res.free_run) > res.floor_rel &&
				measure_rel(&res.free_run) < 2 * res.floor_rel &&
				res.logits.kl < 4 * res.floor_kl * (double)res.logits.rows);
		CHECK_IN(dir, !p.w.held);
		record_close(&r);
	}
	CHECK_IN(e.text, e.kind == ERR_NONE);
	report_free(&rep);
	close_pass(&p);
}

static void golden_flash(void)
{
	replay_golden(FLASH, FLASH EXPECTED);
}

static void golden_pro(void)
{
	replay_golden(PRO, PRO EXPECTED);
}

/* --- the same bits whatever computes --- */

enum { TOKENS = 19 };

static struct xxh_digest digest_of(struct dev *d, const char *dir, uint32_t n, uint64_t pos,
	uint32_t block)
{
	uint32_t ids[512], i, layer;
	struct xxh_digest x = { 0 };
	struct err e = { 0 };
	struct forward f;
	struct weights w;
	float *logits;

	if (weights_open(&w, io_posix(), dir, d, cpu_features(), &e)) {
		FAILED(e.text);
		return x;
	}
	for (i = 0; i < n; i++)
		ids[i] = (i * 37 + 5) % (uint32_t)w.c.config.V;
	logits = malloc(4 * n * (size_t)w.c.config.V);
	if (logits && !forward_open(&f, d, &w, ids, n, pos, block, &e)) {
		forward_embed(&f, &e);
		for (layer = 0; layer < w.c.config.L; layer++)
			forward_layer(&f, layer, &e);
		forward_logits(&f, -1, 0, n, logits, &e);
		x = xxh_of(logits, 4 * n * (size_t)w.c.config.V);
		forward_close(&f);
	}
	CHECK_IN(e.text, e.kind == ERR_NONE);
	free(logits);
	weights_close(&w);
	return x;
}

static bool same(struct xxh_digest a, struct xxh_digest b)
{
	return !memcmp(&a, &b, sizeof a);
}

static void same_bits_everywhere(void)
{
	static const unsigned all[] = { 0, CPU_AVX2 | CPU_FMA, CPU_AVX2 | CPU_FMA | CPU_AVX512 };
	unsigned i, threads, have = features_or_emulated();
	struct xxh_digest plain, x;
	struct err e = { 0 };
	struct dev d;

	CHECK(!dev_open_ref(&d, &e));
	plain = digest_of(&d, FLASH, TOKENS, 0, 0);
	d.close(&d);
	for (i = 0; i < 3; i++)
		for (threads = 1; threads <= 3; threads += 2) {
			if ((all[i] & have) != all[i] || (!all[i] && threads == 1))
				continue;
			CHECK(!dev_open_cpu(&d, all[i], threads, &e));
			x = digest_of(&d, FLASH, TOKENS, 0, 0);
			CHECK_IN(d.name, same(x, plain));
			d.close(&d);
		}
}

/* --- FP32 arithmetic --- */

/* Distance of the logits in FP32 arithmetic from the golden ones, which round. */
static void fp32_of(const char *dir, const char *record, double rel, double top1)
{
	static const struct {
		unsigned features, threads;
	} ways[] = { { 0, 1 }, { ~0u, 1 }, { ~0u, 3 } };
	struct heads h = { .at_once = 1 << 20 };
	struct xxh_digest first = { { 0 } }, x;
	struct err e = { 0 };
	struct forward f;
	struct record r;
	struct pass p;
	uint32_t layer;
	unsigned i;

	for (i = 0; i < 3; i++) {
		struct measure m = { 0 };
		struct opinion o = { 0 };

		if (!open_pass(&p, dir, ways[i].features & cpu_features(), ways[i].threads))
			return;
		dev_cpu_fp32(&p.d);
		CHECK(!record_open(&r, io_posix(), record, (uint32_t)p.w.c.config.L, 4096, &e));
		CHECK(!forward_open(&f, &p.d, &p.w, r.ids, r.n, 0, 0, &e));
		CHECK(!forward_embed(&f, &e));
		for (layer = 0; layer < p.w.c.config.L; layer++)
			CHECK(!forward_layer(&f, layer, &e));
		h.is = &f;
		h.rec = &r;
		h.count = r.n;
		CHECK(!heads_compare(&h, &m, &o, &e));
		CHECK_IN(dir, fabs(measure_rel(&m) - rel) < 0.001);
		CHECK_IN(dir, fabs((double)o.top1 / (double)o.rows - top1) < 0.004);
		x = xxh_of(f.x, 16 * (size_t)r.n * p.w.c.config.D);
		first = i ? first : x;
		CHECK_IN(p.d.name, !memcmp(&x, &first, sizeof x));
		forward_close(&f);
		record_close(&r);
		close_pass(&p);
	}
	CHECK_IN(e.text, e.kind == ERR_NONE);
}

/* The distances are those that two other engines have from the same records, which compute in FP32: llama.cpp
 * (GGUF, all in F32) and MLX, which were run once; their figures stand in docs/numbers.md. */
static void fp32_as_engines(void)
{
	fp32_of(FLASH, FLASH EXPECTED, 0.117, 0.831);
	fp32_of(PRO, PRO EXPECTED, 0.194, 0.785);
}

/* Also with blocks that cut windows of the compressor. */
static void same_bits_in_blocks(void)
{
	struct xxh_digest whole, x;
	struct err e = { 0 };
	struct dev d;

	CHECK(!dev_open_cpu(&d, cpu_features(), 1, &e));
	whole = digest_of(&d, PRO, 150, 0, 0);
	x = digest_of(&d, PRO, 150, 0, 7);
	CHECK(same(whole, x));
	x = digest_of(&d, PRO, 150, 1000000, 0);
	CHECK(!same(whole, x)); /* positions matter ... */
	CHECK(same(x, digest_of(&d, PRO, 150, 1000000, 64)));
	d.close(&d);
}

/* --- rotation --- */

static void rope_frequencies(void)
{
	/* pairs 0, 1, 15, 16, 25, 31 of section E.5 */
	static const uint32_t at[] = { 0, 1, 15, 16, 25, 31 },
			      want[] = { 0x3f800000, 0x3f300a3a, 0x3b6e4237, 0x3b147ae1, 0x36b443d0,
				      0x35187c4d };
	float freq[32], c[32], s[32];
	struct err e = { 0 };
	struct pass p;
	unsigned i;

	if (!open_pass(&p, FLASH, 0, 1))
		return;
	rope_freqs(&p.w.p, true, freq);
	for (i = 0; i < 6; i++)
		CHECK(!memcmp(&freq[at[i]], &want[i], 4));
	rope_freqs(&p.w.p, false, freq);
	CHECK(freq[0] == 1.0f && freq[1] == 0.749894202f && freq[31] == 1.33352155e-4f);
	rope_tables(&p.w.p, false, ROPE_POS_MAX - 1, 1, 1, c, s);
	for (i = 0; i < 32; i++)
		CHECK(fabs((double)c[i] * c[i] + (double)s[i] * s[i] - 1) < 1e-6);
	CHECK(c[0] == (float)cos(1048575.0) && s[0] == (float)sin(1048575.0));
	CHECK(e.kind == ERR_NONE);
	close_pass(&p);
}

/* --- bad input --- */

static bool open_fails(const uint32_t *ids, uint32_t n, uint64_t pos, const char *word)
{
	struct err e = { 0 };
	struct forward f;
	struct pass p;
	bool ok = false;

	if (!open_pass(&p, FLASH, 0, 1))
		return false;
	if (!forward_open(&f, &p.d, &p.w, ids, n, pos, 0, &e))
		forward_close(&f);
	else
		ok = err_exit_code(&e) == 2 && strstr(e.text, word);
	close_pass(&p);
	return ok;
}

static void bad_tokens(void)
{
	uint32_t ids[2] = { 3, 256 };

	CHECK(open_fails(ids, 0, 0, "0 tokens"));
	CHECK(open_fails(ids, 2, 0, "token 1 is 256"));
	CHECK(open_fails(ids, FORWARD_TOKENS_MAX + 1, 0, "are taken"));
	CHECK(open_fails(ids, 1, ROPE_POS_MAX, "position"));
}

/* A copy of the golden record in which the first byte of a text is replaced. */
static struct path changed(const char *name, const char *text, const char *by)
{
	struct path to = dirs_path(name);
	uint8_t *p, *at;
	size_t n;

	p = file_get_all(FLASH EXPECTED, &n);
	at = p ? memmem(p, n, text, strlen(text)) : NULL;
	CHECK_IN(text, at);
	if (at)
		memcpy(at, by, strlen(by));
	file_put_all(to.s, p, n);
	free(p);
	return to;
}

static bool replay_says(const char *dir, const char *record, const char *rule, int status)
{
	struct compute_opts o = { .io = io_posix(), .features = cpu_features(), .threads = 2 };
	struct err e = { 0 };
	struct report rep;
	const char *first = NULL;
	size_t i;
	int rc;

	report_begin(&rep, "test", "replay", dir, record);
	rc = compute_replay(&rep, dir, record, &o, &e);
	for (i = 0; i < rep.n && !first; i++)
		if (rep.findings[i].rule && !strcmp(rep.findings[i].rule, rule))
			first = rule;
	if (rc)
		first = e.rule;
	else
		report_finish(&rep, &e);
	if (!first || strcmp(first, rule) || err_exit_code(&e) != status)
		fprintf(stderr, "expected %s, got %s: %s\n", rule, first ? first : "none", e.text);
	report_free(&rep);
	return first && !strcmp(first, rule) && err_exit_code(&e) == status;
}

static void bad_records(void)
{
	struct path junk = dirs_path("junk");

	CHECK(replay_says(PRO, FLASH EXPECTED, "record.form", 1)); /* of another model */
	CHECK(replay_says(FLASH, changed("a", "\"ids\"", "\"idx\"").s, "record.form", 1));
	CHECK(replay_says(FLASH, FLASH "/model-00001-of-00007.safetensors", "record.form", 1));
	file_put_all(junk.s, "no record", 9);
	CHECK(replay_says(FLASH, junk.s, "st.header-beyond", 1));
}

/* Bytes of tensor t of the golden record changed: the right sub-block is blamed. */
static struct path spoiled(const char *name, const char *tensor, uint64_t at, uint64_t n,
	uint8_t by)
{
	struct path to = dirs_path(name);
	const struct tensor *t;
	struct err e = { 0 };
	struct record r;
	uint8_t *p;
	size_t size;

	p = file_get_all(FLASH EXPECTED, &size);
	if (p && !record_open(&r, io_posix(), FLASH EXPECTED, 4, 4096, &e)) {
		t = record_find(&r, tensor);
		CHECK_IN(tensor, t);
		if (t)
			memset(p + r.h.data_at + t->begin + at, by, n);
		record_close(&r);
	}
	file_put_all(to.s, p, size);
	free(p);
	return to;
}

static void records_that_differ(void)
{
	CHECK(replay_says(FLASH, spoiled("d1", "layers.2.ffn.out", 512, 512, 0x41).s,
		"replay.differs", 1));
	CHECK(replay_says(FLASH, spoiled("d2", "layers.1.gate.experts", 24, 1, 7).s,
		"replay.routing", 1));
	CHECK(replay_says(FLASH, spoiled("d6", "layers.2.gate.weights", 8, 4, 0x40).s,
		"replay.differs", 1));
	CHECK(replay_says(FLASH, spoiled("d7", "mtp.0.logits_last", 0, 64, 0x41).s,
		"replay.differs", 1));
	CHECK(replay_says(FLASH, spoiled("d3", "logits", 0, 256 * 4 * 60, 0x41).s, "replay.logits",
		1));
	CHECK(replay_says(FLASH, spoiled("d4", "ids", 0, 8, 0xff).s, "record.form", 1));
	CHECK(replay_says(FLASH, spoiled("d5", "ids", 1, 1, 0x10).s, "record.form", 1));
}

/* A record that leaves something out, or holds something that nothing is compared with, is no record. */
static void partial_records(void)
{
	static const struct {
		const char *text, *by;
	} renamed[] = {
		{ "\"layers.2.ffn.out\"", "\"layers.2.ffn.oat\"" },
		{ "\"layers.3.out\"", "\"layers.9.out\"" },
		{ "\"layers.0.in\"", "\"layers.0.im\"" },
		{ "\"logits\"", "\"logitz\"" },
		{ "\"layers.1.gate.weights\"", "\"layers.1.gate.weightz\"" },
		{ "\"layers.3.indexer.picked\"", "\"layers.3.indexer.picket\"" },
		{ "\"mtp.0.logits_last\"", "\"mtp.0.logits_lost\"" },
	};
	static const char vacuous[] =
		"{\"ids\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0,16]},\"layers.0.out\":{"
		"\"dtype\":\"BF16\",\"shape\":[2,4,256],\"data_offsets\":[16,4112]}}";
	struct path rec = dirs_path("vacuous");
	uint8_t *b = calloc(1, 8 + sizeof vacuous - 1 + 4112);
	uint64_t n = sizeof vacuous - 1;
	unsigned i;

	for (i = 0; i < sizeof renamed / sizeof *renamed; i++)
		CHECK_IN(renamed[i].text,
			replay_says(FLASH, changed("p", renamed[i].text, renamed[i].by).s,
				"record.form", 1));
	memcpy(b, &n, 8);
	memcpy(b + 8, vacuous, n);
	file_put_all(rec.s, b, 8 + n + 4112);
	CHECK(replay_says(FLASH, rec.s, "record.form", 1));
	free(b);
}

/* Replays record on dir with sums in that order (-1: as usual); errors found, and what was measured. */
static uint64_t replay_in_order(const char *dir, const char *record, int order,
	struct replay_result *res)
{
	struct replay_opts o = {
		.max_rel = -1, .features = cpu_features(), .threads = 2, .at_once = 1 << 20
	};
	bool record_has_layers = false;
	uint64_t errors = UINT64_MAX;
	struct err e = { 0 };
	struct report rep;
	struct record r;
	struct pass p;

	if (!open_pass(&p, dir, cpu_features(), 2))
		return errors;
	if (order >= 0)
		dev_cpu_order(&p.d, (enum dev_order)order);
	report_begin(&rep, "test", "replay", dir, record);
	if (!record_open(&r, io_posix(), record, (uint32_t)p.w.c.config.L, 4096, &e)) {
		record_has_layers = record_find(&r, "layers.0.out");
		r.ours = false; /* as one that another program made */
		if (!replay_run(&p.w, &r, &o, &rep, res, &e))
			errors = rep.errors;
		record_close(&r);
	}
	CHECK_IN(e.text, e.kind == ERR_NONE);
	CHECK_IN(record,
		(rep.warnings && !strcmp(rep.findings[0].rule, "replay.coarse")) ==
			!record_has_layers);
	report_free(&rep);
	close_pass(&p);
	return errors;
}

/* Sound models of other seeds, whose records were made in another order of sums, are true; another model's
 * logits are not. */
static void noise_floor(void)
{
	static const char *const configs[] = { FLASH, PRO };
	struct compute_opts o = {
		.io = io_posix(), .features = cpu_features(), .threads = 2, .max_rel = NULL
	};
	struct path dir, rec, first = { "" };
	struct replay_result res;
	char args[1024], name[32], tokens[2048] = "";
	struct err e = { 0 };
	struct report rep;
	unsigned seed, i;
	int order;

	for (i = 0; i < 144; i++)
		snprintf(tokens + strlen(tokens), 8, "%s%u", i ? "," : "", i * 37 % 250);
	o.tokens = tokens;
	for (seed = 1; seed <= 6; seed++) {
		snprintf(name, sizeof name, "seed%u", seed);
		dir = dirs_path(name);
		snprintf(name, sizeof name, "seed%u.rec", seed);
		rec = dirs_path(name);
		snprintf(args, sizeof args, "%s --config %s/config.json --seed %u", dir.s,
			configs[seed % 2], seed);
		CHECK(!model_tool("mkmodel", args));
		o.what = seed < 5 ? "all" : "logits";
		report_begin(&rep, "test", "record", dir.s, NULL);
		CHECK_IN(e.text, !compute_record(&rep, dir.s, rec.s, &o, &e));
		report_free(&rep);
		for (order = DEV_ORDER_WIDE; order <= DEV_ORDER_WIDE_NORMS; order++)
			CHECK_IN(dir.s, replay_in_order(dir.s, rec.s, order, &res) == 0);
		if (seed == 4)
			first = dir;
		if (seed == 6)
			CHECK(replay_in_order(first.s, rec.s, -1, &res) == 1);
	}
}

static void limits(void)
{
	struct compute_opts o = {
		.io = io_posix(), .features = cpu_features(), .threads = 2, .max_rel = "1e-6"
	};
	struct err e = { 0 };
	const char *at;
	struct report rep;

	report_begin(&rep, "test", "replay", FLASH, NULL);
	CHECK(!compute_replay(&rep, FLASH, FLASH EXPECTED, &o, &e) && rep.errors);
	report_free(&rep);
	o.max_rel = "0"; /* not the default: nothing but the same bits will do */
	report_begin(&rep, "test", "replay", FLASH, NULL);
	CHECK(!compute_replay(&rep, FLASH, FLASH EXPECTED, &o, &e) && rep.errors);
	report_free(&rep);
	o.max_rel = "little";
	report_begin(&rep, "test", "replay", FLASH, NULL);
	CHECK(compute_replay(&rep, FLASH, FLASH EXPECTED, &o, &e) && err_exit_code(&e) == 2);
	report_free(&rep);
	e = (struct err){ 0 };
	o.max_rel = NULL;
	o.max_memory = 1 << 20;
	report_begin(&rep, "test", "replay", FLASH, NULL);
	CHECK(compute_replay(&rep, FLASH, FLASH EXPECTED, &o, &e) && err_exit_code(&e) == 2 &&
		strstr(e.text, "--max-memory"));
	report_free(&rep);
	at = strstr(e.text, "at least "); /* what it asks for is enough, and a tenth less is not */
	CHECK(at && (o.max_memory = strtoull(at + 9, NULL, 10)) > 1 << 20);
	o.max_memory -= o.max_memory / 10;
	report_begin(&rep, "test", "replay", FLASH, NULL);
	CHECK(compute_replay(&rep, FLASH, FLASH EXPECTED, &o, NULL));
	report_free(&rep);
	o.max_memory += o.max_memory / 9 + 1;
	e = (struct err){ 0 };
	report_begin(&rep, "test", "replay", FLASH, NULL);
	CHECK_IN(e.text, !compute_replay(&rep, FLASH, FLASH EXPECTED, &o, &e) && !rep.errors);
	report_free(&rep);
}

static struct path with_config(const char *name, const char *text, const char *by)
{
	struct path dir = model_copy(FLASH, name);
	char *p, *at;
	size_t n;

	p = (char *)file_get_all(FLASH "/config.json", &n);
	at = p ? memmem(p, n, text, strlen(text)) : NULL;
	CHECK_IN(text, at && strlen(text) == strlen(by));
	if (at)
		memcpy(at, by, strlen(by));
	model_put(dir.s, "config.json", p, n);
	free(p);
	return dir;
}

static void bad_configs(void)
{
	CHECK(replay_says(with_config("c1", "sqrtsoftplus", "softmaxxxxxx").s, FLASH EXPECTED,
		"config.forward", 1));
	CHECK(replay_says(with_config("c2", "\"swiglu_limit\": 1.0", "\"swiglu_limix\": 1.0").s,
		FLASH EXPECTED, "config.forward", 1));
	CHECK(replay_says(with_config("c3", "\"sliding_window\": 128", "\"sliding_window\": 64 ").s,
		FLASH EXPECTED, "config.forward", 1));
	CHECK(replay_says(with_config("c4", "\"yarn\"", "\"yarm\"").s, FLASH EXPECTED,
		"config.forward", 1));
}

static const struct test tests[] = {
	{ "golden_flash", golden_flash },
	{ "golden_pro", golden_pro },
	{ "same_bits_everywhere", same_bits_everywhere },
	{ "fp32_as_engines", fp32_as_engines },
	{ "same_bits_in_blocks", same_bits_in_blocks },
	{ "rope_frequencies", rope_frequencies },
	{ "bad_tokens", bad_tokens },
	{ "bad_records", bad_records },
	{ "records_that_differ", records_that_differ },
	{ "partial_records", partial_records },
	{ "noise_floor", noise_floor },
	{ "limits", limits },
	{ "bad_configs", bad_configs },
	{ NULL, NULL },
};
TEST_MAIN(tests)
