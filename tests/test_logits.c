/* test_logits.c -- converted models computed beside their source: equal for every target, and the tensor named
 * where one bit was changed; records made and replayed.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/layout/engine.h"
#include "tests/faultio.h"
#include "tests/set.h"
#include "verify/run/compute.h"
#include "verify/run/logits.h"

#define IDS "5,17,99,3,200,41,41,8,250,77,123,64"

struct verdict {
	int rc; /* exit status */
	char rule[64], text[640];
	bool equal; /* a row says bit-equal */
};

static struct verdict verdict_of(struct report *rep, int rc, struct err *e)
{
	struct verdict v = { 0 };
	size_t i;

	for (i = 0; i < rep->n_rows; i++)
		v.equal =
			v.equal || (rep->rows[i].text && !strncmp(rep->rows[i].text, "bit-eq", 6));
	if (rep->n) {
		snprintf(v.rule, sizeof v.rule, "%s", rep->findings[0].rule);
		snprintf(v.text, sizeof v.text, "%s", rep->findings[0].cause);
	}
	if (rc) {
		snprintf(v.rule, sizeof v.rule, "%s", e->rule ? e->rule : "");
		snprintf(v.text, sizeof v.text, "%s", e->text);
	} else {
		report_finish(rep, e);
	}
	v.rc = err_exit_code(e);
	report_free(rep);
	return v;
}

static struct compute_opts opts(const char *ids)
{
	return (struct compute_opts){
		.io = io_posix(), .features = cpu_features(), .threads = 2, .tokens = ids
	};
}

static struct verdict compare_kl(const char *source, const char *made, const char *ids,
	const char *kl)
{
	struct compute_opts o = opts(ids);
	struct err e = { 0 };
	struct report rep;
	int rc;

	o.max_kl = kl;
	report_begin(&rep, "test", "logits", source, made);
	rc = compute_logits(&rep, source, made, &o, &e);
	return verdict_of(&rep, rc, &e);
}

static struct verdict compare(const char *source, const char *made)
{
	return compare_kl(source, made, IDS, NULL);
}

static struct verdict record(const char *dir, const char *out, const char *ids, const char *what)
{
	struct compute_opts o = opts(ids);
	struct err e = { 0 };
	struct report rep;
	int rc;

	o.what = what;
	report_begin(&rep, "test", "record", dir, NULL);
	rc = compute_record(&rep, dir, out, &o, &e);
	return verdict_of(&rep, rc, &e);
}

static struct verdict replay(const char *dir, const char *rec)
{
	struct compute_opts o = opts(NULL);
	struct err e = { 0 };
	struct report rep;
	int rc;

	report_begin(&rep, "test", "replay", dir, rec);
	rc = compute_replay(&rep, dir, rec, &o, &e);
	return verdict_of(&rep, rc, &e);
}

static bool says(struct verdict v, int rc, const char *rule, const char *word)
{
	if (v.rc == rc && !strcmp(v.rule, rule) && strstr(v.text, word))
		return true;
	fprintf(stderr, "expected %d %s (%s), got %d %s: %s\n", rc, rule, word, v.rc, v.rule,
		v.text);
	return false;
}

static bool is_equal(struct verdict v)
{
	return (v.rc == 0 && v.equal) || says(v, 0, "", "");
}

/* --- equal --- */

static void every_engine(void)
{
	char name[64];
	unsigned i;

	for (i = 0; i < n_engines; i++) {
		struct job_opts o = set_opts(engines[i].name, 1, false);
		struct path out = dirs_path(engines[i].name);

		CHECK_IN(engines[i].name, set_makes(FLASH, out.s, &o));
		CHECK_IN(engines[i].name, is_equal(compare(FLASH, out.s)));
	}
	for (i = 0; i < n_engines; i++) { /* cut: those that take so narrow a part */
		struct job_opts o = set_opts(engines[i].name, 2, true);
		struct path out;
		struct err e;

		snprintf(name, sizeof name, "%s-tp", engines[i].name);
		out = dirs_path(name);
		if (set_execute(FLASH, out.s, &o, &e))
			continue;
		CHECK_IN(name, is_equal(compare(FLASH, out.s)));
	}
}

static void whole_folders(void)
{
	struct model_job j = model_job("official", 2);
	struct path a = dirs_path("o2"), b = dirs_path("hf"), c = dirs_path("o8"),
		    d = dirs_path("h8");

	CHECK(convert(&j, FLASH, a.s) && is_equal(compare(FLASH, a.s)));
	j = model_job("hf", 1);
	CHECK(convert(&j, PRO, b.s) && is_equal(compare(PRO, b.s)));
	j = model_job("official", 2);
	j.plan.experts = CODEC_FP8;
	CHECK(convert(&j, FLASH, c.s) && is_equal(compare(FLASH, c.s)));
	j = model_job("hf", 1);
	j.plan.experts = CODEC_FP8;
	CHECK(convert(&j, FLASH, d.s) && is_equal(compare(FLASH, d.s)));
	CHECK(is_equal(compare(d.s, d.s))); /* FP8 experts as a source, as -Base has them */
}

/* -Base: FP8 experts, scales in FP32. */
static void base(void)
{
	struct path dir = dirs_path("base"), out = dirs_path("base-mp2"),
		    rec = dirs_path("base.rec");
	struct model_job j = model_job("official", 2);
	char args[800];

	snprintf(args, sizeof args,
		"%s --config " FLASH "/config.json --set 'expert_dtype=\"fp8\"'", dir.s);
	CHECK(!model_tool("mkmodel", args));
	CHECK(convert(&j, dir.s, out.s) && is_equal(compare(dir.s, out.s)));
	CHECK(record(dir.s, rec.s, IDS, "all").rc == 0 && is_equal(replay(dir.s, rec.s)));
}

/* --- not equal --- */

/* An expert of layer 0 that the tokens choose. */
static uint32_t used_expert(struct weights *w)
{
	uint32_t ids[] = { 5, 17, 99 };
	struct err e = { 0 };
	struct forward f;
	uint32_t x = 0;

	if (!forward_open(&f, w->dev, w, ids, 3, 0, 0, &e)) {
		if (forward_embed(&f, &e) || forward_layer(&f, 0, &e))
			FAILED(e.text);
		x = (uint32_t)f.expert[0];
		forward_close(&f);
	}
	return x;
}

/* Flips a bit of a code of that expert's matrix in the file where it lies; path is of a set or a checkpoint. */
static uint32_t flip(const char *path, const char *matrix, uint64_t at)
{
	const struct tensor *t;
	struct err e = { 0 };
	struct weights w;
	struct dev d;
	char name[96], file[1024] = "";
	uint32_t x = 0;
	uint8_t *p;
	size_t n;

	if (dev_open_cpu(&d, cpu_features(), 1, &e) ||
		weights_open(&w, io_posix(), path, &d, cpu_features(), &e)) {
		FAILED(e.text);
		return 0;
	}
	x = used_expert(&w);
	snprintf(name, sizeof name, "layers.0.ffn.experts.%u.%s", x, matrix);
	t = ckpt_find(&w.c, name);
	CHECK_IN(name, t);
	if (t && w.is_set) {
		const struct piece *pc = &w.j.pieces[w.j.first[t - w.c.tensors]];

		snprintf(file, sizeof file, "%s/%s", path, w.j.files[pc->file].name);
		at += pc->at;
	} else if (t) {
		const struct shard *s = &w.c.shards[t->shard];

		snprintf(file, sizeof file, "%s/%s", path, s->name);
		at += s->data_at + t->begin;
	}
	weights_close(&w);
	d.close(&d);
	p = file_get_all(file, &n);
	CHECK_IN(file, p && at < n);
	if (p && at < n) {
		p[at] ^= 0x04;
		unlink(file);
		file_put_all(file, p, n);
	}
	free(p);
	return x;
}

static void flipped_nibble(void)
{
	static const struct {
		const char *target, *matrix, *word;
	} cases[] = {
		{ "hf", "w1.weight", "w1" },
		{ "hf", "w2.weight", "w2" },
		{ "hf", "w3.scale", "w3" },
		{ "frag-k32", "w2.weight", "w2" },
		{ "marlin-mxfp4", "w1.weight", "w" },
		{ "trtllm-mxfp4", "w2.scale", "w2" },
		{ "triton-hopper", "w2.weight", "w2" },
	};
	struct model_job j;
	struct job_opts o;
	struct verdict v;
	char word[96];
	unsigned i;

	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct path out = dirs_path("flip");

		dirs_remove(out.s);
		j = model_job("hf", 1);
		o = set_opts(cases[i].target, 1, false);
		CHECK(strcmp(cases[i].target, "hf") ? set_makes(FLASH, out.s, &o)
						    : convert(&j, FLASH, out.s));
		snprintf(word, sizeof word, "layers.0.ffn.experts.%u.%s",
			flip(out.s, cases[i].matrix, 3), cases[i].word);
		v = compare(FLASH, out.s);
		CHECK_IN(cases[i].target, says(v, 1, "logits.differs", word));
		CHECK_IN(cases[i].target, strstr(v.text, "layers.0, sub-block ffn"));
		CHECK_IN(cases[i].target, !v.equal);
	}
}

/* Opens dir and changes n bytes of a tensor from at on: each becomes keep times what it is, plus by. */
static void change(const char *dir, const char *name, uint64_t at, uint64_t n, uint8_t keep,
	uint8_t by)
{
	const struct tensor *t;
	struct findings f = { 0 };
	struct ckpt_opts co = { 0 };
	struct ckpt c;
	struct err e = { 0 };
	uint8_t *p = NULL;
	size_t size, i;

	if (ckpt_open(&c, io_posix(), dir, &co, &f, &e)) {
		FAILED(e.text);
		return;
	}
	t = ckpt_find(&c, name);
	if (t)
		p = file_get_all(model_file(dir, c.shards[t->shard].name).s, &size);
	CHECK_IN(name, p);
	for (i = 0; p && i < n; i++)
		p[c.shards[t->shard].data_at + t->begin + at + i] =
			(uint8_t)(keep * p[c.shards[t->shard].data_at + t->begin + at + i] + by);
	if (p)
		model_put(dir, c.shards[t->shard].name, p, size);
	free(p);
	ckpt_close(&c);
	finding_free(&f);
}

/* Each of the bytes plus by. */
static void spoil(const char *dir, const char *name, uint64_t at, uint64_t n, uint8_t by)
{
	change(dir, name, at, n, 1, by);
}

static void other_tensors(void)
{
	static const char *const names[] = { "layers.2.attn.wo_b", "layers.1.attn.wkv",
		"layers.3.ffn.shared_experts.w2" };
	/* the last of its sub-block is told as what comes out */
	static const char *const told[] = { "layers.2.attn.out", "layers.1.attn.wkv",
		"layers.3.ffn.shared_experts.w2" };
	char weight[96];
	unsigned i;

	for (i = 0; i < 3; i++) {
		struct path dir = model_copy(FLASH, "spoiled");

		snprintf(weight, sizeof weight, "%s.weight", names[i]);
		spoil(dir.s, weight, 300, 1, 3);
		CHECK(says(compare(FLASH, dir.s), 1, "logits.differs", told[i]));
	}
}

static uint32_t used_in(const char *dir)
{
	struct err e = { 0 };
	struct weights w;
	struct dev d;
	uint32_t x;

	if (dev_open_cpu(&d, cpu_features(), 1, &e) ||
		weights_open(&w, io_posix(), dir, &d, cpu_features(), &e)) {
		FAILED(e.text);
		return 0;
	}
	x = used_expert(&w);
	weights_close(&w);
	d.close(&d);
	return x;
}

/* Lossy casts may differ, as far as is said. */
static void lossy(void)
{
	struct path src = model_copy(FLASH, "wide"), out = dirs_path("wide8");
	struct model_job j = model_job("hf", 1);
	char name[64];
	struct verdict v;

	/* every other row of a block 2^16 times larger: the small ones lose bits */
	snprintf(name, sizeof name, "layers.0.ffn.experts.%u.w1.scale", used_in(FLASH));
	spoil(src.s, name, 8, 8, 16);
	j.plan.experts = CODEC_FP8;
	j.plan.lossy = true;
	CHECK(convert(&j, src.s, out.s));
	v = compare_kl(src.s, out.s, IDS, NULL);
	CHECK(says(v, 1, "logits.beyond", "w1"));
	CHECK(says(compare_kl(src.s, out.s, IDS, "5"), 0, "logits.rounded", "w1"));
	CHECK(compare_kl(src.s, out.s, IDS, "1e-30").rc == 1);
	CHECK(compare_kl(src.s, out.s, IDS, "much").rc == 2);
	/* a loss that nobody declared is none that is allowed */
	CHECK(compare_kl(FLASH, src.s, IDS, "1000").rc == 1);
}

/* --- bad input --- */

static void bad_calls(void)
{
	struct path dir, tokens = dirs_path("tokens");

	CHECK(says(compare_kl(FLASH, FLASH, "", NULL), 2, "", "no tokens"));
	CHECK(says(compare_kl(FLASH, FLASH, "1,2,-3", NULL), 2, "", "token 2 is no number"));
	CHECK(says(compare_kl(FLASH, FLASH, "1,256", NULL), 2, "", "token 1 is 256"));
	CHECK(says(compare_kl(FLASH, FLASH, "1,99999999999", NULL), 2, "", "no number"));
	file_put_all(tokens.s, "3 x 4", 5);
	CHECK(says(compare_kl(FLASH, FLASH, tokens.s, NULL), 2, "", "token 1 is no number"));
	file_put_all(tokens.s, " 3\n4, 5\n", 8);
	CHECK(is_equal(compare_kl(FLASH, FLASH, tokens.s, NULL)));
	CHECK(compare_kl(FLASH, FLASH, "no/such/file", NULL).rc == 2);
	CHECK(says(compare(FLASH, PRO), 2, "logits.models", "different models"));
	dir = model_copy(FLASH, "gone");
	unlink(model_file(dir.s, "model-00004-of-00007.safetensors").s);
	CHECK(says(compare(FLASH, dir.s), 1, "index.shard-missing", "00004"));
	CHECK(says(compare(dir.s, FLASH), 1, "index.shard-missing", "00004"));
}

static uint8_t byte_of(const char *dir, const char *name, uint64_t at)
{
	struct findings f = { 0 };
	struct ckpt_opts co = { 0 };
	struct ckpt c;
	struct err e = { 0 };
	uint8_t b = 0;

	if (ckpt_open(&c, io_posix(), dir, &co, &f, &e) ||
		ckpt_read(&c, ckpt_find(&c, name), at, &b, 1, &e))
		FAILED(e.text);
	ckpt_close(&c);
	finding_free(&f);
	return b;
}

static void nan_scale(void)
{
	struct path dir = model_copy(FLASH, "nan");
	uint8_t was = byte_of(dir.s, "layers.0.attn.wq_b.scale", 1);

	spoil(dir.s, "layers.0.attn.wq_b.scale", 1, 1, (uint8_t)(255 - was));
	CHECK(says(compare(FLASH, dir.s), 1, "data.scale-nan", "byte 1"));
	CHECK(says(compare(dir.s, FLASH), 1, "data.scale-nan", "wq_b"));
	CHECK(record(dir.s, dirs_path("nan.rec").s, IDS, "all").rc == 1);
	CHECK(!is_file(dirs_path("nan.rec").s) && !is_file(dirs_path(".nan.rec.part").s));
}

/* A number that is none, in every plain tensor that is read, is refused on either side; 0xff of all bytes is NaN in F32 and
 * BF16. */
static void nan_numbers(void)
{
	static const char *const names[] = { "embed.weight", "norm.weight", "head.weight",
		"hc_head_base", "layers.2.attn_norm.weight", "layers.1.attn.q_norm.weight",
		"layers.2.attn.kv_norm.weight", "layers.1.attn.attn_sink",
		"layers.2.ffn_norm.weight", "layers.3.ffn.gate.weight", "layers.3.ffn.gate.bias",
		"layers.2.hc_attn_fn", "layers.2.hc_ffn_scale", "layers.2.attn.compressor.ape",
		"layers.2.attn.compressor.norm.weight", "layers.2.attn.compressor.wkv.weight" };
	struct verdict v;
	struct path dir;
	unsigned i;

	for (i = 0; i < sizeof names / sizeof *names; i++) {
		dir = model_copy(FLASH, "nan-number");
		/* of the embedding: the row of token 5 */
		change(dir.s, names[i], i ? 0 : 5 * 512, 4, 0, 0xff);
		v = compare_kl(FLASH, dir.s, IDS, "1000");
		CHECK_IN(names[i], says(v, 1, "data.not-finite", names[i]));
		v = compare(dir.s, dir.s);
		CHECK_IN(names[i], says(v, 1, "data.not-finite", names[i]) && !v.equal);
	}
}

/* Numbers so large that nothing but NaN comes out: two models that agree in that are not called equal. */
static void nan_logits(void)
{
	static const struct {
		const char *name, *word;
	} cases[] = { { "norm.weight", "logit" }, { "layers.1.attn.wo_b.scale", "" } };
	struct path dir;
	struct verdict v;
	unsigned i;

	for (i = 0; i < 2; i++) {
		dir = model_copy(FLASH, "huge");
		change(dir.s, cases[i].name, 0, i ? 4 : 512, 0, i ? 0xfe : 0x7f);
		v = compare_kl(dir.s, dir.s, IDS, "1000");
		CHECK_IN(cases[i].name, says(v, 1, "logits.differs", cases[i].word));
	}
}

/* --- records --- */

static void records(void)
{
	static const char *const what[] = { "logits", "layers", "all" };
	struct path rec;
	struct job_opts o = set_opts("frag-k32", 1, false);
	struct path set = dirs_path("rec-set"), spoiled = model_copy(FLASH, "rec-spoiled");
	char word[64];
	unsigned i;

	CHECK(set_makes(FLASH, set.s, &o));
	flip(spoiled.s, "w1.weight", 3);
	for (i = 0; i < 3; i++) {
		rec = dirs_path(what[i]);
		CHECK(record(FLASH, rec.s, IDS, what[i]).rc == 0);
		CHECK_IN(what[i], is_equal(replay(FLASH, rec.s)));
		CHECK_IN(what[i], is_equal(replay(set.s, rec.s)));
		snprintf(word, sizeof word, i == 2 ? "layers.0.ffn.out" : "layers.0.out");
		CHECK_IN(what[i], says(replay(spoiled.s, rec.s), 1, "replay.differs", word));
		CHECK(says(replay(PRO, rec.s), 1, "record.form", "record"));
	}
	CHECK(says(record(FLASH, rec.s, "1,2,900", "all"), 2, "", "token 2 is 900"));
	CHECK(is_equal(replay(FLASH, rec.s))); /* the old one is still there */
	CHECK(record(FLASH, dirs_path("no/such/rec").s, IDS, "all").rc == 2);
}

/* In FP32 arithmetic FP4 and FP8 experts are summed alike, records say what they are of, and one bit of one code
 * shows in the logits alone. */
static void fp32_records(void)
{
	struct model_job j = model_job("hf", 1);
	struct path out = dirs_path("fp32-hf8"), rec = dirs_path("fp32.rec"),
		    spoiled = model_copy(FLASH, "fp32-spoiled"), plain = dirs_path("model.rec");
	struct compute_opts o = opts(IDS), r = opts(NULL);
	struct err e = { 0 };
	struct report rep;
	uint8_t *p, *at;
	size_t n;

	o.arithmetic = "fp32";
	j.plan.experts = CODEC_FP8;
	CHECK(convert(&j, FLASH, out.s));
	report_begin(&rep, "test", "logits", FLASH, out.s);
	CHECK(is_equal(verdict_of(&rep, compute_logits(&rep, FLASH, out.s, &o, &e), &e)));
	report_begin(&rep, "test", "record", FLASH, NULL);
	CHECK(!verdict_of(&rep, compute_record(&rep, FLASH, rec.s, &o, &e), &e).rc);
	CHECK(is_equal(replay(FLASH, rec.s)) && is_equal(replay(out.s, rec.s)));
	r.arithmetic = "model";
	report_begin(&rep, "test", "replay", FLASH, rec.s);
	CHECK(says(verdict_of(&rep, compute_replay(&rep, FLASH, rec.s, &r, &e), &e), 1,
		"record.form", "fp32"));
	e = (struct err){ 0 };
	CHECK(record(FLASH, plain.s, IDS, "logits").rc == 0);
	r.arithmetic = "fp32";
	report_begin(&rep, "test", "replay", FLASH, plain.s);
	CHECK(says(verdict_of(&rep, compute_replay(&rep, FLASH, plain.s, &r, &e), &e), 1,
		"record.form", "own"));
	e = (struct err){ 0 };
	o.what = "logits";
	rec = dirs_path("fp32-logits.rec");
	report_begin(&rep, "test", "record", FLASH, NULL);
	CHECK(!verdict_of(&rep, compute_record(&rep, FLASH, rec.s, &o, &e), &e).rc);
	p = file_get_all(rec.s, &n); /* as another engine would write it */
	at = p ? memmem(p, n, "dsv4.record", 11) : NULL;
	CHECK(at);
	if (at)
		memcpy(at, "else.record", 11);
	unlink(rec.s);
	file_put_all(rec.s, p, n);
	free(p);
	CHECK(is_equal(replay(FLASH, rec.s)));
	flip(spoiled.s, "w1.weight", 3);
	CHECK(says(replay(spoiled.s, rec.s), 1, "replay.logits", "relative L2"));
}

/* Whatever call fails, there is a whole record or none, and nothing beside it. */
static void records_whole_or_not(void)
{
	static const enum io_op kinds[] = { IO_PWRITE, IO_FSYNC, IO_RENAME, IO_PREAD };
	struct path dir, rec;
	struct compute_opts o = opts("1");
	struct faultio f;
	struct err e = { 0 };
	struct report rep;
	uint64_t calls = 0;
	unsigned i, k;
	int rc;

	o.io = &f.io;
	for (i = 0; i < sizeof kinds / sizeof *kinds; i++)
		for (k = 0; k < 3; k++) {
			dir = dirs_new("faults");
			rec = model_file(dir.s, "rec");
			calls = k ? calls : 0;
			faultio_make(&f);
			f.op = kinds[i]; /* none fails; the first; the last */
			f.at = k == 0 ? 0 : k == 1 ? 1 : calls;
			f.error = EIO;
			e = (struct err){ 0 };
			report_begin(&rep, "test", "record", FLASH, NULL);
			rc = compute_record(&rep, FLASH, rec.s, &o, &e);
			report_free(&rep);
			calls = f.calls[kinds[i]];
			CHECK_IN(io_names[kinds[i]],
				k ? rc && err_exit_code(&e) == 2 : !rc && calls);
			CHECK_IN(io_names[kinds[i]], model_entries(dir.s) == !rc);
			CHECK_IN(io_names[kinds[i]], !f.early && !f.again && !f.strange);
		}
}

static const struct test tests[] = {
	{ "every_engine", every_engine },
	{ "whole_folders", whole_folders },
	{ "base", base },
	{ "flipped_nibble", flipped_nibble },
	{ "other_tensors", other_tensors },
	{ "lossy", lossy },
	{ "bad_calls", bad_calls },
	{ "nan_scale", nan_scale },
	{ "nan_numbers", nan_numbers },
	{ "nan_logits", nan_logits },
	{ "records", records },
	{ "fp32_records", fp32_records },
	{ "records_whole_or_not", records_whole_or_not },
	{ NULL, NULL },
};
TEST_MAIN(tests)
